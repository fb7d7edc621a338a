// @ts-check
// Giving a check to the Space, which may be asleep or busy: tried again as long as that is sensible.

import { SpaceError } from '../lib/api.js';
import { addPending, loadJob } from '../lib/state.js';
import { changeAndTell } from './announce.js';
import { follow, spaceOf, takeView } from './follow.js';
import { describeProblem } from './words.js';

const PATIENCE_MS = 4 * 60_000; // a Space that sleeps takes minutes to wake
const AWAKE_MS = 20_000; // a worker without an event dies after 30 s

/** @type {Set<string>} */
const inHand = new Set();

/** @param {string} jobId it is being handed over by this worker */
export const isInHand = (jobId) => inHand.has(jobId);

/**
 * @param {string} jobId of a check whose stage is 'sending'
 * @param {(space: import('../lib/api.js').Space) => Promise<import('../lib/api.js').JobView>} pass
 * @throws what the Space refuses with, and what `pass` throws
 */
export async function handOver(jobId, pass) {
  if (inHand.has(jobId)) return;
  inHand.add(jobId);
  const awake = setInterval(() => chrome.runtime.getPlatformInfo(), AWAKE_MS);
  try {
    if (await tryUntilTaken(jobId, pass, Date.now() + PATIENCE_MS)) void follow(jobId);
  } finally {
    clearInterval(awake);
    inHand.delete(jobId);
  }
}

/**
 * @param {string} jobId
 * @param {Parameters<typeof handOver>[1]} pass
 * @param {number} end milliseconds since 1970
 * @returns {Promise<boolean>} there is more to come
 */
async function tryUntilTaken(jobId, pass, end) {
  for (;;) {
    const job = await loadJob(jobId);
    if (job?.stage !== 'sending') return false; // cancelled meanwhile
    try {
      const view = await pass(await spaceOf(job));
      await addPending(job);
      return await takeView(job, view);
    } catch (error) {
      const wait_ms = error instanceof SpaceError ? error.wait_ms : null;
      if (wait_ms === null || Date.now() + wait_ms > end) throw error;
      await changeAndTell(jobId, { problem: await describeProblem(error) });
      await new Promise((resolve) => setTimeout(resolve, wait_ms));
    }
  }
}
