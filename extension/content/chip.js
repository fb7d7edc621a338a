// @ts-check
// The badge itself: progress as a ring, a verdict as icon, words and colour, a problem as an icon of its own.

import { draw } from '../lib/drawings.js';
import { element } from '../lib/elements.js';
import { overallFraction, sayStage } from '../lib/progress.js';
import { renderBadge } from '../lib/report-view.js';
import { isLast } from '../lib/state.js';

/** @typedef {import('../lib/state.js').Job} Job */
/** @typedef {import('../lib/texts.js').Words} Words */

const SVG = 'http://www.w3.org/2000/svg';
const RADIUS = 9;
const LENGTH = 2 * Math.PI * RADIUS;

/**
 * What a chip looks like apart from its ring: drawn anew only where this differs.
 * @param {Job} job
 * @param {Words} words
 */
export function describeChip(job, words) {
  const code = job.report?.verdict.code ?? '';
  return isLast(job.stage) || job.stage === 'asking' ? `${job.stage} ${code}` : sayStage(job, words);
}

/**
 * @param {HTMLElement} chip shows progress
 * @param {Job} job
 */
export function turnRing(chip, job) {
  chip.querySelector('.tt-ring .tt-done')?.setAttribute('stroke-dashoffset', String(LENGTH * (1 - overallFraction(job))));
}

/**
 * @param {Job} job
 * @param {Words} words
 * @returns {HTMLElement} phrasing content, for a button
 */
export function renderChip(job, words) {
  const { t } = words;
  if (job.stage === 'done' && job.report) return renderBadge(job.report.verdict.code, words);
  if (job.stage === 'failed') return plain(draw('not-checked'), t('page.error'));
  if (job.stage === 'cancelled') return plain(draw('not-checked'), t('page.stopped'));
  if (job.stage === 'asking') return plain(draw('circle-question'), t('extension.badge.asking'));
  return plain(drawRing(overallFraction(job)), sayStage(job, words));
}

/** @param {SVGElement} drawing @param {string} words */
function plain(drawing, words) {
  return element('span', { class: 'tt-plain' }, drawing, words);
}

/** @param {number} fraction [0, 1] */
function drawRing(fraction) {
  const ring = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ class: 'tt-icon tt-ring', viewBox: '0 0 24 24', 'aria-hidden': 'true' })) {
    ring.setAttribute(name, value);
  }
  ring.append(drawArc('tt-track', 1), drawArc('tt-done', fraction));
  return ring;
}

/** @param {string} name @param {number} fraction */
function drawArc(name, fraction) {
  const arc = document.createElementNS(SVG, 'circle');
  const attributes = { class: name, cx: 12, cy: 12, r: RADIUS, 'stroke-dasharray': LENGTH, 'stroke-dashoffset': LENGTH * (1 - fraction) };
  for (const [key, value] of Object.entries(attributes)) arc.setAttribute(key, String(value));
  return arc;
}
