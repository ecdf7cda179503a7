// The tray: cards that were chosen, and what to do with all of them. It lives in this browser until something is done with it.

class Tray {
  constructor(grid) {
    this.grid = grid;
    this.chosen = new Map(); // key of a card -> the card
    this.last = null;
    this.told = el("span", { role: "status" });
    this.root = el("div", { class: "tray", role: "region", "aria-label": t("Selected"), hidden: true });
    this.root.addEventListener("keydown", (event) => this.pressed(event));
  }

  static key(card) { return `${card.asset} ${card.segment}`; }

  has(card) { return this.chosen.has(Tray.key(card)); }

  stops() { return [...this.root.querySelectorAll("button, select, input, a")]; }

  // Gives the focus to what can be done; whether there is anything.
  enter() { return !this.root.hidden && (this.stops()[0]?.focus(), true); }

  // Arrows lead from one to the next, and Escape back to the cards.
  pressed(event) {
    const stops = this.stops(), at = stops.indexOf(event.composedPath()[0]), inside = typing(event) && event.target.localName === "input";
    if (event.key === "Escape") (this.grid.links()[this.last ?? 0])?.focus();
    else if (event.key === "ArrowRight" && !inside) stops[at + 1]?.focus();
    else if (event.key === "ArrowLeft" && !inside) stops[at - 1]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Chooses a card or lets it go; with `range`, all from the last one to it.
  toggle(at, range) {
    const { cards } = this.grid, from = this.last === null ? at : this.last;
    const on = range ? true : !this.has(cards[at]);
    const some = range ? cards.slice(Math.min(from, at), Math.max(from, at) + 1) : [cards[at]];
    for (const card of some) on ? this.chosen.set(Tray.key(card), card) : this.chosen.delete(Tray.key(card));
    this.last = at;
    this.told.replaceChildren();
    this.draw();
  }

  clear() {
    this.chosen.clear();
    this.last = null;
    this.draw();
  }

  cleared() {
    const before = new Map(this.chosen);
    this.form = null;
    this.clear();
    this.say(`${t("Nothing is selected.")} `, this.undoing(() => { this.chosen = before; this.told.replaceChildren(); this.draw(); }));
  }

  undoing(run) { return el("button", { type: "button", class: "action", onclick: run }, t("Undo")); }

  draw() {
    this.grid.chosen();
    const count = this.chosen.size;
    this.root.hidden = !count && !this.told.hasChildNodes();
    const act = (label, run, kind = "action") => el("button", { type: "button", class: kind, onclick: run }, label);
    renew(this.root, el("b", {}, count ? t("{count} selected", { count: count.toLocaleString(LANGUAGE) }) : ""), count > 0 && [
      act(t("Collect"), () => this.collecting(), "action chief"), act(t("Mark"), () => this.marking()), this.formats(),
      act(t("More like these"), () => this.grid.send({ kind: "with", cards: this.about() })),
      this.grid.asks && act(t("Less like these"), () => { const cards = this.about(); this.clear(); this.grid.send({ kind: "without", cards }); }),
      act(t("Clear"), () => this.cleared()),
    ], this.form, this.told);
  }

  about() { return [...this.chosen.values()].map((card) => this.grid.about(card)); }

  formats() {
    return el("select", { "aria-label": t("Export as"), "data-key": "formats", onchange: (event) => { const kind = event.target.value; event.target.value = ""; if (kind) this.export(kind); } },
      el("option", { value: "" }, t("Export …")), Object.entries(FORMATS).map(([kind, label]) => el("option", { value: kind }, t(label))));
  }

  say(...said) {
    this.told.replaceChildren(...said.flat());
    this.draw();
  }

  moments() {
    return [...this.chosen.values()].map((card) => ({ asset: card.asset, ...(card.ends ? { start_ms: card.start, end_ms: card.ends } : {}) }));
  }

  async export(format) {
    this.say(t("Exporting …"));
    this.say(await exported(format, (new URLSearchParams(location.search).get("q") || "export").slice(0, 100), this.moments()));
  }

  // Which case: one that is there, or a new one by its name.
  async collecting() {
    const response = await asked("GET", "/v1/cases");
    if (!response.ok) return this.say(await sentence(response));
    const { cases } = await response.json();
    const name = el("input", { list: "cases", maxlength: 200, required: true, placeholder: t("Name of a case"), "aria-label": t("Name of a case"), value: cases[0]?.name ?? "" });
    this.form = el("form", { class: "into", onsubmit: (event) => { event.preventDefault(); this.collect(cases, name.value.trim()); } },
      name, el("datalist", { id: "cases" }, cases.map((one) => el("option", { value: one.name }))), el("button", { type: "submit", class: "action" }, t("Add")));
    this.draw();
    this.root.querySelector(".into input").focus();
    this.root.querySelector(".into input").select(); // what is typed takes its place
  }

  async collect(cases, typed) {
    const name = typed || this.root.querySelector(".into input").value.trim(), known = cases.find((one) => one.name === name);
    if (!name) return this.say(t("Give the case a name."));
    const made = await asked(known ? "GET" : "POST", known ? `/v1/cases/${known.id}` : "/v1/cases", known ? undefined : { name });
    if (!made.ok) return this.say(await sentence(made));
    const before = await made.json(), exhibits = this.moments().map((one) => ({ ...one, question: location.search.slice(0, 2000) }));
    const response = await asked("POST", `/v1/cases/${before.id}/exhibits`, { exhibits });
    if (!response.ok) return this.say(await sentence(response));
    const after = await response.json(), count = after.count - before.count;
    this.form = null;
    this.clear();
    this.say(`${n("{count} moment added to {name}.", "{count} moments added to {name}.", count, { name })} `,
      el("a", { class: "partly", href: `?view=case&case=${before.id}` }, t("Open the case")), " ",
      this.undoing(() => this.undo(before, after)));
  }

  // A word for these files: it is an own field, so the rail counts it.
  marking() {
    const name = el("input", { list: "marks", maxlength: 100, placeholder: t("relevant, to check …"), "aria-label": t("Mark with") });
    this.form = el("form", { class: "into", onsubmit: (event) => { event.preventDefault(); this.mark(this.root.querySelector(".into input").value.trim()); } },
      name, el("datalist", { id: "marks" }, [t("relevant"), t("to check"), t("not relevant")].map((one) => el("option", { value: one }))), el("button", { type: "submit", class: "action" }, t("Mark")));
    this.draw();
    this.root.querySelector(".into input").focus();
  }

  async mark(value) {
    const assets = [...new Set([...this.chosen.values()].map((card) => card.asset))];
    const before = await this.put(assets.map((asset) => ({ asset, value })));
    if (!before) return;
    this.form = null;
    this.clear();
    this.say(`${value ? n("{count} file marked “{value}”.", "{count} files marked “{value}”.", assets.length, { value }) : n("The mark of {count} file is gone.", "The mark of {count} files is gone.", assets.length)} `, this.undoing(async () => { if (await this.put(before)) this.say(t("Undone.")); }));
  }

  // Sets marks; gives those from before, or says why they could not be set.
  async put(values) {
    const response = await asked("PUT", "/v1/fields/mark", { values });
    if (!response.ok) return void this.say(await sentence(response));
    this.grid.send({ kind: "marked" });
    return (await response.json()).values;
  }

  async undo(before, after) {
    const response = await asked("PUT", `/v1/cases/${before.id}`, restored(before, after.version));
    this.say(response.ok ? t("Undone.") : await sentence(response));
  }
}
