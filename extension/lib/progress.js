// @ts-check
// How far a check is: in words, and as one share of all its stages.

/** @typedef {Pick<import('./state.js').Job, 'stage' | 'fraction' | 'n_ahead'>} Progress */

const CAPTURED = 0.2; // of the bar, when the frames are there
const SENT = 0.25; // of the bar, when the Space has them

/**
 * The share of the whole that is done; never goes back from stage to stage.
 * @param {Progress} progress
 * @returns {number} [0, 1]
 */
export function overallFraction({ stage, fraction }) {
  if (stage === 'capturing') return CAPTURED * fraction;
  if (stage === 'asking' || stage === 'sending') return CAPTURED;
  return SENT + (1 - SENT) * fraction;
}

/** Stages with words of their own; the analysis's are `stage.<id>`. @type {Readonly<Record<string, string>>} */
const STAGE_TEXTS = {
  capturing: 'extension.popup.capturing',
  asking: 'extension.ask.title',
  sending: 'extension.popup.sending',
  accepted: 'page.waiting',
  queued: 'page.waiting',
  loading: 'page.loading',
  download: 'extension.popup.download',
  cancelled: 'page.stopped',
};

/**
 * @param {Progress} progress
 * @param {import('./texts.js').Words} words
 * @returns {string}
 */
export function sayStage({ stage, n_ahead }, { t }) {
  if (stage === 'queued' && n_ahead) return t('page.waiting.ahead', { n_ahead });
  return t(STAGE_TEXTS[stage] ?? `stage.${stage}`);
}
