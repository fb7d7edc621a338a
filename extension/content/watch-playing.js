// @ts-check
// On sites where the person asked for it: the first video that plays and is large enough is checked.

const SMALLEST_PX = 200;
const SETTLED_MS = 1500; // advertisements and previews that stop at once are left alone

/** @param {(video: HTMLVideoElement) => void} onPlaying called once for each source */
export function watchForPlaying(onPlaying) {
  /** @type {WeakMap<HTMLVideoElement, string>} */
  const seen = new WeakMap();
  const look = (/** @type {EventTarget | null} */ target) => {
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
  document.addEventListener('playing', ({ target }) => look(target), { capture: true });
  for (const video of document.querySelectorAll('video')) if (!video.paused) look(video);
}
