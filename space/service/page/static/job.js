// @ts-check
// Follows a check by asking for it again and again. Nothing hangs on a stream: after a lost connection, a reload or
// a sleeping phone the next answer tells where the check is.
import { at } from "./address.js";

const EVERY_MS = 600;
const HIDDEN_MS = 3000;
const MAX_PAUSE_MS = 8000;
const PATIENCE_MS = 25_000; // for a check to become known; its event may still wait in line

/**
 * @typedef {object} Hooks
 * @property {(piece: HTMLElement) => void} show - what is to be seen; its `data-outcome` tells what it is
 * @property {(isLost: boolean) => void} reach - whether the server can be reached
 * @property {() => void} lose - the check never became known
 */

/** @param {string} job @param {string} lang @param {Hooks} hooks @param {AbortSignal} signal */
export async function followJob(job, lang, hooks, signal) {
  const began = Date.now();
  let isKnown = false;
  let pause = EVERY_MS;
  while (!signal.aborted) {
    const answer = await ask(job, lang, signal);
    if (signal.aborted) return;
    hooks.reach(answer !== null);
    if (answer === null) pause = Math.min(MAX_PAUSE_MS, pause * 2);
    else if (answer.dataset.outcome === "unknown" && !isKnown) {
      if (Date.now() - began > PATIENCE_MS) return hooks.lose();
    } else {
      isKnown = true;
      pause = document.hidden ? HIDDEN_MS : EVERY_MS;
      hooks.show(answer);
      if (answer.dataset.outcome !== "running") return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Null: no answer, or none of ours. @param {string} job @param {string} lang @param {AbortSignal} signal */
async function ask(job, lang, signal) {
  try {
    const answer = await fetch(at(`page/jobs/${job}?lang=${lang}`), { signal, cache: "no-store" });
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const piece = /** @type {HTMLElement | null} */ (parsed.querySelector("[data-outcome]"));
    return piece && document.importNode(piece, true);
  } catch {
    return null;
  }
}

/** @param {string} job */
export function stopJob(job) {
  return fetch(at(`api/v1/jobs/${job}`), { method: "DELETE" }).catch(() => null); // following shows what came of it
}

// --- which check this tab is about ------------------------------------------------------------
// In the tab's own storage: a reload finds the check again, and a copied address gives nothing away.

const KEY = "telltale.job";

/** @param {string} job */
export function rememberJob(job) {
  try {
    sessionStorage.setItem(KEY, job);
  } catch {
    /* an embedded page may have no storage: then a reload begins anew */
  }
}

export function rememberedJob() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function forgetJob() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    /* see above */
  }
}
