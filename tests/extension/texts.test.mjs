import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeWords, pickLanguage } from '../../extension/lib/texts.js';

const TEXTS = { 'number.decimal': ',', 'list.comma': ', ', 'list.last': '{head} and {tail}', a: 'A', b: 'B', c: 'C', n: '{n}' };
const WORDS = makeWords('xx', TEXTS);

for (const [setting, preferred, expected] of [
  ['ru', ['en'], 'ru'],
  ['', ['ru-RU', 'en'], 'ru'],
  ['', ['de', 'ru'], 'ru'],
  ['', ['de'], 'en'],
  ['', [], 'en'],
  ['../en', ['ru'], 'ru'],
  ['ne', ['en'], 'ne'],
  ['', ['es-419', 'en'], 'es'],
  ['', ['hi-IN', 'ne-NP', 'en'], 'ne'],
]) {
  test(`language: setting ${setting || 'none'}, browser ${preferred}`, () => {
    assert.equal(pickLanguage(setting, preferred, ['en', 'es', 'ne', 'ru']), expected);
  });
}

for (const [n, expected] of [
  [[], ''],
  [['a'], 'A'],
  [['a', 'b'], 'A and B'],
  [['a', 'b', 'c'], 'A, B and C'],
  [1.25, '1,2'],
  [1.75, '1,8'],
  [0.125, '0,12'],
  [3, '3'],
  ['{a}', '{a}'],
  ['$&', '$&'],
]) {
  test(`parameter ${JSON.stringify(n)}`, () => assert.equal(WORDS.t('n', { n }), expected));
}

test('what is missing is an error', () => {
  assert.throws(() => WORDS.t('nothing'));
  assert.throws(() => WORDS.t('n'));
  assert.throws(() => WORDS.t('n', { n: ['nothing'] }));
  assert.throws(() => WORDS.t('n', Object.create({ n: 1 })));
});

test('a report that says something new keeps its own English', () => {
  assert.equal(WORDS.say({ id: 'new', en: 'New.', params: {} }), 'New.');
  assert.equal(WORDS.say({ id: 'n', en: 'New part.', params: { n: ['part.new'] } }), 'New part.');
});
