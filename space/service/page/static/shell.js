// @ts-check
// Choosing a file, sending it, starting and stopping a check. Gradio runs this with `element`, `trigger` and `watch`.

/** @type {File | null} */
let chosen = null;
/** @type {XMLHttpRequest | null} */
let sending = null;
let job = "";
let previewUrl = "";

/** 128 random bits; randomUUID is not there on plain http. */
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {string} selector */
const find = (selector) => /** @type {HTMLElement} */ (element.querySelector(selector));

/** @param {"idle" | "chosen" | "sending" | "checking"} state */
function show(state) {
  element.dataset.state = state;
  const busy = state === "sending" || state === "checking";
  for (const button of element.querySelectorAll("[data-action='example']")) button.disabled = busy;
  find("[data-action='check']").disabled = state !== "chosen";
}

/** @param {string} [kind] @param {Record<string, string>} [params] */
function tell(kind, params = {}) {
  for (const notice of element.querySelectorAll("[data-trouble]")) notice.hidden = notice.dataset.trouble !== kind;
  const notice = kind && find(`[data-trouble='${kind}']`);
  if (!notice || !notice.dataset.words) return;
  const words = notice.dataset.words.replace(/\{(\w+)\}/g, (whole, name) => params[name] ?? whole);
  notice.querySelector("p").textContent = words;
}

/** @param {string} url @param {boolean} isVideo @param {string} name */
function preview(url, isVideo, name) {
  find("[data-slot='name']").textContent = name;
  if (!url) return;
  const media = document.createElement(isVideo ? "video" : "img");
  if (media instanceof HTMLVideoElement) Object.assign(media, { muted: true, controls: true, playsInline: true, preload: "metadata" });
  else media.alt = "";
  media.onerror = () => media.remove(); // a kind that the browser cannot show, though it may be read here
  media.src = url;
  find("[data-slot='preview']").replaceChildren(media);
}

/** After a check: the same file may be checked again, an example by its own button. */
function settle() {
  show("chosen");
  find("[data-action='check']").disabled = !chosen;
}

function forget() {
  URL.revokeObjectURL(previewUrl);
  chosen = null;
  find("[data-slot='preview']").replaceChildren();
  find("input[type='file']").value = "";
  tell();
  element.dataset.shows = "none";
  show("idle");
  document.dispatchEvent(new CustomEvent("telltale:cleared"));
}

/** @param {File} file */
function choose(file) {
  forget();
  const limit = Number(find("input[type='file']").dataset.maxBytes);
  if (file.size > limit) return tell("too-large", { actual_mb: String(Math.ceil(file.size / 1024 / 1024)) });
  chosen = file;
  previewUrl = file.size ? URL.createObjectURL(file) : "";
  preview(previewUrl, !file.type.startsWith("image/"), file.name);
  show("chosen");
}

/** The file goes under a random name: its own stays with the person. @param {File} file */
function send(file) {
  const form = new FormData();
  form.append("files", file, random());
  const request = new XMLHttpRequest();
  sending = request;
  request.upload.onprogress = (event) => {
    const percent = event.total ? (100 * event.loaded) / event.total : 0;
    find(".tt-sending .tt-bar").setAttribute("aria-valuenow", String(Math.round(percent)));
    find(".tt-sending .tt-bar span").style.inlineSize = `${percent}%`;
  };
  request.onload = () => {
    if (request.status === 200) return start({ path: JSON.parse(request.responseText)[0] });
    tell(request.status === 413 ? "too-large" : "not-sent", { actual_mb: String(Math.ceil(file.size / 1024 / 1024)) });
    show("chosen");
  };
  request.onerror = () => (tell("not-sent"), show("chosen"));
  request.onabort = () => show("chosen");
  const config = window.gradio_config;
  request.open("POST", `${config.root}${config.api_prefix ?? "/gradio_api"}/upload`);
  show("sending");
  request.send(form);
}

/** @param {{path: string} | {example: string}} source */
function start(source) {
  sending = null;
  job = random();
  element.dataset.shows = "none";
  show("checking");
  trigger("check", { job, lang: find("[data-lang]").dataset.lang, ...source });
}

/** @param {HTMLElement} button */
function startExample(button) {
  forget();
  const name = button.dataset.example ?? "";
  preview(`examples/${name}.mp4`, true, button.textContent?.trim() ?? "");
  start({ example: name });
}

element.addEventListener("click", (event) => {
  const button = /** @type {HTMLElement | null} */ (event.target.closest("[data-action]"));
  switch (button?.dataset.action) {
    case "check":
      tell();
      return chosen && send(chosen);
    case "change":
      return forget();
    case "example":
      return startExample(button);
    case "stop":
      return sending ? sending.abort() : trigger("stop", { job });
  }
});

element.addEventListener("change", (event) => {
  const file = event.target.files?.[0];
  if (file) choose(file);
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  element.addEventListener(kind, (event) => {
    event.preventDefault();
    element.classList.toggle("tt-dragged", kind === "dragenter" || kind === "dragover");
    const file = kind === "drop" && event.dataTransfer?.files[0];
    const busy = element.dataset.state === "sending" || element.dataset.state === "checking";
    if (file && !busy) choose(file);
  });
}

document.addEventListener("telltale:outcome", (event) => {
  const outcome = event.detail;
  element.dataset.shows = outcome;
  if (outcome !== "running" && element.dataset.state === "checking") settle();
});

// The event stream ended, whatever came out of it; without an outcome the connection was lost.
document.addEventListener("telltale:ended", () => {
  if (element.dataset.state !== "checking") return;
  tell("lost");
  settle();
});

document.addEventListener("telltale:again", () => {
  forget();
  window.scrollTo({ top: 0 });
  find("input[type='file']").focus({ preventScroll: true });
});

function introduce() {
  const shell = find("[data-lang]");
  document.documentElement.lang = shell.dataset.lang ?? "en";
  document.title = shell.dataset.title ?? document.title;
}

watch("value", introduce);
introduce();
show("idle");
