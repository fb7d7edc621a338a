// @ts-check
// What the popup shows of the page in front: its videos, and the check that runs or ran there.

import { requestAccess } from '../lib/ask-view.js';
import { element } from '../lib/elements.js';
import { makeJobView } from '../lib/job-view.js';
import { renderNotice } from '../lib/notice.js';
import { Refusal, openPictures, send } from '../lib/send.js';
import { renderSharing } from '../lib/sharing.js';
import { isLast, loadJobs } from '../lib/state.js';
import { renderVideos } from './videos.js';

/** @typedef {import('../lib/state.js').Job} Job */

const WATCH_MS = 2_000;

/**
 * @param {HTMLElement} panel
 * @param {import('../lib/texts.js').Words} words
 */
export async function showPage(panel, words) {
  const { t } = words;
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  const tabId = /** @type {number} */ (tab.id);
  /** Ends what the check shown before goes on doing. */
  let leave = new AbortController();

  const showVideos = async () => {
    leave.abort();
    panel.replaceChildren(element('p', { role: 'status' }, t('extension.popup.looking')));
    const { videos, canCheckPage } = await send({ type: 'list-videos', tabId });
    if (videos.length > 0) {
      panel.replaceChildren(
        element('h2', {}, t('extension.popup.videos')),
        renderVideos(videos, words, {
          check: ({ videoKey }) => begin(checkOf(videoKey, tabId)),
          open: (jobId, { videoKey }) => attempt(() => showJob(jobId, checkOf(videoKey, tabId))),
        }),
      );
      return;
    }
    const byAddress = element('button', { type: 'button' }, t('extension.ask.page'));
    byAddress.addEventListener('click', () => begin({ type: 'check-page', tabId }));
    panel.replaceChildren(
      renderNotice(
        t('extension.popup.none'),
        t('extension.popup.none.next'),
        { role: 'status', drawing: 'video' },
        ...(canCheckPage ? [byAddress] : []),
      ),
    );
  };

  /** @param {{type: string} & Record<string, unknown>} message that starts a check */
  const begin = (message) => attempt(async () => showJob((await send(message)).jobId, message));

  /**
   * @param {string} jobId
   * @param {{type: string} & Record<string, unknown>} again what starts the same check once more
   */
  const showJob = async (jobId, again) => {
    leave.abort();
    leave = new AbortController();
    const { signal } = leave;
    /** @type {Job} */
    let job = (await send({ type: 'watch-job', jobId })).job;
    const { view, show } = makeJobView({
      words,
      picture: openPictures(jobId),
      cancel: () => attempt(() => send({ type: 'cancel-job', jobId })),
      again: () => begin(again),
      answer: async (step, remember) => {
        const allowed = await requestAccess(step, job.media_host);
        if (allowed) await attempt(() => send({ type: 'answer-ask', jobId, step, remember }));
      },
      seek: job.video_key === null ? null : (time_s) => attempt(() => send({ type: 'seek-video', jobId, time_s })),
      afterReport: () => renderSharing(jobId, job.share?.url ?? null, words, { before: makeOpener(jobId) }),
    });
    const back = element('button', { type: 'button', class: 'tt-link tt-back', click: () => attempt(showVideos) });
    back.append(`← ${t('extension.popup.back')}`);
    panel.replaceChildren(back, view, element('p', { class: 'tt-muted' }, t('extension.popup.sent_to', { host: hostOf(job) })));
    show(job);
    const hear = (/** @type {Job} */ changed) => {
      job = changed;
      show(job);
    };
    follow(jobId, signal, hear, attempt);
  };

  /** @param {string} jobId */
  const makeOpener = (jobId) => {
    const open = () => attempt(() => send({ type: 'open-explanation', jobId }));
    return element('button', { type: 'button', class: 'tt-main', click: open }, t('extension.popup.open'));
  };

  /**
   * What the background refuses is said in the panel.
   * @param {() => Promise<unknown>} work
   */
  const attempt = (work) =>
    work().catch((cause) => {
      if (!(cause instanceof Refusal)) throw cause;
      leave.abort();
      const { message, next } = cause.problem;
      const back = element('button', { type: 'button', click: () => attempt(showVideos) }, t('extension.popup.back'));
      panel.replaceChildren(renderNotice(message, next, {}, back));
    });

  const running = await findRunning(tabId);
  await attempt(() => (running ? showJob(running.job_id, againAs(running, tabId)) : showVideos()));
}

/**
 * The latest check of a tab.
 * @param {number} tabId
 * @returns {Promise<Job | undefined>}
 */
async function findRunning(tabId) {
  const jobs = Object.values(await loadJobs()).filter((job) => job.tab_id === tabId && job.stage !== 'cancelled');
  return jobs.sort((a, b) => b.started - a.started)[0];
}

/**
 * @param {Job} job
 * @param {number} tabId
 */
function againAs({ video_key, link }, tabId) {
  if (video_key !== null) return checkOf(video_key, tabId);
  return link === null ? { type: 'check-page', tabId } : { type: 'check-link', url: link };
}

/** @param {string} videoKey @param {number} tabId */
function checkOf(videoKey, tabId) {
  return { type: 'check-video', tabId, videoKey };
}

/** @param {Job} job */
function hostOf({ space_url }) {
  return new URL(space_url).host;
}

/**
 * Hears of every change of a check, and keeps the background at it until it ends.
 * @param {string} jobId
 * @param {AbortSignal} signal ends it
 * @param {(job: Job) => void} hear
 * @param {(work: () => Promise<unknown>) => Promise<unknown>} attempt what says refusals
 */
function follow(jobId, signal, hear, attempt) {
  /** @param {{type: string, job: Job}} message */
  const onMessage = ({ type, job }) => {
    if (type !== 'job-changed' || job.job_id !== jobId) return;
    if (isLast(job.stage)) clearInterval(timer);
    hear(job);
  };
  const ask = async () => {
    const { job } = await send({ type: 'watch-job', jobId });
    if (!signal.aborted) onMessage({ type: 'job-changed', job });
  };
  const timer = setInterval(() => attempt(ask), WATCH_MS);
  chrome.runtime.onMessage.addListener(onMessage);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    chrome.runtime.onMessage.removeListener(onMessage);
  });
}
