// What is recorded here and now, and how files reach the service.

async function upload(file) {
  const name = encodeURIComponent((file.name || "upload").slice(-200));
  const response = await fetch(`/v1/uploads?name=${name}`, {
    method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
  }).catch(() => null);
  if (!response) throw new Error(t(AWAY));
  if (!response.ok) throw new Error(await sentence(response));
  return response.json();
}

// Why a microphone or a camera cannot be used, as a sentence.
function refusal(error, device) {
  const seen = device === "camera";
  if (!navigator.mediaDevices?.getUserMedia) {
    return seen ? t("This browser has no camera here: open the page over https or on this machine, or choose a file.") : t("This browser has no microphone here: open the page over https or on this machine, or choose a file.");
  }
  if (error?.name === "NotAllowedError") {
    return seen ? t("The browser may not use the camera. Allow it in the browser's settings, or choose a file.") : t("The browser may not use the microphone. Allow it in the browser's settings, or choose a file.");
  }
  if (error?.name === "NotFoundError") {
    return seen ? t("There is no camera on this machine. Choose a file instead.") : t("There is no microphone on this machine. Choose a file instead.");
  }
  const why = error?.message ?? t("unknown reason");
  return seen ? t("The camera cannot be used: {why}. Choose a file instead.", { why }) : t("The microphone cannot be used: {why}. Choose a file instead.", { why });
}

const release = (stream) => stream?.getTracks().forEach((track) => track.stop());

// A panel that records until it is told to stop; `take` gets the file.
async function recorder(panel, take) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recording = new MediaRecorder(stream), pieces = [], began = Date.now();
  const time = el("span", {}, "0:00");
  const timer = setInterval(() => (panel.isConnected ? (time.textContent = clock((Date.now() - began) / 1000)) : recording.stop()), 250);
  recording.ondataavailable = (event) => pieces.push(event.data);
  recording.onstop = () => {
    clearInterval(timer);
    release(stream);
    const kind = recording.mimeType.split(";")[0];
    if (panel.isConnected) take(new File(pieces, `recording.${kind.includes("mp4") ? "m4a" : "webm"}`, { type: kind }));
  };
  recording.start();
  const stop = el("button", { type: "button", class: "action chief", onclick: () => recording.stop() }, t("Search with it"));
  panel.replaceChildren(el("div", { class: "live" }, el("span", { class: "dot" }), el("span", {}, t("Recording")), time, stop));
  stop.focus();
}

// A panel that shows the camera; `take` gets the picture.
async function camera(panel, take) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  const video = el("video", { autoplay: true, playsinline: true, muted: true, "aria-label": t("What the camera sees") });
  video.srcObject = stream;
  const watch = setInterval(() => panel.isConnected || (release(stream), clearInterval(watch)), 500);
  const shoot = async () => {
    const picture = await still(video, "camera.jpg");
    release(stream);
    take(picture);
  };
  const shot = el("button", { type: "button", class: "action chief", onclick: shoot }, t("Search with this picture"));
  panel.replaceChildren(el("div", { class: "live" }, video, shot));
  shot.focus();
}

const PICTURES = "sensorium.pictures", KEPT_PICTURES = 40;

// What this browser knows of its uploads: id -> a small picture as a data: address, kept over reloads.
const pictures = {
  known() { try { return JSON.parse(localStorage.getItem(PICTURES)) ?? {}; } catch { return {}; } },
  get(id) { return this.known()[id]; },
  async add(id, file) {
    const bitmap = await createImageBitmap(file), scale = 48 / Math.max(bitmap.width, bitmap.height);
    const canvas = el("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const kept = [...Object.entries(this.known()), [id, canvas.toDataURL("image/jpeg", 0.8)]].slice(-KEPT_PICTURES);
    localStorage.setItem(PICTURES, JSON.stringify(Object.fromEntries(kept)));
  },
};
