// @ts-check
// Makes a link to the report, shows the key for deleting it this once, and deletes it again.
import { at, fill } from "./address.js";

/** @param {HTMLElement} article @param {string} lang */
export function setUpSharing(article, lang) {
  /** @param {string} name */
  const slot = (name) => /** @type {HTMLElement} */ (article.querySelector(`[data-slot=${name}]`));
  const note = slot("share-note");
  const button = /** @type {HTMLButtonElement} */ (article.querySelector("[data-action=share]"));
  /** @type {{id: string, delete_token: string} | null} */
  let shared = null;

  /** @param {Response | null} answer */
  async function complain(answer) {
    const told = await answer?.json().catch(() => null);
    note.textContent = told?.error ? `${told.error.message} ${told.error.next}` : (note.dataset.failed ?? "");
  }

  /** @param {{id: string, url: string, delete_token: string, expires: string, persistent: boolean}} link */
  function show(link) {
    shared = link;
    /** @type {HTMLInputElement} */ (slot("link")).value = link.url;
    /** @type {HTMLInputElement} */ (slot("token")).value = link.delete_token;
    /** @type {HTMLAnchorElement} */ (slot("open")).href = link.url;
    const date = new Date(link.expires).toLocaleDateString(lang, { dateStyle: "long" });
    slot("until").textContent = fill(slot("until").dataset.words ?? "", { date });
    slot("not-persistent").hidden = link.persistent;
    slot("shared").hidden = false;
    note.textContent = "";
    article.querySelector("#tt-shared")?.scrollIntoView({ block: "center" });
    /** @type {HTMLElement} */ (article.querySelector("#tt-shared")).focus({ preventScroll: true });
  }

  async function share() {
    button.disabled = true;
    note.textContent = note.dataset.sharing ?? "";
    const answer = await fetch(at(`api/v1/jobs/${article.dataset.job}/share?lang=${lang}`), { method: "POST" }).catch(() => null);
    if (answer?.ok) return show(await answer.json());
    button.disabled = false;
    await complain(answer);
  }

  async function unshare() {
    if (!shared) return;
    const headers = { Authorization: `Bearer ${shared.delete_token}` };
    const answer = await fetch(at(`api/v1/reports/${shared.id}?lang=${lang}`), { method: "DELETE", headers }).catch(() => null);
    if (!answer?.ok) return complain(answer);
    shared = null;
    slot("shared").hidden = true;
    note.textContent = note.dataset.deleted ?? "";
    button.disabled = false;
    button.focus();
  }

  article.addEventListener("click", (event) => {
    const action = /** @type {Element} */ (event.target).closest("[data-action]")?.getAttribute("data-action");
    if (action === "share") void share();
    if (action === "unshare") void unshare();
  });
}
