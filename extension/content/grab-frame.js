// @ts-check
// One frame of a video as JPEG, made on the page's own thread: where the coder's frame cannot do it.

import { JPEG_QUALITY, sizeToSend, toBase64 } from '../lib/jpeg.js';
import { isBlack } from './black-frames.js';

const PROBE = { width: 32, height: 18 };

/**
 * @typedef {object} Picture
 * @property {string} [jpeg] base64
 * @property {number} [kept] its number, where the coder's frame has it
 * @property {boolean} black nothing can be seen in it
 */

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
    const { width, height } = sizeToSend(video.videoWidth, video.videoHeight);
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
