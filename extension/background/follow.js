// @ts-check
// What the Space says of a check, until its end. Anything may die in between: everything needed is in storage.

import { openSpace, SpaceError } from '../lib/api.js';
import { addToHistory, isLast, isOwn, loadJob, loadJobs, loadPending, loadSettings, makeHistoryEntry, removePending } from '../lib/state.js';
import { changeAndTell } from './announce.js';
import { makeThumbnails } from './pictures.js';
import { currentWords, describeProblem } from './words.js';

/** @typedef {import('../lib/state.js').Job} Job */
/** @typedef {import('../lib/api.js').JobView} JobView */

const POLL_MS = 450; // so that a verdict is seen within a second
const SILENT_POLL_MS = 2000; // a Space that starts is left in peace
const WATCHED_MS = 15_000; // after the last question nobody is looking any more
const SILENCE_MS = 5 * 60_000; // a Space that does not answer for longer has lost the check
const ALARM = 'follow';

/** When somebody last asked, by job_id. @type {Map<string, number>} */
const watched = new Map();
/** @type {Set<string>} */
const followed = new Set();

/**
 * The Space that a check was sent to, whatever the settings say since.
 * @param {Pick<Job, 'space_url'>} job
 */
export async function spaceOf({ space_url }) {
  const settings = await loadSettings();
  const token = settings.space_url === space_url ? settings.token : ''; // never to another Space
  return openSpace({ space_url, token }, (await currentWords()).lang);
}

/**
 * Asks every moment while somebody looks on; without, the alarm does it twice a minute.
 * @param {string} jobId
 */
export async function follow(jobId) {
  watched.set(jobId, Date.now());
  if (followed.has(jobId)) return;
  followed.add(jobId);
  try {
    await chrome.alarms.create(ALARM, { periodInMinutes: 0.5 });
    while (Date.now() - (watched.get(jobId) ?? 0) < WATCHED_MS) {
      if (!(await askOnce(jobId))) return;
      const isSilent = Boolean((await loadJob(jobId))?.problem);
      await new Promise((resolve) => setTimeout(resolve, isSilent ? SILENT_POLL_MS : POLL_MS));
    }
  } finally {
    followed.delete(jobId);
  }
}

/** Twice a minute, whoever is looking. */
export async function followAll() {
  const unfinished = Object.values(await loadJobs()).filter(({ stage }) => !isLast(stage));
  if (unfinished.length === 0) await chrome.alarms.clear(ALARM);
  await Promise.all(unfinished.map(({ job_id, stage }) => (isOwn(stage) ? null : askOnce(job_id))));
}

/**
 * @param {string} jobId
 * @returns {Promise<boolean>} there is more to come from the Space
 */
async function askOnce(jobId) {
  const job = await loadJob(jobId);
  if (!job || isLast(job.stage) || isOwn(job.stage)) return false;
  try {
    return await takeView(job, await (await spaceOf(job)).view(job.remote_id));
  } catch (error) {
    return takeSilence(job, error);
  }
}

/**
 * @param {Job} job
 * @param {JobView} view
 * @returns {Promise<boolean>} there is more to come
 */
export async function takeView(job, view) {
  const { stage, report, error, n_ahead } = view;
  if (stage === 'failed' && error) {
    await afterFailure(job, { code: error.code, message: error.message, next: error.next });
    return false;
  }
  const preliminary = view.preliminary && {
    ...view.preliminary,
    sentence: { id: `verdict.${view.preliminary.code}`, en: view.preliminary.sentence, params: {} },
  };
  const fraction = Math.min(1, Math.max(isOwn(job.stage) ? 0 : job.fraction, view.fraction));
  const change = { stage, fraction, n_ahead, preliminary, problem: null, report: stage === 'done' ? report : null };
  const now = await changeAndTell(job.job_id, change);
  if (stage === 'done' && now?.stage === 'done') await keep(now);
  if (isLast(stage)) await removePending(job.job_id);
  return !isLast(stage);
}

/** Set by checks.js, which knows whether there is another way. @type {(job: Job, problem: import('../lib/state.js').Problem) => Promise<unknown>} */
let afterFailure = async (job, problem) => endFailed(job.job_id, problem);

/** @param {typeof afterFailure} handler */
export function onFailure(handler) {
  afterFailure = handler;
}

/** @param {string} jobId @param {import('../lib/state.js').Problem} problem */
export async function endFailed(jobId, problem) {
  await changeAndTell(jobId, { stage: 'failed', problem });
  await removePending(jobId);
}

/** @param {Job} job @param {unknown} error */
async function takeSilence(job, error) {
  const problem = await describeProblem(error);
  const isPassing = error instanceof SpaceError && error.wait_ms !== null;
  if (isPassing && Date.now() - job.changed < SILENCE_MS) {
    if (job.problem?.code !== problem.code) await changeAndTell(job.job_id, { problem });
    return true;
  }
  await endFailed(job.job_id, problem);
  return false;
}

/** @param {Job} job done */
async function keep(job) {
  await addToHistory(makeHistoryEntry(job, []));
  const space = await spaceOf(job);
  try {
    await addToHistory(makeHistoryEntry(job, await makeThumbnails(space, job)));
  } catch (error) {
    await describeProblem(error); // the result is kept without them
  }
}

/**
 * After the browser was restarted: results that came meanwhile go into the history.
 * @returns {Promise<import('../lib/state.js').Pending[]>} checks of the session before
 */
export async function findPending() {
  const jobs = await loadJobs();
  return Object.values(await loadPending()).filter(({ job_id }) => !Object.hasOwn(jobs, job_id));
}
