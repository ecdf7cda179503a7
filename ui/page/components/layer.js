// What lies over the picture that is open, or over a film's frame: the boxes of what was found, and the cutting out of a thing.

class Layer {
  constructor(stage, seen, regions) {
    this.stage = stage;
    this.seen = seen;
    this.boxes = regions.map((one) => boxed(seen, one));
    this.mask = el("span", { class: "mask" });
    this.drawn = el("span", { class: "region drawn", hidden: true });
    this.cross = el("span", { class: "cross", hidden: true });
    this.sheet = el("div", { class: "sheet", tabindex: "0", hidden: true, role: "application", "aria-label": t("The picture. Arrows move, Enter points at a thing, Backspace at what is not it") }, this.mask, this.drawn, this.cross);
    this.hint = el("span", { class: "faint" });
    const act = (mark, label, onclick, kind = "action") => el("button", { type: "button", class: kind, onclick }, icon(mark), label);
    this.found = el("span", { class: "found" }, act("search", t("Search by this thing"), () => this.search(false), "action chief"), act("plus", t("Add to search"), () => this.search(true)), act("frame", t("Take the whole box"), () => this.cut({ box: this.made.box, cut: "box" })));
    this.tools = el("div", { class: "cutting", hidden: true }, this.hint, this.found, el("span", { class: "gap" }), act("retry", t("Start again"), () => this.clear()), act("close", t("Done"), () => this.toggle()));
    for (const type of ["pointerdown", "pointermove", "pointerup"]) this.sheet.addEventListener(type, (event) => this[type](event));
    this.sheet.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.lay()).observe(seen);
    this.clear();
  }

  get on() { return !this.sheet.hidden; }

  toggle() {
    this.sheet.hidden = this.on;
    this.tools.hidden = !this.on;
    for (const box of this.boxes) box.hidden = this.on;
    this.clear();
    this.lay();
    this.switch?.setAttribute("aria-pressed", String(this.on));
    if (this.on) { this.stage.deck?.still(); this.stage.player?.pause(); this.sheet.focus({ preventScroll: true }); }
  }

  show() {
    const hide = !this.boxes[0]?.hidden;
    for (const box of this.boxes) box.hidden = hide;
  }

  lay() {
    const at = shown(this.seen);
    if (!at || !this.on) return;
    for (const [side, value] of Object.entries({ ...at, left: this.seen.offsetLeft + at.left, top: this.seen.offsetTop + at.top })) this.sheet.style[side] = `${value}px`;
  }

  clear() {
    Object.assign(this, { points: [], off: [], made: null, start: null, at: { x: 50, y: 50 } });
    this.drawn.hidden = this.cross.hidden = this.found.hidden = true;
    this.mask.style.display = "none";
    for (const dot of this.sheet.querySelectorAll(".dot")) dot.remove();
    this.say(t("Click a thing, or drag a box around it."));
  }

  say(text) { this.hint.textContent = text; }

  place(event) {
    const box = this.sheet.getBoundingClientRect(), share = (value) => Math.min(100, Math.max(0, value * 100));
    return { x: share((event.clientX - box.left) / box.width), y: share((event.clientY - box.top) / box.height) };
  }

  pointerdown(event) {
    if (event.button) return;
    event.preventDefault();
    this.sheet.focus({ preventScroll: true });
    this.sheet.setPointerCapture(event.pointerId);
    this.start = this.place(event);
  }

  pointermove(event) {
    if (!this.start) return;
    const box = this.between(this.start, this.place(event));
    if (this.drawn.hidden && Math.max(box.width, box.height) < 2) return;
    this.drawn.hidden = false;
    for (const side of ["left", "top", "width", "height"]) this.drawn.style[side] = `${box[side]}%`;
  }

  pointerup(event) {
    if (!this.start) return;
    const box = this.between(this.start, this.place(event)), dragged = !this.drawn.hidden;
    const at = this.start;
    this.start = null;
    if (!dragged) return this.point(at, event.altKey);
    this.points = this.off = [];
    for (const dot of this.sheet.querySelectorAll(".dot")) dot.remove();
    if (Math.min(box.width, box.height) > 0.5) this.cut({ box });
  }

  between(one, other) {
    const left = Math.min(one.x, other.x), top = Math.min(one.y, other.y);
    return { left, top, width: Math.abs(one.x - other.x), height: Math.abs(one.y - other.y) };
  }

  point(at, beside) {
    const list = beside ? "off" : "points";
    this[list] = [...this[list], at];
    this.sheet.append(el("i", { class: `dot${beside ? " off" : ""}`, style: { left: `${at.x}%`, top: `${at.y}%` } }));
    if (this.points.length) this.cut({ on: this.points, beside: this.off });
    else this.say(t("Now click the thing itself."));
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], far = event.shiftKey ? 10 : 2;
    if (step) {
      const move = (value, by) => Math.min(100, Math.max(0, value + by * far));
      this.at = { x: move(this.at.x, step[0]), y: move(this.at.y, step[1]) };
      this.cross.hidden = false;
      this.cross.style.left = `${this.at.x}%`;
      this.cross.style.top = `${this.at.y}%`;
    } else if (event.key === "Enter") this.point(this.at, false);
    else if (event.key === "Backspace") this.point(this.at, true);
    else return;
    event.preventDefault();
  }

  async cut(pointed) {
    this.say(t("Cutting out …"));
    const film = this.stage.data.medium === "video" ? { at_ms: Math.round(this.stage.now) } : {};
    const response = await fetch("/v1/segment", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ asset: this.stage.data.asset, ...film, ...pointed }),
    }).catch(() => null);
    if (!response?.ok) return this.say(response ? await sentence(response) : t(AWAY));
    const { fragment, ...box } = (this.made = await response.json()).box;
    this.made.box = box;
    this.found.hidden = false;
    this.drawn.hidden = false;
    for (const side of ["left", "top", "width", "height"]) this.drawn.style[side] = `${box[side]}%`;
    this.mask.style.display = this.made.png ? "block" : "none";
    if (this.made.png) this.mask.style.maskImage = `url("${this.made.png}")`;
    this.say(this.made.png ? t("Told apart by its colours. Click more of it, or with Alt what is not it.") : t("The whole box is taken."));
  }

  async search(add) {
    const { upload, box } = this.made, { data } = this.stage;
    await pictures.add(upload.id, await this.piece(box)).catch(() => {}); // a browser that keeps nothing
    this.stage.send({ kind: "thing", upload: upload.id, label: t("part of {name}", { name: data.name }), add });
  }

  piece({ left, top, width, height }) {
    const wide = this.seen.naturalWidth ?? this.seen.videoWidth, high = this.seen.naturalHeight ?? this.seen.videoHeight;
    const canvas = el("canvas", { width: Math.max(1, Math.round((wide * width) / 100)), height: Math.max(1, Math.round((high * height) / 100)) });
    canvas.getContext("2d").drawImage(this.seen, (-wide * left) / 100, (-high * top) / 100);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  }
}
