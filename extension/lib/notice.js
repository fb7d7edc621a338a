// @ts-check
// A note that is no verdict: what happened, and what to do next.

import { draw } from './drawings.js';
import { element } from './elements.js';

/**
 * @param {string} sentence
 * @param {string} next '' for nothing
 * @param {{drawing?: string, title?: string, role?: string}} [options] role: how a screen reader learns of it
 * @param {...Node} actions buttons
 * @returns {HTMLElement}
 */
export function renderNotice(sentence, next, { drawing = 'not-checked', title = '', role = 'alert' } = {}, ...actions) {
  return element(
    'div',
    { class: 'tt-notice', role },
    draw(drawing),
    element(
      'div',
      {},
      title !== '' && element('h2', {}, title),
      element('p', {}, sentence),
      next !== '' && element('p', { class: 'tt-next' }, next),
      actions.length > 0 && element('div', { class: 'tt-row' }, ...actions),
    ),
  );
}
