// @ts-check
// Where a video is in the window, as long as something is shown beside it.

const LOOK_MS = 500; // pages move things without any event

/** @returns {{width: number, height: number}} what can be seen of a page, without its scroll bars */
export function sizeOfWindow() {
  return { width: visualViewport?.width ?? innerWidth, height: visualViewport?.height ?? innerHeight };
}

/**
 * @param {HTMLVideoElement} video
 * @param {(rect: DOMRectReadOnly) => void} onMove at once, and whenever it moves
 * @returns {() => void} stops it
 */
export function followVideo(video, onMove) {
  let last = '';
  let frame = 0;
  const look = () => {
    frame = 0;
    const rect = video.getBoundingClientRect();
    const now = [rect.x, rect.y, rect.width, rect.height, innerWidth, innerHeight].join();
    if (now === last) return;
    last = now;
    onMove(rect);
  };
  const soon = () => (frame ||= requestAnimationFrame(look));
  const over = new AbortController();
  const options = { signal: over.signal, passive: true, capture: true };
  for (const type of ['scroll', 'resize']) addEventListener(type, soon, options);
  document.addEventListener('fullscreenchange', soon, options);
  const observer = new ResizeObserver(soon);
  observer.observe(video);
  const timer = setInterval(() => document.visibilityState === 'visible' && look(), LOOK_MS);
  look();
  return () => {
    over.abort();
    observer.disconnect();
    clearInterval(timer);
    cancelAnimationFrame(frame);
  };
}
