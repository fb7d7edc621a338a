// @ts-check
// Everything the extension says to the Space, and nothing else. Retrying and polling are up to the caller.

/** @typedef {import('./state.js').Share} Share */

/**
 * A frame as it is sent.
 * @typedef {object} SentFrame
 * @property {number} time_s from the video's beginning; for a live stream from the first frame
 * @property {string} jpeg base64
 */

/**
 * A check as the Space tells it.
 * @typedef {object} JobView
 * @property {string} job_id
 * @property {string} stage
 * @property {number} fraction of the whole check, [0, 1]
 * @property {number | null} n_ahead
 * @property {{code: string, p_fake: number | null, sentence: string} | null} preliminary sentence: in the language asked for
 * @property {any} report
 * @property {(import('./state.js').Problem & {retry_after_s?: number}) | null} error
 * @property {string} expires
 */

const ANSWER_MS = 15_000; // a question that needs no work
const SEND_MS = 120_000; // frames or a file on a slow line

/** The Space refused, or could not be reached. */
export class SpaceError extends Error {
  /**
   * @param {string} code of shared/errors.json, or one of SPACE_CODES
   * @param {object} [details]
   * @param {string} [details.message] a sentence in the language asked for; '' where the Space gave none
   * @param {string} [details.next] what to do next
   * @param {number | null} [details.retry_after_s]
   */
  constructor(code, { message = '', next = '', retry_after_s = null } = {}) {
    super(message || code);
    this.name = 'SpaceError';
    this.code = code;
    this.sentence = message;
    this.next = next;
    this.retry_after_s = retry_after_s;
  }

  /** Milliseconds after which it may work without anything else being done; null where it will not. */
  get wait_ms() {
    if (PASSING.has(this.code)) return RETRY_MS;
    const isShort = this.retry_after_s !== null && this.retry_after_s <= LONGEST_WAIT_S;
    return isShort ? Math.max(1, Number(this.retry_after_s)) * 1000 : null;
  }
}

/** Codes that are ours: no answer at all, an answer by somebody before the Space, and one we do not understand. */
export const SPACE_CODES = /** @type {const} */ (['space_unreachable', 'space_asleep', 'space_unknown', 'space_token']);

const PASSING = new Set(['space_unreachable', 'space_asleep']);
const RETRY_MS = 3000;
const LONGEST_WAIT_S = 60; // a person waits no longer without being told

/**
 * @typedef {object} Space
 * @property {(signal?: AbortSignal) => Promise<void>} test throws a SpaceError where there is no Telltale
 * @property {(job_id: string, frames: SentFrame[], about: {capture_method: string, page_host: string}) => Promise<JobView>} checkFrames
 * @property {(job_id: string, url: string) => Promise<JobView>} checkUrl
 * @property {(job_id: string, file: Blob) => Promise<JobView>} checkFile
 * @property {(job_id: string) => Promise<JobView>} view
 * @property {(job_id: string) => Promise<void>} cancel
 * @property {(job_id: string, name: string) => Promise<Blob>} picture
 * @property {(job_id: string) => Promise<Share>} share
 * @property {(share: {id: string, delete_token: string}) => Promise<void>} deleteShare
 */

/**
 * @param {{space_url: string, token: string}} settings
 * @param {string} lang of the sentences
 * @returns {Space}
 */
export function openSpace({ space_url, token }, lang) {
  /**
   * @param {string} path
   * @param {RequestInit & {timeout_ms?: number}} [options]
   */
  const ask = async (path, { timeout_ms = ANSWER_MS, ...options } = {}) => {
    const headers = new Headers(options.headers);
    if (token && !headers.has('Authorization')) headers.set('Authorization', `Bearer ${token}`); // a private Space
    if (token) headers.set('X-Telltale-Token', token); // a server of one's own
    headers.set('Accept-Language', lang);
    const url = `${space_url}${path}`;
    const timeout = AbortSignal.timeout(timeout_ms);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    let answer;
    try {
      answer = await fetch(url, { ...options, headers, signal, credentials: 'omit', referrerPolicy: 'no-referrer' });
    } catch (cause) {
      if (options.signal?.aborted) throw cause;
      throw new SpaceError('space_unreachable');
    }
    if (!answer.ok) throw await readRefusal(answer);
    return answer;
  };

  /** @param {string} path @param {RequestInit & {timeout_ms?: number}} [options] */
  const askJson = async (path, options) => readJson(await ask(path, options));

  /**
   * The check goes on by itself once the Space has it, so its first word is enough.
   * @param {string} endpoint
   * @param {Record<string, unknown>} body
   */
  const start = async (endpoint, body) => {
    const sent = await askJson(`/gradio_api/call/v2/${endpoint}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      timeout_ms: SEND_MS,
    });
    const stop = new AbortController();
    try {
      const path = `/gradio_api/call/${endpoint}/${encodeURIComponent(sent.event_id)}`;
      return requireTaken(await readFirstView(await ask(path, { signal: stop.signal, timeout_ms: SEND_MS })));
    } finally {
      stop.abort();
    }
  };

  return {
    async test(signal) {
      const health = await askJson('/healthz', { signal });
      if (typeof health !== 'object' || health === null) throw new SpaceError('space_unknown');
      await askJson('/api/v1/openapi.json', { signal });
    },
    checkFrames: (job_id, frames, about) => start('check_frames', { job_id, frames, ...about }),
    checkUrl: (job_id, url) => start('check_url', { job_id, url }),
    async checkFile(job_id, file) {
      const { upload_id } = await askJson('/api/v1/uploads', { method: 'POST', body: file, timeout_ms: SEND_MS });
      return start('check_upload', { job_id, upload: upload_id });
    },
    view: (job_id) => askJson(`/api/v1/jobs/${job_id}?lang=${encodeURIComponent(lang)}`),
    async cancel(job_id) {
      await ask(`/api/v1/jobs/${job_id}`, { method: 'DELETE' });
    },
    async picture(job_id, name) {
      return (await ask(`/api/v1/jobs/${job_id}/pictures/${encodeURIComponent(name)}`)).blob();
    },
    share: (job_id) => askJson(`/api/v1/jobs/${job_id}/share`, { method: 'POST' }),
    async deleteShare({ id, delete_token }) {
      const headers = { Authorization: `Bearer ${delete_token}` };
      await ask(`/api/v1/reports/${encodeURIComponent(id)}`, { method: 'DELETE', headers });
    },
  };
}

/** @param {Response} answer */
async function readJson(answer) {
  try {
    return await answer.json();
  } catch {
    throw new SpaceError('space_unknown'); // a page of words: not a Telltale
  }
}

/**
 * @param {Response} answer not a success
 * @returns {Promise<SpaceError>}
 */
export async function readRefusal(answer) {
  const told = await answer.json().then(
    (body) => body?.error,
    () => null, // who answers in words is somebody in front of the Space
  );
  if (typeof told?.code === 'string') {
    const wait_s = Number(answer.headers.get('Retry-After') ?? 'none');
    return new SpaceError(told.code, {
      message: String(told.message ?? ''),
      next: String(told.next ?? ''),
      retry_after_s: Number.isFinite(wait_s) ? wait_s : null,
    });
  }
  if (answer.status === 503 && told !== null) return new SpaceError('busy'); // Gradio's own "Queue is full"
  if (answer.status === 401 || answer.status === 403) return new SpaceError('space_token');
  return new SpaceError([502, 503, 504].includes(answer.status) ? 'space_asleep' : 'space_unknown');
}

/**
 * The first word of an event stream.
 * @param {Response} answer
 * @returns {Promise<JobView>}
 */
async function readFirstView(answer) {
  if (!answer.body) throw new SpaceError('space_unknown');
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    text += value ?? '';
    const said = firstEvent(text);
    if (said) return readEvent(said);
    if (done) throw new SpaceError('space_unknown');
  }
}

/**
 * @param {string} text of an event stream, perhaps cut off
 * @returns {{event: string, data: string} | null} the first event that is more than a heartbeat; null before it is whole
 */
export function firstEvent(text) {
  const blocks = text.replaceAll('\r\n', '\n').split('\n\n').slice(0, -1);
  for (const block of blocks) {
    const lines = block.split('\n');
    const read = (/** @type {string} */ name) =>
      lines
        .filter((line) => line.startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).trimStart())
        .join('\n');
    const event = read('event');
    if (event && event !== 'heartbeat') return { event, data: read('data') };
  }
  return null;
}

/**
 * @param {{event: string, data: string}} said
 * @returns {JobView}
 */
function readEvent({ event, data }) {
  const told = parse(data);
  if (event === 'error') {
    const error = told?.error ?? told;
    throw new SpaceError(typeof error?.code === 'string' ? error.code : 'internal', {
      message: typeof error?.message === 'string' ? error.message : '',
      next: typeof error?.next === 'string' ? error.next : '',
    });
  }
  const view = Array.isArray(told) ? told[0] : told;
  if (typeof view?.job_id !== 'string') throw new SpaceError('space_unknown');
  return view;
}

/**
 * @param {JobView} view
 * @returns {JobView} of a check that the Space took; one that it may take a little later is an error
 */
function requireTaken(view) {
  const wait_s = view.stage === 'failed' ? view.error?.retry_after_s : undefined;
  if (wait_s === undefined) return view;
  const { code, message, next } = /** @type {import('./state.js').Problem} */ (view.error);
  throw new SpaceError(code, { message, next, retry_after_s: wait_s });
}

/** @param {string} data */
function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new SpaceError('space_unknown');
  }
}
