// @ts-check
// A check as a person sees it in the extension's own pages: progress, question, report, or what went wrong.

import { renderAsk } from './ask-view.js';
import { element } from './elements.js';
import { renderNotice } from './notice.js';
import { overallFraction, sayStage } from './progress.js';
import { renderReport } from './report-view.js';
import { isLast } from './state.js';

/** @typedef {import('./state.js').Job} Job */
/** @typedef {import('./texts.js').Words} Words */

/**
 * @typedef {object} JobActions
 * @property {Words} words
 * @property {(name: string) => Promise<string | null>} picture see report-view.js
 * @property {() => void} cancel
 * @property {() => void} again
 * @property {(step: import('./state.js').CaptureMethod | null, remember: boolean) => void} answer see ask-view.js
 * @property {((time_s: number) => void) | null} seek
 * @property {() => Node} afterReport what may be done with the report
 */

/**
 * A check in one element that follows it: call `show` with each of its changes.
 * @param {JobActions} actions
 * @returns {{view: HTMLElement, show: (job: Job) => void}}
 */
export function makeJobView(actions) {
  const view = element('div', { class: 'tt-job' });
  let shown = '';
  const progress = makeProgress(actions);
  return {
    view,
    show(job) {
      const face = faceOf(job);
      if (face === 'progress') progress.show(job);
      if (face === shown) return;
      shown = face;
      view.replaceChildren(face === 'progress' ? progress.view : renderFace(face, job, actions));
      if (face !== 'progress') view.querySelector('h2')?.focus({ preventScroll: true });
    },
  };
}

/**
 * Which of its faces a check shows.
 * @param {Job} job
 * @returns {'progress' | 'ask' | 'report' | 'problem' | 'stopped'}
 */
function faceOf({ stage, report }) {
  if (stage === 'asking') return 'ask';
  if (stage === 'done' && report) return 'report';
  if (stage === 'cancelled') return 'stopped';
  return isLast(stage) ? 'problem' : 'progress';
}

/**
 * @param {Exclude<ReturnType<typeof faceOf>, 'progress'>} face
 * @param {Job} job
 * @param {JobActions} actions
 */
function renderFace(face, job, actions) {
  const { t } = actions.words;
  const again = element('button', { type: 'button', click: actions.again }, t('extension.popup.again'));
  if (face === 'ask') return renderAsk(job, actions);
  if (face === 'stopped') return renderNotice(t('page.stopped'), '', { role: 'status' }, again);
  if (face === 'problem') {
    const { message = t('error.internal'), next = t('error.internal.next') } = job.problem ?? {};
    return renderNotice(message, next, { title: t('page.error') }, again);
  }
  const report = /** @type {NonNullable<Job['report']>} */ (job.report);
  const whole = element('div', { class: 'tt-done' }, renderReport(report, actions));
  whole.append(actions.afterReport(), element('p', { class: 'tt-muted' }, t('extension.popup.genuine')));
  return whole;
}

/** @param {JobActions} actions */
function makeProgress({ words, cancel }) {
  const { t } = words;
  const stage = element('p', { role: 'status' });
  const fill = element('i');
  const bar = element('div', { class: 'tt-bar', role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100' }, fill);
  const soFar = element('p', { class: 'tt-muted' });
  const note = element('p', { class: 'tt-muted' });
  const stop = element('button', { type: 'button', click: cancel }, t('page.cancel'));
  const view = element('div', { class: 'tt-progress' }, stage, bar, soFar, note, element('div', { class: 'tt-row' }, stop));
  return {
    view,
    /** @param {Job} job */
    show(job) {
      const percent = String(Math.round(100 * overallFraction(job)));
      say(stage, sayStage(job, words));
      fill.style.inlineSize = `${percent}%`;
      bar.setAttribute('aria-valuenow', percent);
      bar.setAttribute('aria-label', sayStage(job, words));
      const verdict = job.preliminary && words.say(job.preliminary.sentence);
      say(soFar, verdict ? t('extension.popup.preliminary', { verdict }) : '');
      say(note, job.problem ? `${job.problem.message} ${job.problem.next}` : '');
    },
  };
}

/**
 * Words that did not change are left alone, so that no screen reader says them twice.
 * @param {HTMLElement} where
 * @param {string} words
 */
function say(where, words) {
  if (where.textContent !== words) where.textContent = words;
  where.hidden = words === '';
}
