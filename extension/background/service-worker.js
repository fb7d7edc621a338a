// @ts-check
// What the browser wakes the extension for. Listeners only: a worker starts for each of them.

import { addJob, loadSettings, makeJob, watchSettings } from '../lib/state.js';
import { forgetPages } from './checks.js';
import { findPending, follow, followAll } from './follow.js';
import { makeMenus, onCommand, onMenu } from './menus.js';
import { answerMessage } from './messages.js';
import { runOnSites } from './sites.js';

chrome.runtime.onMessage.addListener((message, sender, answer) => {
  if (message?.type === 'job-changed') return false; // what this worker says itself
  answerMessage(message, sender).then(answer);
  return true;
});

chrome.runtime.onInstalled.addListener(({ reason }) => {
  void settle();
  if (reason === 'install') void welcome();
});

chrome.runtime.onStartup.addListener(() => void settle());

chrome.alarms.onAlarm.addListener(() => void followAll());
chrome.contextMenus.onClicked.addListener((click, tab) => void onMenu(click, tab));
chrome.commands.onCommand.addListener((command, tab) => void onCommand(command, tab));
chrome.tabs.onRemoved.addListener((tabId) => void forgetPages((job) => job.tab_id === tabId));
chrome.permissions.onAdded.addListener(() => void loadSettings().then(runOnSites));
chrome.permissions.onRemoved.addListener(() => void loadSettings().then(runOnSites));

watchSettings((settings) => {
  void makeMenus();
  void runOnSites(settings);
});

async function welcome() {
  const { consented } = await loadSettings();
  if (!consented) await chrome.tabs.create({ url: chrome.runtime.getURL('consent/consent.html') });
}

async function settle() {
  await makeMenus();
  await runOnSites(await loadSettings());
}

/** Checks that the browser's end interrupted: the Space went on with them. There are none in a worker that only slept. */
async function resume() {
  const interrupted = await findPending();
  for (const pending of interrupted) await addJob(makeJob({ ...pending, stage: 'accepted' }));
  for (const { job_id } of interrupted) void follow(job_id);
}

void resume();

// Pages' scripts may not read settings and history. Firefox has no such switch; there they cannot be told apart.
void chrome.storage.local.setAccessLevel?.({ accessLevel: 'TRUSTED_CONTEXTS' });
