// @ts-check
// The window behind the toolbar button: this page's videos and checks, earlier results. What it says is authoritative.

import { element } from '../lib/elements.js';
import { renderNotice } from '../lib/notice.js';
import { openPage } from '../lib/page.js';
import { showHistory } from './history-panel.js';
import { showPage } from './page-panel.js';

const { settings, words } = await openPage();
const { t } = words;

const TABS = [
  { id: 'page', show: settings.consented ? showPage : showConsent },
  { id: 'history', show: showHistory },
];

const panel = element('div', { role: 'tabpanel', id: 'panel', tabindex: '0' });
const tabs = TABS.map(({ id }) =>
  element(
    'button',
    { type: 'button', role: 'tab', id, 'aria-controls': 'panel', click: () => choose(id) },
    t(`extension.popup.${id}`),
  ),
);

/** @param {string} id */
async function choose(id) {
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', String(tab.id === id));
    tab.tabIndex = tab.id === id ? 0 : -1;
  }
  panel.setAttribute('aria-labelledby', id);
  // A panel of its own each time: one that was left may still be waiting for an answer.
  const fresh = element('div', { class: 'tt-panel' });
  panel.replaceChildren(fresh);
  await TABS.find((tab) => tab.id === id)?.show(fresh, words);
}

/** @param {HTMLElement} where */
function showConsent(where) {
  const read = element(
    'button',
    { type: 'button', class: 'tt-main', click: () => chrome.tabs.create({ url: '/consent/consent.html' }) },
    t('extension.popup.consent.open'),
  );
  where.replaceChildren(
    renderNotice(t('extension.popup.consent'), t('extension.popup.consent.next'), { role: 'status', drawing: 'waiting' }, read),
  );
}

const list = element('div', { role: 'tablist', 'aria-label': t('page.title') }, ...tabs);
list.addEventListener('keydown', ({ key }) => {
  if (key !== 'ArrowLeft' && key !== 'ArrowRight') return;
  const other = tabs.find((tab) => tab.getAttribute('aria-selected') === 'false');
  other?.click();
  other?.focus();
});

document.body.append(
  element(
    'header',
    {},
    element('h1', { class: 'tt-wordmark' }, t('page.title')),
    element(
      'button',
      { type: 'button', class: 'tt-link', click: () => chrome.runtime.openOptionsPage() },
      t('extension.popup.settings'),
    ),
    list,
  ),
  element('main', {}, panel),
);
await choose('page');
