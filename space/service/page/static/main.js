// @ts-check
// The page: puts its pieces together and keeps the order of a check, from the choice to the report.
import { at, randomId } from "./address.js";
import { setUpCamera } from "./camera.js";
import { setUpChoice } from "./choose.js";
import { setUpCopying } from "./copy.js";
import { followJob, forgetJob, rememberedJob, rememberJob, stopJob } from "./job.js";
import { put } from "./place.js";
import { wireReport } from "./report.js";
import { sendFile } from "./send.js";
import { setUpTabs } from "./tabs.js";

/** @typedef {import("./choose.js").Choice} Choice */

/**
 * @param {HTMLElement} element - the component
 * @param {(source: Record<string, unknown>) => void} beginCheck - by an event of Gradio's
 * @param {(name: string, act: () => void) => void} watch - of the component's properties
 */
export function start(element, beginCheck, watch) {
  /** @param {string} selector */
  const find = (selector) => /** @type {HTMLElement} */ (element.querySelector(selector));
  const language = () => find("[data-lang]").dataset.lang ?? "en";
  const choice = setUpChoice(element);
  const openHashedTab = setUpTabs(element);
  setUpCamera(element, choice);
  setUpCopying(element);
  let job = "";
  let ownCopy = "";
  let following = new AbortController();
  /** @type {{abort: () => void} | null} */
  let sending = null;

  /** @param {"idle" | "chosen" | "sending" | "checking"} state */
  function show(state) {
    element.dataset.state = state;
    const isBusy = state === "sending" || state === "checking";
    for (const control of /** @type {NodeListOf<HTMLButtonElement>} */ (element.querySelectorAll("[data-action=example], [data-action=check]"))) control.disabled = isBusy;
  }

  /** A screen reader hears it; nothing else changes. @param {string} words */
  function say(words) {
    const spoken = find("[data-slot=spoken]");
    if (spoken.textContent !== words) spoken.textContent = words;
  }

  function clearResult() {
    following.abort();
    forgetJob();
    job = "";
    find("[data-slot=result]").replaceChildren();
    element.dataset.shows = "none";
    reach(true);
  }

  /** @param {boolean} isReached */
  function reach(isReached) {
    const note = find("[data-slot=offline]");
    note.textContent = isReached ? "" : (note.dataset.words ?? "");
  }

  // --- from the choice to the check ---

  async function check() {
    const chosen = choice.current();
    if (!chosen) return;
    clearResult();
    ownCopy = choice.ownCopy();
    if ("file" in chosen) await send(chosen.file);
    else begin(chosen);
  }

  /** @param {File} file */
  async function send(file) {
    show("sending");
    const bar = find(".tt-sending .tt-bar");
    const transfer = sendFile(file, language(), (share) => {
      bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
      /** @type {HTMLElement} */ (bar.firstElementChild).style.inlineSize = `${100 * share}%`;
    });
    sending = transfer;
    find(".tt-sending").scrollIntoView({ block: "nearest" });
    const sent = await transfer.done;
    sending = null;
    if ("upload" in sent) return begin(sent);
    show("chosen");
    if ("error" in sent) sent.error ? choice.tellRefused(sent.error.message, sent.error.next) : choice.tell("not-sent");
  }

  /** @param {{upload: string} | {url: string} | {example: string}} source */
  function begin(source) {
    job = randomId();
    rememberJob(job);
    const frames = Number(/** @type {HTMLInputElement} */ (find("[data-slot=frames]")).value);
    beginCheck({ job, lang: language(), n_frames: frames, ...source });
    follow();
  }

  function follow() {
    show("checking");
    following.abort();
    following = new AbortController();
    void followJob(job, language(), { show: showPiece, reach, lose }, following.signal);
  }

  function lose() {
    clearResult();
    choice.tell("lost");
    show(choice.ownCopy() ? "chosen" : "idle");
  }

  // --- from the check to the report ---

  /** @param {HTMLElement} piece */
  function showPiece(piece) {
    const place = find("[data-slot=result]");
    const outcome = piece.dataset.outcome ?? "notice";
    const isNew = element.dataset.shows !== outcome;
    put(place, piece);
    element.dataset.shows = outcome;
    if (outcome === "running") say(piece.querySelector("[data-slot=stage]")?.textContent ?? "");
    else settle(piece, outcome);
    if (isNew) lookAt(place.firstElementChild, outcome);
  }

  /** @param {HTMLElement} piece @param {string} outcome */
  function settle(piece, outcome) {
    show(choice.ownCopy() ? "chosen" : "idle");
    if (outcome !== "report") return forgetJob();
    const verdict = piece.querySelector("[data-focus]");
    say(verdict?.textContent ?? "");
    wireReport(piece, { ownCopy, lang: language() });
    if (verdict instanceof HTMLElement) verdict.focus({ preventScroll: true });
  }

  /** @param {Element | null} shown @param {string} outcome */
  function lookAt(shown, outcome) {
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    shown?.scrollIntoView({ behavior: isCalm ? "auto" : "smooth", block: outcome === "report" ? "start" : "nearest" });
  }

  function stop() {
    if (sending) return sending.abort();
    if (job) void stopJob(job);
  }

  function again() {
    clearResult();
    choice.forget();
    show("idle");
    window.scrollTo({ top: 0 });
    find("[name=tt-way]:checked").focus({ preventScroll: true });
  }

  /** @param {HTMLElement} button */
  function startExample(button) {
    clearResult();
    choice.forget();
    const name = button.dataset.example ?? "";
    ownCopy = at(`examples/${name}.mp4`);
    choice.preview(ownCopy, true, button.textContent?.trim() ?? "");
    begin({ example: name });
  }

  element.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action]"));
    switch (button?.dataset.action) {
      case "check":
        return void check();
      case "change":
        return again();
      case "again":
        return again();
      case "example":
        return startExample(button);
      case "stop":
        return stop();
      case "print":
        return window.print();
    }
  });
  element.addEventListener("keydown", (event) => {
    const isLink = /** @type {Element} */ (event.target).matches("[data-slot=url]");
    if (isLink && event.key === "Enter") void check();
  });
  element.addEventListener("telltale:chosen", clearResult);
  document.addEventListener("telltale:refused", (event) => {
    const notice = /** @type {CustomEvent<HTMLElement>} */ (event).detail;
    if (notice.dataset.job !== job) return;
    following.abort();
    showPiece(/** @type {HTMLElement} */ (notice.cloneNode(true)));
  });

  // The first shell is in the fallback language; the one in the person's language replaces it. Its buttons cannot be
  // pressed before this, so that no click is lost.
  function introduce() {
    const shell = find("[data-lang]");
    document.documentElement.lang = shell.dataset.lang ?? "en";
    document.title = shell.dataset.title ?? document.title;
    openHashedTab();
    if (shell.classList.contains("tt-pending")) return;
    job ||= rememberedJob();
    if (job) return follow();
    show("idle");
    choice.catchUp();
  }
  watch("value", introduce);
  introduce();
}
