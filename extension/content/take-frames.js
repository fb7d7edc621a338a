// @ts-check
// The steps that need the page: reading the video's frames (a), and pictures of the screen (d).

import { borrowVideo } from './borrow-video.js';
import { canCopy } from './copy-pixels.js';
import { isBetweenFrames, isLive, isPlaying, isTainted } from './describe-video.js';
import { makeGrabber } from './grab-frame.js';
import { CoderError } from './open-coder.js';
import { closeCopy, openCopy } from './open-copy.js';
import { CaptureError, sampleBySeeking, sampleByWatching } from './sample-frames.js';
import { untilSeen, waitFor } from './wait-for.js';

/** @typedef {import('./sample-frames.js').Sample} Sample */
/** @typedef {{time_s: number, jpeg?: string, kept?: number}} TakenFrame */

const READY_MS = 6000;
const SCREEN = { n_frames: 8, least_ms: 550 }; // browsers allow two pictures of the screen a second

/**
 * @typedef {object} Taking
 * @property {AbortSignal} signal
 * @property {(fraction: number) => void} progress
 * @property {<T>(work: () => Promise<T>) => Promise<T>} behindStill runs work while the viewer sees a still
 */

/**
 * Step a, by the coder's frame where there is one; else on the page's own thread, which gives the same pictures.
 * @param {HTMLVideoElement} video
 * @param {Taking & {coder: (signal: AbortSignal) => Promise<import('./open-coder.js').Coder | null>}} taking
 * @returns {Promise<TakenFrame[]>}
 */
export async function takeFrames(video, { coder: open, ...taking }) {
  const { signal } = taking;
  await untilSeen(signal);
  if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) await requireReadable(video);
  const coder = await open(signal);
  if (coder) {
    try {
      return await takeWith(coder.grab, video, taking);
    } catch (error) {
      if (!(error instanceof CoderError)) throw error;
    }
  }
  return takeWith(makeGrabber(), video, taking);
}

/**
 * The page's own player is left alone where a copy of it can be opened.
 * @param {import('./sample-frames.js').Sampling['grab']} grab
 * @param {HTMLVideoElement} video
 * @param {Taking} taking
 * @returns {Promise<TakenFrame[]>}
 */
async function takeWith(grab, video, { signal, progress, behindStill }) {
  const sampling = { grab, signal, progress };
  const copy = await openCopy(video, signal);
  try {
    if (copy && !isLive(copy)) return toSend(await sampleBySeeking(copy, sampling));
  } finally {
    if (copy) closeCopy(copy);
  }
  await untilReady(video, signal);
  if (isLive(video)) return toSend(await sampleByWatching(video, sampling));
  return toSend(await behindStill(() => borrowVideo(video, () => sampleBySeeking(video, sampling))));
}

/**
 * Step d.
 * @param {HTMLVideoElement} video
 * @param {Pick<Taking, 'signal' | 'progress'> & {shoot: (video: HTMLVideoElement) => Promise<import('./grab-frame.js').Picture>}} taking
 * @returns {Promise<TakenFrame[]>}
 */
export async function takeScreen(video, { signal, progress, shoot }) {
  const sampling = { grab: shoot, signal, progress, ...SCREEN };
  if (isPlaying(video) || isLive(video)) return toSend(await sampleByWatching(video, sampling));
  return toSend(await borrowVideo(video, () => sampleBySeeking(video, sampling)));
}

/**
 * Whether the frames may be read at all is known at once; a copy need not be opened for that.
 * @param {HTMLVideoElement} video
 */
async function requireReadable(video) {
  try {
    if (canCopy) new VideoFrame(video).close();
    else await makeGrabber()(video);
  } catch (error) {
    if (isTainted(error)) throw new CaptureError('tainted');
    if (!isBetweenFrames(error)) throw error;
  }
}

/** @param {HTMLVideoElement} video @param {AbortSignal} signal */
async function untilReady(video, signal) {
  if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) return;
  const isReady = await waitFor(video, 'loadeddata', { signal, limit_ms: READY_MS, failure: 'error' });
  if (!isReady) throw new CaptureError('unreadable');
}

/** @param {Sample[]} samples @returns {TakenFrame[]} */
function toSend(samples) {
  return samples.map(({ time_s, black: _, ...picture }) => ({ time_s: Math.round(time_s * 1000) / 1000, ...picture }));
}
