// What is handed on: exports, and changes of cases.

const FORMATS = { csv: m("Table (CSV)"), json: "JSON", vtt: m("Subtitles (WebVTT)"), annotations: m("Annotations (W3C)"), regions: m("Things (W3C annotations)"), coco: m("Things (COCO)"), iiif: m("Manifest (IIIF)"), edl: m("Edit list (EDL)"), otio: m("Timeline (OTIO)"), fcpxml: m("Timeline (FCPXML)"), sheet: m("Contact sheet (PDF)"), pictures: m("Pictures (JPEG)"), clips: m("Clips") };

// Has moments exported and the browser save the file; what came of it, as a sentence.
async function exported(format, title, moments) {
  const response = await asked("POST", "/v1/exports", { format, title, moments });
  if (!response.ok) return sentence(response);
  const named = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  const link = el("a", { href: URL.createObjectURL(await response.blob()), download: named ? decodeURIComponent(named[1]) : "export.zip" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return t("Exported.");
}

// A request of the API, whose failure to arrive is an answer like any other.
const asked = (method, address, body) => fetch(address, { method, body: body && JSON.stringify(body), headers: body ? { "Content-Type": "application/json" } : {} })
  .catch(() => new Response(JSON.stringify({ detail: t(AWAY) }), { status: 503 }));

// What makes a case what it was; `version` is the one that it has now.
const restored = (one, version) => ({
  version, name: one.name, note: one.note,
  exhibits: one.exhibits.map(({ sha256, start_ms, end_ms, note, question }) => ({ sha256, start_ms, end_ms, note, question })),
});
