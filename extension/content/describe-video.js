// @ts-check
// A video as the popup lists it, and as the ladder wants to know it.

import { findTimes } from './plan-sampling.js';

const SEEN_MS = 300; // a page in the background is not drawn, and so tells nothing
const THUMBNAIL_PX = 160;

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<number>} area of what can be seen of it, in pixels; a frame's own cut by the frames around it
 */
export function visibleArea(video) {
  return new Promise((resolve) => {
    const observer = new IntersectionObserver(([entry]) => finish(areaOf(entry.intersectionRect)));
    const timer = setTimeout(() => finish(0), SEEN_MS);
    /** @param {number} area */
    const finish = (area) => {
      observer.disconnect();
      clearTimeout(timer);
      resolve(area);
    };
    observer.observe(video);
  });
}

/** @param {{width: number, height: number}} rect */
function areaOf({ width, height }) {
  return Math.round(width * height);
}

/** @param {HTMLVideoElement} video */
export function isPlaying(video) {
  return !video.paused && !video.ended && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
}

/** @param {HTMLVideoElement} video */
export function isLive(video) {
  return findTimes(video, 1) === null;
}

/**
 * @param {HTMLVideoElement} video
 * @param {string} videoKey
 * @param {{thumbnail: boolean}} wanted
 * @returns {Promise<import('../lib/rank-videos.js').FoundVideo>}
 */
export async function describeVideo(video, videoKey, wanted) {
  const area_px = await visibleArea(video);
  return {
    videoKey,
    label: labelOf(video),
    thumbnail: wanted.thumbnail ? makeThumbnail(video) : null,
    playing: isPlaying(video),
    visible: area_px > 0,
    area_px,
    duration_s: Number.isFinite(video.duration) ? video.duration : null,
    width: video.videoWidth,
    height: video.videoHeight,
    live: video.readyState >= HTMLMediaElement.HAVE_METADATA && isLive(video),
  };
}

/** @param {HTMLVideoElement} video */
function labelOf(video) {
  return (video.getAttribute('aria-label') ?? video.title).trim().slice(0, 200);
}

/**
 * @param {HTMLVideoElement} video
 * @returns {string | null}
 */
function makeThumbnail(video) {
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || video.videoWidth === 0) return null;
  const canvas = document.createElement('canvas');
  canvas.width = THUMBNAIL_PX;
  canvas.height = Math.max(1, Math.round((THUMBNAIL_PX * video.videoHeight) / video.videoWidth));
  canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height);
  try {
    return canvas.toDataURL('image/jpeg', 0.7);
  } catch (error) {
    if (isTainted(error)) return null;
    throw error;
  }
}

/**
 * The browser keeps the picture from us, because it comes from another site that does not share it.
 * @param {unknown} error
 */
export function isTainted(error) {
  return error instanceof DOMException && error.name === 'SecurityError';
}

/**
 * On a busy machine a browser may say that a frame is there before it is, and drop one before the next has come.
 * @param {unknown} error
 */
export function isBetweenFrames(error) {
  return error instanceof DOMException && error.name === 'InvalidStateError';
}
