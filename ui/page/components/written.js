// What models write when they are asked: answers and translations. It is always told as theirs.

const LOADING = 150; // times that a model which is being loaded is asked again

// What a model writes; `place` says what is waited for, and once it has left the page nobody waits any more.
async function composed(address, body, place) {
  for (let times = 0; ; times++) {
    const response = await fetch(address, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }).catch(() => null);
    if (!response) throw new Error(t(AWAY));
    if (response.ok) return response.json();
    const problem = await response.clone().json().catch(() => ({}));
    if (!problem.type?.endsWith("/loading") || times >= LOADING || !place.isConnected) throw new Error(await sentence(response));
    place.textContent = t("The model is being loaded; this takes a while the first time …");
    await new Promise((done) => setTimeout(done, 1000 * (Number(response.headers.get("Retry-After")) || 2)));
  }
}

// A text as a model wrote it, with what it is, whose, and how sure the model was.
const composition = (text, what, { written_by: name, confidence }, ...more) => el("div", { class: "composition written" },
  el("p", {}, text), el("span", { class: "origin" }, icon("model"), el("span", {}, [what, t("written by a model: {name}, {share} confidence", { name, share: confidence.toLocaleString(LANGUAGE, { style: "percent" }) })])), more);

// The box for questions about a picture or a video; nothing, where no model answers them.
function asking(stage) {
  const { answers, asset, medium } = stage.data, video = medium === "video";
  if (!answers) return null;
  const about = video ? t("Ask about this video") : t("Ask about this picture");
  const field = el("input", { type: "text", maxlength: "500", placeholder: about, "aria-label": about, autocomplete: "off" });
  const now = video && el("input", { type: "checkbox" });
  const go = el("button", { type: "submit", class: "action" }, icon("ask"), t("Ask"));
  const place = el("div", { class: "answer", role: "status" });
  let busy = false;
  const ask = async (event) => {
    event.preventDefault();
    const question = field.value.trim();
    if (!question || busy) return;
    busy = true;
    place.textContent = t("The model looks …");
    try {
      const at = now?.checked && stage.player ? { at_ms: Math.round(stage.now) } : {};
      const found = await composed(`/v1/assets/${asset}/ask`, { question, ...at }, place);
      const frames = found.frames_ms.map((ms) => el("button", { type: "button", class: "frame", "aria-label": t("Jump to {where}", { where: clock(ms / 1000) }), onclick: () => stage.seek(ms) }, clock(ms / 1000)));
      place.replaceChildren(composition(found.answer, "", found, frames.length > 0 && el("div", { class: "frames" }, t("It looked at"), frames)));
    } catch (error) { place.textContent = error.message; }
    busy = false;
  };
  return el("form", { class: "ask", onsubmit: ask }, el("div", { class: "row" }, field, go), video && el("label", {}, now, t("only the frame that is shown now")), place);
}

const READER = (navigator.language || "en").split("-")[0];

// What has a passage in another language than the reader's translated below it.
function translating(segment, language) {
  const label = t("Translate from {language} into {other}", { language: languageName(language), other: languageName(READER) }), place = el("div", { class: "answer", role: "status" });
  let busy = false, made = false;
  const show = (on) => { place.hidden = !on; go.setAttribute("aria-pressed", String(on)); };
  const go = button("quiet translate", label, "translate", async () => {
    if (busy) return;
    show(!made || place.hidden);
    if (made) return;
    busy = true;
    place.textContent = t("The model translates …");
    try {
      const found = await composed(`/v1/segments/${segment}/translate?to=${READER}`, undefined, place);
      place.replaceChildren(composition(found.text || t("(nothing)"), `${t("translated from {language}", { language: languageName(found.translated_from) })}, `, found));
      made = true;
    } catch (error) { place.textContent = error.message; }
    busy = false;
  }, { "aria-pressed": "false" });
  return [go, place];
}
