// @ts-check
// The question which way to get at a video that a page keeps to itself.

import { element } from './elements.js';
import { hostPatterns } from './space-url.js';

/** @typedef {import('./state.js').CaptureMethod} CaptureMethod */

/**
 * @param {import('./state.js').Job} job whose stage is 'asking'
 * @param {object} options
 * @param {import('./texts.js').Words} options.words
 * @param {(step: CaptureMethod | null, remember: boolean) => void} options.answer null: send nothing
 * @returns {HTMLElement}
 */
export function renderAsk(job, { words: { t }, answer }) {
  const { host } = job;
  const remember = element('input', { type: 'checkbox' });
  const choices = job.ask.map((step) =>
    element(
      'li',
      {},
      element('button', { type: 'button', click: () => answer(step, remember.checked) }, t(`extension.ask.${step}`)),
      element('p', { class: 'tt-muted' }, t(`extension.ask.${step}.note`, { host: job.media_host ?? host })),
    ),
  );
  return element(
    'section',
    { class: 'tt-ask' },
    element('h2', { tabindex: '-1' }, t('extension.ask.title')),
    element('p', {}, t('extension.ask.why', { host })),
    element('ul', {}, ...choices),
    element('label', { class: 'tt-check' }, remember, t('extension.ask.remember', { host })),
    element('button', { type: 'button', class: 'tt-link', click: () => answer(null, remember.checked) }, t('extension.ask.nothing')),
  );
}

/**
 * Asks the browser for what a step needs. Call it in the click itself: browsers ask the person only then.
 * @param {CaptureMethod | null} step
 * @param {string | null} mediaHost where the video's file lies
 * @returns {Promise<boolean>} it may be done
 */
export async function requestAccess(step, mediaHost) {
  if (step !== 'file' || mediaHost === null) return true;
  return chrome.permissions.request({ origins: hostPatterns(mediaHost) });
}
