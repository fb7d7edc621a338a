// @ts-check
// Sentences of the background: in the language of the settings.

import { SpaceError } from '../lib/api.js';
import { loadSettings } from '../lib/state.js';
import { loadWords } from '../lib/texts.js';

/** @typedef {import('../lib/state.js').Problem} Problem */

/** @type {{language: string, words: Promise<import('../lib/texts.js').Words>} | null} */
let spoken = null;

export async function currentWords() {
  const { language } = await loadSettings();
  if (spoken?.language !== language) spoken = { language, words: loadWords(language) };
  return spoken.words;
}

/** Codes of the extension's own; the others are those of shared/errors.json. */
export const OWN_CODES = /** @type {const} */ ([
  'consent_needed',
  'page_closed',
  'no_video',
  'video_gone',
  'video_changed',
  'video_protected',
  'stream_paused',
  'no_way',
  'not_allowed',
  'space_unreachable',
  'space_asleep',
  'space_unknown',
  'space_token',
]);

/** @typedef {typeof OWN_CODES[number]} OwnCode */

/** Something that a person is told about. */
export class ProblemError extends Error {
  /** @param {OwnCode} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * @param {unknown} error
 * @returns {Promise<Problem>} a fault of ours is written to the console, too
 */
export async function describeProblem(error) {
  const { t } = await currentWords();
  if (error instanceof SpaceError && error.sentence) {
    return { code: error.code, message: error.sentence, next: error.next };
  }
  if (error instanceof ProblemError || error instanceof SpaceError) {
    const text = textOf(error.code);
    const params = { retry_after_s: (error instanceof SpaceError && error.retry_after_s) || USUAL_WAIT_S };
    if (text) return { code: error.code, message: t(text, params), next: t(`${text}.next`, params) };
  }
  console.error('Telltale:', error);
  return { code: 'internal', message: t('error.internal'), next: t('error.internal.next') };
}

const USUAL_WAIT_S = 60; // where a full queue does not say how long

/** Codes that Gradio or the network in front of the Space give without words. */
const WORDLESS = new Set(['busy', 'job_unknown', 'server_restarted']);

/** @param {string} code */
function textOf(code) {
  if (/** @type {readonly string[]} */ (OWN_CODES).includes(code)) return `extension.problem.${code}`;
  return WORDLESS.has(code) ? `error.${code}` : null;
}
