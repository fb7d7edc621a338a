// @ts-check
// One check as the page sees it: frames are taken and handed over, and the badge follows what the background says.

import { openPictures, Refusal, send } from '../lib/send.js';
import { isLast } from '../lib/state.js';
import { openBadge } from './badge.js';
import { isLive, isTainted, visibleArea } from './describe-video.js';
import { CoderError, openCoder } from './open-coder.js';
import { CaptureError } from './sample-frames.js';
import { shootVideo } from './shoot-video.js';
import { behindStill } from './still.js';
import { openSurface } from './surface.js';
import { takeFrames, takeScreen } from './take-frames.js';

/** @typedef {import('../lib/state.js').Job} Job */
/** @typedef {import('../lib/ladder.js').VideoFacts} VideoFacts */

/** @typedef {{type: string} & Record<string, unknown>} Message */
/** @typedef {import('./open-coder.js').Coder} Coder */

const WATCH_MS = 2000;
const PROGRESS_MS = 500;
const QUIET_MS = 1500; // the background was heard so recently that it is awake
const PICTURES = new Set(['tainted', 'black', 'unreadable']);

/**
 * @typedef {object} PageCheck
 * @property {HTMLVideoElement} video
 * @property {(step: 'frames' | 'screen') => Promise<void>} capture
 * @property {(job: Job) => void} show
 */

/**
 * @param {Job} job
 * @param {HTMLVideoElement} video
 * @param {{words: import('../lib/texts.js').Words, onEnd: () => void}} options
 * @returns {Promise<PageCheck>}
 */
export async function openCheck(job, video, { words, onEnd }) {
  const { job_id: jobId } = job;
  const src = video.currentSrc;
  const surface = await openSurface();
  const stopTaking = new AbortController();
  let [heard, stage, isTaking, told] = [Date.now(), job.stage, false, 0];
  /** What was handed over, until the background has passed it on: it may have died with it. @type {Message | null} */
  let handed = null;
  /** What holds frames of `handed`. @type {Coder | null} */
  let coder = null;

  const hide = () => {
    badge.close();
    surface.close();
  };
  const leave = () => void (stage === 'capturing' && tell({ type: 'page-gone' }));
  const letGo = () => {
    coder?.close();
    coder = handed = null;
  };
  const end = () => {
    clearInterval(timer);
    removeEventListener('pagehide', leave);
    stopTaking.abort(new CaptureError('video_changed'));
    letGo();
    hide();
    onEnd();
  };

  /**
   * A refusal means that the check is gone; and after an update of the extension, its old scripts in pages are cut off.
   * @param {Message} message
   * @param {(message: Message) => Promise<any>} [pass]
   */
  const tell = async (message, pass = send) => {
    try {
      return await pass({ ...message, jobId });
    } catch (error) {
      if (error instanceof CoderError) throw error;
      if (!(error instanceof Refusal) && chrome.runtime?.id) console.error('Telltale:', error);
      else end();
      return null;
    }
  };

  const badge = openBadge(video, surface, {
    words,
    picture: openPictures(jobId),
    seek: (time_s) => void (video.currentTime = time_s),
    cancel: () => void tell({ type: 'cancel-job' }),
    ask: () => void tell({ type: 'open-ask' }),
    open: () => send({ type: 'open-explanation', jobId }),
    share: async () => (await send({ type: 'share-job', jobId })).url,
    dismiss() {
      hide();
      void tell({ type: 'dismiss-job' });
    },
  });

  /** What the page shows now is no longer what was checked. */
  const isStale = () => !video.isConnected || video.currentSrc !== src;

  /** @param {Job} now */
  const show = (now) => {
    [heard, stage] = [Date.now(), now.stage];
    if (stage !== 'sending' && stage !== 'capturing') letGo();
    if (stage === 'cancelled') return end();
    if (now.dismissed) hide();
    else badge.show(now);
  };

  const watch = async () => {
    if (isStale()) return end();
    if (isLast(stage) || Date.now() - heard < QUIET_MS) return;
    const answer = await tell({ type: 'watch-job' });
    if (answer) show(answer.job);
    if (answer?.wantsFrames && handed) void handOver(handed);
  };
  const timer = setInterval(() => void watch(), WATCH_MS);
  addEventListener('pagehide', leave);

  /** @param {AbortSignal} signal */
  const openOwnCoder = async (signal) => (coder = await openCoder(signal));

  /** @param {'frames' | 'screen'} step @param {{onPage: boolean}} how */
  const take = (step, { onPage }) => {
    const { signal } = stopTaking;
    const progress = (/** @type {number} */ fraction) => {
      if (isStale()) stopTaking.abort(new CaptureError('video_changed'));
      else if (performance.now() - told > PROGRESS_MS) {
        told = performance.now();
        void tell({ type: 'capture-progress', fraction });
      }
    };
    if (step === 'screen') return takeScreen(video, { signal, progress, shoot: () => shootVideo(video, jobId, surface) });
    const open = onPage ? async () => null : openOwnCoder;
    return takeFrames(video, { signal, progress, coder: open, behindStill: (work) => behindStill(video, surface.root, work) });
  };

  /** @param {VideoFacts['picture']} picture @returns {Promise<VideoFacts>} */
  const learnFacts = async (picture) => ({
    picture,
    src: video.currentSrc,
    live: video.readyState >= HTMLMediaElement.HAVE_METADATA && isLive(video),
    visible: (await visibleArea(video)) > 0,
  });

  /** @param {'frames' | 'screen'} step @param {{onPage: boolean}} how @returns {Promise<Message>} */
  const tryTaking = async (step, how) => {
    try {
      return { type: 'captured', step, frames: await take(step, how), facts: await learnFacts('readable') };
    } catch (error) {
      const code = codeOf(error);
      const picture = /** @type {VideoFacts['picture']} */ (PICTURES.has(code) ? code : 'unknown');
      return { type: 'capture-failed', step, code, facts: await learnFacts(picture) };
    }
  };

  /**
   * Where the coder was removed with the frames, they are taken once more without it.
   * @param {Message} taken
   */
  const handOver = async (taken) => {
    handed = taken;
    const frames = /** @type {import('./take-frames.js').TakenFrame[]} */ (taken.frames ?? []);
    if (!coder || !frames.some(({ kept }) => kept !== undefined)) return tell(taken);
    try {
      return await tell(taken, /** @type {any} */ (coder.handOver));
    } catch (error) {
      if (!(error instanceof CoderError)) throw error;
    }
    letGo();
    handed = await tryTaking('frames', { onPage: true });
    return tell(handed);
  };

  return {
    video,
    async capture(step) {
      if (isTaking) return;
      isTaking = true;
      const taken = await tryTaking(step, { onPage: false });
      isTaking = false;
      await handOver(taken);
    },
    show,
  };
}

/** @param {unknown} error */
function codeOf(error) {
  if (error instanceof CaptureError) return error.code;
  if (isTainted(error)) return 'tainted';
  console.error('Telltale:', error);
  return 'unreadable';
}
