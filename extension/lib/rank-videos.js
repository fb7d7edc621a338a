// @ts-check
// In which order a page's videos are offered.

/**
 * A video as a page's script describes it.
 * @typedef {object} FoundVideo
 * @property {string} videoKey
 * @property {string} label what the page calls it; '' for nothing
 * @property {string | null} thumbnail data URL; null where the picture cannot be read
 * @property {boolean} playing
 * @property {boolean} visible
 * @property {number} area_px of its part that can be seen in the window
 * @property {number | null} duration_s null for a live stream and before it is known
 * @property {number} width of the picture in pixels; 0 before it is known
 * @property {number} height
 * @property {boolean} live
 */

/**
 * The largest visible playing one first; then what is visible, then the rest. Others stay in the page's order.
 * @template {Pick<FoundVideo, 'playing' | 'visible' | 'area_px'>} Video
 * @param {readonly Video[]} videos
 * @returns {Video[]}
 */
export function rankVideos(videos) {
  return [...videos].sort((a, b) => rank(b) - rank(a) || b.area_px - a.area_px);
}

/** @param {Pick<FoundVideo, 'playing' | 'visible'>} video */
function rank({ playing, visible }) {
  return (visible ? 2 : 0) + (visible && playing ? 1 : 0);
}
