// @ts-check
// The JPEGs that are sent: how large, how good, and as text.

export const LONGEST_PX = 1920; // sides beyond it are reduced; below, a face keeps every pixel that it has
export const JPEG_QUALITY = 0.95; // less would smooth away what the models look at

/**
 * @param {number} width
 * @param {number} height
 * @returns {{width: number, height: number}} of the picture that is sent of a frame, in whole pixels
 */
export function sizeToSend(width, height) {
  const scale = Math.min(1, LONGEST_PX / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** @param {Blob} blob @returns {Promise<string>} base64 */
export function toBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result).split(',')[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
