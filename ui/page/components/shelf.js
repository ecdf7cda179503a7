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
    return [el("h2", {}, "Collections"), el("div", { class: "rows" }, collections.map((one) => el("div", { class: "row" },
      el("b", {}, one.name), el("span", { class: "wide faint" }, one.roots), el("span", { class: "faint" }, one.files),
      el("button", { type: "button", class: "action", onclick: () => this.send({ kind: "again", collection: one.name, retry: false }) }, icon("retry"), "Rescan"),
      one.unseen && el("span", { class: "whole faint" }, one.unseen))))];
  }

  failures({ failures }) {
    if (!failures) return null;
    if (!failures.length) return [el("h2", {}, "What failed"), el("p", { class: "faint" }, "Everything could be indexed.")];
    const failed = failures.filter((one) => !one.partly), partly = failures.filter((one) => one.partly);
    return [...(failed.length ? this.reasons("What failed", failed) : []), ...(partly.length ? this.reasons("Partly indexed", partly) : [])];
  }

  reasons(heading, failures) {
    return [el("h2", {}, heading), el("div", { class: "rows" }, failures.map((one) => el("div", {},
      el("div", { class: "row" }, el("b", {}, one.count), el("span", { class: "wide" }, prose(one.why)),
        el("button", { type: "button", class: "action", onclick: () => this.send({ kind: "again", reason: one.reason, retry: true }) }, icon("retry"), "Retry")),
      el("details", {}, el("summary", {}, "Which files"), one.files.map((file) => el("div", { class: "row" }, el("span", { class: "wide" }, file.name), el("span", { class: "wide faint" }, file.detail),
        el("button", { type: "button", class: "action", title: "Retry this file", "aria-label": `Retry ${file.name}`, onclick: () => this.send({ kind: "again", failure: file.id, retry: true }) }, icon("retry"))))))))];
  }
}

export default mounted(Shelf);
