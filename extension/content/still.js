// @ts-check
// A still of the video laid over it, so that winding it cannot be seen.

/** @typedef {import('./surface.js').Surface} Surface */

const LOOKS = ['object-fit', 'object-position', 'border-radius'];

/**
 * @template T
 * @param {HTMLVideoElement} video
 * @param {HTMLElement} root the surface's
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function behindStill(video, root, work) {
  const still = drawStill(video);
  root.prepend(still);
  try {
    return await work();
  } finally {
    still.remove();
  }
}

/** @param {HTMLVideoElement} video */
function drawStill(video) {
  const still = document.createElement('canvas');
  still.className = 'tt-still';
  const { left, top, width, height } = video.getBoundingClientRect();
  const look = getComputedStyle(video);
  for (const name of LOOKS) still.style.setProperty(name, look.getPropertyValue(name));
  Object.assign(still.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  Object.assign(still, { width: video.videoWidth, height: video.videoHeight });
  still.getContext('2d', { alpha: false })?.drawImage(video, 0, 0);
  return still;
}
