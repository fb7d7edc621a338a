// @ts-check
// A picture of the screen, cut to a video, while badge and card stand aside.

import { send } from '../lib/send.js';

/**
 * @param {HTMLVideoElement} video
 * @param {string} jobId
 * @param {import('./surface.js').Surface} surface
 * @returns {Promise<import('./grab-frame.js').Picture>}
 */
export async function shootVideo(video, jobId, surface) {
  surface.hide(true);
  try {
    await painted();
    return await send({ type: 'shoot', jobId, rect: rectInWindow(video), viewport: viewportOfWindow() });
  } finally {
    surface.hide(false);
  }
}

/** The next frame but one: what was changed is on the screen. */
function painted() {
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}

/** @returns {{width: number, height: number}} of the tab, in the top frame's pixels */
function viewportOfWindow() {
  const top = /** @type {Window} */ (window.top);
  return { width: top.innerWidth, height: top.innerHeight };
}

/**
 * @param {HTMLVideoElement} video in the top frame, or in frames of the same origin up to it
 * @returns {{left: number, top: number, width: number, height: number}} in the top frame's pixels
 */
function rectInWindow(video) {
  const { left, top, width, height } = video.getBoundingClientRect();
  const rect = { left, top, width, height };
  for (let frame = window.frameElement; frame; frame = frame.ownerDocument.defaultView?.frameElement ?? null) {
    const around = frame.getBoundingClientRect();
    rect.left += around.left + frame.clientLeft;
    rect.top += around.top + frame.clientTop;
  }
  return rect;
}
