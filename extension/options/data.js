// @ts-check
// What is kept in this browser: taken along as a file, or deleted.

import { askFirst } from '../lib/ask-first.js';
import { element } from '../lib/elements.js';
import { clearData, exportData, loadHistory } from '../lib/state.js';

/**
 * @param {import('../lib/texts.js').Words} words
 * @returns {Promise<HTMLElement>}
 */
export async function renderData(words) {
  const { t } = words;
  const { length } = await loadHistory();
  const clear = async () => {
    await clearData();
    await returnPermissions();
    location.reload();
  };
  const save = element('button', { type: 'button', click: saveExport }, t('extension.options.data.export'));
  return element(
    'section',
    {},
    element('h2', {}, t('extension.options.data')),
    element('p', {}, t('extension.options.data.note', { n_results: length })),
    element('div', { class: 'tt-row' }, save, element('a', { href: '../history/history.html' }, t('extension.popup.history'))),
    askFirst(t('extension.options.data.clear'), t('extension.options.data.clear.confirm'), words, clear),
  );
}

async function saveExport() {
  const text = JSON.stringify(await exportData(), null, 2);
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  element('a', { href: url, download: 'telltale.json' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Gives back what was granted beyond what the extension was installed with. */
async function returnPermissions() {
  const { origins = [] } = await chrome.permissions.getAll();
  const { host_permissions = [] } = chrome.runtime.getManifest();
  const granted = origins.filter((origin) => !host_permissions.includes(origin));
  if (granted.length > 0) await chrome.permissions.remove({ origins: granted });
}
