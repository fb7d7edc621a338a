// @ts-check
// Bringing the extension's script into a page, and asking it.

import { rankVideos } from '../lib/rank-videos.js';
import { ProblemError } from './words.js';

/** @typedef {import('../lib/rank-videos.js').FoundVideo} FoundVideo */

const SCRIPT = 'content/start.js';

/**
 * @param {number} tabId
 * @returns {Promise<number[]>} frames in which it runs now: the page's own and those of its origin
 */
export async function enterPage(tabId) {
  try {
    const results = await chrome.scripting.executeScript({ target: { tabId, allFrames: true }, files: [SCRIPT] });
    return results.filter(({ result }) => result === true).map(({ frameId }) => frameId);
  } catch {
    throw new ProblemError('page_closed'); // the browser's own pages, its shop, or a tab that is gone
  }
}

/**
 * A video's key in the whole tab is its frame and its key there.
 * @param {string} videoKey
 * @returns {{frameId: number, key: string}}
 */
export function splitKey(videoKey) {
  const [frame, key] = videoKey.split('/');
  return { frameId: Number(frame), key: key ?? '' };
}

/** @param {number} frameId @param {string} key */
export function joinKey(frameId, key) {
  return `${frameId}/${key}`;
}

/**
 * @param {number} tabId
 * @param {{thumbnail?: boolean}} [wanted] drawing them costs the page a moment
 * @returns {Promise<FoundVideo[]>} best first
 */
export async function listVideos(tabId, { thumbnail = false } = {}) {
  const frames = await enterPage(tabId);
  const lists = await Promise.all(
    frames.map(async (frameId) => {
      /** @type {FoundVideo[] | null} */
      const found = await chrome.tabs.sendMessage(tabId, { type: 'find-videos', thumbnail }, { frameId });
      return (found ?? []).map((video) => ({ ...video, videoKey: joinKey(frameId, video.videoKey) }));
    }),
  );
  return rankVideos(lists.flat());
}

/**
 * The video under a click, by what it plays.
 * @param {number} tabId
 * @param {number} frameId
 * @param {string} srcUrl
 * @returns {Promise<string | null>}
 */
export async function findBySource(tabId, frameId, srcUrl) {
  await enterPage(tabId);
  /** @type {string | null} */
  const key = await chrome.tabs.sendMessage(tabId, { type: 'find-by-source', srcUrl }, { frameId });
  return key && joinKey(frameId, key);
}
