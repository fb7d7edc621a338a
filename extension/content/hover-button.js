// @ts-check
// A button on the video under the pointer, where the person asked for one.

import { element } from '../lib/elements.js';
import { findVideos } from './find-videos.js';
import { sizeOfWindow } from './follow-video.js';
import { placeBadge } from './place-badge.js';
import { openSurface } from './surface.js';

const SMALLEST_PX = 160; // previews and decoration get none
const AWAY_MS = 1500;
const LOOK_MS = 120; // between two looks at where the pointer is

/**
 * @param {import('../lib/texts.js').Words} words
 * @param {(video: HTMLVideoElement) => void} onCheck
 */
export async function offerButton({ t, lang }, onCheck) {
  /** @type {HTMLVideoElement | null} */
  let over = null;
  /** @type {import('./surface.js').Surface | null} */
  let surface = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let away;
  let looked = 0;

  const leave = () => {
    surface?.close();
    [over, surface] = [null, null];
  };
  const check = (/** @type {Event} */ event) => {
    if (event.isTrusted && over) onCheck(over);
    leave();
  };
  /** @param {HTMLVideoElement} video */
  const enter = async (video) => {
    over = video;
    const opened = await openSurface();
    if (over !== video) return opened.close();
    surface = opened;
    const button = element('button', { type: 'button', class: 'tt-hover', click: check }, t('extension.badge.check'));
    opened.root.lang = lang;
    opened.root.append(element('div', { class: 'tt-chip' }, button));
    const chip = /** @type {HTMLElement} */ (button.parentElement);
    const size = { width: chip.offsetWidth, height: chip.offsetHeight };
    const spot = placeBadge(video.getBoundingClientRect(), size, sizeOfWindow());
    if (spot) Object.assign(chip.style, { left: `${spot.left}px`, top: `${spot.top}px` });
    else leave();
  };

  document.addEventListener(
    'pointermove',
    ({ clientX, clientY, isTrusted, timeStamp }) => {
      if (!isTrusted || timeStamp - looked < LOOK_MS) return;
      looked = timeStamp;
      const video = findVideos().find((one) => isUnder(one.getBoundingClientRect(), clientX, clientY));
      clearTimeout(away);
      away = setTimeout(leave, AWAY_MS);
      if (video === over || (!video && surface?.root.matches(':hover'))) return;
      leave();
      if (video) void enter(video);
    },
    { passive: true, capture: true },
  );
}

/** @param {DOMRect} rect @param {number} x @param {number} y */
function isUnder({ left, right, top, bottom, width, height }, x, y) {
  return width >= SMALLEST_PX && height >= SMALLEST_PX / 2 && x >= left && x <= right && y >= top && y <= bottom;
}
