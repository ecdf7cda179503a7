// The menu of a card, by a right click, Shift+F10, the menu key or a long press: what else can be done with what was found.

const LONG_PRESS = 550, STILL = 10; // milliseconds; pixels that a finger may move meanwhile

class CardMenu {
  constructor(grid) {
    this.grid = grid;
    this.root = el("div", { class: "menu", role: "menu", hidden: true, onkeydown: (event) => this.pressed(event), onclick: (event) => event.stopPropagation() });
    const link = (event) => event.target.closest?.(".card")?.querySelector("a[data-at]");
    grid.list.addEventListener("contextmenu", (event) => {
      const card = link(event);
      if (!card) return;
      event.preventDefault();
      this.open(card, event.clientX, event.clientY);
    });
    // Some browsers of telephones have no menu of their own for a long press.
    grid.list.addEventListener("pointerdown", (event) => {
      const card = event.pointerType === "touch" && link(event);
      if (!card) return;
      const over = () => { clearTimeout(timer); for (const type of ["pointerup", "pointercancel", "pointermove"]) removeEventListener(type, moved, true); };
      const moved = (now) => (now.type !== "pointermove" || Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) > STILL) && over();
      const timer = setTimeout(() => { over(); this.open(card, event.clientX, event.clientY); card.addEventListener("click", (press) => { press.preventDefault(); press.stopPropagation(); }, { once: true, capture: true }); }, LONG_PRESS);
      for (const type of ["pointerup", "pointercancel", "pointermove"]) addEventListener(type, moved, true);
    });
    listen(grid.host, document, "pointerdown", (event) => this.root.hidden || event.composedPath().includes(this.root) || this.close());
    listen(grid.host, window, "scroll", () => this.close(), true);
  }

  // What can be done with a card: marks of icons, labels, and acts.
  acts(card, at) {
    const { grid } = this, send = (told) => () => grid.send(told), about = grid.about(card);
    const alone = (run) => () => { if (!grid.tray.has(card)) grid.tray.toggle(at, false); run(); };
    return [
      card.segment && ["right", t("Open"), send({ kind: "open", ...about })],
      card.segment && ["similar", t("More like this"), send({ kind: "with", cards: [about] })],
      card.segment && grid.asks && ["minus", t("Less like this"), send({ kind: "without", cards: [about] })],
      card.prefers && ["check", t("Closer to it"), send({ kind: "prefer", segment: card.segment, nearer: true })],
      card.prefers && ["close", t("Not like this"), send({ kind: "prefer", segment: card.segment, nearer: false })],
      card.segment && ["plus", t("Add to search"), send({ kind: "add", ...about })],
      ["case", t("Collect"), alone(() => grid.tray.collecting())],
      ["pin", t("Mark"), alone(() => grid.tray.marking())],
      ["frame", grid.tray.has(card) ? t("Take out of the selection") : t("Select"), () => { grid.tray.toggle(at, false); this.back(); }],
      card.href && ["link", t("Copy link"), () => this.copy(card)],
    ].filter(Boolean);
  }

  open(link, x, y) {
    const at = Number(link.dataset.at), card = this.grid.cards[at];
    this.link = link;
    this.root.setAttribute("aria-label", card.name);
    this.root.replaceChildren(...this.acts(card, at).map(([mark, label, act]) =>
      el("button", { type: "button", role: "menuitem", tabindex: "-1", onclick: () => { this.close(); act(); } }, icon(mark), label)));
    this.root.hidden = false;
    const box = link.getBoundingClientRect(), inside = x >= box.left && x <= box.right && y >= box.top && y <= box.bottom; // a key has no place
    this.root.style.left = `${Math.max(4, Math.min(inside ? x : box.left + 12, innerWidth - this.root.offsetWidth - 4))}px`;
    this.root.style.top = `${Math.max(4, Math.min(inside ? y : box.top + 12, innerHeight - this.root.offsetHeight - 4))}px`;
    this.root.firstChild.focus({ preventScroll: true });
  }

  close() { this.root.hidden = true; }

  // Closes, and gives the focus back to the card.
  back() {
    this.close();
    this.link?.focus({ preventScroll: true });
  }

  pressed(event) {
    const items = [...this.root.children], at = items.indexOf(event.composedPath()[0]), count = items.length;
    const typed = event.key.length === 1 && event.key !== " " ? [...items.slice(at + 1), ...items].find((one) => one.textContent.toLowerCase().startsWith(event.key.toLowerCase())) : null;
    const to = { ArrowDown: items[(at + 1) % count], ArrowUp: items[(at + count - 1) % count], Home: items[0], End: items[count - 1] }[event.key] ?? typed;
    event.stopPropagation();
    if (to) to.focus();
    else if (event.key === "Escape" || event.key === "Tab") this.back();
    else return; // Enter and Space press what has the focus
    event.preventDefault();
  }

  async copy(card) {
    this.back();
    const address = new URL(card.href, location.href).href;
    const kept = await navigator.clipboard?.writeText(address).then(() => true, () => false);
    this.grid.tray.say(kept ? t("The link is copied.") : [`${t("Copy this:")} `, el("input", { value: address, readonly: true, "aria-label": t("The link") })]);
    if (!kept) this.grid.tray.root.querySelector("input[readonly]").select();
  }
}
