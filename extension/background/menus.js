// @ts-check
// Ways to a check beside the toolbar button: the context menu and the keyboard.

import { checkLink, checkPage, checkVideo } from './checks.js';
import { findBySource } from './page-scripts.js';
import { currentWords, describeProblem, ProblemError } from './words.js';

/** @type {readonly {id: string, contexts: any}[]} */
const MENUS = [
  { id: 'video', contexts: ['video'] },
  { id: 'link', contexts: ['link'] },
  { id: 'page', contexts: ['page', 'frame', 'image'] },
];
const WEB = ['https://*/*', 'http://*/*'];

export async function makeMenus() {
  const { t } = await currentWords();
  await chrome.contextMenus.removeAll();
  for (const { id, contexts } of MENUS) {
    chrome.contextMenus.create({ id, contexts, title: t(`extension.menu.${id}`), documentUrlPatterns: WEB });
  }
}

/**
 * @param {chrome.contextMenus.OnClickData} click
 * @param {chrome.tabs.Tab | undefined} tab
 */
export async function onMenu({ menuItemId, linkUrl, srcUrl, frameId = 0 }, tab) {
  if (tab?.id === undefined) return;
  const tabId = tab.id;
  await tellTrouble(tabId, async () => {
    if (menuItemId === 'link') return checkLink({ url: linkUrl ?? '', tabId, opens_ask: true });
    const videoKey = menuItemId === 'video' && srcUrl ? await findBySource(tabId, frameId, srcUrl) : null;
    return checkBest(tabId, videoKey);
  });
}

/** @param {string} command @param {chrome.tabs.Tab | undefined} tab */
export async function onCommand(command, tab) {
  const tabId = tab?.id;
  if (command === 'check-video' && tabId !== undefined) await tellTrouble(tabId, () => checkBest(tabId, null));
}

/**
 * A page on which no video is found may hold one that only the Space can get at.
 * @param {number} tabId
 * @param {string | null} videoKey
 */
async function checkBest(tabId, videoKey) {
  try {
    return await checkVideo({ tabId, videoKey, opens_ask: true });
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'no_video') return checkPage({ tabId, opens_ask: true });
    throw error;
  }
}

/**
 * There is no place but the toolbar to say so.
 * @param {number} tabId
 * @param {() => Promise<unknown>} work
 */
async function tellTrouble(tabId, work) {
  try {
    await work();
  } catch (error) {
    const { message, next } = await describeProblem(error);
    await chrome.action.setBadgeText({ tabId, text: '×' });
    await chrome.action.setTitle({ tabId, title: `${message} ${next}` });
  }
}
