// @ts-check
// The page's own player, wound to and fro and given back as it was.

import { waitFor } from './wait-for.js';

const BACK_MS = 5000;

/**
 * Stops the video, lets `work` wind it, then restores time and playing. Sound and speed are never touched.
 * @template T
 * @param {HTMLVideoElement} video
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function borrowVideo(video, work) {
  const time_s = video.currentTime;
  let plays = !video.paused && !video.ended;
  const given = new AbortController();
  video.pause();
  // Whoever presses play meanwhile gets it afterwards.
  video.addEventListener('play', () => ((plays = true), video.pause()), { signal: given.signal });
  try {
    return await work();
  } finally {
    given.abort();
    await giveBack(video, time_s, plays);
  }
}

/** @param {HTMLVideoElement} video @param {number} time_s @param {boolean} plays */
async function giveBack(video, time_s, plays) {
  const back = waitFor(video, 'seeked', { signal: new AbortController().signal, limit_ms: BACK_MS });
  video.currentTime = time_s;
  await back;
  // A page may refuse to play, for instance because it removed the video: then it stays stopped, as the page wants.
  if (plays) await video.play().catch(() => undefined);
}
