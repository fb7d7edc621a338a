// @ts-check
// At which times frames are taken. No effects.

/** @typedef {import('../lib/state.js').CaptureMethod} CaptureMethod */

export const N_FRAMES = 16; // as many as the Space looks at by itself
export const LIVE_S = 8; // how long a live stream is watched
const SHORTEST_S = 0.2; // what is shorter cannot be wound sensibly

/**
 * The part of a video element that matters here.
 * @typedef {object} Seekable
 * @property {number} duration seconds; Infinity for a live stream, NaN before it is known
 * @property {{length: number, start: (index: number) => number, end: (index: number) => number}} seekable
 */

/**
 * Equidistant times in the middle of n equal pieces, as the Space takes them from a file.
 * @param {Seekable} video
 * @param {number} n
 * @returns {number[] | null} seconds; null where the video cannot be wound, as a live stream
 */
export function findTimes({ duration, seekable }, n) {
  if (!Number.isFinite(duration) || duration <= 0 || seekable.length === 0) return null;
  const [start, end] = [seekable.start(0), seekable.end(seekable.length - 1)];
  if (end - start < Math.min(SHORTEST_S, duration / 2)) return null;
  const times = Array.from({ length: n }, (_, i) => start + ((i + 0.5) / n) * (end - start));
  return times.map((time) => Math.min(time, duration));
}

/**
 * When to look at a stream that cannot be wound.
 * @param {number} n
 * @returns {number[]} seconds from now
 */
export function planWatching(n) {
  return Array.from({ length: n }, (_, i) => (i * LIVE_S) / (n - 1));
}
