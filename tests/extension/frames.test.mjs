import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBlack } from '../../extension/content/black-frames.js';
import { findTimes, LIVE_S, N_FRAMES, planWatching } from '../../extension/content/plan-sampling.js';
import { cutRect } from '../../extension/background/shoot-tab.js';
import { rankVideos } from '../../extension/lib/rank-videos.js';

const ranges = (...pairs) => ({ length: pairs.length, start: (i) => pairs[i][0], end: (i) => pairs[i][1] });

for (const [name, duration, seekable, expected] of [
  ['in the middle of equal pieces', 8, ranges([0, 8]), [1, 3, 5, 7]],
  ['only where it can be wound', 100, ranges([20, 28]), [21, 23, 25, 27]],
  ['over a gap', 8, ranges([0, 2], [6, 8]), [1, 3, 5, 7]],
  ['never beyond the end', 6, ranges([0, 8]), [1, 3, 5, 6]],
  ['a tenth of a second', 0.1, ranges([0, 0.1]), [0.0125, 0.0375, 0.0625, 0.0875]],
  ['live', Infinity, ranges([0, 60]), null],
  ['not known yet', NaN, ranges(), null],
  ['nothing can be wound', 60, ranges(), null],
  ['only one place can be gone to', 60, ranges([30, 30.1]), null],
]) {
  test(`times: ${name}`, () => {
    const times = findTimes({ duration, seekable }, 4);
    if (expected === null) return assert.equal(times, null);
    times.forEach((time, i) => assert.ok(Math.abs(time - expected[i]) < 1e-9, `${time} ${expected[i]}`));
  });
}

test('times are sorted and inside, whatever the length', () => {
  for (let duration = 0.3; duration < 1e5; duration *= 1.7) {
    const times = findTimes({ duration, seekable: ranges([0, duration]) }, N_FRAMES);
    assert.equal(times.length, N_FRAMES);
    times.reduce((before, time) => (assert.ok(time > before), time), 0);
    assert.ok(times.at(-1) < duration);
  }
});

test('a stream is watched from now on for its whole time', () => {
  const times = planWatching(N_FRAMES);
  assert.equal(times.length, N_FRAMES);
  assert.deepEqual([times[0], times.at(-1)], [0, LIVE_S]);
});

const pixels = (n, colour) => Uint8ClampedArray.from({ length: 4 * n }, (_, i) => colour(Math.floor(i / 4))[i % 4]);
for (const [name, colour, expected] of [
  ['black', () => [0, 0, 0, 255], true],
  ["video's own black", () => [16, 16, 16, 255], true],
  ['black with the noise of coding', (i) => [i % 3, i % 2, i % 4, 255], true],
  ['a dark room', (i) => [(i * 7) % 23, (i * 7) % 23, (i * 7) % 23, 255], false],
  ['a light in the night', (i) => (i === 40 ? [255, 255, 255, 255] : [0, 0, 0, 255]), false],
  ['grey without anything in it', () => [90, 90, 90, 255], false],
  ['white', () => [255, 255, 255, 255], false],
]) {
  test(`black: ${name}`, () => assert.equal(isBlack(pixels(32 * 18, colour)), expected));
}

const VIEW = { width: 1000, height: 500 };
for (const [name, rect, shot, expected] of [
  ['inside', { left: 100, top: 50, width: 400, height: 200 }, VIEW, { left: 100, top: 50, width: 400, height: 200 }],
  ['on a finer screen', { left: 100, top: 50, width: 400, height: 200 }, { width: 2000, height: 1000 }, { left: 200, top: 100, width: 800, height: 400 }],
  ['half scrolled away', { left: -100, top: 400, width: 400, height: 200 }, VIEW, { left: 0, top: 400, width: 300, height: 100 }],
  ['scrolled away', { left: 0, top: 600, width: 400, height: 200 }, VIEW, { left: 0, top: 600, width: 400, height: 0 }],
]) {
  test(`cut: ${name}`, () => assert.deepEqual(cutRect(rect, VIEW, shot), expected));
}

const VIDEOS = [
  { id: 'hidden', playing: true, visible: false, area_px: 0 },
  { id: 'small', playing: true, visible: true, area_px: 100 },
  { id: 'paused', playing: false, visible: true, area_px: 900 },
  { id: 'large', playing: true, visible: true, area_px: 800 },
  { id: 'hidden too', playing: false, visible: false, area_px: 0 },
];
test('the largest visible playing video comes first', () => {
  assert.deepEqual(rankVideos(VIDEOS).map(({ id }) => id), ['large', 'small', 'paused', 'hidden', 'hidden too']);
});
