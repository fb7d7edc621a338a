import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overallFraction, sayStage } from '../../extension/lib/progress.js';
import { formatTime } from '../../extension/lib/report-view.js';

test('progress never goes back', () => {
  const steps = [
    { stage: 'capturing', fraction: 0 },
    { stage: 'capturing', fraction: 1 },
    { stage: 'asking', fraction: 1 },
    { stage: 'sending', fraction: 0 },
    { stage: 'accepted', fraction: 0 },
    { stage: 'queued', fraction: 0 },
    { stage: 'faces', fraction: 0.4 },
    { stage: 'done', fraction: 1 },
  ];
  const fractions = steps.map(overallFraction);
  assert.deepEqual(fractions, fractions.toSorted((a, b) => a - b));
  assert.deepEqual([fractions[0], fractions.at(-1)], [0, 1]);
});

const words = { lang: 'xx', t: (id, params = {}) => [id, ...Object.values(params)].join(' '), say: () => '' };
for (const [progress, expected] of [
  [{ stage: 'queued', n_ahead: 3 }, 'page.waiting.ahead 3'],
  [{ stage: 'queued', n_ahead: 0 }, 'page.waiting'],
  [{ stage: 'queued', n_ahead: null }, 'page.waiting'],
  [{ stage: 'faces', n_ahead: null }, 'stage.faces'],
  [{ stage: 'capturing', n_ahead: null }, 'extension.popup.capturing'],
]) {
  test(`words of ${JSON.stringify(progress)}`, () => assert.equal(sayStage({ fraction: 0, ...progress }, words), expected));
}

for (const [time_s, expected] of [[0, '0:00'], [7.9, '0:07'], [59.99, '0:59'], [750, '12:30'], [3723.4, '1:02:03']]) {
  test(`time ${time_s}`, () => assert.equal(formatTime(time_s), expected));
}
