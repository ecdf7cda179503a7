// The rail: facets, whose values are links, and filters that are typed. On narrow screens it is folded until the bar's Filters are pressed.

const SHOWN = 8; // values of a facet before "more" is pressed

class Rail {
  constructor(host) {
    this.shut = new Set();
    this.whole = new Set();
    this.root = el("div", { class: "part rail", role: "region", "aria-label": t("Filters") });
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    host.append(this.root);
    listen(host, window, "sensorium-filters", () => this.draw());
    listen(host, document, "keydown", (event) => this.entered(event));
  }

  update(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    renew(this.root, window.sensoriumFilters && this.typed(), this.data.groups.map((one) => this.facet(one)));
  }

  facet({ name, title, values }) {
    const shown = this.whole.has(name) ? values : values.filter((one, at) => at < SHOWN || one.on || one.level), left = values.length - shown.length;
    const on = values.filter((one) => one.on).length;
    const turn = (event) => { event.target.open ? this.shut.delete(name) : this.shut.add(name); };
    const more = () => { this.whole.has(name) ? this.whole.delete(name) : this.whole.add(name); this.draw(); };
    return el("details", { "data-key": name, open: !this.shut.has(name), ontoggle: turn },
      el("summary", {}, el("h2", {}, title), on > 0 && el("span", { class: "on" }, String(on))),
      el("ul", {}, shown.map((one, at) => this.value(name, one, at))),
      (left > 0 || this.whole.has(name)) && values.length > SHOWN && el("button", { type: "button", class: "rest", "data-key": "rest", onclick: more }, left ? t("{count} more", { count: left.toLocaleString(LANGUAGE) }) : t("Fewer")));
  }

  // Tab stops at the first value of a facet; arrows go on from it.
  value(name, { label, files, on, level, href }, at) {
    const text = name === "language" ? languageName(label) : label;
    return el("li", { "data-key": `${level} ${label}` }, el("a", {
      href, "aria-current": on ? "true" : null, tabindex: at ? "-1" : "0", style: { "padding-left": `${8 + level * 12}px` }, onclick: (event) => this.follow(event, href),
    }, el("span", { class: "label", title: text }, text), " ", on ? [icon("close"), el("span", { class: "unseen" }, `${t("chosen")} `)] : null,
      files && el("span", { class: "files" }, files, el("span", { class: "unseen" }, ` ${files === "1" ? t("file") : t("files")}`))));
  }

  typed() {
    const { state, known } = this.data, set = (name, value) => this.send({ kind: "ask", state: { ...state, [name]: value } });
    const field = (label, name, type, more = {}) => el("label", { "data-key": name }, label, el("input", {
      type, value: state[name] ?? "", onchange: (event) => set(name, type === "number" ? event.target.valueAsNumber || null : event.target.value.trim()), ...more,
    }));
    const many = (label, name, some, told = {}) => some.length > 0 && el("fieldset", { "data-key": name }, el("legend", {}, label), el("div", { class: "many" }, some.map((one) => {
      const on = state[name].includes(one);
      return el("button", { type: "button", class: "toggle", "data-key": one, "aria-pressed": String(on), onclick: () => set(name, on ? state[name].filter((other) => other !== one) : [...state[name], one]) }, t(told[one] ?? one));
    })));
    return el("div", { class: "typed", "data-key": "typed" },
      field(t("Folder"), "under", "text", { placeholder: known.folders[0] ?? "2024/harbour", list: "folders" }),
      el("datalist", { id: "folders" }, known.folders.map((one) => el("option", { value: one }))),
      field(t("Sound track"), "track", "text", { placeholder: t("German, 2, commentary"), title: t("A language, a number, or words of its title") }),
      el("div", { class: "two" }, field(t("Since"), "since", "date"), field(t("Until"), "until", "date")),
      el("div", { class: "two" }, field(t("At least, seconds"), "shortest", "number", { min: 0 }), field(t("At most, seconds"), "longest", "number", { min: 0 })),
      many(t("Dated by"), "dated_by", Object.keys(SOURCES), SOURCES), many(t("Space"), "spaces", known.spaces));
  }

  follow(event, to) {
    if (beside(event)) return;
    event.preventDefault();
    this.send({ kind: "go", to });
  }

  stops() { return [...this.root.querySelectorAll("summary, li a, .rest")].filter((one) => one.checkVisibility()); }

  pressed(event) {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const stops = this.stops(), at = stops.indexOf(event.composedPath()[0]);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
    if (to !== undefined && at >= 0) stops[Math.max(0, Math.min(stops.length - 1, to))].focus();
    else if (event.key === " " && event.target.closest("li a")) event.target.closest("a").click();
    else return;
    event.preventDefault();
  }

  entered(event) {
    if (event.key.toLowerCase() !== "f" || event.defaultPrevented || typing(event) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('[role="dialog"]')) return;
    const first = this.stops()[0];
    if (!first) return;
    event.preventDefault();
    first.focus();
  }
}

export default mounted(Rail);
