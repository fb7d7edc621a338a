// @ts-check
// Earlier results: a list of them, and one of them in full.

import { draw } from './drawings.js';
import { element } from './elements.js';
import { renderBadge, renderReport } from './report-view.js';
import { openPictures } from './send.js';
import { renderSharing } from './sharing.js';

/** @typedef {import('./state.js').HistoryEntry} HistoryEntry */
/** @typedef {import('./texts.js').Words} Words */

/**
 * @param {readonly HistoryEntry[]} entries newest first
 * @param {Words} words
 * @param {(entry: HistoryEntry) => void} open
 * @returns {HTMLElement}
 */
export function renderHistory(entries, words, open) {
  if (entries.length === 0) return element('p', { class: 'tt-empty' }, words.t('extension.history.empty'));
  const lines = entries.map((entry) =>
    element(
      'li',
      {},
      element(
        'button',
        { type: 'button', class: 'tt-entry', 'data-job': entry.job_id, click: () => open(entry) },
        renderThumbnail(entry),
        element(
          'span',
          {},
          renderBadge(entry.verdict_code, words),
          element('span', { class: 'tt-title' }, sayTitle(entry, words)),
          element('span', { class: 'tt-muted' }, describe(entry, words)),
        ),
      ),
    ),
  );
  return element('ul', { class: 'tt-history' }, ...lines);
}

/**
 * @param {HistoryEntry} entry
 * @param {Words} words
 * @param {() => void} remove
 * @returns {HTMLElement}
 */
export function renderEntry(entry, words, remove) {
  const { t } = words;
  return element(
    'div',
    { class: 'tt-done' },
    element('p', {}, sayTitle(entry, words), element('span', { class: 'tt-muted' }, ` ${describe(entry, words)}`)),
    renderReport(entry.report, { words, picture: findPictures(entry), seek: null }),
    renderSharing(
      entry.job_id,
      entry.share_url,
      words,
      { after: element('button', { type: 'button', class: 'tt-link', click: remove }, t('extension.history.remove')) },
    ),
  );
}

/**
 * Heat maps are kept with the entry; other pictures only as long as the Space has them.
 * @param {HistoryEntry} entry
 */
function findPictures({ job_id, report, thumbnails }) {
  const kept = new Map(report.evidence.map(({ overlay }, index) => [overlay, thumbnails[index]]));
  const elsewhere = openPictures(job_id);
  return async (/** @type {string} */ name) => kept.get(name) ?? elsewhere(name);
}

/** @param {HistoryEntry} entry */
function renderThumbnail({ thumbnails }) {
  const [first] = thumbnails;
  if (!first) return element('i', { class: 'tt-blank' }, draw('video'));
  return element('img', { src: first, alt: '', width: '64', height: '64' });
}

/**
 * What the page calls itself, in quotation marks: these are the page's words, not ours.
 * @param {HistoryEntry} entry
 * @param {Words} words
 */
function sayTitle({ title }, { t }) {
  return title === '' ? t('extension.history.untitled') : element('q', {}, title);
}

/** @param {HistoryEntry} entry @param {Words} words */
function describe({ host, time }, { lang }) {
  const when = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(time);
  return [host, when].filter(Boolean).join(' · ');
}
