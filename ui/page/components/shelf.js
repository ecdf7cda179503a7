// Library: counts, collections, what failed and why.

class Shelf {
  constructor(host) {
    this.root = el("div", { class: "part" });
    host.append(this.root);
  }

  update(data) {
    const told = JSON.stringify(data);
    if (told === this.told) return;
    this.told = told;
    renew(this.root, this.counts(data), this.collections(data), this.failures(data));
  }

  counts({ counts }) {
    return counts && el("div", { class: "counts" }, counts.map((one) => el("div", {}, el("b", {}, one.count), el("span", {}, icon(one.medium), one.noun))));
  }

  collections({ collections }) {
    if (!collections?.length) return null;
    const others = (one) => collections.map((other) => other.name).filter((name) => name !== one.name);
    return [el("h2", {}, t("Collections")), el("div", { class: "rows" }, collections.map((one) => el("div", { class: "row", "data-key": one.name },
      el("b", {}, one.name), el("span", { class: "wide faint" }, one.roots), el("span", { class: "faint" }, one.files),
      el("button", { type: "button", class: "action", onclick: () => this.send({ kind: "again", collection: one.name, retry: false }) }, icon("retry"), t("Rescan")),
      others(one).length > 0 && el("button", { type: "button", class: "action", "aria-expanded": "false", onclick: (event) => this.contrast(event.currentTarget, one.name, others(one)) }, icon("similar"), t("Compare")),
      one.unseen && el("span", { class: "whole faint" }, one.unseen))))];
  }

  // What sets a collection apart from the others, below its row; pressed again, it goes.
  async contrast(pressed, name, others) {
    const open = pressed.getAttribute("aria-expanded") === "true";
    pressed.setAttribute("aria-expanded", String(!open));
    if (open) return pressed.closest(".row").nextElementSibling?.remove();
    const place = el("div", { class: "apart", role: "status" }, t("Comparing …"));
    pressed.closest(".row").after(place);
    const side = (collections) => ({ filter: { collections } });
    const response = await asked("POST", "/v1/contrast", { these: side([name]), those: side(others), most: 12 });
    if (!response.ok) return place.replaceChildren(await sentence(response));
    const told = await response.json(), differ = [...told.tags, ...told.words];
    const list = (heading, some, link) => some.length > 0 && el("div", {}, el("h3", {}, heading), el("p", {}, some.map((one) => [link(one), el("span", { class: "faint" }, ` ${t("{here} of {all}, elsewhere {there}", {
      here: Math.max(one.these, 0).toLocaleString(LANGUAGE), all: told.these.toLocaleString(LANGUAGE), there: one.those.toLocaleString(LANGUAGE) })}`), el("br")])));
    const pictures = (heading, some) => some.length > 0 && el("div", {}, el("h3", {}, heading), el("div", { class: "pictures" }, some.map((one) => el("a", { href: `?view=library&open=${one.segment}`, title: one.name, onclick: (event) => {
      if (!beside(event)) { event.preventDefault(); this.send({ kind: "open", segment: one.segment }); } } }, el("img", { src: `/v1/assets/${one.asset}/thumbnail?size=160`, alt: one.name, loading: "lazy" })))));
    const word = (one) => el("b", {}, one.value), more = differ.filter((one) => one.deviations > 0), less = differ.filter((one) => one.deviations < 0);
    const parts = present([list(t("More often here"), more, word), list(t("More often elsewhere"), less, word), pictures(t("Pictures that are typical here"), told.these_pictures), pictures(t("Pictures that are typical elsewhere"), told.those_pictures)]);
    place.replaceChildren(...(parts.length ? parts : [t("No tag, word or picture sets them apart.")]));
  }

  failures({ failures }) {
    if (!failures) return null;
    if (!failures.length) return [el("h2", {}, t("What failed")), el("p", { class: "faint" }, t("Everything could be indexed."))];
    const failed = failures.filter((one) => !one.partly), partly = failures.filter((one) => one.partly);
    return [...(failed.length ? this.reasons(t("What failed"), failed) : []), ...(partly.length ? this.reasons(t("Partly indexed"), partly) : [])];
  }

  reasons(heading, failures) {
    return [el("h2", {}, heading), el("div", { class: "rows" }, failures.map((one) => el("div", {},
      el("div", { class: "row" }, el("b", {}, one.count), el("span", { class: "wide" }, prose(one.why)),
        el("button", { type: "button", class: "action", onclick: () => this.send({ kind: "again", reason: one.reason, retry: true }) }, icon("retry"), t("Retry"))),
      el("details", {}, el("summary", {}, t("Which files")), one.files.map((file) => el("div", { class: "row" }, el("span", { class: "wide" }, file.name), el("span", { class: "wide faint" }, file.detail),
        el("button", { type: "button", class: "action", title: t("Retry this file"), "aria-label": t("Retry {name}", { name: file.name }), onclick: () => this.send({ kind: "again", failure: file.id, retry: true }) }, icon("retry"))))))))];
  }
}

export default mounted(Shelf);
