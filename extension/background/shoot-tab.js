// @ts-check
// Step d: a picture of the tab, cut to the video. Nothing else of it is kept.

import { isBlack } from '../content/black-frames.js';
import { JPEG_QUALITY, toBase64 } from '../lib/jpeg.js';
import { ProblemError } from './words.js';

const PROBE = { width: 32, height: 18 };
const SMALLEST_PX = 64;

/** @typedef {{left: number, top: number, width: number, height: number}} Rect */

/**
 * @param {number} tabId
 * @param {Rect} rect the video, in the window's pixels
 * @param {{width: number, height: number}} viewport the tab's
 * @returns {Promise<{jpeg: string, black: boolean}>}
 */
export async function shootTab(tabId, rect, viewport) {
  const url = await shootActive(tabId);
  const shot = await createImageBitmap(toPng(url));
  const cut = cutRect(rect, viewport, shot);
  if (cut.width < SMALLEST_PX || cut.height < SMALLEST_PX) throw new ProblemError('video_gone');
  const canvas = new OffscreenCanvas(cut.width, cut.height);
  contextOf(canvas).drawImage(shot, -cut.left, -cut.top);
  shot.close();
  const probe = new OffscreenCanvas(PROBE.width, PROBE.height);
  contextOf(probe).drawImage(canvas, 0, 0, PROBE.width, PROBE.height);
  const black = isBlack(contextOf(probe).getImageData(0, 0, PROBE.width, PROBE.height).data);
  const jpeg = await canvas.convertToBlob({ type: 'image/jpeg', quality: JPEG_QUALITY });
  return { jpeg: await toBase64(jpeg), black };
}

/**
 * Only ever the tab that is meant: it must be in front before and after.
 * @param {number} tabId
 */
async function shootActive(tabId) {
  const isInFront = async () => (await chrome.tabs.get(tabId)).active;
  const { windowId } = await chrome.tabs.get(tabId);
  if (!(await isInFront())) throw new ProblemError('video_gone');
  const url = await chrome.tabs.captureVisibleTab(windowId, { format: 'png' });
  if (!(await isInFront())) throw new ProblemError('video_gone');
  return url;
}

/**
 * @param {Rect} rect
 * @param {{width: number, height: number}} viewport
 * @param {{width: number, height: number}} shot the same viewport in the screen's pixels
 * @returns {Rect} whole pixels of the shot, inside it
 */
export function cutRect(rect, viewport, shot) {
  const [x, y] = [shot.width / viewport.width, shot.height / viewport.height];
  const left = Math.max(0, Math.round(rect.left * x));
  const top = Math.max(0, Math.round(rect.top * y));
  const right = Math.min(shot.width, Math.round((rect.left + rect.width) * x));
  const bottom = Math.min(shot.height, Math.round((rect.top + rect.height) * y));
  return { left, top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
}

/** @param {OffscreenCanvas} canvas */
function contextOf(canvas) {
  const made = canvas.getContext('2d', { alpha: false });
  if (!made) throw new Error('no canvas');
  return made;
}

/** @param {string} url data URL @returns {Blob} */
function toPng(url) {
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(',') + 1)), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: 'image/png' });
}
