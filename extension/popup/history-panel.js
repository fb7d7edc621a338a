// @ts-check
// Earlier results in the popup: the list, one of them, and emptying it.

import { askFirst } from '../lib/ask-first.js';
import { element } from '../lib/elements.js';
import { renderEntry, renderHistory } from '../lib/history-view.js';
import { clearHistory, loadHistory, removeFromHistory } from '../lib/state.js';

/**
 * @param {HTMLElement} panel
 * @param {import('../lib/texts.js').Words} words
 */
export async function showHistory(panel, words) {
  const { t } = words;
  const history = await loadHistory();
  const showAll = () => showHistory(panel, words);
  const list = renderHistory(history, words, (entry) => {
    const back = element('button', { type: 'button', class: 'tt-link tt-back', click: showAll });
    back.append(`← ${t('extension.history.list')}`);
    const remove = async () => {
      await removeFromHistory(entry.job_id);
      await showAll();
    };
    panel.replaceChildren(back, renderEntry(entry, words, remove));
  });
  if (history.length === 0) {
    panel.replaceChildren(list);
    return;
  }
  const clear = async () => {
    await clearHistory();
    await showAll();
  };
  panel.replaceChildren(
    list,
    element('p', { class: 'tt-muted' }, t('extension.history.note')),
    askFirst(t('extension.history.clear'), t('extension.history.clear.confirm'), words, clear),
  );
}
