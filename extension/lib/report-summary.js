// @ts-check
// What a report says, without the numbers behind it: small enough to be kept in the local history.

/** @typedef {import('./texts.js').Text} Text */

/**
 * @typedef {object} Moment
 * @property {number} track the person, from 1
 * @property {number} time_s
 * @property {string} crop picture name: the face
 * @property {string} overlay picture name: the face with the heat map laid over it
 * @property {Text} sentence
 */

/**
 * The part of shared/report.schema.json that is shown here.
 * @typedef {object} Report
 * @property {{kind: string, host?: string | null, capture_method?: string | null}} source
 * @property {{code: string, sentence: Text, reasons: readonly Text[]}} verdict
 * @property {readonly {id: number}[]} tracks
 * @property {readonly Moment[]} evidence the strongest moments
 * @property {{sentence: Text} | null} parts
 * @property {readonly Text[]} limits
 */

/**
 * @param {Report} report
 * @returns {Report} the same shape, with nothing in it that is not shown
 */
export function summariseReport({ source, verdict, tracks, evidence, parts, limits }) {
  return {
    source: { kind: source.kind, capture_method: source.capture_method ?? null },
    verdict: { code: verdict.code, sentence: verdict.sentence, reasons: verdict.reasons },
    tracks: tracks.map(({ id }) => ({ id })),
    evidence: evidence.map(({ track, time_s, crop, overlay, sentence }) => ({ track, time_s, crop, overlay, sentence })),
    parts: parts && { sentence: parts.sentence },
    limits,
  };
}
