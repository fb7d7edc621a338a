// @ts-check
// What the background may ask of a page's script. A page itself cannot send these messages.

import { send } from '../lib/send.js';
import { loadWords } from '../lib/texts.js';
import { openCheck } from './check-on-page.js';
import { describeVideo } from './describe-video.js';
import { findVideos, makeVideoKeys } from './find-videos.js';
import { offerButton } from './hover-button.js';
import { watchForPlaying } from './watch-playing.js';

/** @typedef {import('./check-on-page.js').PageCheck} PageCheck */
/** @typedef {{type: string, job: import('../lib/state.js').Job, videoKey: string, language: string, step: 'frames' | 'screen', time_s: number, srcUrl: string, thumbnail: boolean}} Message */

const keys = makeVideoKeys();

/** By job_id; a check whose badge opens is there already. @type {Map<string, Promise<PageCheck>>} */
const checks = new Map();

/** @type {Readonly<Record<string, (message: Message) => unknown>>} */
const ANSWERS = {
  'find-videos': ({ thumbnail }) => Promise.all(findVideos().map((video) => describeVideo(video, keys.keyOf(video), { thumbnail }))),
  'find-by-source'({ srcUrl }) {
    const video = findVideos().find(({ currentSrc }) => currentSrc === srcUrl);
    return video ? keys.keyOf(video) : null;
  },
  async capture({ job, videoKey, language, step }) {
    const video = keys.find(videoKey);
    if (!video) return { found: false };
    const check = await checkOf(job, video, language);
    check.show(job);
    void check.capture(step);
    return { found: true };
  },
  async 'job-changed'({ job }) {
    (await checks.get(job.job_id))?.show(job);
  },
  'seek-video'({ videoKey, time_s }) {
    const video = keys.find(videoKey);
    if (video) video.currentTime = time_s;
    return { found: video !== null };
  },
};

/** @param {import('../lib/state.js').Job} job @param {HTMLVideoElement} video @param {string} language */
function checkOf(job, video, language) {
  const known = checks.get(job.job_id);
  if (known) return known;
  for (const [job_id, check] of checks) void check.then((old) => old.video === video && old.show({ ...job, job_id, dismissed: true }));
  const opening = loadWords(language).then((words) => openCheck(job, video, { words, onEnd: () => checks.delete(job.job_id) }));
  checks.set(job.job_id, opening);
  return opening;
}

/** @returns {Promise<true>} once it listens */
export async function listen() {
  chrome.runtime.onMessage.addListener((message, _sender, answer) => {
    const work = Object.hasOwn(ANSWERS, message.type) && ANSWERS[message.type];
    if (!work) return false;
    Promise.resolve(work(message)).then(answer, (error) => {
      console.error('Telltale:', error);
      answer(null);
    });
    return true;
  });
  const { hover, auto, language } = await send({ type: 'page-ready' });
  const check = (/** @type {HTMLVideoElement} */ video, /** @type {'hover' | 'auto'} */ by) =>
    void send({ type: 'check-here', by, videoKey: keys.keyOf(video) });
  if (hover) void loadWords(language).then((words) => offerButton(words, (video) => check(video, 'hover')));
  if (auto) watchForPlaying((video) => check(video, 'auto'));
  return true;
}
