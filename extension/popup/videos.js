// @ts-check
// The videos of a page, each with what it shows now and a button that checks it.

import { draw } from '../lib/drawings.js';
import { element } from '../lib/elements.js';
import { formatTime } from '../lib/report-view.js';

/**
 * A video as the background lists it.
 * @typedef {object} Video
 * @property {string} videoKey
 * @property {string} label what the page calls it; ''  where it has no name
 * @property {string | null} thumbnail data URL
 * @property {boolean} playing
 * @property {number | null} duration_s
 * @property {number} width
 * @property {number} height
 * @property {boolean} live
 * @property {string | null} jobId its latest check
 */

/**
 * @param {readonly Video[]} videos best first
 * @param {import('../lib/texts.js').Words} words
 * @param {object} actions
 * @param {(video: Video) => void} actions.check
 * @param {(jobId: string, video: Video) => void} actions.open shows its latest check
 * @returns {HTMLElement}
 */
export function renderVideos(videos, { t }, { check, open }) {
  const lines = videos.map((video, index) => {
    const number = index + 1;
    const { jobId } = video;
    return element(
      'li',
      {},
      renderStill(video, t('extension.popup.thumbnail.alt', { number })),
      element(
        'div',
        { class: 'tt-about' },
        element(
          'div',
          {},
          element('b', {}, t('extension.popup.video', { number })),
          video.label !== '' && element('p', { class: 'tt-label' }, element('q', {}, video.label)),
          element('p', { class: 'tt-muted' }, describe(video, t)),
        ),
        element(
          'div',
          { class: 'tt-row' },
          element(
            'button',
            {
              type: 'button',
              class: 'tt-main',
              'aria-label': t('extension.popup.check', { number }),
              click: () => check(video),
            },
            t('page.check'),
          ),
          jobId !== null &&
            element('button', { type: 'button', click: () => open(jobId, video) }, t('extension.popup.result')),
        ),
      ),
    );
  });
  return element('ul', { class: 'tt-videos' }, ...lines);
}

/** @param {Video} video @param {string} alt */
function renderStill({ thumbnail }, alt) {
  const still = thumbnail ? element('img', { src: thumbnail, alt }) : draw('video');
  return element('span', { class: 'tt-still' }, still);
}

/**
 * @param {Video} video
 * @param {import('../lib/texts.js').Words['t']} t
 */
function describe({ playing, live, duration_s, width, height }, t) {
  const length = live ? t('extension.popup.live') : duration_s !== null && formatTime(duration_s);
  const size = width > 0 && `${width} × ${height}`;
  const state = t(playing ? 'extension.popup.playing' : 'extension.popup.paused');
  return [length, size, state].filter(Boolean).join(' · ');
}
