// @ts-check
// The settings page.

import { element } from '../lib/elements.js';
import { openPage } from '../lib/page.js';
import { renderData } from './data.js';
import { renderLanguage } from './language.js';
import { renderServer } from './server.js';
import { renderAnswers, renderAutoCheck, renderHover } from './sites.js';

const { settings, words } = await openPage();
const { t } = words;

document.title = t('extension.options.title');
document.body.append(
  element(
    'header',
    {},
    element('span', { class: 'tt-wordmark' }, t('page.title')),
    element('a', { href: '../consent/consent.html' }, t('extension.options.consent')),
  ),
  element(
    'main',
    {},
    element('h1', {}, t('extension.popup.settings')),
    renderServer(settings, words),
    await renderLanguage(settings, words),
    renderHover(settings, words),
    renderAutoCheck(settings, words),
    renderAnswers(settings, words),
    await renderData(words),
  ),
);
