// @ts-check
// Step b: the video's own file, fetched from where it lies, with the browser's permission for that host.

const LONGEST_MS = 120_000;
const MOST_BYTES = 100 * 1024 * 1024; // what the Space takes in

/** The file could not be had; another step may. */
export class FileError extends Error {}

/**
 * @param {string} src
 * @returns {Promise<Blob>}
 */
export async function fetchFile(src) {
  const answer = await request(src);
  const type = answer.headers.get('Content-Type') ?? '';
  if (!/^(video\/|application\/octet-stream)/i.test(type)) throw new FileError(`not a video: ${type}`);
  const stream = answer.body?.pipeThrough(atMost(MOST_BYTES));
  try {
    return await new Response(stream).blob();
  } catch (cause) {
    throw new FileError('broken off', { cause });
  }
}

/** @param {string} src */
async function request(src) {
  try {
    const answer = await fetch(src, { signal: AbortSignal.timeout(LONGEST_MS), credentials: 'include' });
    if (answer.ok) return answer;
    throw new FileError(`status ${answer.status}`);
  } catch (cause) {
    throw cause instanceof FileError ? cause : new FileError('not reached', { cause });
  }
}

/** @param {number} n_bytes @returns {TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>} */
function atMost(n_bytes) {
  let left = n_bytes;
  return new TransformStream({
    transform(chunk, controller) {
      left -= chunk.byteLength;
      if (left < 0) controller.error(new FileError('too large'));
      else controller.enqueue(chunk);
    },
  });
}
