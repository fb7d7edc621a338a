// @ts-check
// Waiting that ends: with an event, after a time, or when nobody wants it any more.

/**
 * @param {EventTarget} target
 * @param {string} type
 * @param {{signal: AbortSignal, limit_ms: number, failure?: string}} options failure: an event that ends it too
 * @returns {Promise<boolean>} the event came in time
 */
export function waitFor(target, type, { signal, limit_ms, failure }) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    /** @param {() => void} end */
    const finish = (end) => {
      over.abort();
      clearTimeout(timer);
      end();
    };
    const options = { signal: over.signal };
    const timer = setTimeout(() => finish(() => resolve(false)), limit_ms);
    target.addEventListener(type, () => finish(() => resolve(true)), options);
    if (failure) target.addEventListener(failure, () => finish(() => resolve(false)), options);
    signal.addEventListener('abort', () => finish(() => reject(signal.reason)), options);
  });
}

/**
 * @param {number} duration_ms
 * @param {AbortSignal} signal
 */
export async function pause(duration_ms, signal) {
  await waitFor(new EventTarget(), 'never', { signal, limit_ms: Math.max(0, duration_ms) });
}

const AWAY_MS = 60_000; // then it goes on as well as it can

/**
 * Browsers hold up the videos of a page that nobody sees.
 * @param {AbortSignal} signal
 * @returns {Promise<number>} milliseconds waited
 */
export async function untilSeen(signal) {
  if (document.visibilityState === 'visible') return 0;
  const start = performance.now();
  await waitFor(document, 'visibilitychange', { signal, limit_ms: AWAY_MS });
  return performance.now() - start;
}
