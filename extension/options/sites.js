// @ts-check
// What Telltale does on web pages without being asked each time: all of it off until switched on here.

import { element } from '../lib/elements.js';
import { hostPatterns, parseSite } from '../lib/space-url.js';
import { loadSettings, saveSettings } from '../lib/state.js';
import { renderField } from './field.js';

/** @typedef {import('../lib/state.js').Settings} Settings */
/** @typedef {import('../lib/texts.js').Words} Words */

const EVERYWHERE = { origins: ['https://*/*', 'http://*/*'] };

/**
 * @param {Settings} settings
 * @param {Words} words
 * @returns {HTMLElement}
 */
export function renderHover(settings, { t }) {
  const box = element('input', { type: 'checkbox' });
  box.checked = settings.hover_button;
  box.addEventListener('change', async () => {
    if (box.checked) box.checked = await chrome.permissions.request(EVERYWHERE);
    await saveSettings({ hover_button: box.checked });
  });
  return element(
    'section',
    {},
    element('h2', {}, t('extension.options.page')),
    element('label', { class: 'tt-check' }, box, t('extension.options.hover')),
    element('p', { class: 'tt-muted' }, t('extension.options.hover.note')),
  );
}

/**
 * Sites that are checked without a click.
 * @param {Settings} settings
 * @param {Words} words
 * @returns {HTMLElement}
 */
export function renderAutoCheck(settings, { t }) {
  const said = element('p', { role: 'status' });
  const list = element('ul', { class: 'tt-sites' });
  const input = element('input', { id: 'site', type: 'text', spellcheck: 'false', autocomplete: 'off', inputmode: 'url' });

  /** @param {readonly string[]} sites */
  const show = (sites) => list.replaceChildren(...sites.map((site) => renderSite(site, t, () => remove(site))));

  /** @param {string} site */
  const remove = async (site) => {
    const { auto_check_sites } = await loadSettings();
    show((await saveSettings({ auto_check_sites: auto_check_sites.filter((other) => other !== site) })).auto_check_sites);
  };

  const add = async () => {
    const site = parseSite(input.value);
    if (site === null) {
      said.textContent = t('extension.options.auto.bad_site');
      return;
    }
    const allowed = await chrome.permissions.request({ origins: hostPatterns(site) });
    said.textContent = allowed ? '' : t('extension.options.auto.not_allowed', { site });
    if (!allowed) return;
    const { auto_check_sites } = await loadSettings();
    const sites = [...new Set([...auto_check_sites, site])].sort();
    show((await saveSettings({ auto_check_sites: sites })).auto_check_sites);
    input.value = '';
  };
  show(settings.auto_check_sites);
  return element(
    'section',
    {},
    element('h2', {}, t('extension.options.auto')),
    element('p', { class: 'tt-muted' }, t('extension.options.auto.note')),
    list,
    element(
      'form',
      {
        submit: (event) => {
          event.preventDefault();
          add();
        },
      },
      renderField(input, t('extension.options.auto.site'), element('button', { type: 'submit' }, t('extension.options.auto.add'))),
    ),
    said,
  );
}

/**
 * What the person answered for sites that keep their videos to themselves.
 * @param {Settings} settings
 * @param {Words} words
 * @returns {HTMLElement}
 */
export function renderAnswers(settings, { t }) {
  const list = element('ul', { class: 'tt-sites' });

  /** @param {Settings['consent_sites']} answers */
  const show = (answers) => {
    const sites = Object.keys(answers).sort();
    list.hidden = sites.length === 0;
    none.hidden = sites.length > 0;
    list.replaceChildren(...sites.map((site) => renderSite(site, t, () => forget(site), sayAnswers(answers[site], t))));
  };

  /** @param {string} site */
  const forget = async (site) => {
    const { [site]: _gone, ...others } = (await loadSettings()).consent_sites;
    show((await saveSettings({ consent_sites: others })).consent_sites);
  };
  const none = element('p', {}, t('extension.options.sites.none'));
  show(settings.consent_sites);
  return element(
    'section',
    {},
    element('h2', {}, t('extension.options.sites')),
    element('p', { class: 'tt-muted' }, t('extension.options.sites.note')),
    list,
    none,
  );
}

/** @param {import('../lib/state.js').SiteConsent} answers @param {Words['t']} t */
function sayAnswers(answers, t) {
  const sentences = Object.entries(answers).map(([step, allowed]) => {
    const answer = allowed ? 'yes' : 'no';
    return t(`extension.options.sites.${step}.${answer}`);
  });
  return sentences.join(' ');
}

/**
 * @param {string} site
 * @param {Words['t']} t
 * @param {() => void} remove
 * @param {string} [note]
 */
function renderSite(site, t, remove, note = '') {
  return element(
    'li',
    {},
    element('span', {}, element('b', {}, site), note && ` ${note}`),
    element(
      'button',
      {
        type: 'button',
        class: 'tt-link',
        'aria-label': t('extension.options.auto.remove', { site }),
        click: remove,
      },
      t('extension.options.remove'),
    ),
  );
}
