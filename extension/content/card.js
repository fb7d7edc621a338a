// @ts-check
// What opens under the badge: the report, or how far the check is, or what went wrong.

import { element } from '../lib/elements.js';
import { renderNotice } from '../lib/notice.js';
import { sayStage } from '../lib/progress.js';
import { renderReport } from '../lib/report-view.js';
import { Refusal } from '../lib/send.js';
import { N_THUMBNAILS } from '../lib/state.js';

/** @typedef {import('../lib/state.js').Job} Job */
/** @typedef {import('../lib/texts.js').Words} Words */

/**
 * @typedef {object} CardActions
 * @property {Words} words
 * @property {(name: string) => Promise<string | null>} picture
 * @property {(time_s: number) => void} seek
 * @property {() => void} cancel
 * @property {() => void} ask
 * @property {() => Promise<unknown>} open the explanation
 * @property {() => Promise<string>} share its address
 */

/**
 * @param {Job} job
 * @param {CardActions} actions
 * @returns {HTMLElement}
 */
export function renderCard(job, actions) {
  const { words, cancel, ask } = actions;
  const { t } = words;
  if (job.stage === 'done' && job.report) return renderDone(job.report, actions);
  if (job.stage === 'failed') {
    const { message = t('error.internal'), next = t('error.internal.next') } = job.problem ?? {};
    return renderNotice(message, next, { title: t('page.error'), role: 'group' });
  }
  if (job.stage === 'cancelled') return renderNotice(t('page.stopped'), '', { role: 'group' });
  const isAsking = job.stage === 'asking';
  const verdict = job.preliminary && words.say(job.preliminary.sentence);
  return element(
    'div',
    { class: 'tt-progress' },
    element('h2', { tabindex: '-1' }, isAsking ? t('extension.ask.title') : sayStage(job, words)),
    verdict && element('p', { class: 'tt-muted' }, t('extension.popup.preliminary', { verdict })),
    job.problem && element('p', { class: 'tt-muted' }, `${job.problem.message} ${job.problem.next}`),
    element(
      'div',
      { class: 'tt-row' },
      isAsking && element('button', { type: 'button', class: 'tt-main', click: ask }, t('extension.badge.answer')),
      element('button', { type: 'button', click: cancel }, t('page.cancel')),
    ),
  );
}

/**
 * @param {NonNullable<Job['report']>} report
 * @param {CardActions} actions
 */
function renderDone(report, actions) {
  const { t } = actions.words;
  const said = element('p', { role: 'status', class: 'tt-muted' }, t('extension.popup.share.note'));
  /** @param {string} words @param {() => Promise<string>} work its result is said */
  const button = (words, work) => {
    const made = element('button', { type: 'button' }, words);
    made.addEventListener('click', async () => {
      made.disabled = true;
      said.textContent = await work().catch(explain);
      made.disabled = false;
      made.focus({ preventScroll: true }); // a disabled button loses it
    });
    return made;
  };
  const open = button(t('extension.popup.open'), async () => {
    await actions.open();
    return '';
  });
  open.classList.add('tt-main');
  const copy = button(t('extension.popup.copy'), async () => {
    const url = await actions.share();
    return (await copied(url)) ? t('extension.popup.copied') : url;
  });
  const shown = renderReport({ ...report, evidence: report.evidence.slice(0, N_THUMBNAILS) }, actions);
  shown.addEventListener('click', ({ target }) => {
    const isMoment = target instanceof Element && target.closest('.tt-thumbnail');
    if (isMoment) shown.querySelector('.tt-stage')?.scrollIntoView({ block: 'nearest' });
  });
  return element('div', { class: 'tt-whole' }, shown, said, element('div', { class: 'tt-row' }, open, copy));
}

/**
 * A page without https has no clipboard; the address is shown instead.
 * @param {string} url
 */
function copied(url) {
  const written = navigator.clipboard?.writeText(url).then(
    () => true,
    () => false,
  );
  return written ?? Promise.resolve(false);
}

/** @param {unknown} cause */
function explain(cause) {
  if (!(cause instanceof Refusal)) throw cause;
  return `${cause.problem.message} ${cause.problem.next}`;
}
