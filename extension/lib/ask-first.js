// @ts-check
// A button for what cannot be undone: the first click asks, the second does it.

import { element } from './elements.js';

/**
 * @param {string} label
 * @param {string} question
 * @param {import('./texts.js').Words} words
 * @param {() => void} work
 * @returns {HTMLElement}
 */
export function askFirst(label, question, { t }, work) {
  const whole = element('div', { class: 'tt-ask-first' });
  const yes = element('button', { type: 'button', class: 'tt-main', click: work }, t('extension.yes'));
  const no = element('button', { type: 'button' }, t('extension.no'));
  const start = element('button', { type: 'button' }, label);
  const asking = element('p', { role: 'alert' }, question);
  start.addEventListener('click', () => {
    whole.replaceChildren(asking, element('div', { class: 'tt-row' }, yes, no));
    no.focus();
  });
  no.addEventListener('click', () => {
    whole.replaceChildren(start);
    start.focus();
  });
  whole.append(start);
  return whole;
}
