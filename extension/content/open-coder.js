// @ts-check
// The coder: an invisible frame of the extension's own, in which frames become JPEGs. The browser runs it in another
// process, so the page stays smooth; no policy of the page's keeps it out, but a page can remove it.

import { Refusal } from '../lib/send.js';
import { canCopy, copyPixels } from './copy-pixels.js';
import { waitFor } from './wait-for.js';

/** @typedef {import('./grab-frame.js').Picture} Picture */
/** @typedef {{type: 'captured', frames: {time_s: number, kept: number}[]} & Record<string, unknown>} Captured */

const OPEN_MS = 4000;
const CODE_MS = 6000; // one frame, on a slow machine
const HAND_MS = 30_000; // the background may have to wake for it

/** It is gone, or cannot do it; what it kept is lost. */
export class CoderError extends Error {}

/**
 * @typedef {object} Coder
 * @property {(video: HTMLVideoElement) => Promise<Picture>} grab throws a SecurityError where the browser keeps the
 *   picture from us, and a CoderError
 * @property {(captured: Captured) => Promise<any>} handOver what the background answers; throws a Refusal, and a CoderError
 * @property {() => void} close
 */

/**
 * @param {AbortSignal} signal
 * @returns {Promise<Coder | null>} null where the browser or the page does not have it
 */
export async function openCoder(signal) {
  if (!canCopy) return null;
  const { frame, close } = putFrame();
  const { port1: port, port2 } = new MessageChannel();
  const stop = () => (port.close(), close());

  /** @param {number} limit_ms @returns {Promise<any>} */
  const listen = async (limit_ms) => {
    let answer = { broken: 'no answer' };
    port.onmessage = ({ data }) => (answer = data);
    await waitFor(port, 'message', { signal, limit_ms });
    return answer;
  };
  /** @param {unknown} message @param {Transferable[]} moved @param {number} limit_ms @returns {Promise<any>} */
  const ask = async (message, moved, limit_ms) => {
    if (!frame.contentWindow) throw new CoderError('removed');
    const answered = listen(limit_ms);
    port.postMessage(message, moved);
    const answer = await answered;
    if (answer.broken) throw new CoderError(answer.broken);
    return answer;
  };

  try {
    await waitFor(frame, 'load', { signal, limit_ms: OPEN_MS });
    const ready = listen(OPEN_MS);
    // Another page in its place, such as an error, gets nothing.
    frame.contentWindow?.postMessage(null, new URL(frame.src).origin, [port2]);
    if (!(await ready).ready) {
      stop();
      return null;
    }
  } catch (error) {
    stop();
    throw error;
  }
  return {
    async grab(video) {
      const taken = await copyPixels(video);
      if (!taken) throw new CoderError('no pixels');
      return ask(taken, [taken.pixels], CODE_MS);
    },
    async handOver(captured) {
      const { answer, problem } = await ask({ captured }, [], HAND_MS);
      if (problem) throw new Refusal(problem);
      return answer;
    },
    close: stop,
  };
}

/** The browser puts the process of a frame that is not displayed last. @type {Readonly<Record<string, string>>} */
const HOST_STYLE = {
  all: 'initial',
  position: 'fixed',
  inset: '0 auto auto 0',
  'inline-size': '1px',
  'block-size': '1px',
  overflow: 'hidden',
  opacity: '0',
  'pointer-events': 'none',
};

/** In a closed shadow root, where a page's scripts do not count it among their frames. */
function putFrame() {
  const host = document.createElement('span');
  host.inert = true;
  for (const [name, value] of Object.entries(HOST_STYLE)) host.style.setProperty(name, value, 'important');
  const frame = document.createElement('iframe');
  frame.src = chrome.runtime.getURL('coder/coder.html');
  frame.style.border = '0';
  host.attachShadow({ mode: 'closed' }).append(frame);
  document.documentElement.append(host);
  return { frame, close: () => host.remove() };
}
