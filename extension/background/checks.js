// @ts-check
// A check from the click to the Space: which step is taken, and what follows when one does not work.

import { decideStep, hostOf } from '../lib/ladder.js';
import { addJob, changeJob, isLast, isOwn, loadJob, loadJobs, loadSettings, makeJob, makeJobId, saveSettings } from '../lib/state.js';
import { changeAndTell, forPage, tellTab } from './announce.js';
import { fetchFile, FileError } from './fetch-file.js';
import { endFailed, onFailure, spaceOf } from './follow.js';
import { handOver, isInHand } from './hand-over.js';
import { enterPage, listVideos, splitKey } from './page-scripts.js';
import { describeProblem, ProblemError } from './words.js';

/** @typedef {import('../lib/state.js').Job} Job */
/** @typedef {import('../lib/state.js').CaptureMethod} CaptureMethod */
/** @typedef {import('../lib/ladder.js').VideoFacts} VideoFacts */

/** @type {VideoFacts} */
const NOTHING_KNOWN = { picture: 'unknown', src: '', live: false, visible: true };

/** What ends a check, whatever else might be tried: it is up to the person. */
const FINAL = new Set(['video_changed', 'stream_paused']);

// --- beginning --------------------------------------------------------------------------------

/**
 * @param {{tabId: number, videoKey?: string | null, opens_ask?: boolean}} what without a videoKey the best video of the
 *   page; opens_ask: nobody is looking at a page of the extension's that could ask
 * @returns {Promise<Job>}
 */
export async function checkVideo({ tabId, videoKey = null, opens_ask = false }) {
  await requireConsent();
  const key = videoKey ?? (await listVideos(tabId))[0]?.videoKey;
  if (!key) throw new ProblemError('no_video');
  const known = Object.values(await loadJobs()).find((job) => job.tab_id === tabId && job.video_key === key && !isLast(job.stage));
  if (known) return known;
  await enterPage(tabId);
  return begin({ ...(await describeTab(tabId)), frame_id: splitKey(key).frameId, video_key: key, facts: NOTHING_KNOWN, opens_ask });
}

/**
 * Step c at once.
 * @param {{tabId: number, opens_ask?: boolean}} what
 */
export async function checkPage({ tabId, opens_ask = false }) {
  await requireConsent();
  return begin({ ...(await describeTab(tabId)), opens_ask });
}

/** @param {{url: string, tabId?: number | null, opens_ask?: boolean}} what */
export async function checkLink({ url, tabId = null, opens_ask = false }) {
  await requireConsent();
  if (!URL.canParse(url)) throw new ProblemError('no_way');
  const host = new URL(url).hostname;
  return begin({ tab_id: tabId, host, title: host, link: url, opens_ask });
}

async function requireConsent() {
  if ((await loadSettings()).consented) return;
  await chrome.tabs.create({ url: chrome.runtime.getURL('consent/consent.html') });
  throw new ProblemError('consent_needed');
}

/** @param {number} tabId */
async function describeTab(tabId) {
  const { url = '', title = '' } = await chrome.tabs.get(tabId);
  return { tab_id: tabId, host: URL.canParse(url) ? new URL(url).hostname : '', title, link: url };
}

/** @param {Partial<Job> & Pick<Job, 'host' | 'title'>} what */
async function begin(what) {
  const { space_url } = await loadSettings();
  const job = makeJob({ job_id: makeJobId(), space_url, ...what });
  await addJob(job);
  void advance(job).catch((error) => fail(job.job_id, error));
  return job;
}

// --- step by step -----------------------------------------------------------------------------

/** @param {Job} job */
async function advance(job) {
  const decision = decideStep(await situationOf(job));
  if (decision.do === 'stop') throw new ProblemError(decision.code);
  if (decision.do === 'take') return takeStep(job, decision.step);
  await changeAndTell(job.job_id, { stage: 'asking', ask: decision.steps, media_host: hostOf(job.facts?.src ?? '') });
  if (job.opens_ask) await openAsk(job.job_id);
}

const ASK_PX = { width: 460, height: 600 };

/**
 * A small window of the extension's own, which no page can imitate from within.
 * @param {string} jobId
 */
export async function openAsk(jobId) {
  await chrome.windows.create({ url: chrome.runtime.getURL(`ask/ask.html#${jobId}`), type: 'popup', ...ASK_PX });
}

/** @param {Job} job @returns {Promise<import('../lib/ladder.js').Situation>} */
async function situationOf({ facts, link, host, failed_steps }) {
  const { consent_sites } = await loadSettings();
  const file = facts && hostOf(facts.src) ? new URL(facts.src) : null;
  const file_allowed = file !== null && (await chrome.permissions.contains({ origins: [`${file.protocol}//${file.hostname}/*`] }));
  return { facts, page_url: link ?? '', file_allowed, consent: consent_sites[host] ?? {}, failed_steps };
}

/** @param {Job} job @param {CaptureMethod} step */
async function takeStep({ job_id }, step) {
  const isByPage = step === 'frames' || step === 'screen';
  const change = { stage: isByPage ? 'capturing' : 'sending', capture_method: step, ask: [], fraction: 0, problem: null };
  const job = await changeAndTell(job_id, change);
  if (!job || isLast(job.stage)) return;
  if (isByPage) return askPage(job);
  if (step === 'file') return sendFile(job);
  await handOver(job_id, (space) => space.checkUrl(job.remote_id, job.link ?? ''));
}

/** @param {Job} job whose frames only its page can take */
async function askPage(job) {
  const { language } = await loadSettings();
  const message = { type: 'capture', job: forPage(job), videoKey: splitKey(job.video_key ?? '').key, language, step: job.capture_method };
  if (!(await tellTab(job, message))?.found) throw new ProblemError('video_gone');
}

/** @param {Job} job */
async function sendFile(job) {
  /** @type {Promise<Blob> | null} */
  let fetching = null;
  try {
    await handOver(job.job_id, async (space) => {
      fetching ??= fetchFile(job.facts?.src ?? '');
      return space.checkFile(job.remote_id, await fetching);
    });
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    await tryNext(job, 'file', job.facts);
  }
}

/**
 * The page handed over its frames.
 * @param {Job} job
 * @param {{step: CaptureMethod, frames: import('../lib/api.js').SentFrame[], facts: VideoFacts}} taken
 */
export async function takeFrames({ job_id }, { step, frames, facts }) {
  const job = await changeAndTell(job_id, { stage: 'sending', capture_method: step, facts });
  if (job?.stage !== 'sending') return;
  await handOver(job_id, (space) => space.checkFrames(job.remote_id, frames, { capture_method: step, page_host: job.host }));
}

/**
 * The page could not.
 * @param {Job} job
 * @param {{step: CaptureMethod, code: string, facts: VideoFacts}} failure
 */
export async function takeFailure(job, { step, code, facts }) {
  if (FINAL.has(code)) throw new ProblemError(code === 'stream_paused' ? 'stream_paused' : 'video_changed');
  await tryNext(job, step, facts);
}

/** @param {Job} job @param {CaptureMethod} step that failed @param {VideoFacts | null} facts */
async function tryNext(job, step, facts) {
  const failed_steps = [...job.failed_steps.filter((known) => known !== step), step];
  const changed = await changeJob(job.job_id, { failed_steps, facts });
  if (changed && !isLast(changed.job.stage)) await advance(changed.job);
}

/**
 * @param {Job} job whose stage is 'asking'
 * @param {{step: CaptureMethod | null, remember: boolean}} answer
 */
export async function takeAnswer(job, { step, remember }) {
  if (job.stage !== 'asking') return;
  if (remember) await rememberAnswer(job, step);
  if (step === null) return stopCheck(job);
  if (!job.ask.includes(step)) throw new ProblemError('not_allowed');
  const passed_over = job.ask.slice(0, job.ask.indexOf(step)); // they are not offered again if this one fails
  await changeJob(job.job_id, { failed_steps: [...job.failed_steps, ...passed_over] });
  await takeStep(job, step).catch((error) => fail(job.job_id, error));
}

/** @param {Job} job @param {CaptureMethod | null} step null: none of what was offered */
async function rememberAnswer({ host, ask }, step) {
  const { consent_sites } = await loadSettings();
  const asked = /** @type {('file' | 'page')[]} */ (ask.filter((one) => one === 'file' || one === 'page'));
  const refused = step === null ? asked.map((one) => [one, false]) : [];
  const given = step === 'file' || step === 'page' ? [[step, true]] : [];
  const consent = { ...consent_sites[host], ...Object.fromEntries([...refused, ...given]) };
  await saveSettings({ consent_sites: { ...consent_sites, [host]: consent } });
}

// --- ends -------------------------------------------------------------------------------------

/**
 * The person does not want it any more.
 * @param {Job} job
 */
export async function stopCheck(job) {
  await changeAndTell(job.job_id, { stage: 'cancelled' });
  if (!isOwn(job.stage) || isInHand(job.job_id)) await (await spaceOf(job)).cancel(job.remote_id);
}

/** @param {string} jobId @param {unknown} error */
export async function fail(jobId, error) {
  await endFailed(jobId, await describeProblem(error));
}

/** The Space could not fetch the page's video: the screen may still do, under a number that the Space does not know yet. */
onFailure(async (job, problem) => {
  if (job.capture_method !== 'page' || !job.facts) return endFailed(job.job_id, problem);
  const failed_steps = [...job.failed_steps, job.capture_method];
  const decision = decideStep(await situationOf({ ...job, failed_steps }));
  if (decision.do === 'stop') return endFailed(job.job_id, problem);
  const changed = await changeJob(job.job_id, { failed_steps, remote_id: makeJobId() });
  if (changed) await advance(changed.job).catch((error) => fail(job.job_id, error));
});

// --- going on after the worker died -----------------------------------------------------------

/**
 * @param {Job} job unfinished, and nobody in this worker is at it
 * @returns {Promise<boolean>} its page is to hand over the frames again
 */
export async function goOn(job) {
  if (job.stage !== 'sending' || isInHand(job.job_id)) return false;
  if (job.capture_method === 'file' || job.capture_method === 'page') {
    void takeStep(job, job.capture_method).catch((error) => fail(job.job_id, error));
    return false;
  }
  return true;
}

/**
 * Its page is gone: what was not handed over yet never will be.
 * @param {(job: Job) => boolean} isConcerned
 */
export async function forgetPages(isConcerned) {
  for (const job of Object.values(await loadJobs())) {
    if (!isConcerned(job) || isLast(job.stage)) continue;
    if (job.stage === 'capturing' || job.stage === 'asking') await fail(job.job_id, new ProblemError('video_gone'));
  }
}

/** @param {string} jobId */
export async function requireJob(jobId) {
  const job = await loadJob(jobId);
  if (!job) throw new ProblemError('not_allowed');
  return job;
}
