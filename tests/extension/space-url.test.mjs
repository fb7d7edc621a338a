import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostPatterns, parseSite, parseSpaceUrl } from '../../extension/lib/space-url.js';

for (const [typed, expected] of [
  ['https://me-mine.hf.space', 'https://me-mine.hf.space'],
  [' https://me-mine.hf.space/?x=1#y ', 'https://me-mine.hf.space'],
  ['me-mine.hf.space', 'https://me-mine.hf.space'],
  ['http://localhost:7860/', 'http://localhost:7860'],
  ['http://127.0.0.1:7860', 'http://127.0.0.1:7860'],
  ['http://[::1]:7860', 'http://[::1]:7860'],
  ['http://example.org', null],
  ['http://localhost.example.org', null],
  ['https://user:secret@example.org', null],
  ['javascript://example.org/%0aalert(1)', null],
  ['ftp://example.org', null],
  ['', null],
  ['not a server', null],
]) {
  test(`server ${typed}`, () => assert.equal(parseSpaceUrl(typed), expected));
}

for (const [typed, expected] of [
  ['example.org', 'example.org'],
  ['https://Video.Example.org/watch?v=1', 'video.example.org'],
  ['localhost', 'localhost'],
  ['example.org:8080', 'example.org'],
  ['*', null],
  ['*.example.org', null],
  ['ftp://example.org', null],
  ['a b', null],
  ['', null],
]) {
  test(`site ${typed}`, () => assert.equal(parseSite(typed), expected));
}

test('patterns have no port', () => {
  assert.deepEqual(hostPatterns('example.org:8080'), ['https://example.org/*', 'http://example.org/*']);
});
