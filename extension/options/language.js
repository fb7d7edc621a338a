// @ts-check
// The language of everything Telltale says.

import { element } from '../lib/elements.js';
import { saveSettings } from '../lib/state.js';
import { loadLanguages, loadWords } from '../lib/texts.js';

/**
 * @param {import('../lib/state.js').Settings} settings
 * @param {import('../lib/texts.js').Words} words
 * @returns {Promise<HTMLElement>}
 */
export async function renderLanguage(settings, { t }) {
  const others = await Promise.all((await loadLanguages()).map(loadWords));
  const select = element(
    'select',
    { 'aria-label': t('extension.options.language') },
    element('option', { value: '' }, t('extension.options.language.browser')),
    ...others.map((other) => element('option', { value: other.lang, lang: other.lang }, other.t('page.language.name'))),
  );
  select.value = settings.language;
  select.addEventListener('change', async () => {
    await saveSettings({ language: select.value });
    location.reload();
  });
  return element('section', {}, element('h2', {}, t('extension.options.language')), select);
}
