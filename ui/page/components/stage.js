// Open: one moment with its medium, which starts there, the strip to jump by, what lies beside it, and what to do with it.

class Stage {
  constructor(host) {
    this.host = host;
    this.root = el("div", { class: "part", tabindex: "-1" });
    host.append(this.root);
    listen(host, document, "keydown", (event) => this.pressed(event));
    listen(host, window, "keydown", (event) => this.tabbed(event), true);
  }

  update(data) {
    const { texts, judged, ...rest } = data, told = JSON.stringify(rest);
    if (told !== this.told) {
      const first = !this.told;
      refocused(this.root, () => this.show(rest, told));
      if (first) requestAnimationFrame(() => this.root.focus({ preventScroll: true })); // not on the button that closes: Space plays
    }
    this.texts.update(texts);
    this.judged = judged;
    for (const [right, choice] of this.choices) choice.setAttribute("aria-pressed", String(judged === right));
  }

  show(data, told) {
    this.told = told;
    this.data = data;
    this.player = this.deck = null;
    this.zero = 0;
    this.stretch = {};
    this.said = el("p", { class: "said faint", role: "status" });
    const screen = this.screen();
    this.texts = new Texts(this, data.translates);
    const heard = data.heard ? el("p", { class: "faint heard" }, data.heard) : null;
    const main = el("div", {}, screen, this.layer?.tools, heard, this.timed(), this.near(), this.texts.root);
    this.root.replaceChildren(el("div", { class: "stage" }, main, el("div", {}, this.leaf(), this.judging(), this.acts(), this.said, folded(this), making(this), asking(this), this.facts())));
    this.root.querySelector("p.here")?.scrollIntoView({ block: "center" });
  }

  screen() {
    const { medium, media, poster, name, start, alt } = this.data;
    const frame = el("div", { class: `screen ${medium}` });
    const over = (seen) => { this.layer = new Layer(this, seen, this.data.regions); frame.append(...this.layer.boxes, this.layer.sheet); };
    this.layer = null;
    const fail = async () => frame.replaceChildren(el("p", { class: "trouble" }, await this.reason()));
    if (["image", "depth", "thermal"].includes(medium)) {
      const image = el("img", { src: poster, alt, onerror: fail });
      frame.append(this.zoomed(image));
      if (this.data.cuts) over(image);
    }
    else if (medium === "imu") frame.append(this.data.motion ? this.moved() : el("p", {}, t("Readings of motion can be downloaded, but not played.")));
    else if (medium === "text") frame.append(...this.data.words.map((one) => el("p", { class: one.here ? "here" : "" }, marked(one.pieces))));
    else {
      if (medium === "audio") frame.append(el("img", { src: poster, alt }));
      this.player = el(medium, { controls: true, playsinline: true, preload: "auto", poster: medium === "video" ? poster : null, "aria-label": name, onerror: fail });
      // Where a file's clock does not begin at 0, some browsers count from where it does and others from 0: the first frame tells.
      this.player.addEventListener("loadeddata", () => {
        this.zero = this.player.currentTime;
        this.player.currentTime = this.zero + start / 1000;
      }, { once: true });
      this.player.addEventListener("timeupdate", () => this.tick());
      // A browser may forbid sound that nobody asked for; the controls are there then.
      this.player.addEventListener("seeked", () => this.player.play().catch(() => {}), { once: true });
      this.player.src = media;
      frame.append(this.player);
      if (this.data.cuts) over(this.player);
      this.deck = new Deck(this);
    }
    return frame;
  }

  // The way of a track, and the strength of each feature over time; what was found is marked in both.
  moved() {
    const { features, stretches, here, films } = this.data.motion;
    const length = Math.max(1, ...stretches.map((one) => one.end));
    const found = (one) => here && one.start < here[1] && one.end > here[0];
    const rows = features.map(({ name, says }) => {
      const most = Math.max(0, ...stretches.map((one) => one.features[name] ?? 0));
      const bars = stretches.filter((one) => one.features[name] > 0.05).map((one) => el("i", { style: {
        left: `${(100 * one.start) / length}%`, width: `${(100 * (one.end - one.start)) / length}%`, opacity: one.features[name],
      } }));
      return el("div", { class: "feature", title: says }, el("span", {}, name), el("div", { class: "lane", role: "img", "aria-label": t("{what}; here up to {most}", { what: says, most: most.toFixed(2) }) }, bars,
        here ? el("b", { style: { left: `${(100 * here[0]) / length}%`, width: `${(100 * (here[1] - here[0])) / length}%` } }) : null));
    });
    const links = films.map((one) => el("button", { type: "button", class: "action", onclick: () => this.send({ kind: "open", segment: one.segment }) }, icon("video"), t("Open the film: {name}", { name: one.label })));
    return el("div", { class: "moved" }, this.way(stretches, found), el("div", {}, rows), links);
  }

  way(stretches, found) {
    const places = [[0, 0], ...stretches.filter((one) => one.way).map((one) => one.way)];
    if (places.length < 2) return null;
    const [left, right] = [0, 1].map((f) => (f ? Math.max : Math.min)(...places.map((at) => at[0]))), [low, high] = [0, 1].map((f) => (f ? Math.max : Math.min)(...places.map((at) => at[1])));
    const side = Math.max(right - left, high - low, 1), points = (some) => some.map(([x, y]) => `${(x - left).toFixed(1)},${(high - y).toFixed(1)}`).join(" ");
    const svg = document.createElementNS(SVG, "svg");
    const pad = side / 20;
    svg.setAttribute("viewBox", `${-pad} ${-pad} ${right - left + 2 * pad} ${high - low + 2 * pad}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", t("The way of the track, {across} m from west to east, {up} m from south to north", { across: Math.round(right - left), up: Math.round(high - low) }));
    const line = (some, kind) => {
      const drawn = document.createElementNS(SVG, "polyline");
      drawn.setAttribute("points", points(some));
      drawn.setAttribute("class", kind);
      svg.append(drawn);
    };
    line(places, "all");
    stretches.forEach((one, at) => { if (one.way && found(one)) line([places[at], places[at + 1]], "here"); });
    return svg;
  }

  // A press shows a picture as large as it is, and again as large as there is room.
  zoomed(image) {
    const { media, poster, format } = this.data;
    const whole = /^(jpe?g|png|webp|gif|avif)$/i.test(format) ? media : poster;
    const press = () => {
      const on = box.classList.toggle("whole");
      box.setAttribute("aria-pressed", String(on));
      if (on && image.getAttribute("src") !== whole) image.src = whole;
    };
    const box = el("button", { type: "button", class: "zoom", title: t("Zoom"), "aria-label": t("Zoom"), "aria-pressed": "false", onclick: press }, image);
    return (this.zoom = box);
  }

  // Why the medium cannot be played: what the service says of it, else the browser lacks the format.
  async reason() {
    const response = await fetch(this.data.media, { headers: { Range: "bytes=0-0" } }).catch(() => null);
    if (!response) return t(AWAY);
    return response.ok ? t("This browser cannot play {format}. Download it to play it elsewhere.", { format: this.data.format }) : sentence(response);
  }

  timed() {
    const { strip, length, ends } = this.data;
    if (!this.player || !length) return null;
    this.needle = el("span", { class: "needle" });
    const jump = (event) => {
      const box = bar.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * length);
    };
    const bar = el("div", { class: "strip", onclick: jump }, strip.map((one) => el("button", {
      type: "button", title: t("Jump to {where}", { where: one.label }), "aria-label": t("Jump to {where}", { where: one.label }), "aria-current": String(one.segment === this.data.segment),
      style: place(one),
      onclick: (event) => { event.stopPropagation(); this.seek(one.at); },
    })), this.deck.range, this.needle);
    return [this.deck.root, bar, el("div", { class: "ends" }, el("span", {}, "0:00"), el("span", {}, strip.length ? t("matches in this file") : ""), el("span", {}, ends))];
  }

  near() {
    const { near } = this.data;
    if (!this.player || near.length < 2) return null;
    return [el("h3", {}, t("Before and after")), el("div", { class: "near" }, near.map((one) => el("button", {
      type: "button", "aria-current": String(one.here), "aria-label": t("Jump to {where}", { where: one.span }), onclick: () => this.seek(one.start),
    }, one.thumbnail ? el("img", { src: one.thumbnail, alt: "", loading: "lazy" }) : el("span", { class: "wave" }, icon("audio")), one.span)))];
  }

  leaf() {
    const { before, after, place } = this.data;
    const turn = (label, mark, segment) => button("quiet", label, mark, () => this.send({ kind: "open", segment }), segment ? {} : { disabled: true, style: { opacity: 0.3 } });
    return place ? el("div", { class: "leaf" }, turn(t("Previous hit"), "left", before), el("span", { class: "faint" }, place), turn(t("Next hit"), "right", after)) : null;
  }

  acts() {
    const act = (mark, label, onclick, kind = "action") => el("button", { type: "button", class: kind, onclick }, icon(mark), label);
    return el("div", { class: "acts" },
      act("similar", t("More like this"), () => this.send({ kind: "similar" }), "action chief"),
      act("plus", t("Add to search"), () => this.send({ kind: "add" })),
      this.data.prefers ? act("check", t("Closer to it"), () => this.send({ kind: "prefer", nearer: true })) : null,
      this.data.prefers ? act("minus", t("Not like this"), () => this.send({ kind: "prefer", nearer: false })) : null,
      this.data.medium === "video" ? act("frame", t("Search with this frame"), () => this.frame()) : null,
      this.data.cuts ? (this.layer.switch = el("button", { type: "button", class: "action", "aria-pressed": "false", onclick: () => this.layer.toggle() }, icon("frame"), t("Cut out a thing"))) : null,
      this.data.regions.length ? act("image", t("Show or hide boxes"), () => this.layer.show()) : null,
      act("link", t("Copy link"), () => this.copy()),
      el("a", { class: "action", href: `${this.data.media}?download=true`, download: this.data.name }, icon("download"), t("Download")));
  }

  // Whether the file answers the question: pressed once more, what was said is taken back.
  judging() {
    const choice = (right, label, mark) => [right, el("button", {
      type: "button", class: "action", onclick: () => this.send({ kind: "judge", right: this.judged === right ? null : right }),
    }, icon(mark), label)];
    this.choices = this.data.judges ? [choice(true, t("Right"), "check"), choice(false, t("Wrong"), "close")] : [];
    if (!this.choices.length) return null;
    return el("div", { class: "judging", role: "group", "aria-label": t("Does this file answer the question?") }, this.choices.map(([, one]) => one));
  }

  facts() {
    return el("dl", {}, this.data.facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }

  // Where the player is, in milliseconds since the file's beginning.
  get now() {
    return Math.max(0, (this.player.currentTime - this.zero) * 1000);
  }

  seek(ms) {
    this.player.currentTime = this.zero + ms / 1000;
    this.player.play().catch(() => {});
  }

  tick() {
    this.texts.follow(this.now);
    if (this.needle) this.needle.style.left = `${Math.min(100, (this.now * 100) / this.data.length)}%`;
  }

  async frame() {
    if (!this.player.videoWidth) return (this.said.textContent = t("The video has no frame to show yet."));
    this.said.textContent = t("Sending the frame …");
    try {
      const kept = await upload(await still(this.player, "frame.jpg"));
      this.send({ kind: "frame", upload: kept.id, label: `${this.data.name} ${clock(this.now / 1000)}` });
    } catch (error) { this.said.textContent = error.message; }
  }

  async copy() {
    const address = new URL(this.data.share, location.href).href;
    try {
      await navigator.clipboard.writeText(address);
      this.said.textContent = t("The link is copied.");
    } catch {
      const field = el("input", { value: address, readonly: true, "aria-label": t("The link") });
      this.said.replaceChildren(`${t("Copy this:")} `, field);
      field.select();
    }
  }

  // The dialog keeps Tab inside, and sees nothing of what lies in this part: left to it, only its close button could be reached.
  tabbed(event) {
    const dialog = document.querySelector('[role="dialog"]');
    if (event.key !== "Tab" || !dialog) return;
    const inside = this.root.querySelectorAll("a[href], button:not([disabled]), summary, input, select, audio, video, .sheet");
    const stops = [...dialog.querySelectorAll("button"), ...inside].filter((stop) => stop.checkVisibility() && stop.tabIndex >= 0);
    const at = stops.indexOf(event.composedPath()[0]), step = event.shiftKey ? stops.length - 1 : 1;
    stops[at < 0 ? 0 : (at + step) % stops.length]?.focus();
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  pressed(event) {
    if (event.defaultPrevented || typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.composedPath()[0], key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === " " && /^(BUTTON|A|SUMMARY)$/.test(at.tagName)) return; // Space presses what has the focus
    if (key.startsWith("Arrow") && at === this.player) return; // the player's own
    if (key === "ArrowRight" && this.data.after) this.send({ kind: "open", segment: this.data.after });
    else if (key === "ArrowLeft" && this.data.before) this.send({ kind: "open", segment: this.data.before });
    else if (key === "+") this.send({ kind: "add" });
    else if (key === "?") keys(this.root);
    else if (key === "z" && this.zoom) this.zoom.click();
    else if (key === "c" && this.layer) this.layer.toggle();
    else if (key === "b" && this.layer) this.layer.show();
    else if (key === "n") this.match();
    else if (!this.deck?.pressed(key)) return;
    event.preventDefault();
  }

  // The next match: in this file, else in the next one that has any.
  match() {
    const next = this.player && this.data.strip.map((one) => one.at).sort((a, b) => a - b).find((at) => at > this.now + 250);
    if (next !== undefined && next !== null && next !== false) this.seek(next);
    else if (this.data.after) this.send({ kind: "open", segment: this.data.after });
    else this.said.textContent = t("There is no further match.");
  }
}

export default mounted(Stage);
