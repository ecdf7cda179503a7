// The map: every file a dot, drawn into the pixels of a canvas; what is alike lies near. A lasso, or an area, becomes a question.

const WHOLE = 10_000, NEAR = 10, LIKE = 16, MARKED = 1_000; // the map's length; pixels around a pointer; segments of a question; marks of a request
const COLOURS = { image: [15, 118, 110], video: [180, 83, 9], audio: [109, 40, 217], text: [71, 85, 105] }, OTHER = [120, 113, 108], CHOSEN = [220, 38, 38];
const KINDS = { image: m("Images"), video: m("Videos"), audio: m("Sounds"), text: m("Texts") };

class Chart {
  constructor(host) {
    this.chosen = new Set();
    this.canvas = el("canvas", { tabindex: "0", role: "application", "aria-label": t("Map of the archive. Arrows move it, plus and minus zoom, Enter selects what lies in the middle") });
    this.labels = el("div", { class: "labels", "aria-hidden": "true" });
    this.trail = el("canvas", { class: "trail", "aria-hidden": "true" });
    this.hint = el("img", { class: "hint", alt: "", hidden: true, onload: () => { this.hint.hidden = false; }, onerror: () => { this.hint.hidden = true; } });
    this.field = el("div", { class: "field" }, this.canvas, this.labels, this.trail, el("span", { class: "middle", "aria-hidden": "true" }), this.hint);
    this.tools = el("div", { class: "tools" });
    this.told = el("p", { class: "faint", role: "status" });
    this.picked = el("div", { class: "picked", role: "region", "aria-label": t("Selected") });
    this.areas = el("ul", { class: "areas", "aria-label": t("Areas of the map") });
    this.side = el("div", { class: "side" }, this.picked, el("h2", {}, t("Areas of the map")), this.areas);
    this.root = el("div", { class: "part chart" }, el("h2", { class: "unseen" }, t("Map")), this.tools, el("div", { class: "both" }, this.field, this.side), this.told);
    host.append(this.root);
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointerleave", "keydown"]) this.canvas.addEventListener(type, (event) => this[type](event));
    this.canvas.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    new ResizeObserver(() => this.sized()).observe(this.field);
    this.load();
  }

  update(data) { this.data = data; }

  async load() {
    const response = await asked("GET", "/v1/map");
    if (response.status === 404) return this.none();
    if (!response.ok) return this.say(await sentence(response));
    const { assets, segments, media, x, y, areas, named, files, made_at: made } = await response.json();
    Object.assign(this, { assets, segments, media, areaOf: areas, named, x: Float32Array.from(x), y: Float32Array.from(y), colours: media.map((one) => COLOURS[one] ?? OTHER) });
    this.chosen = new Set();
    this.root.classList.remove("none");
    const away = files - assets.length, every = n("{count} file", "{count} files", files);
    this.say([away ? n("Of {files}, {count} is not on the map.", "Of {files}, {count} are not on the map.", away, { files: every }) : t("All {files} are on the map.", { files: every }),
      t("Made on {date}.", { date: new Date(made).toLocaleDateString(LANGUAGE, { dateStyle: "long" }) })].join(" "));
    this.named.forEach((one, at) => { one.at = at; one.label = one.names.join(", "); });
    this.whole();
    this.panel();
  }

  none() {
    this.root.classList.add("none");
    this.assets = [];
    renew(this.tools, this.button(t("Make a map"), () => this.make(), "action chief"));
    this.say(t("There is no map of this archive yet. On a map, what is alike lies near each other. It is made in a job."));
  }

  // Makes the map, or brings it up to date, and waits for it.
  async make() {
    const response = await asked("POST", "/v1/map");
    if (!response.ok) return this.say(await sentence(response));
    let job = await response.json();
    while (["queued", "running"].includes(job.state)) {
      this.say(job.state === "queued" ? t("The map waits for other jobs …") : t("The map is being made …"));
      await new Promise((done) => setTimeout(done, 1000));
      if (!this.root.isConnected) return;
      const look = await asked("GET", `/v1/index-jobs/${job.id}`);
      if (look.ok) job = await look.json();
    }
    if (job.state === "done") return this.load();
    this.say([job.error, job.remedy].filter(Boolean).join(" ") || t("The map was not made."));
  }

  say(text) { this.told.textContent = text; }

  button(label, run, kind = "action", more = {}) { return el("button", { type: "button", class: kind, onclick: run, ...more }, label); }

  // What can be done with the map, and with what is selected of it.
  panel() {
    const lasso = () => { this.lasso = !this.lasso; this.panel(); };
    renew(this.tools, this.button(t("Lasso"), lasso, "action", { "aria-pressed": String(!!this.lasso), title: t("Draw around files to select them; Shift does it, too") }),
      this.button("+", () => this.zoom(1.5), "action", { "aria-label": t("Zoom in") }), this.button("−", () => this.zoom(1 / 1.5), "action", { "aria-label": t("Zoom out") }),
      this.button(t("Whole map"), () => this.whole()), this.button(t("Bring up to date"), () => this.make()),
      el("span", { class: "legend" }, Object.entries(KINDS).map(([kind, label]) => this.media.includes(kind) && el("span", {}, el("i", { style: { background: `rgb(${COLOURS[kind].join(" ")})` } }), t(label)))));
    const every = [...this.named].sort((a, b) => b.files - a.files);
    renew(this.areas, every.map((one) => el("li", { "data-key": one.at }, el("button", { type: "button", onclick: () => this.choose(this.inside(one.at)) }, one.label || t("without a name"), el("span", { class: "faint" }, one.files.toLocaleString(LANGUAGE))))));
    const some = this.spread(12);
    renew(this.picked, this.chosen.size > 0 && [el("b", { role: "status" }, t("{count} selected", { count: this.chosen.size.toLocaleString(LANGUAGE) })),
      el("div", { class: "some" }, some.map((at) => el("button", { type: "button", "data-key": at, "aria-label": t("Open"), onclick: () => this.send({ kind: "open", segment: this.segments[at] }) },
        el("img", { src: `/v1/assets/${this.assets[at]}/thumbnail?size=160`, alt: "", loading: "lazy", onerror: (event) => event.currentTarget.replaceWith(icon(this.media[at])) })))),
      el("div", { class: "acts" }, this.button(t("More like these"), () => this.like(), "action chief"), this.button(t("Clear"), () => this.choose([]))),
      el("form", { class: "into", onsubmit: (event) => { event.preventDefault(); this.mark(event.target.querySelector("input").value.trim()); } },
        el("input", { maxlength: 100, required: true, placeholder: t("relevant, to check …"), "aria-label": t("Mark with") }), el("button", { type: "submit", class: "action" }, t("Mark and show")))]);
  }

  inside(area) { return this.assets.map((_, at) => at).filter((at) => this.areaOf[at] === area); }

  choose(some) {
    this.chosen = new Set(some);
    this.panel();
    this.later();
  }

  // Some of what is selected, spread over it: each the farthest from those before.
  spread(most) {
    const all = [...this.chosen], found = [];
    if (!all.length) return found;
    const far = new Float32Array(all.length).fill(Infinity);
    for (let next = 0; found.length < Math.min(most, all.length);) {
      const here = all[next];
      found.push(here);
      let best = 0;
      for (let at = 0; at < all.length; at++) {
        far[at] = Math.min(far[at], (this.x[all[at]] - this.x[here]) ** 2 + (this.y[all[at]] - this.y[here]) ** 2);
        if (far[at] > far[best]) best = at;
      }
      if (!far[best]) break;
      next = best;
    }
    return found;
  }

  like() { this.send({ kind: "with", cards: this.spread(LIKE).map((at) => ({ segment: this.segments[at], medium: this.media[at], name: "" })) }); }

  // A word for these files, an own field: as a filter it shows them, and the rail counts it.
  async mark(value) {
    const values = [...this.chosen].map((at) => ({ asset: this.assets[at], value }));
    for (let from = 0; from < values.length; from += MARKED) {
      const response = await asked("PUT", "/v1/fields/mark", { values: values.slice(from, from + MARKED) });
      if (!response.ok) return this.say(await sentence(response));
    }
    this.send({ kind: "shown", value });
  }

  // Where the map lies: a pixel of the canvas is `scale` times a place, and something to the side.
  whole() {
    const { width, height } = this.canvas;
    this.scale = (Math.min(width, height) / WHOLE) * 0.94;
    this.left = (width - WHOLE * this.scale) / 2;
    this.top = (height - WHOLE * this.scale) / 2;
    this.later();
  }

  sized() {
    const ratio = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = this.field;
    if (!width || !height) return;
    for (const one of [this.canvas, this.trail]) { one.width = Math.round(width * ratio); one.height = Math.round(height * ratio); }
    this.ratio = ratio;
    this.image = null;
    if (this.assets?.length) this.whole();
  }

  zoom(by, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const scale = Math.min(Math.max(this.scale * by, 0.005), 50), grown = scale / this.scale;
    this.left = x - (x - this.left) * grown;
    this.top = y - (y - this.top) * grown;
    this.scale = scale;
    this.later();
  }

  move(x, y) {
    this.left += x;
    this.top += y;
    this.later();
  }

  later() { this.waits ??= requestAnimationFrame(() => { this.waits = null; this.draw(); }); }

  draw() {
    if (!this.assets?.length) return;
    const { width, height } = this.canvas, context = this.canvas.getContext("2d");
    this.image ??= context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer), { x, y, scale, left, top } = this;
    pixels.fill(0);
    const few = Math.min(4, 90 / Math.sqrt(x.length)), size = Math.max(2, Math.min(12, Math.round(this.ratio * (0.6 + few + (scale * WHOLE) / width)))), half = size >> 1; // few files are larger dots
    const dot = (at, [red, green, blue]) => {
      const across = Math.round(x[at] * scale + left) - half, down = Math.round(y[at] * scale + top) - half;
      if (across < 0 || down < 0 || across + size > width || down + size > height) return;
      const colour = 0xff000000 | (blue << 16) | (green << 8) | red;
      for (let row = 0; row < size; row++) {
        const from = (down + row) * width + across;
        for (let one = from; one < from + size; one++) pixels[one] = colour;
      }
    };
    for (let at = 0; at < x.length; at++) dot(at, this.colours[at]);
    for (const at of this.chosen) dot(at, CHOSEN);
    context.putImageData(this.image, 0, 0);
    this.label();
  }

  // Names of areas, the larger first, where none lies over another.
  label() {
    const taken = [], shown = [];
    for (const one of [...this.named].sort((a, b) => b.files - a.files)) {
      const across = (one.x * this.scale + this.left) / this.ratio, down = (one.y * this.scale + this.top) / this.ratio, half = one.label.length * 3.6 + 8;
      const box = [across - half, down - 11, across + half, down + 11];
      if (!one.label || taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      shown.push(el("span", { "data-key": one.at, style: { transform: `translate(${across}px, ${down}px) translate(-50%, -50%)` } }, one.label));
    }
    renew(this.labels, shown);
  }

  // The file nearest to a place on the canvas, in reach; -1: none.
  nearest(x, y) {
    let best = -1, least = (NEAR * this.ratio) ** 2;
    for (let at = 0; at < this.x.length; at++) {
      const distance = (this.x[at] * this.scale + this.left - x) ** 2 + (this.y[at] * this.scale + this.top - y) ** 2;
      if (distance < least) [best, least] = [at, distance];
    }
    return best;
  }

  place(event) { return [event.offsetX * this.ratio, event.offsetY * this.ratio]; }

  pointerdown(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.begun = { at: this.place(event), moved: false, line: this.lasso || event.shiftKey ? [this.place(event)] : null };
  }

  pointermove(event) {
    const at = this.place(event), { begun } = this;
    if (!begun) return this.look(event, this.nearest(...at));
    if (Math.hypot(at[0] - begun.at[0], at[1] - begun.at[1]) > 3) begun.moved = true;
    if (begun.line) {
      begun.line.push(at);
      this.drawn(begun.line);
    } else if (begun.moved) {
      const [x, y] = begun.last ?? begun.at;
      this.move(at[0] - x, at[1] - y);
    }
    begun.last = at;
  }

  pointerup(event) {
    const { begun } = this;
    this.begun = null;
    if (!begun) return;
    this.drawn([]);
    if (begun.line && begun.moved) this.choose(this.within(begun.line));
    else if (!begun.moved) {
      const at = this.nearest(...this.place(event));
      if (at >= 0) this.send({ kind: "open", segment: this.segments[at] });
    }
  }

  pointerleave() { this.hint.hidden = true; }

  // The picture of the file under the pointer.
  look(event, at) {
    this.canvas.style.cursor = at >= 0 ? "pointer" : "";
    if (at === this.seen) return;
    this.seen = at;
    this.hint.hidden = true;
    if (at < 0) return;
    this.hint.style.left = `${Math.min(event.offsetX + 14, this.field.clientWidth - 170)}px`;
    this.hint.style.top = `${Math.min(event.offsetY + 14, this.field.clientHeight - 170)}px`;
    this.hint.src = `/v1/assets/${this.assets[at]}/thumbnail?size=160`;
  }

  drawn(line) {
    const context = this.trail.getContext("2d");
    context.clearRect(0, 0, this.trail.width, this.trail.height);
    if (line.length < 2) return;
    context.beginPath();
    line.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.strokeStyle = "rgb(220 38 38)";
    context.fillStyle = "rgb(220 38 38 / .08)";
    context.lineWidth = 2 * this.ratio;
    context.stroke();
    context.fill();
  }

  // The files inside a line.
  within(line) {
    const path = new Path2D(), context = this.trail.getContext("2d"), found = [];
    line.forEach(([x, y], at) => (at ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
    for (let at = 0; at < this.x.length; at++) if (context.isPointInPath(path, this.x[at] * this.scale + this.left, this.y[at] * this.scale + this.top)) found.push(at);
    return found;
  }

  wheeled(event) {
    if (!this.assets?.length) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 400), ...this.place(event));
  }

  keydown(event) {
    if (!this.assets?.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60 * this.ratio, { width, height } = this.canvas;
    const move = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (move) this.move(...move);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.whole();
    else if (event.key === "Enter") {
      const reach = Math.min(width, height) / 8, middle = [width / 2, height / 2], round = Array.from({ length: 24 }, (_, at) => [middle[0] + reach * Math.cos(at * Math.PI / 12), middle[1] + reach * Math.sin(at * Math.PI / 12)]);
      this.choose(this.within(round));
    } else if (event.key === "Escape") this.choose([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export default mounted(Chart);
