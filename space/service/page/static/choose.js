// @ts-check
// What a person wants checked: a file, a link, or a clip from the camera.
import { fill } from "./address.js";

const KNOWN_ENDINGS = /\.(mp4|m4v|mov|webm|mkv|avi|jpe?g|png|webp)$/i;
const KNOWN_TYPES = /^(video|image)\//;

/** @typedef {{file: File} | {url: string} | {example: string}} Choice */

/** @param {HTMLElement} element */
export function setUpChoice(element) {
  /** @type {File | null} */
  let file = null;
  let previewUrl = "";
  /** What was wrong with the file chosen last. @type {[string, Record<string, string>] | null} */
  let refused = null;

  /** @param {string} selector */
  const find = (selector) => /** @type {HTMLElement} */ (element.querySelector(selector));
  const input = () => /** @type {HTMLInputElement} */ (find("[data-choose]"));
  const way = () => /** @type {HTMLInputElement} */ (find("[name=tt-way]:checked")).value;
  const isBusy = () => element.dataset.state === "sending" || element.dataset.state === "checking";

  /** Show one kind of trouble, or none. @param {string} [kind] @param {Record<string, string>} [params] */
  function tell(kind, params = {}) {
    for (const notice of /** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll("[data-trouble]"))) {
      notice.hidden = notice.dataset.trouble !== kind;
      const sentence = notice.querySelector("p");
      if (!notice.hidden && notice.dataset.words && sentence) sentence.textContent = fill(notice.dataset.words, params);
    }
  }

  /** Trouble in the server's own words. @param {string} sentence @param {string} step */
  function tellRefused(sentence, step) {
    const words = find("[data-trouble=refused] .tt-notice > div");
    words.querySelectorAll("p").forEach((line) => line.remove());
    for (const [line, name] of [[sentence, ""], [step, "tt-next"]]) {
      words.append(Object.assign(document.createElement("p"), { textContent: line, className: name }));
    }
    tell("refused");
  }

  /** @param {string} url @param {boolean} isVideo @param {string} name */
  function preview(url, isVideo, name) {
    find("[data-slot=name]").textContent = name;
    if (!url) return;
    const media = document.createElement(isVideo ? "video" : "img");
    if (media instanceof HTMLVideoElement) Object.assign(media, { muted: true, controls: true, playsInline: true, preload: "metadata" });
    else media.alt = "";
    media.onerror = () => media.remove(); // a kind that the browser cannot show, though it may be read here
    media.src = url;
    find("[data-slot=preview]").replaceChildren(media);
  }

  function forget() {
    URL.revokeObjectURL(previewUrl);
    previewUrl = "";
    file = null;
    refused = null;
    find("[data-slot=preview]").replaceChildren();
    find("[data-slot=name]").textContent = "";
    input().value = "";
    tell();
  }

  /** What is wrong with a file before it is sent. @param {File} candidate */
  function fault(candidate) {
    if (candidate.size > Number(input().dataset.maxBytes)) return "too_large";
    const isKnown = KNOWN_TYPES.test(candidate.type) || KNOWN_ENDINGS.test(candidate.name) || !candidate.type;
    if (!isKnown) return "unsupported_type";
    return candidate.size ? "" : "empty";
  }

  /** @param {File} candidate @param {string} [name] */
  function choose(candidate, name = candidate.name) {
    forget();
    element.dispatchEvent(new CustomEvent("telltale:chosen"));
    const trouble = fault(candidate);
    if (trouble) {
      refused = [trouble, { actual_mb: String(Math.ceil(candidate.size / 1024 / 1024)) }];
      return tell(...refused);
    }
    file = candidate;
    previewUrl = URL.createObjectURL(candidate);
    preview(previewUrl, !candidate.type.startsWith("image/"), name);
    element.dataset.state = "chosen";
  }

  /** What was chosen before this script was there to hear of it. */
  function catchUp() {
    const early = input().files?.[0];
    if (early && !file && !refused) choose(early);
  }

  /** @returns {Choice | null} */
  function current() {
    if (way() !== "link") return file ? (tell(), { file }) : (refused ? tell(...refused) : tell("nothing"), null);
    const url = /** @type {HTMLInputElement} */ (find("[data-slot=url]")).value.trim();
    if (!/^https?:\/\/[^\s/]+/i.test(url)) return tell("no-link"), null;
    return tell(), { url };
  }

  element.addEventListener("change", (event) => {
    const target = /** @type {HTMLInputElement} */ (event.target);
    if (target.matches("[data-choose]") && target.files?.[0]) choose(target.files[0]);
    if (target.name === "tt-way") {
      forget();
      element.dataset.state = "idle";
      element.dispatchEvent(new CustomEvent("telltale:chosen"));
    }
  });
  element.addEventListener("input", (event) => {
    const target = /** @type {HTMLInputElement} */ (event.target);
    if (target.matches("[data-slot=frames]")) find("[data-slot=frames-shown]").textContent = target.value;
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    element.addEventListener(kind, (event) => {
      event.preventDefault();
      element.classList.toggle("tt-dragged", kind === "dragenter" || kind === "dragover");
      const dropped = kind === "drop" && /** @type {DragEvent} */ (event).dataTransfer?.files[0];
      if (!dropped || isBusy()) return;
      /** @type {HTMLInputElement} */ (find("[name=tt-way][value=file]")).checked = true;
      choose(dropped);
    });
  }
  return { catchUp, choose, current, forget, preview, tell, tellRefused, ownCopy: () => previewUrl, way };
}
