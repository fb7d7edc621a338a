// @ts-check
// Winding a video to a time, until the frame of that time can be read.

import { waitFor } from './wait-for.js';

const SEEK_MS = 4000; // longer than that a piece does not take to arrive, or it does not arrive
const SHOWN_MS = 400; // a page in the background is not drawn, and so does not tell
const NEAR_S = 0.5;

/**
 * 'seeked' may come while the frame from before is still drawn; only the frame itself tells that it is there.
 * @param {HTMLVideoElement} video
 * @param {number} time_s
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} it got there in time
 */
export async function windVideo(video, time_s, signal) {
  const there = waitFor(video, 'seeked', { signal, limit_ms: SEEK_MS });
  const shown = untilShown(video, time_s);
  video.currentTime = time_s;
  if (!(await there)) return false;
  await Promise.race([shown.frame, new Promise((resolve) => setTimeout(resolve, SHOWN_MS))]);
  shown.stop();
  return video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
}

/**
 * @param {HTMLVideoElement} video
 * @param {number} time_s
 * @returns {{frame: Promise<void>, stop: () => void}} frame: a frame of about that time is drawn
 */
function untilShown(video, time_s) {
  let handle = 0;
  /** @type {Promise<void>} */
  const frame = new Promise((resolve) => {
    /** @param {DOMHighResTimeStamp} _now @param {VideoFrameCallbackMetadata} drawn */
    const look = (_now, { mediaTime }) => {
      if (Math.abs(mediaTime - time_s) < NEAR_S) resolve();
      else handle = video.requestVideoFrameCallback(look);
    };
    handle = video.requestVideoFrameCallback(look);
  });
  return { frame, stop: () => video.cancelVideoFrameCallback(handle) };
}
