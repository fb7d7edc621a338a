// @ts-check
// What may be done with a report: copying a link to it, which makes a page that others can see, and deleting that page.

import { element } from './elements.js';
import { Refusal, send } from './send.js';

/**
 * @param {string} jobId
 * @param {string | null} sharedUrl where it was shared before
 * @param {import('./texts.js').Words} words
 * @param {{before?: Node, after?: Node}} others what else may be done with it
 * @returns {HTMLElement}
 */
export function renderSharing(jobId, sharedUrl, { t }, { before, after }) {
  const said = element('p', { role: 'status', class: 'tt-muted' }, t('extension.popup.share.note'));
  const copy = element('button', { type: 'button' }, t('extension.popup.copy'));
  const unshare = element('button', { type: 'button', class: 'tt-link' }, t('extension.popup.unshare'));
  unshare.hidden = sharedUrl === null;

  /** @param {HTMLButtonElement} button @param {() => Promise<string>} work its result is said */
  const onClick = (button, work) => {
    button.addEventListener('click', async () => {
      button.disabled = true;
      said.textContent = await work().catch(explain);
      button.disabled = false;
    });
  };
  onClick(copy, async () => {
    const { url } = await send({ type: 'share-job', jobId });
    await navigator.clipboard.writeText(url);
    unshare.hidden = false;
    return t('extension.popup.copied');
  });
  onClick(unshare, async () => {
    await send({ type: 'unshare-job', jobId });
    unshare.hidden = true;
    return t('extension.popup.unshared');
  });
  return element('div', { class: 'tt-sharing' }, element('div', { class: 'tt-row' }, before, copy, unshare, after), said);
}

/**
 * @param {unknown} cause
 * @returns {string} what the background says of its refusal
 */
function explain(cause) {
  if (!(cause instanceof Refusal)) throw cause;
  return `${cause.problem.message} ${cause.problem.next}`;
}
