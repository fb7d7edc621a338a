import assert from 'node:assert/strict';
import { test } from 'node:test';

const OWN = 'chrome-extension://abc/';
globalThis.chrome = { runtime: { id: 'abc', getURL: (path) => OWN + path } };
const { ANSWERS, isFrom, mayAsk, whoIs } = await import('../../extension/background/messages.js');

const PAGE = { id: 'abc', url: 'https://site.example/', tab: { id: 7 }, frameId: 2 };
for (const [name, sender, expected] of [
  ['the popup', { id: 'abc', url: `${OWN}popup/popup.html` }, 'own'],
  ['the settings in a tab', { id: 'abc', url: `${OWN}options/options.html`, tab: { id: 3 } }, 'own'],
  ["a page's script", PAGE, 'page'],
  ['another extension', { id: 'def', url: 'chrome-extension://def/x.html' }, null],
  ['another extension that names our address', { id: 'def', url: `${OWN}popup/popup.html` }, null],
  ['a page whose address holds ours', { ...PAGE, url: `https://site.example/?${OWN}` }, 'page'],
  ["the coder's frame in a page", { id: 'abc', url: `${OWN}coder/coder.html`, tab: { id: 7 }, frameId: 3 }, 'coder'],
  ['nobody', {}, null],
]) {
  test(`who: ${name}`, () => assert.equal(whoIs(sender), expected));
}

test('who may ask what', () => {
  for (const from of ['own', 'page']) assert.ok(mayAsk('job', from) && mayAsk(from, from));
  assert.ok(!mayAsk('own', 'page') && !mayAsk('page', 'own'));
  for (const audience of ['own', 'page', 'job']) assert.ok(!mayAsk(audience, null) && !mayAsk(audience, 'coder'));
  assert.ok(mayAsk('frames', 'page') && mayAsk('frames', 'coder') && !mayAsk('frames', 'own') && !mayAsk('frames', null));
});

test("a page's script speaks for its own check only", () => {
  assert.ok(isFrom({ tab_id: 7, frame_id: 2 }, PAGE));
  for (const [tab_id, frame_id] of [[7, 0], [8, 2], [null, 2], [null, null]]) assert.ok(!isFrom({ tab_id, frame_id }, PAGE));
  assert.ok(!isFrom({ tab_id: null, frame_id: null }, { id: 'abc' }));
});

test("the coder's frame hands over frames for checks of its tab, and nothing else", () => {
  const coder = { id: 'abc', url: `${OWN}coder/coder.html`, tab: { id: 7 }, frameId: 3 };
  assert.ok(isFrom({ tab_id: 7, frame_id: 2 }, coder));
  for (const tab_id of [8, null]) assert.ok(!isFrom({ tab_id, frame_id: 3 }, coder));
  assert.deepEqual(Object.keys(ANSWERS).filter((type) => mayAsk(ANSWERS[type].for, 'coder')), ['captured']);
});

test("what starts checks or answers questions is for the extension's own pages", () => {
  for (const type of ['list-videos', 'check-video', 'check-page', 'check-link', 'answer-ask', 'unshare-job']) {
    assert.equal(ANSWERS[type].for, 'own');
  }
});
