// @ts-check
// One frame of a video as JPEG, and whether anything can be seen in it.

import { isBlack } from './black-frames.js';

const LONGEST_PX = 1280; // sides beyond it are reduced: faces are assessed at a few hundred pixels
const JPEG_QUALITY = 0.95; // less would smooth away what the models look at
const PROBE = { width: 32, height: 18 };

/** @typedef {{jpeg: string, black: boolean}} Picture jpeg: base64; black: nothing can be seen in it, nor in any before */

/**
 * Reads frames with the same two canvases, so that a check needs no more memory than one frame.
 * @returns {(video: HTMLVideoElement) => Promise<Picture>} rejects with a SecurityError where the browser keeps the
 *   picture from us
 */
export function makeGrabber() {
  const canvas = document.createElement('canvas');
  const brush = context(canvas, {});
  const probe = Object.assign(document.createElement('canvas'), PROBE);
  const probeBrush = context(probe, { willReadFrequently: true });
  let seen = false; // one frame in which something can be seen is enough
  return async (video) => {
    const scale = Math.min(1, LONGEST_PX / Math.max(video.videoWidth, video.videoHeight));
    const [width, height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    brush.drawImage(video, 0, 0, width, height);
    if (!seen) {
      probeBrush.drawImage(video, 0, 0, PROBE.width, PROBE.height);
      seen = !isBlack(probeBrush.getImageData(0, 0, PROBE.width, PROBE.height).data);
    }
    return { jpeg: await toBase64(await toJpeg(canvas)), black: !seen };
  };
}

/** @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} settings */
function context(canvas, settings) {
  const made = canvas.getContext('2d', { alpha: false, ...settings });
  if (!made) throw new Error('no canvas');
  return made;
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function toJpeg(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no picture'))), 'image/jpeg', JPEG_QUALITY);
  });
}

/** @param {Blob} blob @returns {Promise<string>} read off the main thread */
function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result).split(',')[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
