// How many files each month has, as bars: a click, a drag, or the arrows and Enter choose some of them.

const MOST_MONTHS = 180; // of more, years are drawn

class Months {
  constructor(host) {
    this.bars = el("div", { class: "bars", role: "group", "aria-label": t("Files by month") });
    this.ends = el("div", { class: "ends", "aria-hidden": "true" });
    this.root = el("div", { class: "part" }, this.bars, this.ends);
    host.append(this.root);
    this.bars.addEventListener("pointerdown", (event) => this.drag(event));
    this.bars.addEventListener("keydown", (event) => this.pressed(event));
  }

  update({ months, state }) {
    this.state = state;
    this.spells = spells(months);
    const most = Math.max(...this.spells.map((one) => one.files)), share = (files) => Math.sqrt(files / most); // so that few stay visible beside many
    const chosen = (one) => (state.since || state.until) && (!state.since || one.until >= state.since) && (!state.until || one.since <= state.until);
    this.root.classList.toggle("narrowed", !!(state.since || state.until));
    const stop = Math.max(0, this.spells.findIndex(chosen));
    renew(this.bars, this.spells.map((one, at) => el("button", {
      type: "button", "data-key": one.since, "data-at": at, tabindex: at === stop ? "0" : "-1", class: chosen(one) ? "on" : "", title: `${one.label}: ${count(one.files)}`,
      "aria-label": `${one.label}, ${count(one.files)}`, "aria-pressed": String(!!chosen(one)), onclick: (event) => event.detail || this.choose(at, at),
    }, el("i", { style: { height: `${one.files ? Math.max(6, share(one.files) * 100) : 0}%` } }))));
    const last = this.spells.at(-1);
    renew(this.ends, el("span", {}, this.spells[0].label), this.said(), el("span", {}, last.label));
  }

  said() {
    const { since, until } = this.state;
    if (!since && !until) return null;
    return el("button", { type: "button", class: "clear", onclick: () => this.ask("", "") }, `${since || "…"} – ${until || "…"}`, icon("close"));
  }

  ask(since, until) { this.send({ kind: "ask", state: { ...this.state, since, until } }); }

  // The same again takes the choice away.
  choose(from, to) {
    const [first, last] = [Math.min(from, to), Math.max(from, to)], { since } = this.spells[first], { until } = this.spells[last];
    if (since === this.state.since && until === this.state.until) this.ask("", "");
    else this.ask(since, until);
  }

  at(event) {
    const box = this.bars.getBoundingClientRect();
    return Math.max(0, Math.min(this.spells.length - 1, Math.floor(((event.clientX - box.left) / box.width) * this.spells.length)));
  }

  drag(event) {
    if (event.button) return;
    const from = this.at(event), bars = this.bars;
    const show = (to) => [...bars.children].forEach((one, at) => one.classList.toggle("drawn", at >= Math.min(from, to) && at <= Math.max(from, to)));
    const move = (moved) => show(this.at(moved));
    const end = (ended) => {
      bars.removeEventListener("pointermove", move);
      for (const one of bars.children) one.classList.remove("drawn");
      if (ended.type === "pointerup") this.choose(from, this.at(ended));
    };
    bars.setPointerCapture(event.pointerId);
    bars.addEventListener("pointermove", move);
    for (const type of ["pointerup", "pointercancel"]) bars.addEventListener(type, end, { once: true });
    show(from);
  }

  pressed(event) {
    const at = Number(event.target.dataset.at), last = this.spells.length - 1;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(last, to));
    this.bars.children[next].focus();
    if (event.shiftKey) this.choose(this.anchor ??= at, next);
    else this.anchor = null;
  }
}

const count = (files) => n("{count} file", "{count} files", files);

// All months from the first to the last, those without files, too; or years, where they are too many.
function spells(months) {
  const of = new Map(months.map((one) => [one.month, one.files])), number = (month) => Number(month.slice(0, -3)) * 12 + Number(month.slice(-2)) - 1;
  const first = number(months[0].month), last = number(months.at(-1).month);
  const pad = (value, digits) => String(value).padStart(digits, "0");
  if (last - first < MOST_MONTHS) {
    return Array.from({ length: last - first + 1 }, (_, at) => {
      const year = Math.floor((first + at) / 12), month = ((first + at) % 12) + 1, told = `${pad(year, 4)}-${pad(month, 2)}`;
      return { since: `${told}-01`, until: `${told}-${new Date(Date.UTC(year, month, 0)).getUTCDate()}`, files: of.get(told) ?? 0, label: new Date(Date.UTC(year, month - 1)).toLocaleDateString(LANGUAGE, { month: "short", year: "numeric", timeZone: "UTC" }) };
    });
  }
  const years = new Map();
  for (const { month, files } of months) years.set(month.slice(0, -3), (years.get(month.slice(0, -3)) ?? 0) + files);
  return [...years].map(([year, files]) => ({ since: `${year}-01-01`, until: `${year}-12-31`, files, label: year }));
}

export default mounted(Months);
