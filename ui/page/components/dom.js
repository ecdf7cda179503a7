// Shared by every part: building elements, icons, keys. Text goes in as text nodes, never as markup.

// What is said in the reader's language (ui/i18n.py): `t` a message, `n` one of two by a count, `m` a message that `t` says later.
let LANGUAGE = "en", TEXTS = {};
const m = (message) => message;
const filled = (message, values) => message.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const t = (message, values = {}) => filled(TEXTS[message] ?? message, values);
const n = (one, many, count, values = {}) => {
  const said = TEXTS[one] ?? [one, many];
  return filled(said[new Intl.PluralRules(LANGUAGE).select(count) === "one" ? 0 : 1], { count: count.toLocaleString(LANGUAGE), ...values });
};

// A number with so many digits behind the point.
const digits = (value, many) => value.toLocaleString(LANGUAGE, { minimumFractionDigits: many, maximumFractionDigits: many });

const CHANNELS = [m("visual"), m("sound"), m("text"), m("speech"), m("ocr"), m("caption"), m("motion")]; // as state.py has them
const SOURCES = {
  sidecar: m("sidecar"), xmp: "xmp", exif: "exif", digitized: m("digitized"), iptc: "iptc", tags: m("tags"), takeout: m("takeout"), name: m("name"), changed: m("changed"), file: m("file"),
}; // of dates, as state.py has them
const AWAY = m("The service does not answer. Try again in a moment.");

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  check: "M5 13l5 5L20 7", plus: "M12 5v14M5 12h14", minus: "M5 12h14", close: "M6 6l12 12M18 6L6 18",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01", video: "M3 6h13v12H3zM16 10l5-3v10l-5-3",
  audio: "M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4", text: "M5 6h14M5 10h14M5 14h14M5 18h8",
  record: "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5 11a7 7 0 0 0 14 0M12 18v3",
  camera: "M4 8h4l2-3h4l2 3h4v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
  file: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4", filter: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2", shelf: "M4 5h4v14H4zM10 5h4v14h-4zM16 6l4-1 2 13-4 1z",
  similar: "M4 4h9v9H4zM11 16v4h9v-9h-4", frame: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  download: "M12 4v12M7 11l5 5 5-5M4 20h16", model: "M11 3l2 6 6 2-6 2-2 6-2-6-6-2 6-2zM19 16v5M16.5 18.5h5", ask: "M4 5h16v11h-9l-5 4v-4H4z",
  translate: "M4 6h10M9 4v2M12 6c-1 4-4 7-8 8M6 9c1 3 3 5 6 6M12 20l4.5-10L21 20M13.5 17h6",
  retry: "M20 11a8 8 0 1 0-2 6M20 5v6h-6", left: "M15 5l-7 7 7 7", right: "M9 5l7 7-7 7", up: "M5 15l7-7 7 7", down: "M5 9l7 7 7-7",
  then: "M4 7h7v6h-7zM13 16h7M17 12l4 4-4 4M11 10h3v6",
  imu: "M3 17c4 0 4-10 8-10s3 10 6 10 2-5 4-5",
  map: "M9 4L3 6v14l6-2 6 2 6-2V4l-6 2zM9 4v14M15 6v14",
  case: "M4 8h16v11H4zM9 8V5h6v3M4 13h16",
};

function icon(name) {
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name] ?? ICONS.text);
  svg.append(path);
  return svg;
}

// el("button", { class: "quiet", onclick: f, "aria-label": "Close" }, icon("close"), "Close")
function el(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) hears(node, name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else if (["value", "checked", "muted", "currentTime"].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

const present = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

// What a node does at an event, which `renew` may replace.
function hears(node, type, act) {
  node.acts ??= {};
  if (!(type in node.acts)) node.addEventListener(type, (event) => node.acts[type]?.(event));
  node.acts[type] = act;
}

// The children of `parent` become `fresh`. A child with the same data-key, or else the next of the same kind, stays and takes on what is new:
// so focus, the caret, what is scrolled and what is unfolded stay.
function renew(parent, ...fresh) {
  fresh = present(fresh).map((one) => (one instanceof Node ? one : document.createTextNode(one)));
  const free = new Set([...parent.childNodes].filter((one) => !fresh.includes(one)));
  const like = (node) => [...free].find((one) => one.nodeName === node.nodeName && one.dataset?.key === node.dataset?.key);
  const kept = fresh.map((node) => {
    const old = node.parentNode === parent ? null : like(node);
    if (!old) return node;
    free.delete(old);
    return patched(old, node);
  });
  free.forEach((one) => one.remove());
  let next = parent.firstChild;
  for (const node of kept) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}

function patched(node, fresh) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== fresh.data) node.data = fresh.data;
    return node;
  }
  for (const { name } of [...node.attributes]) if (!fresh.hasAttribute(name) && !(name === "open" && node.localName === "details")) node.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  for (const type of new Set([...Object.keys(node.acts ?? {}), ...Object.keys(fresh.acts ?? {})])) hears(node, type, fresh.acts?.[type]);
  if ("value" in fresh && fresh.localName !== "button" && node !== node.getRootNode().activeElement && node.value !== fresh.value) node.value = fresh.value;
  renew(node, ...fresh.childNodes);
  return node;
}

// Draws anew what may hold the focus, which then goes to the control of the same name.
function refocused(root, draw) {
  const name = (node) => node.getAttribute("aria-label") ?? node.textContent, held = root.getRootNode().activeElement;
  const before = held && root.contains(held) ? name(held) : null;
  draw();
  if (before !== null) [...root.querySelectorAll("button, a, input, summary")].find((one) => name(one) === before)?.focus({ preventScroll: true });
}

const button = (kind, label, mark, onclick, more = {}) =>
  el("button", { type: "button", class: kind, title: label, "aria-label": label, onclick, ...more }, icon(mark));

// Whether a link is to be opened beside this page, in a tab or a window of its own.
const beside = (event) => event.ctrlKey || event.metaKey || event.shiftKey;

// A sentence in which `backticks` mark what is typed as it stands.
const prose = (text) => text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

// A language by its name, from its code.
const languageName = (code) => { try { return new Intl.DisplayNames([LANGUAGE], { type: "language" }).of(code); } catch { return code; } };

// The pieces of a text, those marked that were asked for.
const marked = (pieces) => pieces.map(([text, asked]) => (asked ? el("mark", {}, text) : text));

// Where a text comes from: in a word or two, and in full for who rests on it.
const origin = (one) => el("span", { class: "origin", title: [one.label, one.by].filter(Boolean).join(": ") }, icon(one.mark), [one.label, one.sure && t("{share} confidence", { share: one.sure })].filter(Boolean).join(" · "));

// What keys do. The one list: `?` shows it.
const KEYS = () => ({
  [t("Everywhere")]: [["/", t("Go to the search box")], ["F", t("Go to the filters")], ["?", t("Show or hide these keys")], ["Esc", t("Close")]],
  [t("Results")]: [["← → ↑ ↓", t("From card to card")], ["Enter", t("Open")], ["+", t("Add to the search")],
    ["X", t("Select; with Shift, all from the last one to this")], ["Shift+F10", t("What else can be done with a card")], ["T", t("Go to what is selected")], ["V", t("List or lanes")]],
  [t("An open moment")]: [["Space or K", t("Play or pause")], ["J L", t("Back or forward; again for faster")], [", .", t("A frame back or on")], ["< >", t("Slower or faster")],
    ["I O", t("Mark where a stretch begins and ends")], ["E", t("Export the stretch as a clip")], ["N", t("Next match: in this file, then in the next")], ["← →", t("Previous or next hit")], ["Z", t("Zoom into a picture")], ["C", t("Cut a thing out to search with: click it, or drag a box")], ["B", t("Show or hide the boxes of what was found")], ["+", t("Add to the search")]],
});

const LANGUAGES = ["en", "de", "sv"]; // as ui/i18n.py has them

// What the page speaks; a choice is kept in this browser, which else says what it prefers.
function languages() {
  const speak = (event) => {
    document.cookie = `sensorium_language=${event.target.value}; path=/; max-age=31536000; SameSite=Lax`;
    location.reload();
  };
  const named = (code) => new Intl.DisplayNames([code], { type: "language" }).of(code);
  return el("label", {}, t("Language"), " ", el("select", { onchange: speak }, LANGUAGES.map((code) => el("option", { value: code, lang: code, selected: code === LANGUAGE }, named(code)))));
}

// Shows the keys, or hides them.
function keys(root) {
  const open = root.querySelector("dialog.keys");
  if (open) return open.remove();
  const close = () => box.remove();
  const box = el("dialog", { class: "keys", open: true, "aria-label": t("Keys") }, button("quiet", t("Close"), "close", close),
    Object.entries(KEYS()).map(([part, known]) => [el("h2", {}, part), el("dl", {}, known.map(([key, what]) => [
      el("dt", {}, key.split(" ").map((one) => (one === "or" ? ` ${t("or")} ` : [el("kbd", {}, one === "Space" ? t("Space bar") : one), " "]))), el("dd", {}, what)]))]), languages());
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); close(); } });
  root.append(box);
  box.querySelector("button").focus();
}

// A listener on the document that goes when the part that wanted it has gone.
function listen(host, target, type, handle, options) {
  const once = (event) => (host.isConnected ? handle(event) : target.removeEventListener(type, once, options));
  target.addEventListener(type, once, options);
}

// Where a mark of a strip lies, and how strongly it shows.
const place = (one) => ({
  left: `${one.from * 100}%`, width: `${one.width * 100}%`, top: `${one.lane * 100}%`, height: `${one.height * 100}%`, opacity: 0.35 + 0.65 * one.sure,
});

// Whether a key belongs to what is being typed into.
function typing(event) {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

// The words of a problem as the API tells it.
async function sentence(response) {
  try {
    const problem = await response.json();
    return [problem.title && `${problem.title}.`, problem.detail, problem.remedy].filter(Boolean).join(" ");
  } catch {
    return t("The service answered {status}.", { status: response.status });
  }
}

const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds)), pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
};

// Milliseconds, with tenths of a second.
const tenths = (ms) => `${clock(ms / 1000)}.${Math.floor(ms / 100) % 10}`;

// Where an element shows the picture or film that it holds, in pixels of the element: { left, top, width, height }; null: nothing yet.
function shown(seen) {
  const wide = seen.naturalWidth ?? seen.videoWidth, high = seen.naturalHeight ?? seen.videoHeight, { clientWidth: width, clientHeight: height } = seen;
  if (!wide || !width) return null;
  const style = getComputedStyle(seen), scale = Math[style.objectFit === "cover" ? "max" : "min"](width / wide, height / high);
  const [across, down] = style.objectPosition.split(" ").map((share) => parseFloat(share) / 100);
  return { left: (width - wide * scale) * across, top: (height - high * scale) * down, width: wide * scale, height: high * scale };
}

// A box of a picture, in percent, that lies over the element which shows it, as far as it is seen.
function boxed(seen, [left, top, width, height]) {
  const mark = el("span", { class: "region", "aria-hidden": "true" });
  const within = (from, length, most) => [Math.max(2, from), Math.max(0, Math.min(most - 2, from + length) - Math.max(2, from))];
  const lay = () => {
    const at = shown(seen);
    if (!at) return;
    const [x, w] = within(at.left + (left * at.width) / 100, (width * at.width) / 100, seen.clientWidth);
    const [y, h] = within(at.top + (top * at.height) / 100, (height * at.height) / 100, seen.clientHeight);
    for (const [side, value] of Object.entries({ left: seen.offsetLeft + x, top: seen.offsetTop + y, width: w, height: h })) mark.style[side] = `${value}px`;
  };
  new ResizeObserver(lay).observe(seen);
  for (const type of ["load", "loadedmetadata"]) seen.addEventListener(type, lay);
  return mark;
}

// One object a mounted part, kept over the runs of the page's script.
const mounted = (make) => (component) => {
  ({ language: LANGUAGE, messages: TEXTS } = component.data);
  document.documentElement.lang = LANGUAGE;
  const host = component.parentElement;
  host.part ??= new make(host);
  host.part.send = (value) => window.sensoriumAway || component.setTriggerValue("sent", value); // what is sent to nobody gets lost, in a dialog of Streamlit's
  host.part.update(component.data);
};

// The frame that a video shows, as a picture file.
async function still(video, name) {
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  return new File([blob], name, { type: "image/jpeg" });
}
