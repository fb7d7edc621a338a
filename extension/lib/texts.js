// @ts-check
// Words: text ids with parameters, rendered in a language of shared/text exactly as space/texts.py does.

/**
 * A list is a list of text ids (facial parts), joined in the language's way.
 * @typedef {string | number | string[]} Param
 */

/**
 * Words for a reader as a report carries them: an id, its parameters, their English rendering.
 * @typedef {{id: string, en: string, params: Readonly<Record<string, Param>>}} Text
 */

/**
 * The words of one language.
 * @typedef {object} Words
 * @property {string} lang the language's code
 * @property {(id: string, params?: Readonly<Record<string, Param>>) => string} t the words of a text id; throws
 *   where there is no such text or a placeholder has no parameter
 * @property {(text: Text) => string} say the words of a report's text; its own English where a newer server says
 *   something this extension has no words for yet
 */

export const FALLBACK_LANGUAGE = 'en';

/**
 * The language to use: the setting where we have it, else the first of the browser's that we have.
 * @param {string} setting a language's code; anything else (such as '') leaves it to the browser
 * @param {readonly string[]} preferred the browser's languages, best first, such as ['ru-RU', 'en']
 * @param {readonly string[]} known languages that have a file
 * @returns {string}
 */
export function pickLanguage(setting, preferred, known) {
  if (known.includes(setting)) return setting;
  const primary = preferred.map((tag) => tag.toLowerCase().split('-')[0]);
  return primary.find((lang) => known.includes(lang)) ?? FALLBACK_LANGUAGE;
}

/**
 * @param {string} lang
 * @param {Readonly<Record<string, string>>} texts all texts of the language: id -> template with {placeholders}
 * @returns {Words}
 */
export function makeWords(lang, texts) {
  /** @type {Words['t']} */
  const t = (id, params = {}) => {
    const template = texts[id];
    if (template === undefined) throw new Error(`no text ${id} in ${lang}`);
    return template.replace(/\{(\w+)\}/g, (_, name) => {
      if (!Object.hasOwn(params, name)) throw new Error(`text ${id} wants ${name}`);
      return sayParam(params[name]);
    });
  };

  /** @param {Param} value */
  const sayParam = (value) => {
    if (Array.isArray(value)) return joinWords(value.map((id) => t(id)));
    return typeof value === 'number' ? sayNumber(value, texts['number.decimal']) : value;
  };

  /** @param {string[]} words */
  const joinWords = (words) => {
    const tail = words.pop();
    if (tail === undefined || words.length === 0) return tail ?? '';
    return t('list.last', { head: words.join(texts['list.comma']), tail });
  };

  return {
    lang,
    t,
    say: (text) => (isKnown(text, texts) ? t(text.id, text.params) : text.en),
  };
}

/**
 * @param {Text} text
 * @param {Readonly<Record<string, string>>} texts
 */
function isKnown(text, texts) {
  const ids = [text.id, ...Object.values(text.params).filter(Array.isArray).flat()];
  return ids.every((id) => texts[id] !== undefined);
}

/**
 * A number as a reader can use it: one decimal place, two below 1.
 * @param {number} value
 * @param {string} mark the language's decimal mark
 */
function sayNumber(value, mark) {
  if (Number.isInteger(value)) return String(value);
  const digits = roundEven(value, Math.abs(value) < 1 ? 2 : 1).replace(/0+$/, '').replace(/\.$/, '');
  return digits.replace('.', mark);
}

/**
 * toFixed with ties going to the even digit, as Python's formatting does. A tie is a multiple of a half of the last
 * place that binary can hold: odd quarters for one place, odd eighths for two.
 * @param {number} value
 * @param {1 | 2} places
 */
function roundEven(value, places) {
  const isTie = Math.abs(value * (places === 1 ? 4 : 8)) % 2 === 1;
  if (!isTie) return value.toFixed(places);
  const scaled = Math.abs(value) * 10 ** places;
  const even = 2 * Math.round(scaled / 2);
  return (Math.sign(value) * (even / 10 ** places)).toFixed(places);
}

/**
 * The words of a language, read from the extension's own files.
 * @param {string} setting see {@link pickLanguage}
 * @returns {Promise<Words>}
 */
export async function loadWords(setting) {
  const lang = pickLanguage(setting, navigator.languages, await loadLanguages());
  return makeWords(lang, await readJson(`shared/text/${lang}.json`));
}

/**
 * Languages that have a file, English first.
 * @returns {Promise<string[]>}
 */
export function loadLanguages() {
  return readJson('shared/languages.json');
}

/** @param {string} path in the extension */
async function readJson(path) {
  const response = await fetch(chrome.runtime.getURL(path));
  return response.json();
}
