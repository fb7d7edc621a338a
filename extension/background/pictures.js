// @ts-check
// Pictures of reports: as data URLs, and small ones for the history.

import { N_THUMBNAILS } from '../lib/state.js';

/** @typedef {import('../lib/state.js').Job} Job */

const THUMBNAIL_PX = 128;
const N_REMEMBERED = 24;

/** By job and name, the oldest first. @type {Map<string, Promise<string>>} */
const remembered = new Map();

/**
 * @param {import('../lib/api.js').Space} space
 * @param {string} remote_id
 * @param {string} name
 * @returns {Promise<string>} data URL
 */
export function loadPicture(space, remote_id, name) {
  const key = `${remote_id}/${name}`;
  const known = remembered.get(key);
  if (known) return known;
  const loading = space.picture(remote_id, name).then(toDataUrl);
  remembered.set(key, loading);
  loading.catch(() => remembered.delete(key));
  for (const old of remembered.keys()) if (remembered.size > N_REMEMBERED) remembered.delete(old);
  return loading;
}

/**
 * @param {import('../lib/api.js').Space} space
 * @param {Job} job done
 * @returns {Promise<string[]>} data URLs of the strongest moments' heat maps
 */
export async function makeThumbnails(space, { remote_id, report }) {
  const names = (report?.evidence ?? []).slice(0, N_THUMBNAILS).map(({ overlay }) => overlay);
  return Promise.all(names.map(async (name) => shrink(await space.picture(remote_id, name))));
}

/** @param {Blob} picture */
async function shrink(picture) {
  const bitmap = await createImageBitmap(picture, { resizeWidth: THUMBNAIL_PX, resizeQuality: 'high' });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return toDataUrl(await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.85 }));
}

/** @param {Blob} blob @returns {Promise<string>} */
function toDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
