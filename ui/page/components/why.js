// Why a hit was found, folded away until it is asked for: what each term gave, the words that match, the channels over time, and what the encoder saw.

const signed = (value) => `${value < 0 ? "−" : "+"}${digits(Math.abs(value), 1)}`;

// A line of evidence: what gave it, how much, and a bar to its side.
const given = (what, value) => el("li", {}, el("span", {}, what), el("span", { class: `bar${value < 0 ? " less" : ""}` },
  el("i", { style: { width: `${Math.min(100, Math.abs(value) * 10)}%` } })), el("b", {}, signed(value)));

function explained(why, data) {
  const { spaces, words, matched, channels, above } = why;
  const parts = spaces.flatMap(({ space, terms, kind, start }) => [
    ...terms.map((one) => given([one.term.startsWith("segment:") ? t("what you chose") : `“${one.term}”`, spaces.length > 1 && ` (${space})`], one.evidence)),
    given(t("such media hold the answer"), kind), given(t("any such file"), start)]);
  if (words !== null) parts.push(given(matched.length ? t("words: {words}", { words: matched.join(", ") }) : t("words"), words));
  const by = { meaning: t("by its meaning"), words: t("by its words"), both: t("by its meaning and its words") }[why.by];
  const strips = channels.map((one) => [el("span", { class: "faint" }, `${t(one.channel)} ${signed(one.score)}`), el("div", { class: "heat" }, one.strip.map((part) => el("span", {
    title: `${clock(part.start_ms / 1000)} ${signed(part.score)}`,
    style: { left: `${(part.start_ms * 100) / (data.length || 1)}%`, width: `${((part.end_ms - part.start_ms) * 100) / (data.length || 1)}%`, opacity: Math.min(1, Math.max(0.06, (part.score + 4) / 10)) },
  })))]);
  const lift = above && [t("The hit above has {evidence} more.", { evidence: digits(above.lacks, 1) }), above.cosine !== null && ` ${t("A cosine of {cosine} would do.", { cosine: digits(above.cosine, 2) })}`,
    above.heavier && ` ${t("More weight for “{term}” lifts this one.", { term: above.heavier })}`];
  return [el("p", {}, t("Evidence {evidence}, {how}:", { evidence: signed(why.score), how: by })), el("ul", {}, parts), lift && el("p", { class: "lift" }, lift), saw(why, data),
    data.length && strips.some(([, strip]) => strip.childNodes.length) ? el("div", { class: "heats" }, strips) : null];
}

// What the encoder saw, the parts that answer bright.
function saw(why, data) {
  const address = `/v1/segments/${data.segment}/encoded`, { channel } = why.channels.find((one) => one.segment === data.segment) ?? {};
  const gone = (event) => event.target.closest("figure").remove();
  if (channel === "sound") return el("figure", {}, el("audio", { src: address, controls: true, preload: "none", "aria-label": t("What the encoder heard"), onerror: gone }), el("figcaption", { class: "faint" }, t("What the encoder heard, at one loudness.")));
  if (channel !== "visual" && !why.map.length) return null;
  const cells = why.map.map((one) => el("span", { style: {
    left: `${one.left}%`, top: `${one.top}%`, width: `${one.width}%`, height: `${one.height}%`, opacity: 0.5 * one.share } }));
  return el("figure", {}, el("div", { class: "seen" }, el("img", { src: address, alt: t("What the encoder saw"), onerror: gone }), cells),
    el("figcaption", { class: "faint" }, cells.length ? t("What the encoder saw; what answers is bright.") : t("What the encoder saw.")));
}

// The fold, or nothing where there is nothing to explain.
function folded(stage) {
  const asked = stage.data.why;
  if (!asked) return null;
  const place = el("div", { role: "status" });
  const open = async (event) => {
    if (!event.target.open || place.childNodes.length) return;
    place.textContent = "…";
    try {
      const response = await fetch("/v1/why", { method: "POST", body: JSON.stringify(asked), headers: { "Content-Type": "application/json" } });
      if (!response.ok) throw new Error(await sentence(response));
      place.replaceChildren(...present(explained((await response.json()).whys.at(-1), stage.data)));
    } catch (error) { place.textContent = error.message; }
  };
  return el("details", { class: "why", ontoggle: open }, el("summary", {}, t("Why this?")), place);
}
