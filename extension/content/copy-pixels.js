// @ts-check
// A video's frame as the decoder left it: no colours are converted, nothing is drawn, so it takes a millisecond.

/**
 * @typedef {object} Pixels
 * @property {ArrayBuffer} pixels
 * @property {VideoFrameBufferInit} layout how they lie; without a time
 * @property {{width: number, height: number}} size as the video is shown: upright, pixels square
 */

/** Browsers that do not tell which way up a frame is are left to the canvas. */
export const canCopy = typeof VideoFrame === 'function' && 'rotation' in VideoFrame.prototype;

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<Pixels | null>} null where they lie in a way that cannot be named, as on some graphics cards
 * @throws {DOMException} a SecurityError where the browser keeps the picture from us
 */
export async function copyPixels(video) {
  const frame = new VideoFrame(video);
  try {
    if (frame.format === null || frame.visibleRect === null) return null;
    const pixels = new ArrayBuffer(frame.allocationSize());
    const planes = await frame.copyTo(pixels);
    const { format, visibleRect, colorSpace } = frame;
    const { rotation, flip } = /** @type {{rotation?: number, flip?: boolean}} */ (/** @type {unknown} */ (frame));
    const shape = { format, codedWidth: visibleRect.width, codedHeight: visibleRect.height, layout: planes };
    const layout = { ...shape, colorSpace: colorSpace.toJSON(), rotation, flip, timestamp: 0 };
    return { pixels, layout, size: { width: video.videoWidth, height: video.videoHeight } };
  } finally {
    frame.close();
  }
}
