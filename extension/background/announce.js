// @ts-check
// Tells everybody who shows a check that it changed: the page, the extension's own pages, the toolbar.

import { changeJob, isLast } from '../lib/state.js';
import { currentWords } from './words.js';

/** @typedef {import('../lib/state.js').Job} Job */

/** Short signs beside the words: never a number. @type {Readonly<Record<string, string>>} */
const SIGNS = { strong: '!!', some: '!', inconclusive: '?', little: '–', not_applicable: '∅' };

/** @type {Promise<Record<string, {light: {ink: string}}>> | null} */
let colours = null;

/**
 * @param {string} job_id
 * @param {Partial<Job>} change
 * @returns {Promise<Job | null>} as it is now; null where there is no such check
 */
export async function changeAndTell(job_id, change) {
  const changed = await changeJob(job_id, change);
  if (changed?.moved) await announce(changed.job);
  return changed?.job ?? null;
}

/** @param {Job} job */
export async function announce(job) {
  await Promise.all([
    tellPages({ type: 'job-changed', job }),
    tellTab(job, { type: 'job-changed', job: forPage(job) }),
    showInToolbar(job),
  ]);
}

/**
 * A check as the script in its page may know it.
 * @param {Job} job
 * @returns {Job}
 */
export function forPage(job) {
  return { ...job, facts: null, link: null, space_url: '', share: job.share && { ...job.share, delete_token: '' } };
}

/** @param {unknown} message */
async function tellPages(message) {
  await chrome.runtime.sendMessage(message).catch(nobodyListens);
}

/**
 * @param {Job} job
 * @param {{type: string} & Record<string, unknown>} message
 * @returns {Promise<any>} null where its page is gone
 */
export async function tellTab({ tab_id, frame_id }, message) {
  if (tab_id === null) return null;
  return (await chrome.tabs.sendMessage(tab_id, message, { frameId: frame_id ?? 0 }).catch(nobodyListens)) ?? null;
}

/** @param {unknown} error */
function nobodyListens(error) {
  if (!/Receiving end|No tab with id|message (port|channel) (is )?closed|page keeping|Invalid tab/i.test(String(error))) throw error;
  return null;
}

/** @param {Job} job */
async function showInToolbar(job) {
  if (job.tab_id === null) return;
  const { t } = await currentWords();
  const code = job.stage === 'done' ? job.report?.verdict.code : undefined;
  const known = code && Object.hasOwn(SIGNS, code) ? code : undefined;
  const text = known ? SIGNS[known] : isLast(job.stage) ? '' : '…';
  const title = known ? `${t('page.title')}: ${t(`verdict.${known}`)}` : t('page.title');
  const palette = await loadColours();
  await Promise.all([
    chrome.action.setBadgeText({ tabId: job.tab_id, text }),
    chrome.action.setTitle({ tabId: job.tab_id, title }),
    chrome.action.setBadgeBackgroundColor({ tabId: job.tab_id, color: palette[known ?? 'not_applicable'].light.ink }),
    chrome.action.setBadgeTextColor({ tabId: job.tab_id, color: '#ffffff' }),
  ]).catch(nobodyListens); // the tab was closed meanwhile
}

function loadColours() {
  colours ??= fetch(chrome.runtime.getURL('shared/palette.json')).then(async (answer) => (await answer.json()).verdicts);
  return colours;
}
