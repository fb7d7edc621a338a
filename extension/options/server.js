// @ts-check
// Which server checks the videos, and the token it may want.

import { SpaceError, openSpace } from '../lib/api.js';
import { element } from '../lib/elements.js';
import { hostPatterns, parseSpaceUrl } from '../lib/space-url.js';
import { DEFAULT_SPACE_URL, loadSettings, saveSettings } from '../lib/state.js';
import { renderField } from './field.js';

/**
 * @param {import('../lib/state.js').Settings} settings
 * @param {import('../lib/texts.js').Words} words
 * @returns {HTMLElement}
 */
export function renderServer(settings, words) {
  const { t } = words;
  const url = element('input', { id: 'server', type: 'url', spellcheck: 'false', autocomplete: 'off', required: true });
  url.value = settings.space_url;
  const said = element('p', { role: 'status' });

  const use = async () => {
    const wanted = parseSpaceUrl(url.value);
    if (wanted === null) {
      said.textContent = t('extension.options.server.bad_url');
      return;
    }
    // First of all: browsers ask the person only in the click itself.
    const allowed = await chrome.permissions.request({ origins: hostPatterns(new URL(wanted).host) });
    said.textContent = t('extension.options.server.testing');
    const outcome = allowed ? await tryServer(wanted, words.lang) : 'not_allowed';
    if (outcome === 'ok') {
      await saveSettings({ space_url: wanted });
      url.value = wanted;
    }
    said.textContent = t(`extension.options.server.${outcome}`);
  };
  const form = element(
    'form',
    {
      novalidate: true,
      submit: (event) => {
        event.preventDefault();
        use();
      },
    },
    renderField(url, t('extension.options.server.url'), element('button', { type: 'submit' }, t('extension.options.server.test'))),
  );
  const standard = element('button', { type: 'button', class: 'tt-link' }, t('extension.options.server.default'));
  standard.addEventListener('click', () => {
    url.value = DEFAULT_SPACE_URL;
    form.requestSubmit();
  });
  return element(
    'section',
    {},
    element('h2', {}, t('extension.options.server')),
    element('p', { class: 'tt-muted' }, t('extension.options.server.note')),
    form,
    said,
    element('div', {}, standard),
    renderToken(settings, t),
  );
}

/** What a refusal means to somebody who set up a server. @type {Readonly<Record<string, string>>} */
const OUTCOMES = { space_unreachable: 'no_answer', space_asleep: 'no_answer', space_token: 'bad_token' };

/**
 * What a server says to being asked whether it is one.
 * @param {string} space_url
 * @param {string} lang
 * @returns {Promise<string>} 'ok', 'no_answer', 'bad_token' or 'not_telltale'
 */
async function tryServer(space_url, lang) {
  const { token } = await loadSettings();
  try {
    await openSpace({ space_url, token }, lang).test();
    return 'ok';
  } catch (cause) {
    if (!(cause instanceof SpaceError)) throw cause;
    return OUTCOMES[cause.code] ?? 'not_telltale';
  }
}

/**
 * @param {import('../lib/state.js').Settings} settings
 * @param {import('../lib/texts.js').Words['t']} t
 */
function renderToken(settings, t) {
  const token = element('input', { id: 'token', type: 'password', spellcheck: 'false', autocomplete: 'off' });
  token.value = settings.token;
  const said = element('p', { role: 'status', class: 'tt-muted' });
  token.addEventListener('change', async () => {
    await saveSettings({ token: token.value.trim() });
    said.textContent = t('extension.options.saved');
  });
  const show = element('button', { type: 'button', 'aria-pressed': 'false' }, t('extension.options.token.show'));
  show.addEventListener('click', () => {
    const shows = token.type === 'password';
    token.type = shows ? 'text' : 'password';
    show.setAttribute('aria-pressed', String(shows));
  });
  return element(
    'div',
    { class: 'tt-field' },
    renderField(token, t('extension.options.token'), show),
    element('p', { class: 'tt-muted' }, t('extension.options.token.note')),
    said,
  );
}
