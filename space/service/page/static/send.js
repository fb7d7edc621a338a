// @ts-check
// Sends a file into the vault: its bytes alone, without its name.
import { at } from "./address.js";

/** @typedef {{upload: string} | {error: {message: string, next: string} | null} | {aborted: true}} Sent */

/**
 * @param {File} file
 * @param {string} lang
 * @param {(share: number) => void} onProgress
 * @returns {{done: Promise<Sent>, abort: () => void}}
 */
export function sendFile(file, lang, onProgress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve) => {
    request.upload.onprogress = (event) => onProgress(event.total ? event.loaded / event.total : 0);
    request.onload = () => resolve(readAnswer(request));
    request.onerror = () => resolve({ error: null });
    request.onabort = () => resolve({ aborted: true });
  });
  request.open("POST", at(`api/v1/uploads?lang=${lang}`));
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
  return { done, abort: () => request.abort() };
}

/** @param {XMLHttpRequest} request @returns {Sent} */
function readAnswer(request) {
  try {
    const answer = JSON.parse(request.responseText);
    return answer.upload_id ? { upload: answer.upload_id } : { error: answer.error ?? null };
  } catch {
    return { error: null }; // not our server's words: a proxy's page
  }
}
