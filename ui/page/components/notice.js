// What has come to standing questions: a line for each, to open, or to be set seen.

class Notice {
  constructor(host) {
    this.root = el("section", { class: "part notice", "aria-label": t("New finds of standing questions") });
    host.append(this.root);
  }

  update({ rows }) {
    const open = (event, href) => { if (!beside(event)) { event.preventDefault(); this.send({ kind: "go", to: href }); } };
    renew(this.root, rows.map((one) => el("div", { class: "row", "data-key": one.name }, icon("search"), el("b", {}, one.name), el("span", { class: "faint" }, t("{finds} since you last looked", { finds: one.count })),
      el("a", { class: "action", href: one.href, "aria-label": t("Show the new finds of {name}", { name: one.name }), onclick: (event) => open(event, one.href) }, t("Show")),
      el("button", { type: "button", class: "action", "aria-label": t("Set the new finds of {name} seen", { name: one.name }), onclick: () => this.send({ kind: "seen", name: one.name, until: one.until }) }, icon("check"), t("Seen")))));
  }
}

export default mounted(Notice);
