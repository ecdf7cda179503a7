// A case: its moments in order, with notes; or the list of all cases. What is changed is stored at once, and can be undone.

class CaseFile {
  constructor(host) {
    this.root = el("div", { class: "part" });
    this.said = el("p", { class: "said faint", role: "status" });
    this.changing = Promise.resolve();
    host.append(this.root);
  }

  update(data) {
    const told = JSON.stringify(data);
    if (told === this.told) return;
    this.told = told;
    this.data = data;
    this.case = data.case;
    this.draw();
  }

  draw() { renew(this.root, this.case ? this.whole() : this.list(), this.said); }

  list() {
    const { cases } = this.data;
    if (!cases.length) return [el("h2", {}, t("Cases")), el("p", { class: "faint" }, t("There is no case yet. Select results with X, and press Collect."))];
    return [el("h2", {}, t("Cases")), el("div", { class: "rows" }, cases.map((one) => el("div", { class: "row", "data-key": one.href },
      el("a", { class: "wide", href: one.href, onclick: (event) => this.follow(event) }, el("b", {}, one.name)), el("span", { class: "faint" }, one.count))))];
  }

  whole() {
    const { name, note, exhibits } = this.case;
    return [
      el("div", { class: "top" }, el("a", { class: "faint", href: this.data.all, onclick: (event) => this.follow(event) }, t("All cases")),
        el("input", { class: "name", value: name, maxlength: 200, "aria-label": t("Name of the case"), onchange: (event) => this.change(() => ({ name: event.target.value.trim() || name })) }),
        this.formats(), this.before && el("button", { type: "button", class: "action", onclick: () => this.undo() }, t("Undo")),
        el("button", { type: "button", class: "action", onclick: () => this.remove() }, t("Delete"))),
      el("textarea", { class: "about", rows: 2, placeholder: t("What this case is about"), "aria-label": t("Note on the case"), onchange: (event) => this.change(() => ({ note: event.target.value })) }, note),
      exhibits.length ? el("ol", { class: "exhibits" }, exhibits.map((one, at) => this.exhibit(one, at))) : el("p", { class: "faint" }, t("Nothing is collected yet. Select results with X, and press Collect.")),
    ];
  }

  exhibit(one, at) {
    const key = nameOf(one), count = this.case.exhibits.length;
    const moved = (by) => this.change(({ exhibits }) => {
      const from = exhibits.findIndex((other) => nameOf(other) === key), some = exhibits.toSpliced(from, 1);
      return { exhibits: some.toSpliced(Math.max(0, from + by), 0, exhibits[from]) };
    });
    const noted = (note) => this.change(({ exhibits }) => ({ exhibits: exhibits.map((other) => (nameOf(other) === key ? { ...other, note } : other)) }));
    const open = (event) => { if (!beside(event)) { event.preventDefault(); this.send({ kind: "open", segment: one.segment }); } };
    const when = one.start_ms === null ? "" : `${tenths(one.start_ms)} – ${tenths(one.end_ms)}`;
    const picture = one.thumbnail ? el("img", { class: one.medium, src: `${one.thumbnail}${one.thumbnail.includes("?") ? "&" : "?"}size=160`, alt: "", loading: "lazy" }) : el("span", { class: "none" }, icon(one.medium));
    return el("li", { "data-key": key },
      one.href ? el("a", { href: one.href, onclick: open, "aria-label": t("Open {name}", { name: one.name }) }, picture) : picture,
      el("div", { class: "wide" }, el("b", {}, one.name), el("span", { class: "faint" }, [when, one.asset === null && t("no longer in the archive")].filter(Boolean).join(" · ")),
        el("input", { value: one.note, maxlength: 20000, placeholder: t("Note"), "aria-label": t("Note on {name}", { name: one.name }), onchange: (event) => noted(event.target.value) }),
        one.question.startsWith("?") && el("a", { class: "faint", href: one.question, onclick: (event) => this.follow(event) }, t("The search that found it"))),
      button("quiet", t("Move {name} up", { name: one.name }), "up", () => moved(-1), at ? {} : { disabled: true }),
      button("quiet", t("Move {name} down", { name: one.name }), "down", () => moved(1), at + 1 < count ? {} : { disabled: true }),
      button("quiet", t("Take {name} out", { name: one.name }), "close", () => this.change(({ exhibits }) => ({ exhibits: exhibits.filter((other) => nameOf(other) !== key) }))));
  }

  formats() {
    const run = async (event) => {
      const format = event.target.value;
      event.target.value = "";
      const moments = this.case.exhibits.filter((one) => one.asset !== null).map(({ asset, start_ms, end_ms, note }) => ({ asset, start_ms, end_ms, note }));
      if (format) this.said.textContent = await exported(format, this.case.name, moments);
    };
    return el("select", { "aria-label": t("Export as"), onchange: run }, el("option", { value: "" }, t("Export …")), Object.entries(FORMATS).map(([kind, label]) => el("option", { value: kind }, t(label))));
  }

  // One change after the other, each of what the one before has left.
  change(make) { return (this.changing = this.changing.then(() => this.store(make(this.case)))); }

  async store(changes) {
    const before = this.case, wanted = { ...before, ...changes };
    const response = await asked("PUT", `/v1/cases/${before.id}`, restored(wanted, before.version));
    this.said.textContent = response.ok ? t("Saved.") : await sentence(response);
    if (response.ok) {
      this.before = before;
      this.case = { ...wanted, version: (await response.json()).version };
    }
    this.draw();
  }

  async undo() {
    const response = await asked("PUT", `/v1/cases/${this.case.id}`, restored(this.before, this.case.version));
    this.said.textContent = response.ok ? t("Undone.") : await sentence(response);
    if (response.ok) this.case = { ...this.before, version: (await response.json()).version };
    this.before = null;
    this.draw();
  }

  async remove() {
    if (!confirm(t("Delete the case {name}? The media stay.", { name: this.case.name }))) return;
    const response = await asked("DELETE", `/v1/cases/${this.case.id}`);
    if (response.ok) this.send({ kind: "go", to: this.data.all });
    else this.said.textContent = await sentence(response);
  }

  follow(event) {
    if (beside(event)) return;
    event.preventDefault();
    this.send({ kind: "go", to: event.currentTarget.getAttribute("href") });
  }
}

const nameOf = (one) => `${one.sha256} ${one.start_ms} ${one.end_ms}`;

export default mounted(CaseFile);
