import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DRAWINGS, VERDICT_DRAWINGS } from '../../extension/lib/drawings.js';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const { verdicts } = JSON.parse(read('shared/verdicts.json'));
const macros = read('space/service/page/templates/macros.html');

test('every verdict has the drawing that the shared table names', () => {
  assert.deepEqual(VERDICT_DRAWINGS, Object.fromEntries(verdicts.map(({ code, icon }) => [code, icon])));
});

for (const { icon } of verdicts) {
  test(`${icon} is drawn as on the page`, () => {
    const [, markup] = macros.match(new RegExp(`"${icon}": '([^']+)'`));
    const strokes = [...markup.matchAll(/<path d="([^"]+)"|<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"/g)];
    assert.deepEqual(
      DRAWINGS[icon],
      strokes.map(([, path, ...circle]) => path ?? circle.map(Number)),
    );
  });
}
