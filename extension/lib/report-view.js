// @ts-check
// A report as elements: the same view in the popup and in the card on the page. Words only as text, never as markup.

import { VERDICT_DRAWINGS, draw } from './drawings.js';
import { element } from './elements.js';

/** @typedef {import('./report-summary.js').Report} Report */
/** @typedef {import('./report-summary.js').Moment} Moment */
/** @typedef {import('./texts.js').Words} Words */

/**
 * @typedef {object} ViewOptions
 * @property {Words} words
 * @property {(name: string) => Promise<string | null>} picture URL of a picture (data: or blob:) by its name in the
 *   report; null where it is no longer kept
 * @property {((time_s: number) => void) | null} seek makes the video jump there; null where there is no video to jump in
 */

/**
 * The whole report: verdict in an icon, words and a colour, why, the parts of the face, the strongest moments, what to
 * do next, limits. Needs report-view.css and the palette's variables around it.
 * @param {Report} report
 * @param {ViewOptions} options
 * @returns {HTMLElement}
 */
export function renderReport(report, options) {
  const { words } = options;
  const { verdict, parts, evidence } = report;
  return element(
    'article',
    { class: 'tt-report', lang: words.lang },
    element(
      'section',
      { class: `tt-verdict tt-${knownCode(verdict.code)}` },
      element('h2', { tabindex: '-1' }, draw(VERDICT_DRAWINGS[knownCode(verdict.code)]), words.say(verdict.sentence)),
      element('ul', {}, ...verdict.reasons.map((reason) => element('li', {}, words.say(reason)))),
    ),
    parts && element('p', { class: 'tt-parts' }, words.say(parts.sentence)),
    evidence.length > 0 && renderMoments(report, options),
    element(
      'section',
      {},
      element('h3', {}, words.t('page.next')),
      element('p', {}, words.t(`verdict.${knownCode(verdict.code)}.next`)),
    ),
    element(
      'details',
      {},
      element('summary', {}, words.t('page.limits')),
      element('ul', {}, ...report.limits.map((limit) => element('li', {}, words.say(limit)))),
    ),
  );
}

/**
 * A verdict as a badge: icon, short words, colour.
 * @param {string} code
 * @param {Words} words
 * @returns {HTMLElement}
 */
export function renderBadge(code, words) {
  const known = knownCode(code);
  return element(
    'span',
    { class: `tt-badge tt-${known}` },
    draw(VERDICT_DRAWINGS[known]),
    words.t(`verdict.${known}.badge`),
  );
}

/**
 * A newer server may know verdicts that this extension does not: shown as no clear answer, in the report's own words.
 * @param {string} code
 */
function knownCode(code) {
  return Object.hasOwn(VERDICT_DRAWINGS, code) ? code : 'inconclusive';
}

/**
 * A row of small heat maps, and the one that was chosen in large below it.
 * @param {Report} report
 * @param {ViewOptions} options
 */
function renderMoments(report, options) {
  const { t } = options.words;
  const stage = element('div', { class: 'tt-stage', 'aria-live': 'polite' });
  /** @type {HTMLButtonElement[]} */
  const buttons = report.evidence.map((moment) =>
    element(
      'button',
      { type: 'button', class: 'tt-thumbnail', 'aria-pressed': 'false', click: () => choose(moment) },
      renderPicture(moment.overlay, describe(moment, report, options.words), options),
      isStill(report) ? null : element('span', {}, formatTime(moment.time_s)),
    ),
  );
  /** @param {Moment} moment */
  const choose = (moment) => {
    const chosen = buttons[report.evidence.indexOf(moment)];
    const opens = chosen.getAttribute('aria-pressed') === 'false';
    for (const button of buttons) button.setAttribute('aria-pressed', String(opens && button === chosen));
    stage.replaceChildren(...(opens ? [renderMoment(moment, report, options)] : []));
  };
  return element(
    'section',
    { class: 'tt-moments' },
    element('h3', {}, t('page.moments')),
    element('div', { class: 'tt-thumbnails' }, ...buttons),
    stage,
    renderScale(options.words),
  );
}

/** @param {Words} words */
function renderScale({ t }) {
  return element(
    'p',
    { class: 'tt-scale' },
    `${t('page.heat.scale')}:`,
    element('span', {}, t('page.heat.low'), element('i', { 'aria-hidden': 'true' }), t('page.heat.high')),
  );
}

/**
 * A moment in large; the face can be seen with and without the heat map.
 * @param {Moment} moment
 * @param {Report} report
 * @param {ViewOptions} options
 */
function renderMoment(moment, report, options) {
  const { words, seek } = options;
  const { t } = words;
  const person = report.tracks.length > 1 && element('b', {}, `${t('page.person', { track: moment.track })}. `);
  const heat = renderPicture(moment.overlay, describe(moment, report, words), options);
  const actions = element(
    'div',
    { class: 'tt-row' },
    seek !== null &&
      !isStill(report) &&
      element('button', { type: 'button', click: () => seek(moment.time_s) }, t('extension.report.seek')),
  );
  options.picture(moment.crop).then((face) => face !== null && actions.prepend(makeComparison(heat, face, moment, t)));
  return element('figure', {}, heat, element('figcaption', {}, person, words.say(moment.sentence)), actions);
}

/**
 * A button that takes the heat map away and brings it back.
 * @param {HTMLElement} heat
 * @param {string} face URL
 * @param {Moment} moment
 * @param {Words['t']} t
 */
function makeComparison(heat, face, { track }, t) {
  const bare = element('img', { src: face, alt: t('page.moment.crop.alt', { track }), width: '320', height: '320' });
  const button = element('button', { type: 'button', 'aria-pressed': 'false' }, t('extension.report.without_heat'));
  button.addEventListener('click', () => {
    const bares = button.getAttribute('aria-pressed') === 'false';
    button.setAttribute('aria-pressed', String(bares));
    heat.firstElementChild?.toggleAttribute('hidden', bares);
    if (bares) heat.append(bare);
    else bare.remove();
  });
  return button;
}

/**
 * A picture that arrives; where it is no longer kept, words say so.
 * @param {string} name
 * @param {string} alt
 * @param {ViewOptions} options
 */
function renderPicture(name, alt, { picture, words }) {
  const image = element('img', { alt, width: '320', height: '320', draggable: 'false' });
  const frame = element('span', { class: 'tt-picture' }, image);
  const giveUp = () => frame.replaceChildren(element('span', {}, words.t('extension.report.picture_gone')));
  picture(name).then((url) => (url === null ? giveUp() : image.setAttribute('src', url)), giveUp);
  return frame;
}

/**
 * What a screen reader says of a heat map: whose face, when, and the parts concerned.
 * @param {Moment} moment
 * @param {Report} report
 * @param {Words} words
 */
function describe({ track, time_s, sentence }, report, { t, say }) {
  const face = isStill(report)
    ? t('page.moment.alt.single', { track })
    : t('page.moment.alt', { track, time_s: Math.round(time_s * 10) / 10 });
  return `${face}. ${say(sentence)}`;
}

/** @param {Report} report */
function isStill(report) {
  return report.source.kind === 'image';
}

/**
 * Minutes and seconds as a player shows them: 0:07, 12:30, 1:02:03.
 * @param {number} time_s
 */
export function formatTime(time_s) {
  const whole = Math.floor(time_s);
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}
