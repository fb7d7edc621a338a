// @ts-check
// Which way to get at a video: the steps a to d, decided from what is known. No effects.

/** @typedef {import('./state.js').CaptureMethod} CaptureMethod */
/** @typedef {import('./state.js').SiteConsent} SiteConsent */

/**
 * What a page's script knows of a video.
 * @typedef {object} VideoFacts
 * @property {'unknown' | 'readable' | 'tainted' | 'black' | 'unreadable'} picture what reading its frames gave: tainted
 *   comes from another site that does not share it, black is protected
 * @property {string} src the video's own source, such as https:… or blob:…
 * @property {boolean} live it has no end, or cannot be wound
 * @property {boolean} visible it can be seen in the window
 */

/**
 * @typedef {object} Situation
 * @property {VideoFacts | null} facts null for a page or a link without a video of which we know
 * @property {string} page_url address of the page in the tab
 * @property {boolean} file_allowed the browser lets us fetch the video's file
 * @property {SiteConsent} consent what the person said on this site
 * @property {readonly CaptureMethod[]} failed_steps
 */

/**
 * @typedef {{do: 'take', step: CaptureMethod}
 *   | {do: 'ask', steps: CaptureMethod[]}
 *   | {do: 'stop', code: 'video_protected' | 'no_way'}} Decision
 */

/** @type {readonly CaptureMethod[]} */
export const STEPS = ['frames', 'file', 'page', 'screen'];

/**
 * @param {Situation} situation
 * @returns {Decision}
 */
export function decideStep(situation) {
  if (situation.facts?.picture === 'black') return { do: 'stop', code: 'video_protected' };
  const open = STEPS.filter((step) => readiness(step, situation) !== 'no');
  if (open.length === 0) return { do: 'stop', code: 'no_way' };
  return readiness(open[0], situation) === 'go' ? { do: 'take', step: open[0] } : { do: 'ask', steps: open };
}

/**
 * @param {CaptureMethod} step
 * @param {Situation} situation
 * @returns {'go' | 'ask' | 'no'}
 */
function readiness(step, situation) {
  const { facts, page_url, file_allowed, consent, failed_steps } = situation;
  if (failed_steps.includes(step)) return 'no';
  switch (step) {
    case 'frames':
      return facts?.picture === 'unknown' || facts?.picture === 'readable' ? 'go' : 'no';
    case 'file':
      return facts && isFile(facts) ? allowed(consent.file, file_allowed) : 'no';
    case 'page':
      return isPublic(page_url) ? allowed(consent.page, true) : 'no';
    case 'screen':
      return facts?.visible ? 'go' : 'no';
  }
}

/**
 * @param {boolean | undefined} answer
 * @param {boolean} possible without asking once more
 */
function allowed(answer, possible) {
  if (answer === false) return 'no';
  return answer && possible ? 'go' : 'ask';
}

/**
 * One file that can be fetched whole: no stream, and no list of a stream's pieces.
 * @param {VideoFacts} facts
 */
function isFile({ src, live }) {
  const url = parse(src);
  return !live && url !== null && isWeb(url) && !/\.(m3u8|mpd)$/i.test(url.pathname);
}

/**
 * An address that a server elsewhere can open too. What is not recognised here as private the server refuses itself.
 * @param {string} address
 */
export function isPublic(address) {
  const url = parse(address);
  if (!url || !isWeb(url) || url.username || url.password) return false;
  const host = url.hostname;
  const isNumber = host.startsWith('[') || /^[\d.]+$/.test(host);
  return !isNumber && host.includes('.') && !/\.(local|localhost|internal|lan|home|corp|arpa)$/.test(host);
}

/** @param {URL} url */
function isWeb({ protocol }) {
  return protocol === 'https:' || protocol === 'http:';
}

/** @param {string} address */
function parse(address) {
  return URL.canParse(address) ? new URL(address) : null;
}

/**
 * @param {string} src
 * @returns {string | null} host that holds the file; null where it is none of the web's
 */
export function hostOf(src) {
  const url = parse(src);
  return url && isWeb(url) ? url.hostname : null;
}
