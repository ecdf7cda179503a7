// What moves a player: back and forward at several speeds, frame by frame, and the marks of a stretch.

const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4];
const BACK_MS = 80; // between two steps back; browsers play forward alone

class Deck {
  constructor(stage) {
    this.stage = stage;
    this.player = stage.player;
    this.frame = 1 / 25; // seconds, until the film tells better
    this.range = el("span", { class: "range", hidden: true });
    this.told = el("span", { class: "faint", role: "status" });
    this.speed = el("select", { "aria-label": t("Speed"), title: `${t("Speed")}  < >`, onchange: () => { this.player.playbackRate = Number(this.speed.value); } },
      SPEEDS.map((one) => el("option", { value: String(one) }, `${one.toLocaleString(LANGUAGE)}×`)));
    this.speed.value = "1";
    const act = (label, text, run) => el("button", { type: "button", class: "action", title: label, "aria-label": label, onclick: run }, text);
    this.root = el("div", { class: "deck" },
      stage.data.medium === "video" && [act(t("A frame back"), t("‹ frame"), () => this.step(-1)), act(t("A frame on"), t("frame ›"), () => this.step(1))],
      act(t("Mark the beginning of a stretch"), t("In"), () => this.mark("in")), act(t("Mark the end of a stretch"), t("Out"), () => this.mark("out")),
      this.told, (this.cut = act(t("Export the marked stretch as a clip"), t("Export clip"), () => this.export())), el("span", { class: "gap" }), stage.data.strip.length > 1 && act(t("Next match"), t("Next match"), () => stage.match()), this.speed);
    this.cut.hidden = true;
    this.player.addEventListener("ratechange", () => { if (SPEEDS.includes(this.player.playbackRate)) this.speed.value = String(this.player.playbackRate); });
    this.player.addEventListener("play", () => this.still());
    this.measure();
  }

  // How long a frame is: the shortest time between two that were shown one after the other.
  measure() {
    if (!this.player.requestVideoFrameCallback) return;
    let before = null, shortest = Infinity;
    const seen = (_, { mediaTime, presentedFrames }) => {
      if (before && presentedFrames === before.presentedFrames + 1 && mediaTime > before.mediaTime) this.frame = shortest = Math.min(shortest, mediaTime - before.mediaTime);
      before = { mediaTime, presentedFrames };
      if (this.player.isConnected) this.player.requestVideoFrameCallback(seen);
    };
    this.player.requestVideoFrameCallback(seen);
  }

  pressed(key) {
    const act = {
      " ": () => this.toggle(), k: () => this.toggle(), l: () => this.forward(), j: () => this.back(), ",": () => this.step(-1), ".": () => this.step(1),
      "<": () => this.faster(-1), ">": () => this.faster(1), i: () => this.mark("in"), o: () => this.mark("out"), e: () => this.cut.hidden || this.export(),
    }[key];
    act?.();
    return !!act;
  }

  toggle() {
    if (this.going || !this.player.paused) { this.still(); this.player.pause(); } else this.play();
  }

  play() { this.player.play().catch(() => {}); }

  forward() {
    if (this.player.paused) { this.player.playbackRate = 1; this.play(); } else this.player.playbackRate = Math.min(4, Math.max(1, this.player.playbackRate * 2));
  }

  back() {
    const speed = this.going ? Math.min(4, this.going.speed * 2) : 1;
    this.player.pause();
    this.still();
    const step = () => {
      if (!this.player.isConnected || this.player.currentTime <= this.stage.zero) return this.still();
      this.player.currentTime = Math.max(this.stage.zero, this.player.currentTime - (speed * BACK_MS) / 1000);
    };
    this.going = { speed, timer: setInterval(step, BACK_MS) };
  }

  still() {
    clearInterval(this.going?.timer);
    this.going = null;
  }

  step(direction) {
    if (this.stage.data.medium !== "video") return;
    this.still();
    this.player.pause();
    this.player.currentTime += direction * this.frame;
  }

  faster(direction) {
    const at = SPEEDS.indexOf(this.player.playbackRate), next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (at < 0 ? 2 : at) + direction))];
    this.player.playbackRate = next;
  }

  // A stretch begins or ends here. A beginning behind the end takes the end away, and the other way round.
  mark(side) {
    const { stretch } = this.stage, now = Math.round(this.stage.now);
    stretch[side] = now;
    if (stretch.in >= stretch.out) delete stretch[side === "in" ? "out" : "in"];
    const { in: from, out: until } = stretch, length = this.stage.data.length;
    const whole = from !== undefined && until !== undefined;
    this.range.hidden = !length || (from ?? until) === undefined;
    this.range.style.left = `${((from ?? 0) * 100) / length}%`;
    this.range.style.width = `${(((until ?? length) - (from ?? 0)) * 100) / length}%`;
    this.told.textContent = `${from === undefined ? t("start") : tenths(from)} – ${until === undefined ? t("end") : tenths(until)}`;
    this.cut.hidden = !whole;
  }

  async export() {
    const { stretch, said, data } = this.stage;
    said.textContent = t("Exporting …");
    said.textContent = await exported("clips", data.name, [{ asset: data.asset, start_ms: stretch.in, end_ms: stretch.out }]);
  }
}
