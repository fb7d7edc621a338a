// @ts-check
// What the extension's own pages do first: the words of the person's language, and a page that says which it is.

import { loadSettings } from './state.js';
import { loadWords } from './texts.js';

/**
 * @returns {Promise<{settings: import('./state.js').Settings, words: import('./texts.js').Words}>}
 */
export async function openPage() {
  const settings = await loadSettings();
  const words = await loadWords(settings.language);
  document.documentElement.lang = words.lang;
  return { settings, words };
}
