// @ts-check
// Who may ask what: README.md lists it. A page's script is trusted with its own check only.

import { hostOf } from '../lib/ladder.js';
import { isLast, isOwn, loadHistory, loadJob, loadJobs, loadSettings, noteShare } from '../lib/state.js';
import { changeAndTell, forPage, tellTab } from './announce.js';
import { checkLink, checkPage, checkVideo, fail, forgetPages, goOn, openAsk, requireJob, stopCheck, takeAnswer, takeFailure, takeFrames } from './checks.js';
import { follow, spaceOf } from './follow.js';
import { joinKey, listVideos, splitKey } from './page-scripts.js';
import { loadPicture } from './pictures.js';
import { shootTab } from './shoot-tab.js';
import { describeProblem, ProblemError } from './words.js';

/** @typedef {import('../lib/state.js').Job} Job */
/** @typedef {chrome.runtime.MessageSender} Sender */
/** @typedef {{type: string} & Record<string, any>} Message */

/** @typedef {'own' | 'page' | 'coder'} Asker own: the extension's pages; page: scripts in pages; coder: our frame in a page, which a page can open, too */
/** @typedef {'own' | 'page' | 'job' | 'frames'} Audience job: own and page, of their own check; frames: page and coder */
/** @typedef {{for: Audience, do: (message: Message, sender: Sender, job: Job) => unknown}} Answer the job is there for 'job' and 'frames', and for 'page' where the message has a jobId */

/** @type {Readonly<Record<string, Answer>>} */
export const ANSWERS = {
  'list-videos': { for: 'own', do: ({ tabId }) => describePage(tabId) },
  'check-video': { for: 'own', do: async ({ tabId, videoKey }) => ({ jobId: (await checkVideo({ tabId, videoKey })).job_id }) },
  'check-page': { for: 'own', do: async ({ tabId }) => ({ jobId: (await checkPage({ tabId })).job_id }) },
  'check-link': { for: 'own', do: async ({ url }) => ({ jobId: (await checkLink({ url })).job_id }) },
  'answer-ask': { for: 'own', do: async ({ jobId, step, remember }) => takeAnswer(await requireJob(jobId), { step, remember }) },
  'unshare-job': { for: 'own', do: ({ jobId }) => unshare(String(jobId)) },

  'watch-job': { for: 'job', do: (_, sender, job) => watch(job, sender) },
  'cancel-job': { for: 'job', do: (_, __, job) => stopCheck(job) },
  'dismiss-job': { for: 'job', do: (_, __, job) => changeAndTell(job.job_id, { dismissed: true }).then(nothing) },
  picture: { for: 'job', do: ({ name }, _, job) => picture(job, String(name)) },
  'seek-video': { for: 'job', do: ({ time_s }, _, job) => seek(job, Number(time_s)) },
  'share-job': { for: 'job', do: async (_, __, job) => ({ url: await share(job) }) },
  'open-explanation': { for: 'job', do: (_, __, { job_id }) => openPage(`history/history.html#${job_id}`) },
  'open-ask': { for: 'job', do: (_, __, job) => openAsk(job.job_id) },

  'page-ready': { for: 'page', do: (_, sender) => greet(sender) },
  'check-here': { for: 'page', do: ({ by, videoKey }, sender) => checkHere(by, String(videoKey), sender) },
  'page-gone': { for: 'page', do: (_, __, { job_id }) => forgetPages((job) => job.job_id === job_id) },
  'capture-progress': { for: 'page', do: ({ fraction }, _, job) => progress(job, Number(fraction)) },
  captured: { for: 'frames', do: (message, _, job) => inBackground(job, takeFrames(job, /** @type {any} */ (message))) },
  'capture-failed': { for: 'page', do: (message, _, job) => inBackground(job, takeFailure(job, /** @type {any} */ (message))) },
  shoot: { for: 'page', do: ({ rect, viewport }, _, job) => shootTab(Number(job.tab_id), rect, viewport) },
};

/**
 * @param {Message} message
 * @param {Sender} sender
 * @returns {Promise<unknown>} the answer, or `{problem}`
 */
export async function answerMessage(message, sender) {
  try {
    const answer = Object.hasOwn(ANSWERS, message.type) ? ANSWERS[message.type] : null;
    const from = whoIs(sender);
    if (!answer || !mayAsk(answer.for, from)) throw new ProblemError('not_allowed');
    const needsJob = answer.for === 'job' || answer.for === 'frames' || (answer.for === 'page' && 'jobId' in message);
    const job = needsJob ? await requireJob(message.jobId) : /** @type {Job} */ (/** @type {unknown} */ (null));
    if (job && from !== 'own' && !isFrom(job, sender)) throw new ProblemError('not_allowed');
    return (await answer.do(message, sender, job)) ?? {};
  } catch (error) {
    return { problem: await describeProblem(error) };
  }
}

const CODER = 'coder/coder.html';

/**
 * @param {Sender} sender
 * @returns {Asker | null}
 */
export function whoIs({ id, url, tab }) {
  if (id !== chrome.runtime.id) return null;
  if (url?.startsWith(chrome.runtime.getURL(CODER))) return 'coder';
  if (url?.startsWith(chrome.runtime.getURL(''))) return 'own';
  return tab ? 'page' : null;
}

/** @type {Readonly<Record<Audience, Asker[]>>} */
const AUDIENCES = { own: ['own'], page: ['page'], job: ['own', 'page'], frames: ['page', 'coder'] };

/** @param {Audience} audience @param {Asker | null} from */
export function mayAsk(audience, from) {
  return from !== null && AUDIENCES[audience].includes(from);
}

/**
 * The coder's frame stands in the frame of its check, whose number it is not told: it knows the check's own instead.
 * @param {Pick<Job, 'tab_id' | 'frame_id'>} job
 * @param {Sender} sender
 */
export function isFrom({ tab_id, frame_id }, sender) {
  const { tab, frameId } = sender;
  return tab_id !== null && tab?.id === tab_id && (frameId === frame_id || whoIs(sender) === 'coder');
}

function nothing() {
  return {};
}

/** @param {string} path in the extension */
async function openPage(path) {
  await chrome.tabs.create({ url: chrome.runtime.getURL(path) });
}

/**
 * The page need not wait for the Space.
 * @param {Job} job
 * @param {Promise<unknown>} work
 */
function inBackground({ job_id }, work) {
  work.catch((error) => fail(job_id, error));
  return {};
}

/** @param {number} tabId */
async function describePage(tabId) {
  const videos = await listVideos(tabId, { thumbnail: true });
  const { url = '', title = '' } = await chrome.tabs.get(tabId);
  const jobs = Object.values(await loadJobs()).filter((job) => job.tab_id === tabId).sort((a, b) => b.started - a.started);
  const jobOf = (/** @type {string} */ key) => jobs.find(({ video_key }) => video_key === key)?.job_id ?? null;
  const listed = videos.map((video) => ({ ...video, jobId: jobOf(video.videoKey) }));
  return { host: hostOf(url) ?? '', title, canCheckPage: hostOf(url) !== null, videos: listed };
}

/** @param {Job} job @param {Sender} sender */
async function watch(job, sender) {
  const isPage = whoIs(sender) === 'page';
  const wantsFrames = await goOn(job);
  if (!isLast(job.stage) && !isOwn(job.stage)) void follow(job.job_id);
  return { job: isPage ? forPage(job) : job, wantsFrames };
}

/** @param {Job} job @param {string} name */
async function picture(job, name) {
  try {
    return { url: await loadPicture(await spaceOf(job), job.remote_id, name) };
  } catch (error) {
    await describeProblem(error);
    return { url: null };
  }
}

/** @param {Job} job @param {number} time_s */
async function seek(job, time_s) {
  const answer = await tellTab(job, { type: 'seek-video', videoKey: splitKey(job.video_key ?? '').key, time_s });
  return { found: answer?.found ?? false };
}

/** @param {Job} job @returns {Promise<string>} */
async function share(job) {
  if (job.share) return job.share.url;
  const made = await (await spaceOf(job)).share(job.remote_id);
  await changeAndTell(job.job_id, { share: made });
  await noteShare(job.job_id, made);
  return made.url;
}

/**
 * Only the history knows the shared pages of an earlier session.
 * @param {string} jobId
 */
async function unshare(jobId) {
  const entry = (await loadHistory()).find(({ job_id }) => job_id === jobId);
  const share = (await loadJob(jobId))?.share ?? (entry ? shareOf(entry) : null);
  if (!share) return;
  await (await spaceOf({ space_url: new URL(share.url).origin })).deleteShare(share);
  await changeAndTell(jobId, { share: null });
  await noteShare(jobId, null);
}

/**
 * @param {import('../lib/state.js').HistoryEntry} entry
 * @returns {{id: string, url: string, delete_token: string} | null} null where it is not shared
 */
function shareOf({ share_url, delete_token }) {
  if (share_url === null || delete_token === null) return null;
  return { id: new URL(share_url).pathname.split('/').at(-1) ?? '', url: share_url, delete_token };
}

/** @param {Job} job @param {number} fraction */
async function progress(job, fraction) {
  if (job.stage === 'capturing' && fraction > 0) await changeAndTell(job.job_id, { fraction: Math.min(1, fraction) });
}

/** @param {Sender} sender */
async function greet(sender) {
  const { hover_button, auto_check_sites, consented, language } = await loadSettings();
  const host = hostOf(sender.url ?? '') ?? '';
  return { hover: consented && hover_button, auto: consented && auto_check_sites.includes(host), language };
}

/** @param {unknown} by @param {string} videoKey @param {Sender} sender */
async function checkHere(by, videoKey, sender) {
  const allowed = await greet(sender);
  const tabId = sender.tab?.id;
  if ((by !== 'hover' && by !== 'auto') || !allowed[by] || tabId === undefined) throw new ProblemError('not_allowed');
  const { job_id } = await checkVideo({ tabId, videoKey: joinKey(sender.frameId ?? 0, videoKey), opens_ask: by === 'hover' });
  return { jobId: job_id };
}
