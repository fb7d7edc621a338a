// @ts-check
// Earlier results on a page of their own: the explanation of one, named by its check after the #, and the list of all.

import { askFirst } from '../lib/ask-first.js';
import { element } from '../lib/elements.js';
import { renderEntry, renderHistory } from '../lib/history-view.js';
import { openPage } from '../lib/page.js';
import { clearHistory, loadHistory, removeFromHistory } from '../lib/state.js';

const { words } = await openPage();
const { t } = words;

const chosen = element('div', { 'aria-live': 'polite' });
const list = element('aside');

async function show() {
  const history = await loadHistory();
  const entry = history.find(({ job_id }) => job_id === location.hash.slice(1)) ?? history[0];
  const all = renderHistory(history, words, ({ job_id }) => {
    location.hash = job_id;
  });
  for (const button of all.querySelectorAll('button')) {
    button.setAttribute('aria-current', String(button.dataset.job === entry?.job_id));
  }
  chosen.replaceChildren(...(entry ? [renderEntry(entry, words, () => remove(entry.job_id))] : []));
  list.replaceChildren(element('h2', {}, t('extension.popup.history')), all, ...(entry ? renderClearing() : []));
}

function renderClearing() {
  return [
    element('p', { class: 'tt-muted' }, t('extension.history.note')),
    askFirst(t('extension.history.clear'), t('extension.history.clear.confirm'), words, async () => {
      await clearHistory();
      await show();
    }),
  ];
}

/** @param {string} jobId */
async function remove(jobId) {
  await removeFromHistory(jobId);
  await show();
}

document.title = `${t('page.title')}: ${t('extension.popup.history')}`;
document.body.append(
  element(
    'header',
    {},
    element('h1', { class: 'tt-wordmark' }, t('page.title')),
    element('a', { href: '../options/options.html' }, t('extension.popup.settings')),
  ),
  element('main', {}, chosen, list),
);
addEventListener('hashchange', show);
chrome.storage.local.onChanged.addListener((changes) => {
  if (changes.history) show();
});
await show();
