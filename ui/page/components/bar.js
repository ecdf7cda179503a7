// Ask: the box with its pieces, the toggles, the filters, what was asked before.

const RECENT = "sensorium.recent", TYPED = "sensorium.typed", PENDING = "sensorium.pending", MEDIA = { image: m("Images"), video: m("Videos"), audio: m("Sounds"), text: m("Texts"), imu: m("Motion") };
const SIZES = [140, 176, 210, 260, 340], SIZE = "sensorium.size"; // widths of cards

const ORIGINS = { generated: m("generated"), edited: m("edited"), captured: m("captured") };

class Bar {
  constructor(host) {
    this.host = host;
    this.draft = null;
    this.waiting = [];
    this.input = el("input", {
      class: "words", type: "text", enterkeyhint: "search", autocomplete: "off", spellcheck: "false", "aria-label": t("What to look for"),
      placeholder: t("Describe it, or drop, paste or record something"), oninput: () => { this.open(null); this.draw(); },
      onfocus: () => this.input.value || this.draft?.pieces.length || this.open("recent"),
    });
    this.file = el("input", { type: "file", multiple: true, accept: "image/*,audio/*,video/*,.mkv", hidden: true, "aria-label": t("Files to search with") });
    this.file.addEventListener("change", () => { this.take([...this.file.files]); this.file.value = ""; });
    this.more = button("quiet", t("Add a picture, sound or video"), "plus", () => this.open(this.panel ? null : "add"), { "aria-expanded": "false" });
    this.box = el("form", { class: "box", role: "search", onsubmit: (event) => { event.preventDefault(); this.ask(); } });
    this.asking = el("div", { class: "asking" }, this.box, this.file);
    this.asking.addEventListener("focusout", (event) => this.left(event));
    this.below = el("div", { class: "options", role: "group", "aria-label": t("What to look for") });
    this.said = el("div", { role: "status", "aria-live": "polite" });
    this.nav = el("span", { class: "nav" });
    this.home = el("a", { class: "mark", href: "/", onclick: (event) => this.follow(event, "") }, icon("audio"), "Sensorium");
    this.root = el("div", { class: "part bar" }, el("h1", { class: "unseen" }, "Sensorium"), el("div", { class: "line" }, this.home, this.asking, this.nav), this.below, this.said);
    host.append(this.root);
    this.hear();
    this.watch();
    try { this.sized(Number(localStorage.getItem(SIZE)) || SIZES[2]); } catch { this.sized(SIZES[2]); }
    // What stays in sight below the bar has to know how high it is.
    new ResizeObserver(() => document.documentElement.style.setProperty("--sensorium-bar", `${this.root.offsetHeight}px`)).observe(this.root);
  }

  update(data) {
    const told = JSON.stringify(data.state);
    if (told !== this.told) {
      if (this.told && question(this.data.here) !== question(data.here)) this.top();
      this.told = told;
      this.pending = null;
      this.data = data;
      this.draft = structuredClone(data.state);
      this.then = this.raw ? null : pattern(data.state.text);
      this.input.value = this.then?.first ?? data.state.text;
      this.open(this.input.matches(":focus") && !data.asks ? "recent" : null);
      this.say("");
      if (data.asks) this.remember();
      if (!this.drawn) this.restore();
      this.drawn = true;
    }
    this.data = data;
    this.draw();
  }

  // A new question is read from its beginning.
  top() {
    for (let node = this.host.host ?? this.host; node; node = node.parentElement) node.scrollTop = 0;
  }

  draw() {
    const chips = [...this.draft.pieces.map((piece) => this.chip(piece)), ...this.waiting.map((name) =>
      el("span", { class: "chip waiting", "data-key": `waiting ${name}` }, icon("file"), el("span", { class: "label" }, name)))];
    const go = el("button", { type: "submit", class: "go" }, t("Search"));
    const then = button("quiet", t("Then: what follows in time"), "then", () => this.follows(), { "aria-expanded": String(!!this.then) });
    renew(this.box, icon("search"), chips, this.input, this.own(), then, this.more, go, this.then && this.second());
    const view = this.data.state.view, library = view !== "search";
    const to = (name, mark, label) => el("a", { class: `toggle${view === name ? " active" : ""}`, "data-key": name, title: label, "aria-label": label, href: this.data[name], onclick: (event) => this.follow(event, this.data[name]) }, icon(mark), el("span", {}, label));
    renew(this.nav, to("map", "map", t("Map")), to("case", "case", t("Cases")), to("library", "shelf", t("Library")),
      el("button", { type: "button", class: "toggle", title: t("Keys"), "aria-label": t("Keys"), onclick: () => keys(this.root) }, "?"));
    this.below.hidden = library;
    this.below.style.display = library ? "none" : "";
    renew(this.below, ...this.toggles(), el("span", { class: "gap" }), this.looks());
    document.documentElement.toggleAttribute("data-sensorium-filters", !!window.sensoriumFilters);
  }

  chip(piece) {
    const less = piece.weight < 0, name = piece.label || (piece.kind === "text" ? piece.value : t(MEDIA[piece.medium]));
    const picture = piece.kind === "upload" ? pictures.get(piece.value) : this.data.pictures[piece.value];
    const change = (weight) => { piece.weight = Math.round(weight * 100) / 100; this.draw(); this.send_if_asked(); };
    const slider = weight(name, Math.abs(piece.weight), (value) => change(less ? -value : value));
    return el("span", { class: `chip${less ? " less" : ""}`, "data-key": `${piece.kind} ${piece.value}` },
      picture && piece.medium !== "audio" ? el("img", { src: picture, alt: "" }) : icon(piece.medium),
      el("span", { class: "label", title: name }, name), slider,
      button("small", less ? t("Include {name}", { name }) : t("Exclude {name}", { name }), "minus", () => change(-piece.weight), { "aria-pressed": String(less) }),
      piece.kind === "upload" && button("small", t("Keep {name}, so that links to this search go on working", { name }), "pin", () => this.pin(piece, name)),
      button("small", t("Remove {name}", { name }), "close", () => { this.draft.pieces = this.draft.pieces.filter((one) => one !== piece); this.draw(); this.send_if_asked(); }));
  }

  async pin(piece, name) {
    const response = await fetch(`/v1/uploads/${piece.value}/pin`, { method: "PUT" }).catch(() => null);
    this.say(!response ? t(AWAY) : response.ok ? t("{name} is kept until somebody deletes it.", { name }) : await sentence(response), !response?.ok);
  }

  // A second row for what follows, or none any more.
  follows() {
    this.raw = false;
    const known = this.then ? null : pattern(this.input.value.trim());
    if (this.then) this.then = null;
    else if (this.draft.pieces.length) return this.say(t("What follows in time can be asked of texts. Remove the other terms first, or write it in the text form."));
    else this.then = known ?? { within: "30s", next: "", not: "" };
    if (known) this.input.value = known.first;
    this.draw();
    (this.box.querySelector(".second input") ?? this.input).focus();
  }

  second() {
    const { then } = this, field = (name, label) => el("input", {
      type: "text", value: then[name], placeholder: label, "aria-label": label, "data-key": name, autocomplete: "off", oninput: (event) => { then[name] = event.target.value; },
    });
    return el("div", { class: "second", "data-key": "second" }, el("span", {}, t("then within")),
      el("select", { "aria-label": t("Within"), "data-key": "within", onchange: (event) => { then.within = event.target.value; } },
        [...new Set([...Object.keys(GAPS), then.within])].map((gap) => el("option", { value: gap, selected: gap === then.within }, t(GAPS[gap] ?? gap)))),
      field("next", t("What follows")), field("not", t("and not between (optional)")),
      el("button", { type: "button", class: "toggle", title: t("Write it as one line"), onclick: () => this.written() }, t("Text form")),
      button("quiet", t("Remove what follows"), "close", () => this.follows()));
  }

  // The same question as one line of text.
  written() {
    this.raw = true;
    this.input.value = this.composed();
    this.then = null;
    this.draw();
    this.input.focus();
  }

  // What is asked: the text in the box, or with what follows it a pattern in the text form.
  composed() {
    const first = this.input.value.trim(), next = this.then?.next.trim(), not = this.then?.not.trim();
    return first && next ? `=${quoted(first)} ~${this.then.within}> ${quoted(next)}${not ? ` -${quoted(not)}` : ""}` : first;
  }

  // The weight of the text in the box, as soon as there is something else to weigh it against.
  own() {
    if (!this.draft.pieces.length || !this.input.value.trim()) return null;
    return weight(t("the text"), this.draft.weight, (value) => { this.draft.weight = value; this.draw(); this.send_if_asked(); });
  }

  toggles() {
    const { targets } = this.draft, active = this.active();
    const media = Object.entries(MEDIA).filter(([name]) => name !== "imu" || this.data.known.moves || targets.includes(name)).map(([name, label]) => {
      const on = targets.includes(name);
      const press = () => { this.draft.targets = on ? targets.filter((one) => one !== name) : [...targets, name]; this.draw(); this.send_if_asked(); };
      return el("button", { type: "button", class: "toggle", "data-key": name, "aria-pressed": String(on), onclick: press }, icon(name), t(label));
    });
    const fold = el("button", { type: "button", "data-key": "filters", class: `toggle${active.length ? " active" : ""}`, "aria-expanded": String(!!window.sensoriumFilters), onclick: () => this.unfold() },
      icon("filter"), active.length ? t("Filters ({count})", { count: active.length }) : t("Filters"));
    const chips = active.map(([label, clear]) => el("button", { type: "button", class: "toggle active", "data-key": `filter ${label}`, title: t("Remove the filter {label}", { label }), "aria-label": t("Remove the filter {label}", { label }), onclick: () => { clear(); this.draw(); this.send_if_asked(); } }, label, icon("close")));
    return [...media, fold, ...chips, ...this.switches()];
  }

  // How a question is taken that is a single text, or a single sound that somebody may speak in.
  switches() {
    const { alone, known } = this.data, written = known.channels.some((one) => ["text", "speech", "ocr", "caption"].includes(one));
    const one = (name, label, title, mark) => el("button", { type: "button", class: "toggle", "data-key": name, title, "aria-pressed": String(this.draft[name]), onclick: () => { this.draft[name] = !this.draft[name]; this.draw(); this.send_if_asked(); } }, icon(mark), label);
    return [
      alone === "text" && written && one("words", t("Words only"), t("Search what is said and written by its words, and nothing by meaning"), "text"),
      known.regions && one("region", t("Parts of pictures"), t("Search what stands in a part of a picture, and show where"), "frame"),
      alone === "sound" && known.hears && one("spoken", t("Search what is said in it"), t("{model} hears the words, which are asked too", { model: known.hears }), "record"),
    ].filter(Boolean);
  }

  // The filters that are typed, in the rail; on narrow screens the whole rail.
  unfold() {
    window.sensoriumFilters = !window.sensoriumFilters;
    this.draw();
    window.dispatchEvent(new Event("sensorium-filters"));
  }

  // How what is found is shown: its order, in one list or in lanes, by file or by moment, and how large.
  looks() {
    const { asks, state } = this.data, draft = this.draft, set = (name, value) => { draft[name] = value; this.draw(); this.send_if_asked(); };
    const one = (name, value, label) => el("button", { type: "button", class: "toggle", "data-key": label, "aria-pressed": String(draft[name] === value), onclick: () => set(name, value) }, label);
    const orders = asks ? { "": t("Best match"), date: t("Newest"), name: t("By name"), length: t("Longest") } : { "": t("Last added"), date: t("Last taken"), length: t("Longest"), size: t("Largest") };
    return el("span", { class: "looks", "data-key": "looks" },
      !state.lanes && el("select", { "aria-label": t("Order"), "data-key": "order", onchange: (event) => set("sort", event.target.value) },
        Object.entries(orders).map(([value, label]) => el("option", { value, selected: draft.sort === value }, label))),
      asks && el("span", { class: "pair", role: "group", "aria-label": t("Shown as"), "data-key": "lanes" }, one("lanes", false, t("List")), one("lanes", true, t("Lanes"))),
      asks && el("span", { class: "pair", role: "group", "aria-label": t("Grouped by"), "data-key": "group" }, one("group", "files", t("By file")), one("group", "moments", t("By moment"))),
      el("input", { type: "range", class: "size", min: 0, max: SIZES.length - 1, value: String(SIZES.indexOf(this.size)), "aria-label": t("Size of the cards"), title: t("Size of the cards"), "data-key": "size",
        oninput: (event) => this.sized(SIZES[event.target.valueAsNumber]), onkeydown: (event) => event.stopPropagation() }));
  }

  sized(width) {
    this.size = SIZES.includes(width) ? width : SIZES[2];
    document.documentElement.style.setProperty("--sensorium-card", `${this.size}px`);
    try { localStorage.setItem(SIZE, this.size); } catch { /* a browser that keeps nothing */ }
  }

  active() {
    const d = this.draft, found = [];
    const plain = { under: t("in {value}"), track: t("sound track {value}"), since: t("since {value}"), until: t("until {value}"), shortest: t("at least {value} s"), longest: t("at most {value} s") };
    for (const name of d.collections) found.push([name, () => (d.collections = d.collections.filter((one) => one !== name))]);
    for (const name of d.tags) found.push([name, () => (d.tags = d.tags.filter((one) => one !== name))]);
    for (const name of d.things) found.push([name, () => (d.things = d.things.filter((one) => one !== name))]);
    for (const name of d.spaces) found.push([t("space {name}", { name }), () => (d.spaces = d.spaces.filter((one) => one !== name))]);
    for (const name of d.channels) found.push([t("{name} channel", { name: t(name) }), () => (d.channels = d.channels.filter((one) => one !== name))]);
    for (const name of d.languages) found.push([languageName(name), () => (d.languages = d.languages.filter((one) => one !== name))]);
    for (const part of ["cameras", "rights"]) for (const name of d[part]) found.push([name, () => (d[part] = d[part].filter((one) => one !== name))]);
    for (const name of d.places) found.push([t("place {name}", { name }), () => (d.places = d.places.filter((one) => one !== name))]);
    for (const name of d.origins) found.push([t(ORIGINS[name]), () => (d.origins = d.origins.filter((one) => one !== name))]);
    for (const [name, value] of d.fields) found.push([`${name} ${value}`, () => (d.fields = d.fields.filter((one) => one[0] !== name || one[1] !== value))]);
    if (d.after) found.push([t("new finds"), () => (d.after = null)]);
    for (const name of d.dated_by ?? []) found.push([t("dated by {name}", { name: t(SOURCES[name]) }), () => (d.dated_by = d.dated_by.filter((one) => one !== name))]);
    for (const [name, word] of Object.entries(plain)) if (d[name]) found.push([filled(word, { value: d[name] }), () => (d[name] = name.endsWith("est") ? null : "")]);
    return found;
  }

  open(name) {
    this.panel?.remove();
    this.panel = null;
    this.more.setAttribute("aria-expanded", String(name === "add"));
    const content = { add: () => this.adding(), recent: () => this.recent() }[name]?.();
    if (content?.length) this.asking.append((this.panel = el("div", { class: `panel ${name}` }, content)));
  }

  // Who goes on by Tab leaves the panel behind, unless it records.
  left(event) {
    if (event.relatedTarget && !this.asking.contains(event.relatedTarget) && this.panel?.matches(".add, .recent")) this.open(null);
  }

  adding() {
    const item = (mark, label, act) => el("button", { type: "button", class: "item", onclick: act }, icon(mark), el("span", {}, label));
    const live = (start, device, name) => async () => {
      this.panel?.remove();
      this.asking.append((this.panel = el("div", { class: "panel" }, el("p", { class: "note" }, device === "camera" ? t("Waiting for the camera …") : t("Waiting for the microphone …")))));
      try { await start(this.panel, (file) => { this.open(null); this.take([file]); }); }
      catch (error) { this.open(null); this.say(refusal(error, device)); }
    };
    return [
      item("file", t("Choose files"), () => { this.open(null); this.file.click(); }),
      item("record", t("Record a sound"), live(recorder, "microphone")),
      item("camera", t("Take a picture"), live(camera, "camera")),
      item("text", t("Add text as a weighted term"), () => this.weigh()),
      el("p", { class: "note" }, t("Files can be dropped or pasted anywhere.")),
    ];
  }

  weigh() {
    const value = this.input.value.trim();
    this.open(null);
    if (!value) return this.say(t("Type the text first. It becomes a term with its own weight."));
    this.draft.pieces.push({ kind: "text", value, weight: 1, medium: "text", label: "" });
    this.input.value = "";
    this.draw();
    this.input.focus();
  }

  recent() {
    const known = stored();
    if (!known.length) return [];
    return [el("h2", {}, t("Recent searches")), ...known.map((one) => el("button", { type: "button", class: "item", onclick: () => this.send({ kind: "go", to: one.to }) }, icon("clock"), el("span", {}, one.label)))];
  }

  remember() {
    const { text, pieces } = this.data.state;
    const label = [text, ...pieces.map((one) => (one.weight < 0 ? "− " : "+ ") + (one.label || one.value))].filter(Boolean).join("  ").replace(/^\+ /, "");
    const known = [{ to: this.data.here, label }, ...stored().filter((one) => one.label !== label)].slice(0, 30);
    try { localStorage.setItem(RECENT, JSON.stringify(known)); } catch { /* a browser that keeps nothing */ }
  }

  async take(files) {
    if (!files.length) return;
    this.say("");
    this.waiting = files.map((file) => file.name);
    this.draw();
    const failed = [];
    for (const file of files) {
      try {
        const kept = await upload(file);
        if (file.type.startsWith("image/")) await pictures.add(kept.id, file).catch(() => {}); // a format that is only the service's, or a browser that keeps nothing
        this.draft.pieces.push({ kind: "upload", value: kept.id, weight: 1, medium: kept.modality, label: file.name.replaceAll("~", "-") });
      } catch (error) { failed.push(`${file.name}: ${error.message}`); }
      this.waiting.shift();
      this.draw();
    }
    if (failed.length) this.say(failed.join(" "));
    if (failed.length < files.length) this.ask();
  }

  ask() {
    if (this.then && !this.then.next.trim() && this.then.not.trim()) return this.say(t("Say what follows, too."));
    this.draft.text = this.composed();
    this.open(null);
    if (!this.draft.text && !this.draft.pieces.length) return this.say(t("Type what to look for, or add a picture, a sound or a video."));
    if (!this.draft.pieces.length || this.draft.text || this.draft.pieces.some((one) => one.weight > 0)) {
      this.input.blur();
      this.pending = JSON.stringify(this.draft) === this.told ? null : this.draft; // until its answer comes
      this.send({ kind: "ask", state: this.draft });
    } else this.say(t("Every term is excluded. Add one to look for."));
  }

  // A filter changes what is shown: the answer, or without a question the archive.
  send_if_asked() {
    const { pieces } = this.draft, typed = this.input.value.trim();
    if (typed || pieces.length) { if (this.data.asks || pieces.length) this.ask(); } // what is typed and not asked yet waits for Enter
    else this.send({ kind: "ask", state: { ...this.draft, text: "" } });
  }

  follow(event, to) {
    if (beside(event)) return;
    event.preventDefault();
    this.send({ kind: "go", to });
  }

  say(text, bad = true) {
    this.said.replaceChildren(...(text ? [el("p", { class: `said${bad ? " bad" : ""}` }, text, button("quiet", t("Dismiss"), "close", () => this.say("")))] : []));
  }

  hear() {
    const { host } = this, files = (event) => event.dataTransfer?.types.includes("Files");
    listen(host, document, "keydown", (event) => {
      if (event.key === "/" && !typing(event) && !event.ctrlKey && !event.metaKey && !document.querySelector('[role="dialog"]')) {
        event.preventDefault();
        this.input.focus();
        this.input.select();
      } else if (event.key.toLowerCase() === "v" && this.data.asks && !typing(event) && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector('[role="dialog"]')) {
        event.preventDefault();
        this.draft.lanes = !this.draft.lanes;
        this.ask();
      } else if (event.key === "?" && !typing(event) && !document.querySelector('[role="dialog"]')) {
        event.preventDefault();
        keys(this.root);
      } else if (event.key === "Escape" && this.root.querySelector("dialog.keys")) keys(this.root);
      else if (event.key === "Escape" && this.panel) this.open(null);
      else if (event.key === "Escape" && typing(event)) this.input.blur();
    });
    listen(host, document, "pointerdown", (event) => { if (this.panel && !event.composedPath().includes(this.asking)) this.open(null); });
    listen(host, document, "dragover", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      if (!this.over) this.root.append((this.over = el("div", { class: "drop" }, el("div", {}, t("Drop to search")))));
    });
    listen(host, document, "dragleave", (event) => { if (!event.relatedTarget) { this.over?.remove(); this.over = null; } });
    listen(host, document, "drop", (event) => {
      this.over?.remove();
      this.over = null;
      if (files(event)) { event.preventDefault(); this.take([...event.dataTransfer.files]); }
    });
    listen(host, document, "paste", (event) => {
      const pasted = [...(event.clipboardData?.files ?? [])];
      if (pasted.length) { event.preventDefault(); this.take(pasted); }
    });
  }

  // The whole service may go, and this page's own server with it: say so, and say when it is back.
  watch() {
    const look = async () => {
      if (!this.host.isConnected) return clearInterval(timer);
      const alive = await fetch("/livez", { cache: "no-store" }).then((response) => response.ok).catch(() => false);
      window.sensoriumAway = !alive;
      if (alive) this.back();
      else if (!this.gone) this.root.append((this.gone = el("div", { class: "away", role: "alert" }, t("Connection lost. Reconnecting…"))));
    };
    const timer = setInterval(look, 2000);
  }

  // The page's own connection comes back late, and what is sent before all is drawn again gets lost: so load the page
  // again, whose address says everything. What was typed is kept.
  back() {
    if (!this.gone) return;
    try {
      sessionStorage.setItem(TYPED, this.input.value);
      if (this.pending) sessionStorage.setItem(PENDING, JSON.stringify(this.pending));
    } catch { /* then it has to be typed again */ }
    location.reload();
  }

  // What was typed before the page was loaded again; what was asked meanwhile is asked now, so that the answer belongs to it.
  restore() {
    try {
      const pending = sessionStorage.getItem(PENDING);
      sessionStorage.removeItem(PENDING);
      if (pending) setTimeout(() => this.send({ kind: "ask", state: JSON.parse(pending) }));
      const typed = sessionStorage.getItem(TYPED);
      sessionStorage.removeItem(TYPED);
      if (typed) this.input.value = typed;
    } catch { /* nothing was kept */ }
  }
}

const GAPS = { "5s": m("5 seconds"), "30s": m("30 seconds"), "2m": m("2 minutes"), "10m": m("10 minutes"), "1h": m("an hour") };

const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

// The two steps of a pattern in the text form, if it is one of two texts; everything else stays text.
function pattern(text) {
  const one = '("(?:[^"\\\\]|\\\\.)*")', found = new RegExp(`^=\\s*${one}\\s*~\\s*(\\d+(?:ms|s|m|h))\\s*>\\s*${one}(?:\\s+-${one})?$`).exec(text);
  const plain = (told) => told.slice(1, -1).replace(/\\(.)/g, "$1");
  return found && { first: plain(found[1]), within: found[2], next: plain(found[3]), not: found[4] ? plain(found[4]) : "" };
}

// A slider for what a part of the question weighs.
const weight = (name, value, change) => el("input", {
  type: "range", class: "weight", min: "0.1", max: "2", step: "0.1", value, "aria-label": t("Weight of {name}", { name }), title: t("Weight of {name}: {value}", { name, value: value.toLocaleString(LANGUAGE) }), "data-key": "weight",
  onchange: (event) => change(Math.round(event.target.valueAsNumber * 10) / 10), onkeydown: (event) => event.stopPropagation(),
});

// What is asked in an address, without how much of the answer is shown.
const question = (address) => {
  const params = new URLSearchParams(address);
  for (const name of ["more", "open"]) params.delete(name);
  return params.toString();
};

function stored() {
  try { return JSON.parse(localStorage.getItem(RECENT)) ?? []; } catch { return []; }
}

export default mounted(Bar);
