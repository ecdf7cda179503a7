// What is said, shown and written in a medium, a line a passage: each leads the player to it, and lights up while that plays it.

class Texts {
  constructor(stage, translates) {
    this.stage = stage;
    this.translates = translates;
    this.hidden = new Set();
    this.legend = el("div", { class: "legend", role: "group", "aria-label": t("What to show") });
    this.list = el("ol", { class: "lines", "aria-label": t("What is said and written"), onkeydown: (event) => this.pressed(event), onfocusin: (event) => this.reach(event.target.closest("li")) });
    this.root = el("section", {}, el("h3", {}, t("What is said and written")), this.legend, this.list);
  }

  update(texts) {
    const told = JSON.stringify(texts ?? null);
    if (told === this.told) return;
    const first = this.told === undefined;
    this.told = told;
    this.texts = texts;
    this.asked = false;
    this.root.hidden = !texts?.lines.length && (first || !texts);
    this.lines = (texts?.lines ?? []).map((one) => ({ ...one, row: this.line(one) }));
    this.list.replaceChildren(...this.lines.map((one) => one.row));
    this.list.classList.toggle("untimed", !this.list.querySelector(".timed"));
    this.sources();
    const best = this.lines.find((one) => one.here) ?? this.lines.find((one) => one.found) ?? this.lines.find((one) => one.start >= this.stage.data.start) ?? this.lines[0];
    this.reach(best?.row);
    this.playing = null;
    if (first && best) requestAnimationFrame(() => this.show(best.row));
    else if (this.stage.player) this.follow(this.stage.now);
  }

  line(one) {
    const timed = this.stage.player && one.start !== null, seek = () => this.stage.seek(one.start);
    const foreign = this.translates && one.language && one.language !== READER ? translating(one.segment, one.language) : [];
    const text = el("div", { class: "text" }, el("p", {}, marked(one.pieces)), foreign[1]);
    const time = timed && el("button", { type: "button", class: "time", "aria-label": t("Play from {time}", { time: one.clock }), onclick: (event) => { event.stopPropagation(); seek(); } }, one.clock);
    const play = (event) => timed && !event.target.closest("button, .answer") && !String(document.getSelection()) && seek();
    return el("li", { class: [one.here && "here", one.written && "written", timed && "timed"].filter(Boolean).join(" "), onclick: play },
      time || (this.stage.player && el("span")), text, el("span", { class: "from" }, origin(one), foreign[0]));
  }

  // Who heard, read or wrote the lines; where there are several, a press hides one's.
  sources() {
    const known = new Map(this.lines.map((one) => [`${one.label} ${one.by}`, one]));
    renew(this.legend, [...known].map(([key, one]) => {
      const told = [icon(one.mark), [one.label, one.by].filter(Boolean).join(": ")];
      if (known.size < 2) return el("span", { class: "origin" }, told);
      const press = () => { this.hidden.has(key) ? this.hidden.delete(key) : this.hidden.add(key); this.sources(); };
      return el("button", { type: "button", class: "origin", "data-key": key, "aria-pressed": String(!this.hidden.has(key)), onclick: press }, told);
    }));
    for (const one of this.lines) one.row.hidden = this.hidden.has(`${one.label} ${one.by}`);
  }

  // The lines that are played now; beyond what was read, more is asked for.
  follow(ms) {
    if (!this.texts) return;
    const now = this.lines.filter((one) => one.start !== null && one.start <= ms && ms < one.end && !one.row.hidden);
    const last = now.at(-1)?.row ?? this.playing;
    for (const one of this.lines) {
      const on = now.includes(one);
      one.row.classList.toggle("now", on);
      on ? one.row.setAttribute("aria-current", "true") : one.row.removeAttribute("aria-current");
    }
    if (last && last !== this.playing && !this.list.matches(":hover, :focus-within")) this.show(last);
    this.playing = last;
    if ((ms < this.texts.from || ms >= this.texts.until) && !this.asked) {
      this.asked = true;
      this.stage.send({ kind: "texts", at: Math.round(ms) });
    }
  }

  show(row) { this.list.scrollTop = row.offsetTop - (this.list.clientHeight - row.offsetHeight) / 2; }

  // Tab stops at one line; the arrows go on from it.
  reach(row) {
    if (!row) return;
    for (const one of this.list.querySelectorAll(".timed button")) one.tabIndex = row.contains(one) ? 0 : -1;
  }

  pressed(event) {
    const rows = [...this.list.querySelectorAll("li.timed:not([hidden])")], at = rows.indexOf(event.target.closest("li"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    rows[Math.max(0, Math.min(rows.length - 1, to))].querySelector(".time").focus();
  }
}
