import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeBadge, placeCard } from '../../extension/content/place-badge.js';
import { forSurface } from '../../extension/content/surface.js';

const VIEW = { width: 1000, height: 700 };
const BADGE = { width: 150, height: 34 };
const rect = (left, top, width, height) => ({ left, top, right: left + width, bottom: top + height });

for (const [name, video, expected] of [
  ['in its corner', rect(100, 100, 640, 360), { left: 580, top: 110 }],
  ['scrolled half out', rect(100, -200, 640, 360), { left: 580, top: 10 }],
  ['beyond the right', rect(700, 100, 640, 360), { left: 840, top: 110 }],
  ['smaller than itself', rect(0, 0, 100, 60), { left: 10, top: 10 }],
  ['the whole window', rect(0, 0, 1000, 700), { left: 840, top: 10 }],
  ['scrolled away', rect(100, -400, 640, 360), null],
  ['a line of it is left', rect(100, -350, 640, 360), null],
  ['to the right of the window', rect(1200, 100, 640, 360), null],
]) {
  test(`badge: ${name}`, () => assert.deepEqual(placeBadge(video, BADGE, VIEW), expected));
}

const WIDE = rect(20, 20, 960, 540);
const CARD = { width: 380, height: 400 };
for (const [name, badge, card, view, video, expected] of [
  ['below', rect(580, 110, 150, 34), CARD, VIEW, WIDE, { left: 350, top: 154, height: 400 }],
  ['below, and scrolls', rect(580, 110, 150, 34), { ...CARD, height: 900 }, VIEW, WIDE, { left: 350, top: 154, height: 536 }],
  ['above', rect(580, 600, 150, 34), CARD, VIEW, WIDE, { left: 350, top: 190, height: 400 }],
  ['not left of the window', rect(10, 10, 150, 34), CARD, VIEW, WIDE, { left: 10, top: 54, height: 400 }],
  ['in a window that is too low', rect(10, 10, 150, 34), { width: 280, height: 400 }, { width: 300, height: 200 }, WIDE, { left: 10, top: 10, height: 160 }],
  ['right of the video', rect(400, 30, 150, 34), CARD, VIEW, rect(20, 20, 540, 300), { left: 570, top: 20, height: 400 }],
  ['left of the video', rect(800, 30, 150, 34), CARD, VIEW, rect(420, 20, 560, 300), { left: 30, top: 20, height: 400 }],
  ['beside the video, and scrolls', rect(400, 500, 150, 34), { ...CARD, height: 900 }, VIEW, rect(20, 490, 540, 300), { left: 570, top: 10, height: 680 }],
]) {
  test(`card: ${name}`, () => assert.deepEqual(placeCard(badge, card, view, video), expected));
}

test('the badge is always inside the window', () => {
  for (let left = -900; left < 1100; left += 37)
    for (let top = -500; top < 800; top += 41) {
      const spot = placeBadge(rect(left, top, 640, 360), BADGE, VIEW);
      if (!spot) continue;
      assert.ok(spot.left >= 0 && spot.left + BADGE.width <= VIEW.width);
      assert.ok(spot.top >= 0 && spot.top + BADGE.height <= VIEW.height);
    }
});

test('sheets do not depend on the page around', () => {
  const css = ':root, :host { --tt-ink: #000; }\n.tt { gap: 0.5rem 1rem; padding: .25rem; --brem: 2; }';
  assert.equal(forSurface(css), '.tt-surface { --tt-ink: #000; }\n.tt { gap: 8px 16px; padding: 4px; --brem: 2; }');
});
