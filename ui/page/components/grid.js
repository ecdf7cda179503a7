// Look: all cards at once, drawn here, pictures loaded as they come into sight.

class Grid {
  constructor(host) {
    this.host = host;
    this.summary = el("p", { class: "summary", role: "status" });
    this.list = el("ul", { "aria-label": t("Results") });
    this.heading = el("h2");
    this.items = new Map();
    this.partly = el("a", { class: "partly", title: t("The library says why"), onclick: (event) => this.follow(event) });
    this.check = el("a", { class: "partly", onclick: (event) => this.follow(event) });
    this.undo = el("a", { class: "partly", onclick: (event) => this.follow(event) });
    this.heard = el("p", { class: "heard" });
    this.steps = el("a", { class: "partly", onclick: (event) => this.follow(event) });
    this.plan = el("ol", { class: "plan", "aria-label": t("Steps of this search") });
    this.head = el("div", { class: "head" }, this.summary, this.partly, this.undo, this.check, this.steps, this.heard, this.plan);
    this.tray = new Tray(this);
    this.menu = new CardMenu(this);
    this.foot = el("div", { class: "foot" });
    this.sight = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.further());
    this.root = el("div", { class: "part" }, this.heading, this.head, this.list, this.foot, this.tray.root, this.menu.root);
    host.append(this.root);
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("keydown", (event) => this.pressed(event));
    listen(host, document, "keydown", (event) => this.entered(event));
  }

  update(data) {
    const told = JSON.stringify([data.cards, data.lanes]);
    for (const [part, told] of [[this.heading, data.heading || t("Results")], [this.summary, data.summary], [this.partly, data.unseen]]) {
      part.textContent = told ?? "";
      part.hidden = !told;
    }
    this.heading.classList.toggle("unseen", !data.heading);
    this.head.hidden = !data.summary && !data.unseen && !data.heard && !data.plan;
    this.head.classList.toggle("alone", !data.cards.length && !data.lanes);
    this.partly.href = data.library ?? "";
    this.undo.hidden = !data.undo;
    this.undo.href = data.undo?.href ?? "";
    this.undo.textContent = data.undo?.text ?? "";
    this.check.hidden = !data.check;
    this.check.href = data.check?.href ?? "";
    this.check.textContent = data.check?.text ?? "";
    this.steps.hidden = !data.steps;
    this.steps.href = data.steps?.href ?? "";
    this.steps.textContent = data.steps?.text ?? "";
    this.plan.hidden = !data.plan;
    this.plan.replaceChildren(...(data.plan ? this.planned(data.plan) : []));
    this.heard.hidden = !data.heard;
    this.heard.replaceChildren(...(data.heard ? this.spoken(data.heard) : []));
    if (told !== this.told) {
      this.told = told;
      this.cards = data.lanes ? data.lanes.flatMap((one) => one.cards) : data.cards;
      this.draw(data);
    }
    this.root.dataset.question = data.question;
    this.asks = data.asks;
    this.asked = false;
    renew(this.foot, data.more ? el("button", { type: "button", class: "action more", onclick: () => this.further() }, t("Show more")) : data.ended ? el("p", { class: "ended" }, data.ended) : null);
    this.mark(data.marked);
    this.sight.disconnect(); // what is in sight again is told again
    this.sight.observe(this.foot);
  }

  // More is fetched before the end comes into sight.
  further() {
    if (this.asked || !this.foot.querySelector("button")) return;
    this.asked = true;
    this.send({ kind: "more" });
  }

  draw(data) {
    const first = this.items;
    this.items = new Map();
    let begins = 0;
    const lane = ({ name, told, href, cards }) => {
      const items = this.ruled(cards, begins, data, first);
      begins += cards.length;
      return el("li", { class: "lane", "data-key": name },
        el("h3", {}, name, el("span", { class: "faint" }, told), href && el("a", { class: "partly", href, "aria-label": t("Show all: {name}", { name }), onclick: (event) => this.follow(event) }, t("Show all"))),
        items.length > 0 && el("ul", { "aria-label": name, "data-key": "cards" }, items));
    };
    refocused(this.list, () => renew(this.list, data.lanes ? data.lanes.map(lane) : this.ruled(data.cards, 0, data, first)));
    this.chosen();
  }

  // Cards in their order, with a rule before those that match weakly.
  ruled(cards, begins, data, known) {
    const weak = cards.findIndex((one) => one.weak);
    const items = cards.map((card, at) => this.kept(card, begins + at, known));
    if (weak >= 0) items.splice(weak, 0, el("li", { class: "rule" }, weak ? data.weaker : data.nothing));
    return items;
  }

  // Marks the cards that are in the tray.
  chosen() {
    for (const link of this.links()) {
      const on = this.tray.has(this.cards[link.dataset.at]);
      link.parentElement.classList.toggle("chosen", on);
      link.setAttribute("aria-description", on ? t("selected") : "");
    }
  }

  // A card that was there stays the same node, so that its picture is not loaded again and the focus stays.
  kept(card, at, known) {
    const told = JSON.stringify(card), item = known.get(told) ?? this.card(card, at);
    known.delete(told); // twice the same card is two nodes
    this.items.set(told, item);
    item.dataset.key = told;
    item.querySelector("a[data-at]").dataset.at = at;
    return item;
  }

  card(card, at) {
    const shot = el("span", { class: `shot ${card.medium}` }, this.picture(card));
    if (card.length) shot.append(el("span", { class: "length" }, card.length));
    if (card.strip.length) shot.append(el("span", { class: "strip" }, card.strip.map((one) =>
      el("i", { style: place(one) }))));
    if (card.region && shot.firstChild.tagName === "IMG") shot.append(boxed(shot.firstChild, card.region));
    if (card.medium === "video" && card.preview) this.hover(shot, card);
    const where = [card.span, card.channel, card.track, card.more, !card.span && card.day, !card.span && card.folder].filter(Boolean).join(" · ") || card.format;
    const sure = card.sure && t("{sure} match", { sure: card.sure });
    const band = card.bars ? el("span", { class: "band", title: sure }, [1, 2, 3, 4].map((bar) => el("i", { class: bar <= card.bars ? "on" : "" })), el("span", { class: "unseen" }, sure)) : null;
    const link = el("a", { href: card.href, "data-at": at, "aria-label": [card.alt, sure].filter(Boolean).join(", ") },
      shot, el("span", { class: "name", title: card.name }, card.name), el("span", { class: "facts" }, icon(card.medium), el("span", { class: "where" }, where), band));
    const told = card.judged ? t("Judged right") : t("Judged wrong");
    if (typeof card.judged === "boolean") shot.append(el("span", { class: `judged ${card.judged ? "right" : "wrong"}`, title: told }, icon(card.judged ? "check" : "close"), el("span", { class: "unseen" }, told)));
    const judge = card.judges ? el("div", { class: "judge" }, [[true, t("Right"), "check"], [false, t("Wrong"), "close"]].map(([right, label, mark]) =>
      el("button", { type: "button", class: "action", onclick: () => this.send({ kind: "judge", right, ...this.about(card) }) }, icon(mark), label))) : null;
    const add = card.segment ? button("add", t("Add {name} to search", { name: card.name }), "plus", () => this.send({ kind: "add", ...this.about(card) }), { tabindex: "-1" }) : null;
    const passage = card.thumbnail && card.passage ? this.passage(card.passage) : null;
    return el("li", { class: "card", "data-segment": card.segment, "data-passage": card.passage?.segment }, link, passage, judge, add);
  }

  // What was heard in a spoken question, and by whom.
  spoken({ text, by, href }) {
    const heard = el("span", { class: "origin" }, icon("record"), t("transcribed from your recording by {model}:", { model: by || t("a model") }));
    if (!text) return [heard, t("No words were recognised in it.")];
    return [heard, el("q", {}, text), el("a", { class: "partly", href, onclick: (event) => this.follow(event) }, t("Search for this text"))];
  }

  // The steps of a plan: each leads to a search of its own, and can be skipped.
  planned({ rows, stopped, back }) {
    const link = (told) => el("a", { class: "partly", href: told.href, onclick: (event) => this.follow(event) }, told.text);
    const items = rows.map((row) => el("li", { class: row.taken ? "" : "left" }, el("span", { class: "skill" }, row.skill), row.href ? link({ text: row.form, href: row.href }) : row.form,
      el("span", { class: "note" }, [row.worth, row.state].filter(Boolean).join(" · ")), row.skip ? link(row.skip) : null));
    return [...items, el("li", { class: "left" }, stopped ? t("Stopped: {why}", { why: stopped }) : null, link(back))];
  }

  // A text that was found in a picture, a sound or a video; it leads to where it is said or stands, which may be another moment than the best.
  passage(one) {
    const open = (event) => { if (!beside(event)) { event.preventDefault(); this.send({ kind: "open", segment: one.segment }); } };
    return el("a", { class: `passage${one.written ? " written" : ""}`, href: one.href, onclick: open }, el("span", { class: "line" }, marked(one.pieces)), origin(one));
  }

  picture(card) {
    if (!card.thumbnail) return el("span", { class: "quote" }, card.passage ? marked(card.passage.pieces) : card.name);
    const lost = (event) => event.currentTarget.replaceWith(el("span", { class: "lost" }, t("No preview available")));
    return el("img", { loading: "lazy", decoding: "async", alt: card.alt, src: card.thumbnail + (card.thumbnail.includes("?") ? "&" : "?") + "size=320", onerror: lost });
  }

  // The sheet of frames is asked for when a pointer rests on the card for the first time.
  hover(shot, card) {
    let timer = null, plan = null;
    const leave = () => { clearInterval(timer); timer = null; shot.querySelector(".sprite")?.remove(); };
    const enter = async () => {
      leave();
      timer = setInterval(() => {}, 1e6);
      const mine = timer;
      plan ??= await fetch(`${card.preview}?info=1`).then((response) => (response.ok ? response.json() : null)).catch(() => null);
      if (!plan || timer !== mine) return;
      const sheet = new Image();
      sheet.src = card.preview;
      await sheet.decode().catch(() => {});
      if (timer !== mine) return;
      clearInterval(timer);
      const film = el("span", { class: "sprite", style: { "background-image": `url("${card.preview}")` } });
      shot.querySelector("img")?.after(film);
      // Cover, as the thumbnail does: the frame's longer overhang is cut on both sides.
      const width = shot.clientWidth, height = shot.clientHeight, scale = Math.max(width / plan.width, height / plan.height);
      film.style.backgroundSize = `${plan.columns * plan.width * scale}px ${plan.rows * plan.height * scale}px`;
      const inset = [(plan.width * scale - width) / 2, (plan.height * scale - height) / 2];
      let frame = Math.min(plan.count - 1, Math.floor(card.start / plan.step_ms));
      const step = () => {
        const column = frame % plan.columns, row = Math.floor(frame / plan.columns);
        film.style.backgroundPosition = `${-(column * plan.width * scale + inset[0])}px ${-(row * plan.height * scale + inset[1])}px`;
        film.dataset.frame = frame;
        frame = (frame + 1) % plan.count;
      };
      step();
      timer = setInterval(step, 300);
    };
    shot.addEventListener("pointerenter", enter);
    shot.addEventListener("pointerleave", leave);
  }

  about(card) { return { segment: card.segment, asset: card.asset, medium: card.medium, name: card.name }; }

  links() { return [...this.list.querySelectorAll("a[data-at]")]; }

  clicked(event) {
    const link = event.target.closest("a[data-at]");
    if (!link) return;
    if (event.shiftKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); return this.tray.toggle(Number(link.dataset.at), true); }
    if (beside(event)) return;
    event.preventDefault();
    this.send({ kind: "open", ...this.about(this.cards[link.dataset.at]) });
  }

  follow(event) {
    if (beside(event)) return;
    event.preventDefault();
    this.send({ kind: "go", to: event.currentTarget.getAttribute("href") });
  }

  pressed(event) {
    const link = event.target.closest("a[data-at]");
    if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
    const card = this.cards[link.dataset.at];
    if (event.key === "+" && card.segment) this.send({ kind: "add", ...this.about(card) });
    else if (event.key.toLowerCase() === "x") this.tray.toggle(Number(link.dataset.at), event.shiftKey);
    else if (event.key === " ") link.click();
    else if (event.key.toLowerCase() === "t" && this.tray.enter()) { /* the tray has the focus now */ }
    else if (event.key === "Escape" && this.tray.chosen.size) this.tray.clear();
    else if (!this.step(event.key, link)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  // From card to card; up and down keep to the column.
  step(key, link) {
    const links = this.links(), at = links.indexOf(link);
    if (key === "ArrowRight") return links[at + 1]?.focus(), true;
    if (key === "ArrowLeft") return links[at - 1]?.focus(), true;
    if (key !== "ArrowDown" && key !== "ArrowUp") return false;
    const here = link.getBoundingClientRect(), down = key === "ArrowDown";
    const rows = links.filter((one) => { const box = one.getBoundingClientRect(); return down ? box.top > here.top + 8 : box.top < here.top - 8; });
    const nearest = rows.sort((a, b) => this.distance(here, a) - this.distance(here, b))[0];
    nearest?.focus();
    return true;
  }

  distance(here, link) {
    const box = link.getBoundingClientRect();
    return Math.abs(box.top - here.top) * 4 + Math.abs(box.left - here.left);
  }

  // An arrow pressed anywhere else leads into the grid.
  entered(event) {
    if (event.defaultPrevented || document.querySelector('[role="dialog"]') || this.list.contains(event.composedPath()[0])) return;
    const inside = typing(event);
    if (event.key.toLowerCase() === "t" && !inside && !event.ctrlKey && !event.metaKey && !event.altKey && this.tray.enter()) return event.preventDefault();
    if ((event.key === "ArrowDown" || (event.key === "ArrowRight" && !inside)) && event.composedPath()[0].type !== "range") {
      const first = this.root.querySelector(".card.marked a") ?? this.links()[0];
      if (first) { event.preventDefault(); first.focus(); }
    }
  }

  // When what was open is closed, keys go on from its card.
  mark(segment) {
    const before = this.list.querySelector(".card.marked a");
    if (before && !segment) requestAnimationFrame(() => before.focus({ preventScroll: true }));
    for (const item of this.list.querySelectorAll(".card")) item.classList.toggle("marked", !!segment && [item.dataset.segment, item.dataset.passage].includes(String(segment)));
  }
}

export default mounted(Grid);
