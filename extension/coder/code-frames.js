// @ts-check
// The worker of the coder's frame: pixels of video frames in, JPEGs out, on a thread of its own.

import { isBlack } from '../content/black-frames.js';
import { JPEG_QUALITY, sizeToSend, toBase64 } from '../lib/jpeg.js';

/** @typedef {import('../content/copy-pixels.js').Pixels} Pixels */

const PROBE = { width: 32, height: 18 };
const MOST_KEPT = 64; // twice what a check takes: a page that sends more only fills memory

const canvas = new OffscreenCanvas(1, 1);
const brush = contextOf(canvas); // read after each drawing, so a GPU would only be waited for
const probe = contextOf(new OffscreenCanvas(PROBE.width, PROBE.height));

/** Coded frames, by number. @type {Blob[]} */
const kept = [];

/** One after the other. @type {Promise<unknown>} */
let last = Promise.resolve();

addEventListener('message', ({ data }) => {
  const work = () => (data.take ? take(data.take) : code(data));
  last = last.then(async () => postMessage(await work().catch(explain)));
});

/** @param {number[]} numbers @returns {Promise<string[]>} base64 */
function take(numbers) {
  return Promise.all(numbers.map((number) => toBase64(kept[number])));
}

/**
 * @param {Pixels} taken
 * @returns {Promise<{kept: number, black: boolean}>}
 */
async function code({ pixels, layout, size }) {
  if (kept.length === MOST_KEPT) throw new Error('too many frames');
  const { width, height } = sizeToSend(size.width, size.height);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const frame = new VideoFrame(pixels, { ...layout, timestamp: 0 });
  brush.imageSmoothingQuality = 'high'; // forgotten with each new size
  brush.drawImage(frame, 0, 0, width, height);
  frame.close();
  probe.drawImage(canvas, 0, 0, PROBE.width, PROBE.height);
  const black = isBlack(probe.getImageData(0, 0, PROBE.width, PROBE.height).data);
  kept.push(await canvas.convertToBlob({ type: 'image/jpeg', quality: JPEG_QUALITY }));
  return { kept: kept.length - 1, black };
}

/** @param {unknown} error */
function explain(error) {
  return { broken: String(error) };
}

/** @param {OffscreenCanvas} on */
function contextOf(on) {
  const made = on.getContext('2d', { alpha: false, willReadFrequently: true });
  if (!made) throw new Error('no canvas');
  return made;
}
