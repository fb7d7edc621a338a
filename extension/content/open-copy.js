// @ts-check
// A second, silent, invisible player of the same file, so that the one on the page need not be touched.

import { waitFor } from './wait-for.js';

const OPEN_MS = 6000;
const SAME_LENGTH_S = 0.5;

/**
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} signal
 * @returns {Promise<HTMLVideoElement | null>} null where the page plays what only its own player can (blob:), or what
 *   came is not the same video; close it with {@link closeCopy}
 */
export async function openCopy(video, signal) {
  if (!/^(https?|data):/.test(video.currentSrc)) return null;
  const copy = document.createElement('video');
  copy.muted = true;
  copy.preload = 'auto';
  copy.crossOrigin = video.crossOrigin;
  const opened = waitFor(copy, 'loadeddata', { signal, limit_ms: OPEN_MS, failure: 'error' });
  copy.src = video.currentSrc;
  try {
    if ((await opened) && isSame(copy, video)) return copy;
  } catch (error) {
    closeCopy(copy);
    throw error;
  }
  closeCopy(copy);
  return null;
}

/** @param {HTMLVideoElement} copy stops its download too */
export function closeCopy(copy) {
  copy.removeAttribute('src');
  copy.load();
}

/** @param {HTMLVideoElement} copy @param {HTMLVideoElement} video */
function isSame(copy, video) {
  if (video.readyState < HTMLMediaElement.HAVE_METADATA) return true;
  const isSize = copy.videoWidth === video.videoWidth && copy.videoHeight === video.videoHeight;
  return isSize && Math.abs(copy.duration - video.duration) < SAME_LENGTH_S;
}
