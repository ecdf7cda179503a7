// What a file states of its making, folded away until it is asked for: who, when, with what, and what each step was made of.

const CREDENTIALS = {
  trusted: m("Content credentials: valid, signed under one of your anchors."), valid: m("Content credentials: valid; the signer is none that you trust."),
  invalid: m("Content credentials: they do not match."), remote: m("Content credentials: elsewhere, not fetched."),
};
const ORIGINS = { generated: m("Made by a model, as it states."), edited: m("Changed by a model, as it states."), captured: m("Captured and not edited, as it states.") };

// A step of its making, and those behind it.
function step(claim) {
  const named = claim.actions.map((one) => one.replace(/^c2pa\./, ""));
  const lines = [
    claim.signer ? t("signed by {name}", { name: claim.signer }) : t("unsigned"), claim.software && t("with {name}", { name: claim.software }),
    claim.signed_at && new Date(claim.signed_at).toLocaleString(), [...named, ...claim.sources].join(", "),
    claim.problems.length && t("problems: {codes}", { codes: claim.problems.join(", ") }),
  ].filter(Boolean);
  const about = [claim.relation && el("span", { class: "faint" }, `${claim.relation}: `), el("b", {}, claim.title || t("untitled")), el("p", {}, lines.join("; "))];
  if (!claim.made_from.length) return el("li", {}, about);
  return el("li", {}, el("details", { open: true }, el("summary", {}, about), el("ul", { "aria-label": t("What {name} was made of", { name: claim.title || t("untitled") }) }, claim.made_from.map(step))));
}

function stated(report) {
  const { provenance, evidence, claim, link } = report;
  return [
    el("p", {}, t(ORIGINS[provenance.origin] ?? m("It does not state how it was made."))),
    el("p", {}, t(CREDENTIALS[provenance.credentials] ?? m("Content credentials: none."))),
    evidence.map((one) => el("p", { class: "faint" }, one)), link ? el("p", { class: "faint" }, t("They are said to lie at {link}.", { link })) : null,
    claim ? el("ul", { "aria-label": t("How it was made") }, step(claim)) : null,
  ];
}

// The fold.
function making(stage) {
  const place = el("div", { role: "status" });
  const open = async (event) => {
    if (!event.target.open || event.target !== event.currentTarget || place.childNodes.length) return;
    place.textContent = "…";
    try {
      const response = await fetch(`/v1/assets/${stage.data.asset}/provenance`);
      if (!response.ok) throw new Error(await sentence(response));
      place.replaceChildren(...present(stated(await response.json())));
    } catch (error) { place.textContent = error.message; }
  };
  return ["image", "video", "audio"].includes(stage.data.medium) ? el("details", { class: "making", ontoggle: open }, el("summary", {}, t("How was it made?")), place) : null;
}
