// @ts-check
// Says what is sent, when and to whom, and keeps the answer. Nothing is sent before it is yes.

import { draw } from '../lib/drawings.js';
import { element } from '../lib/elements.js';
import { openPage } from '../lib/page.js';
import { saveSettings } from '../lib/state.js';

const SECTIONS = [
  { title: 'when', points: ['when.click', 'when.auto'] },
  { title: 'what', points: ['what.frames', 'what.host', 'what.other', 'what.screen'] },
  { title: 'whom', points: ['whom.server'] },
  { title: 'after', points: ['after.video', 'after.report', 'after.address', 'after.local'] },
];

const { settings, words } = await openPage();
const { t } = words;
const host = new URL(settings.space_url).host;

/** @param {{title: string, points: string[]}} section */
function renderSection({ title, points }) {
  const lines = points.map((point) => element('li', {}, t(`extension.consent.${point}`, { host })));
  return element(
    'section',
    {},
    element('h2', {}, t(`extension.consent.${title}`)),
    element('ul', {}, ...lines),
  );
}

/** @param {boolean} consented */
async function answer(consented) {
  await saveSettings({ consented });
  showAnswer(consented);
  outcome.querySelector('h2')?.focus();
}

/** @param {boolean} consented */
function showAnswer(consented) {
  const id = `extension.consent.${consented ? 'accepted' : 'declined'}`;
  accept.setAttribute('aria-pressed', String(consented));
  decline.setAttribute('aria-pressed', String(!consented));
  outcome.replaceChildren(
    element(
      'div',
      { class: 'tt-notice' },
      draw(consented ? 'checked' : 'not-checked'),
      element(
        'div',
        {},
        element('h2', { tabindex: '-1' }, t(id)),
        element('p', {}, t(`${id}.next`)),
      ),
    ),
  );
}

const accept = element(
  'button',
  { type: 'button', class: 'tt-main', click: () => answer(true) },
  t('extension.consent.accept'),
);
const decline = element('button', { type: 'button', click: () => answer(false) }, t('extension.consent.decline'));
const outcome = element('div', { role: 'status' });

document.title = t('extension.consent.title');
document.body.append(
  element(
    'header',
    {},
    element('span', { class: 'tt-wordmark' }, t('page.title')),
    element('a', { href: '../options/options.html' }, t('extension.popup.settings')),
  ),
  element(
    'main',
    {},
    element('h1', {}, t('extension.consent.title')),
    element('p', { class: 'tt-lead' }, t('extension.consent.lead')),
    ...SECTIONS.map(renderSection),
    element('p', { class: 'tt-muted' }, t('extension.consent.limits')),
    element('div', { class: 'tt-row' }, accept, decline),
    outcome,
  ),
);
if (settings.consented) showAnswer(true);
