// @ts-check
// On sites where the person asked for it: each video that plays and is large enough is checked, once for each source.

import { findRoots, findVideos } from './find-videos.js';

const SMALLEST_PX = 200;
const SETTLED_MS = 1500; // advertisements and previews that stop at once are left alone
const LOOK_MS = 1000; // after a change, for shadow roots that came with it

/** @param {(video: HTMLVideoElement) => void} onPlaying called once for each source */
export function watchForPlaying(onPlaying) {
  /** @type {WeakMap<HTMLVideoElement, string>} */
  const seen = new WeakMap();
  /** @param {EventTarget | null} target */
  const consider = (target) => {
    if (!(target instanceof HTMLVideoElement) || seen.get(target) === target.currentSrc) return;
    const { width, height } = target.getBoundingClientRect();
    if (width < SMALLEST_PX || height < SMALLEST_PX / 2) return;
    const src = target.currentSrc;
    setTimeout(() => {
      if (target.paused || target.currentSrc !== src || seen.get(target) === src) return;
      seen.set(target, src);
      onPlaying(target);
    }, SETTLED_MS);
  };

  /** @type {WeakSet<Node>} */
  const listening = new WeakSet();
  let isPlanned = false;
  const plan = () => {
    if (isPlanned) return;
    isPlanned = true;
    setTimeout(look, LOOK_MS);
  };
  const observer = new MutationObserver((changes) => changes.some(({ addedNodes }) => addedNodes.length > 0) && plan());
  const look = () => {
    isPlanned = false;
    const fresh = findRoots().filter((root) => !listening.has(root));
    for (const root of fresh) {
      listening.add(root);
      root.addEventListener('playing', ({ target }) => consider(target), { capture: true });
      observer.observe(root, { childList: true, subtree: true });
    }
    if (fresh.length > 0) for (const video of findVideos()) if (!video.paused) consider(video);
  };
  look();
  // An element that is upgraded, or given its shadow root late, changes nothing that an observer of the page is told.
  for (const type of ['load', 'pointerup', 'keyup']) addEventListener(type, plan, { capture: true, passive: true });
}
