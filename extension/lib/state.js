// @ts-check
// What the extension remembers, and where. Every other file reads and writes storage through this one.
//
// storage.local:   `settings`, `history` (what was found, newest first), `pending` (checks under way, so that a
//                  restarted browser still reads their results)
// storage.session: `jobs` (checks of this browser session, by job_id)

import { summariseReport } from './report-summary.js';

/** @typedef {import('./report-summary.js').Report} Report */

export const DEFAULT_SPACE_URL = 'https://telltale-check-telltale.hf.space';
export const HISTORY_LENGTH = 50;
export const N_THUMBNAILS = 3;

/** How the frames were come by; 'frames', 'file', 'page' and 'screen' are the steps a to d of lib/ladder.js. */
/** @typedef {'frames' | 'file' | 'page' | 'screen'} CaptureMethod */

/**
 * What a person allowed or refused on a site; a step that is not there was not asked about.
 * @typedef {Partial<Record<'file' | 'page', boolean>>} SiteConsent
 */

/**
 * @typedef {object} Settings
 * @property {string} space_url origin of the Space, without a slash at the end
 * @property {string} token sent as bearer to the Space; '' for none
 * @property {string} language code such as 'ru'; '' follows the browser
 * @property {boolean} hover_button a button over videos under the pointer
 * @property {string[]} auto_check_sites host names on which the largest video is checked without a click
 * @property {boolean} consented the person saw what is sent and agreed; nothing is sent before
 * @property {Record<string, SiteConsent>} consent_sites by host name of the page
 */

/** @type {Readonly<Settings>} */
export const DEFAULT_SETTINGS = Object.freeze({
  space_url: DEFAULT_SPACE_URL,
  token: '',
  language: '',
  hover_button: false,
  auto_check_sites: [],
  consented: false,
  consent_sites: {},
});

/**
 * Where a check is. The extension's own stages come before the Space's:
 * capturing -> (asking ->) sending -> accepted | queued | loading | download | source | frames | faces | scores |
 * verdict | pictures -> done | failed | cancelled.
 * @typedef {string} Stage
 */

/** @typedef {{code: string, message: string, next: string}} Problem sentences in the person's language */

/** @typedef {{code: string, p_fake: number | null, sentence: import('./texts.js').Text}} Preliminary */

/** @typedef {{id: string, url: string, delete_token: string, expires: string, persistent: boolean}} Share */

/**
 * @typedef {object} Job
 * @property {string} job_id 128 random bits in hex, chosen here
 * @property {string} remote_id what the Space knows it by: job_id, and another one where a second step is tried there
 * @property {number | null} tab_id null where no tab belongs to it (any more)
 * @property {number | null} frame_id
 * @property {string | null} video_key null for a checked page or link
 * @property {string} host host name of the page
 * @property {string} title of the page; whatever the page says, so only ever text
 * @property {string | null} link address sent for the step 'page'
 * @property {string} space_url the Space that was asked
 * @property {CaptureMethod | null} capture_method null before it is known
 * @property {CaptureMethod[]} failed_steps steps that did not work, in order
 * @property {Stage} stage
 * @property {number} fraction of the stage 'capturing', later of the whole check; [0, 1]
 * @property {number | null} n_ahead checks that wait before this one
 * @property {number} started milliseconds since 1970
 * @property {number} changed milliseconds since 1970
 * @property {Preliminary | null} preliminary
 * @property {(Report & Record<string, unknown>) | null} report where stage is 'done'
 * @property {Problem | null} problem where stage is 'failed'; a note on a slow Space before that
 * @property {CaptureMethod[]} ask what may be tried with the person's consent, best first; empty unless 'asking'
 * @property {string | null} media_host host that holds the video's file, where there is one
 * @property {import('./ladder.js').VideoFacts | null} facts what the page's script said of the video; never sent back to it
 * @property {Share | null} share
 * @property {boolean} dismissed its badge was closed
 * @property {boolean} opens_ask the question opens a window of its own
 */

/**
 * @typedef {object} HistoryEntry
 * @property {string} job_id
 * @property {number} time milliseconds since 1970
 * @property {string} host
 * @property {string} title
 * @property {string} verdict_code
 * @property {string[]} thumbnails data URLs of the strongest moments' heat maps, at most N_THUMBNAILS
 * @property {string | null} share_url
 * @property {string | null} delete_token of the shared page
 * @property {Report} report without the numbers behind it: see report-summary.js
 */

/** @typedef {Pick<Job, 'job_id' | 'remote_id' | 'host' | 'title' | 'space_url' | 'started' | 'capture_method'>} Pending */

const LAST_STAGES = new Set(['done', 'failed', 'cancelled']);
const OWN_STAGES = new Set(['capturing', 'asking', 'sending']);

/** @param {Stage} stage nothing follows it */
export const isLast = (stage) => LAST_STAGES.has(stage);

/** @param {Stage} stage the Space does not know of the check yet */
export const isOwn = (stage) => OWN_STAGES.has(stage);

/** 128 random bits in hex. */
export function makeJobId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * A check that begins.
 * @param {Pick<Job, 'job_id' | 'host' | 'title' | 'space_url'> & Partial<Job>} given
 * @returns {Job}
 */
export function makeJob(given) {
  const now = Date.now();
  return {
    remote_id: given.job_id,
    tab_id: null,
    frame_id: null,
    video_key: null,
    link: null,
    capture_method: null,
    failed_steps: [],
    stage: 'capturing',
    fraction: 0,
    n_ahead: null,
    started: now,
    changed: now,
    preliminary: null,
    report: null,
    problem: null,
    ask: [],
    media_host: null,
    facts: null,
    share: null,
    dismissed: false,
    opens_ask: false,
    ...given,
  };
}

/**
 * A job as it may change: never back from its last stage, and never away from a cancel.
 * @param {Job} job
 * @param {Partial<Job>} change
 * @returns {Job} the same object where nothing changes
 */
export function changedJob(job, change) {
  const moves = change.stage !== undefined && change.stage !== job.stage;
  if (isLast(job.stage) && moves) return job;
  const names = /** @type {(keyof Job)[]} */ (Object.keys(change));
  if (names.every((name) => JSON.stringify(change[name]) === JSON.stringify(job[name]))) return job;
  return { ...job, ...change, changed: Date.now() };
}

// --- settings ---------------------------------------------------------------------------------

/** @returns {Promise<Settings>} */
export async function loadSettings() {
  const { settings } = await chrome.storage.local.get('settings');
  return { ...DEFAULT_SETTINGS, .../** @type {Partial<Settings> | undefined} */ (settings) };
}

/**
 * @param {Partial<Settings>} change
 * @returns {Promise<Settings>} all of them, after the change
 */
export function saveSettings(change) {
  return inTurn(async () => {
    const settings = { ...(await loadSettings()), ...change };
    await chrome.storage.local.set({ settings });
    return settings;
  });
}

/**
 * @param {(settings: Settings) => void} listener
 * @returns {() => void} stops it
 */
export function watchSettings(listener) {
  /** @param {Record<string, chrome.storage.StorageChange>} changes @param {string} area */
  const hear = (changes, area) => {
    if (area !== 'local' || !changes.settings) return;
    listener({ ...DEFAULT_SETTINGS, .../** @type {Partial<Settings> | undefined} */ (changes.settings.newValue) });
  };
  chrome.storage.onChanged.addListener(hear);
  return () => chrome.storage.onChanged.removeListener(hear);
}

// --- jobs -------------------------------------------------------------------------------------

/** @returns {Promise<Record<string, Job>>} by job_id */
export async function loadJobs() {
  const { jobs } = await chrome.storage.session.get('jobs');
  return /** @type {Record<string, Job> | undefined} */ (jobs) ?? {};
}

/**
 * @param {string} job_id
 * @returns {Promise<Job | null>} null where there is none
 */
export async function loadJob(job_id) {
  const jobs = await loadJobs();
  return Object.hasOwn(jobs, job_id) ? jobs[job_id] : null;
}

/** @param {Job} job a new one */
export function addJob(job) {
  return inTurn(async () => {
    const jobs = forgetOldest(await loadJobs());
    await chrome.storage.session.set({ jobs: { ...jobs, [job.job_id]: job } });
  });
}

/**
 * @param {string} job_id
 * @param {Partial<Job>} change
 * @returns {Promise<{job: Job, moved: boolean} | null>} moved: something changed; null where there is no such job
 */
export function changeJob(job_id, change) {
  return inTurn(async () => {
    const jobs = await loadJobs();
    if (!Object.hasOwn(jobs, job_id)) return null;
    const job = changedJob(jobs[job_id], change);
    const moved = job !== jobs[job_id];
    if (moved) await chrome.storage.session.set({ jobs: { ...jobs, [job_id]: job } });
    return { job, moved };
  });
}

/** @param {(job: Job) => boolean} isUnwanted */
export function removeJobs(isUnwanted) {
  return inTurn(async () => {
    const jobs = Object.entries(await loadJobs()).filter(([, job]) => !isUnwanted(job));
    await chrome.storage.session.set({ jobs: Object.fromEntries(jobs) });
  });
}

const N_JOBS_KEPT = 20;

/**
 * Finished checks of a long session go, the oldest first.
 * @param {Record<string, Job>} jobs
 */
function forgetOldest(jobs) {
  const finished = Object.values(jobs).filter((job) => isLast(job.stage));
  const old = finished.sort((a, b) => b.changed - a.changed).slice(N_JOBS_KEPT);
  const kept = { ...jobs };
  for (const { job_id } of old) delete kept[job_id];
  return kept;
}

// --- checks that outlive the browser ----------------------------------------------------------

/** @returns {Promise<Record<string, Pending>>} by job_id */
export async function loadPending() {
  const { pending } = await chrome.storage.local.get('pending');
  return /** @type {Record<string, Pending> | undefined} */ (pending) ?? {};
}

/** @param {Job} job */
export function addPending({ job_id, remote_id, host, title, space_url, started, capture_method }) {
  return inTurn(async () => {
    const entry = { job_id, remote_id, host, title, space_url, started, capture_method };
    await chrome.storage.local.set({ pending: { ...(await loadPending()), [job_id]: entry } });
  });
}

/** @param {string} job_id */
export function removePending(job_id) {
  return inTurn(async () => {
    const { [job_id]: _gone, ...pending } = await loadPending();
    await chrome.storage.local.set({ pending });
  });
}

// --- history ----------------------------------------------------------------------------------

/** @returns {Promise<HistoryEntry[]>} newest first */
export async function loadHistory() {
  const { history } = await chrome.storage.local.get('history');
  return /** @type {HistoryEntry[] | undefined} */ (history) ?? [];
}

/**
 * @param {Job} job done
 * @param {string[]} thumbnails data URLs
 * @returns {HistoryEntry}
 */
export function makeHistoryEntry(job, thumbnails) {
  if (!job.report) throw new Error('a check without a report is no history');
  return {
    job_id: job.job_id,
    time: job.started,
    host: job.host,
    title: job.title,
    verdict_code: job.report.verdict.code,
    thumbnails: thumbnails.slice(0, N_THUMBNAILS),
    share_url: job.share?.url ?? null,
    delete_token: job.share?.delete_token ?? null,
    report: summariseReport(job.report),
  };
}

/** @param {HistoryEntry} entry takes the place of one with the same id */
export function addToHistory(entry) {
  return changeHistory((history) => withEntry(history, entry));
}

/**
 * @param {readonly HistoryEntry[]} history
 * @param {HistoryEntry} entry
 * @returns {HistoryEntry[]} newest first, at most HISTORY_LENGTH
 */
export function withEntry(history, entry) {
  const others = history.filter(({ job_id }) => job_id !== entry.job_id);
  return [entry, ...others].sort((a, b) => b.time - a.time).slice(0, HISTORY_LENGTH);
}

/** @param {string} job_id @param {Share | null} share null when the shared page was deleted */
export function noteShare(job_id, share) {
  const change = { share_url: share?.url ?? null, delete_token: share?.delete_token ?? null };
  return changeHistory((history) => history.map((entry) => (entry.job_id === job_id ? { ...entry, ...change } : entry)));
}

/** @param {string} job_id */
export function removeFromHistory(job_id) {
  return changeHistory((history) => history.filter((entry) => entry.job_id !== job_id));
}

export function clearHistory() {
  return changeHistory(() => []);
}

/** @param {(history: HistoryEntry[]) => HistoryEntry[]} change */
function changeHistory(change) {
  return inTurn(async () => {
    const history = change(await loadHistory());
    await chrome.storage.local.set({ history });
    return history;
  });
}

// --- all of it --------------------------------------------------------------------------------

/** Everything kept, for the person to take along; the token stays here. */
export async function exportData() {
  const { token: _kept, ...settings } = await loadSettings();
  return { settings, history: await loadHistory() };
}

/** Forget everything, settings and consent included. */
export function clearData() {
  return inTurn(async () => {
    await chrome.storage.local.clear();
    await chrome.storage.session.clear();
  });
}

// --- one writer at a time ---------------------------------------------------------------------

const LOCK = 'telltale-storage';

/**
 * Storage has no transactions: whoever reads in order to write holds a lock that all of the extension's contexts share.
 * @template T
 * @param {() => Promise<T>} write
 * @returns {Promise<T>}
 */
function inTurn(write) {
  return navigator.locks.request(LOCK, write);
}
