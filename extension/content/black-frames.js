// @ts-check
// Protected video is drawn black; so is a black one, and neither can be assessed.

const DARKEST_LUMA = 20; // of 255; video's own black is 16
const LEAST_VARIANCE = 6; // luma squared; noise of a dark room is above

/**
 * @param {Uint8ClampedArray} rgba pixels, four bytes each
 * @returns {boolean} nothing can be seen in it
 */
export function isBlack(rgba) {
  const n = rgba.length / 4;
  let [sum, squares] = [0, 0];
  for (let i = 0; i < rgba.length; i += 4) {
    const luma = 0.2126 * rgba[i] + 0.7152 * rgba[i + 1] + 0.0722 * rgba[i + 2];
    sum += luma;
    squares += luma * luma;
  }
  const mean = sum / n;
  return mean <= DARKEST_LUMA && squares / n - mean * mean <= LEAST_VARIANCE;
}
