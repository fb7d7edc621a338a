// @ts-check
// Frames over the whole of a video; over a few seconds of a stream that cannot be wound.

import { isBetweenFrames, isPlaying, isTainted } from './describe-video.js';
import { findTimes, N_FRAMES, planWatching } from './plan-sampling.js';
import { pause, untilSeen } from './wait-for.js';
import { windVideo } from './wind-video.js';

/** @typedef {import('./grab-frame.js').Picture} Picture */
/** @typedef {{time_s: number} & Picture} Sample */

/** Why no frames came; problems of the same names are told in words. */
export class CaptureError extends Error {
  /** @param {'tainted' | 'black' | 'unreadable' | 'stream_paused' | 'video_changed'} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

const TOTAL_MS = 30_000;
const BREATH_MS = 250; // between frames: one costs the page 6 to 8 ms, and a second shall cost it less than 30
const FEWEST_FRAMES = 4; // as space/settings.py

/**
 * @typedef {object} Sampling
 * @property {(video: HTMLVideoElement) => Promise<Picture>} grab
 * @property {AbortSignal} signal
 * @property {(fraction: number) => void} progress
 * @property {number} [least_ms] between two frames
 * @property {number} [n_frames]
 */

/**
 * Winds the video; give it a copy, or borrow it.
 * @param {HTMLVideoElement} video
 * @param {Sampling} sampling
 * @returns {Promise<Sample[]>} in order of time
 */
export async function sampleBySeeking(video, { grab, signal, progress, least_ms = BREATH_MS, n_frames = N_FRAMES }) {
  const times = findTimes(video, n_frames);
  if (!times) throw new CaptureError('unreadable');
  let end = performance.now() + TOTAL_MS;
  /** @type {Sample[]} */
  const samples = [];
  for (const [i, time_s] of times.entries()) {
    end += await untilSeen(signal);
    if (performance.now() > end) break;
    const picture = (await windVideo(video, time_s, signal)) && (await read(grab, video));
    if (picture) samples.push({ time_s, ...picture });
    progress((i + 1) / times.length);
    await pause(least_ms, signal);
  }
  return enough(samples);
}

/**
 * Looks on while the video plays.
 * @param {HTMLVideoElement} video
 * @param {Sampling} sampling
 * @returns {Promise<Sample[]>}
 */
export async function sampleByWatching(video, { grab, signal, progress, n_frames = N_FRAMES }) {
  if (!isPlaying(video)) throw new CaptureError('stream_paused');
  const start = performance.now();
  /** @type {Sample[]} */
  const samples = [];
  for (const [i, at_s] of planWatching(n_frames).entries()) {
    await pause(start + at_s * 1000 - performance.now(), signal);
    if (!isPlaying(video)) continue;
    const time_s = (performance.now() - start) / 1000;
    const picture = await read(grab, video);
    if (picture) samples.push({ time_s, ...picture });
    progress((i + 1) / n_frames);
  }
  return enough(samples);
}

/** @param {Sampling['grab']} grab @param {HTMLVideoElement} video @returns {Promise<Picture | null>} null: none now */
async function read(grab, video) {
  try {
    return await grab(video);
  } catch (error) {
    if (isTainted(error)) throw new CaptureError('tainted');
    if (isBetweenFrames(error)) return null;
    throw error;
  }
}

/** @param {Sample[]} samples */
function enough(samples) {
  if (samples.length < FEWEST_FRAMES) throw new CaptureError('unreadable');
  if (samples.every(({ black }) => black)) throw new CaptureError('black');
  return samples;
}
