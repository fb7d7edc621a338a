// @ts-check
// Where badge and card stand beside a video. No effects.

/** @typedef {{left: number, top: number, right: number, bottom: number}} Rect in pixels of the window */
/** @typedef {{width: number, height: number}} Size */

const MARGIN_PX = 10;
const LEAST_SEEN_PX = 24; // of a video's height and width; below it nobody is looking at it
const SMALLEST_CARD_PX = 160;

/**
 * The upper right corner of what can be seen of the video.
 * @param {Rect} video
 * @param {Size} badge
 * @param {Size} viewport
 * @returns {{left: number, top: number} | null} null where the video cannot be seen
 */
export function placeBadge(video, badge, viewport) {
  const seen = {
    left: Math.max(video.left, 0),
    top: Math.max(video.top, 0),
    right: Math.min(video.right, viewport.width),
    bottom: Math.min(video.bottom, viewport.height),
  };
  if (seen.right - seen.left < LEAST_SEEN_PX || seen.bottom - seen.top < LEAST_SEEN_PX) return null;
  return {
    left: clamp(seen.right - MARGIN_PX - badge.width, MARGIN_PX, viewport.width - badge.width - MARGIN_PX),
    top: clamp(seen.top + MARGIN_PX, MARGIN_PX, viewport.height - badge.height - MARGIN_PX),
  };
}

/**
 * Beside the video where there is room, so that it can be watched; else below the badge or above it, right edges
 * aligned. Never beyond the window.
 * @param {Rect} badge
 * @param {Size} card its natural size
 * @param {Size} viewport
 * @param {Rect} video
 * @returns {{left: number, top: number, height: number}} height: at most; the rest scrolls
 */
export function placeCard(badge, card, viewport, video) {
  const beside = [video.right + MARGIN_PX, video.left - MARGIN_PX - card.width];
  const free = beside.find((x) => x >= MARGIN_PX && x + card.width + MARGIN_PX <= viewport.width);
  if (free !== undefined) {
    const height = Math.min(card.height, viewport.height - 2 * MARGIN_PX);
    return { left: free, top: clamp(video.top, MARGIN_PX, viewport.height - height - MARGIN_PX), height };
  }
  const left = clamp(badge.right - card.width, MARGIN_PX, viewport.width - card.width - MARGIN_PX);
  const below = viewport.height - badge.bottom - 2 * MARGIN_PX;
  const above = badge.top - 2 * MARGIN_PX;
  if (below >= card.height || below >= Math.max(above, SMALLEST_CARD_PX)) {
    return { left, top: badge.bottom + MARGIN_PX, height: Math.min(card.height, below) };
  }
  const height = Math.min(card.height, Math.max(above, SMALLEST_CARD_PX));
  return { left, top: Math.max(MARGIN_PX, badge.top - MARGIN_PX - height), height };
}

/** @param {number} value @param {number} least wins where there is not room for both @param {number} most */
function clamp(value, least, most) {
  return Math.max(least, Math.min(value, most));
}
