// @ts-check
// Badge and card of one check, at the corner of its video.

import { element } from '../lib/elements.js';
import { renderCard } from './card.js';
import { describeChip, renderChip, turnRing } from './chip.js';
import { followVideo, sizeOfWindow } from './follow-video.js';
import { placeBadge, placeCard } from './place-badge.js';

/** @typedef {import('../lib/state.js').Job} Job */

const CARD_PX = { width: 380, height: 620 };

/**
 * @param {HTMLVideoElement} video
 * @param {import('./surface.js').Surface} surface
 * @param {import('./card.js').CardActions & {dismiss: () => void}} actions
 * @returns {{show: (job: Job) => void, close: () => void}}
 */
export function openBadge(video, { root, raise }, actions) {
  const { t, lang } = actions.words;
  const main = element('button', { type: 'button', class: 'tt-chip-main', 'aria-expanded': 'false', click: () => toggle() });
  const close = element('button', { type: 'button', class: 'tt-chip-close', 'aria-label': t('extension.badge.dismiss'), title: t('extension.badge.dismiss'), click: () => actions.dismiss() }, '×');
  const chip = element('div', { class: 'tt-chip', role: 'group', 'aria-label': t('page.title') }, main, close);
  const card = element('div', { class: 'tt-card', role: 'dialog', 'aria-label': t('page.title') });
  const said = element('p', { class: 'tt-said', 'aria-live': 'polite' });
  card.hidden = true;
  root.lang = lang;
  root.append(chip, card, said);

  /** @type {Job | null} */
  let job = null;
  let [chipShown, cardShown, rect] = ['', '', video.getBoundingClientRect()];

  const place = () => {
    const viewport = sizeOfWindow();
    const spot = placeBadge(rect, { width: chip.offsetWidth, height: chip.offsetHeight }, viewport);
    root.toggleAttribute('data-unseen', spot === null && card.hidden !== false);
    if (spot) Object.assign(chip.style, { left: `${spot.left}px`, top: `${spot.top}px` });
    if (card.hidden) return;
    card.style.maxBlockSize = `${CARD_PX.height}px`;
    const natural = { width: card.offsetWidth, height: card.scrollHeight + 2 };
    const { left, top, height } = placeCard(chip.getBoundingClientRect(), natural, viewport, rect);
    Object.assign(card.style, { left: `${left}px`, top: `${top}px`, maxBlockSize: `${Math.min(height, CARD_PX.height)}px` });
  };

  const drawCard = () => {
    const now = job && !card.hidden ? JSON.stringify([job.stage, job.problem, job.preliminary]) : '';
    if (!job || now === cardShown) return;
    cardShown = now;
    if (!now) return;
    card.replaceChildren(renderCard(job, actions));
    place();
  };

  const toggle = (/** @type {boolean} */ opens = card.hidden !== false) => {
    card.hidden = !opens;
    main.setAttribute('aria-expanded', String(opens));
    drawCard();
    raise();
    place();
    (opens ? card.querySelector('h2') : main)?.focus({ preventScroll: true });
  };

  root.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !card.hidden) toggle(false);
  });
  const grown = new ResizeObserver(place);
  grown.observe(card);
  const unfollow = followVideo(video, (now) => ((rect = now), place()));

  return {
    show(now) {
      job = now;
      turnRing(main, job);
      const face = describeChip(job, actions.words);
      if (face !== chipShown) {
        chipShown = face;
        main.replaceChildren(renderChip(job, actions.words));
        said.textContent = main.textContent;
        place();
      }
      drawCard();
    },
    close() {
      unfollow();
      grown.disconnect();
      root.replaceChildren();
    },
  };
}
