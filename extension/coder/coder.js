// @ts-check
// An invisible frame of the extension's own in a page: it codes that page's frames and hands them over, so that the
// page's own thread need not. A page may open it as well; all it learns is which of its own pictures are black.

import { Refusal, send } from '../lib/send.js';

/** @typedef {import('../content/open-coder.js').Captured} Captured */

addEventListener('message', ({ ports: [port] }) => port && serve(port), { once: true });

/** @param {MessagePort} port to the script in the page, which waits for each answer before it asks again */
function serve(port) {
  const worker = new Worker('code-frames.js', { type: 'module' });
  /** @param {unknown} message @param {Transferable[]} moved @returns {Promise<any>} */
  const ask = (message, moved) =>
    new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = () => resolve({ broken: 'worker' });
      worker.postMessage(message, moved);
    });

  /** @param {Captured} captured */
  const handOver = async (captured) => {
    /** @type {string[]} */
    const jpegs = await ask({ take: captured.frames.map(({ kept }) => kept) }, []);
    if (!Array.isArray(jpegs)) return jpegs;
    const frames = captured.frames.map(({ time_s }, i) => ({ time_s, jpeg: jpegs[i] }));
    try {
      return { answer: await send({ ...captured, frames }) };
    } catch (error) {
      return error instanceof Refusal ? { problem: error.problem } : { broken: String(error) };
    }
  };

  port.onmessage = async ({ data }) => {
    port.postMessage(data.captured ? await handOver(data.captured) : await ask(data, [data.pixels]));
  };
  port.postMessage({ ready: true });
}
