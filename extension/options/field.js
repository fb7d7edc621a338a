// @ts-check
// A field with its name above it and a button behind it.

import { element } from '../lib/elements.js';

/**
 * @param {HTMLInputElement} input with an id
 * @param {string} name
 * @param {HTMLButtonElement} button
 * @returns {HTMLElement}
 */
export function renderField(input, name, button) {
  return element(
    'div',
    { class: 'tt-field' },
    element('label', { for: input.id }, name),
    element('div', { class: 'tt-line' }, input, button),
  );
}
