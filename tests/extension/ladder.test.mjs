import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideStep, hostOf, isPublic, STEPS } from '../../extension/lib/ladder.js';

const FACTS = { picture: 'unknown', src: 'https://media.example/clip.mp4', live: false, visible: true };
const SITUATION = { facts: FACTS, page_url: 'https://site.example/watch', file_allowed: false, consent: {}, failed_steps: [] };
const TAINTED = { ...FACTS, picture: 'tainted' };
const NONE = { file: false, page: false };

const take = (step) => ({ do: 'take', step });
const ask = (...steps) => ({ do: 'ask', steps });
const stop = (code) => ({ do: 'stop', code });

for (const [name, given, expected] of [
  ['nothing known yet', {}, take('frames')],
  ['readable', { facts: { ...FACTS, picture: 'readable' } }, take('frames')],
  ['another site keeps it', { facts: TAINTED }, ask('file', 'page', 'screen')],
  ['its file was allowed', { facts: TAINTED, file_allowed: true, consent: { file: true } }, take('file')],
  ['allowed here, but not by the browser', { facts: TAINTED, consent: { file: true } }, ask('file', 'page', 'screen')],
  ['allowed by the browser, but not here', { facts: TAINTED, file_allowed: true }, ask('file', 'page', 'screen')],
  ['its file was refused', { facts: TAINTED, consent: { file: false } }, ask('page', 'screen')],
  ['only the page is allowed', { facts: TAINTED, consent: { file: false, page: true } }, take('page')],
  ['all was refused', { facts: TAINTED, consent: NONE }, take('screen')],
  ['all was refused and nothing is seen', { facts: { ...TAINTED, visible: false }, consent: NONE }, stop('no_way')],
  ['the file was not to be had', { facts: TAINTED, failed_steps: ['frames', 'file'], consent: { page: true } }, take('page')],
  ['all but the screen failed', { facts: TAINTED, failed_steps: ['frames', 'file', 'page'] }, take('screen')],
  ['everything failed', { facts: TAINTED, failed_steps: STEPS }, stop('no_way')],
  ['protected', { facts: { ...FACTS, picture: 'black' } }, stop('video_protected')],
  ['a stream of another site', { facts: { ...TAINTED, live: true }, consent: { file: true } }, ask('page', 'screen')],
  ['a list of pieces', { facts: { ...TAINTED, src: 'https://media.example/a.m3u8?x=1' } }, ask('page', 'screen')],
  ['unreadable pieces of a player', { facts: { ...FACTS, src: 'blob:https://site.example/1', picture: 'unreadable' } }, ask('page', 'screen')],
  ['a page of a private network', { facts: TAINTED, page_url: 'http://192.168.0.7/', consent: { file: false } }, take('screen')],
  ['a page without a video', { facts: null }, ask('page')],
  ['a page without a video, allowed', { facts: null, consent: { page: true } }, take('page')],
  ['a page without a video, refused', { facts: null, consent: { page: false } }, stop('no_way')],
]) {
  test(name, () => assert.deepEqual(decideStep({ ...SITUATION, ...given }), expected));
}

test('it comes to an end, whatever fails, and never asks for what was refused', () => {
  const pictures = ['unknown', 'readable', 'tainted', 'unreadable'];
  const answers = [undefined, true, false];
  for (const picture of pictures)
    for (const file of answers)
      for (const page of answers)
        for (const file_allowed of [true, false]) {
          const failed = [];
          for (;;) {
            const facts = { ...FACTS, picture };
            const decision = decideStep({ ...SITUATION, facts, file_allowed, consent: { file, page }, failed_steps: failed });
            if (decision.do === 'stop') break;
            const [step] = decision.do === 'take' ? [decision.step] : decision.steps;
            assert.ok(!failed.includes(step));
            assert.ok(step !== 'file' || file !== false);
            assert.ok(step !== 'page' || page !== false);
            if (decision.do === 'take' && step === 'file') assert.ok(file && file_allowed);
            if (decision.do === 'take' && step === 'page') assert.ok(page);
            failed.push(step);
          }
          assert.ok(failed.length <= STEPS.length);
        }
});

for (const [address, expected] of [
  ['https://video.example.org/watch?v=1', true],
  ['http://example.org/', true],
  ['https://user:secret@example.org/', false],
  ['http://localhost:8000/', false],
  ['http://printer/', false],
  ['http://nas.local/', false],
  ['http://127.0.0.1/', false],
  ['http://0x7f000001/', false],
  ['http://2130706433/', false],
  ['http://[::1]/', false],
  ['file:///etc/passwd', false],
  ['blob:https://example.org/1', false],
  ['', false],
]) {
  test(`public: ${address}`, () => assert.equal(isPublic(address), expected));
}

for (const [src, expected] of [
  ['https://media.example:8443/clip.mp4', 'media.example'],
  ['blob:https://site.example/1', null],
  ['data:video/mp4;base64,AAAA', null],
  ['', null],
]) {
  test(`host of ${src}`, () => assert.equal(hostOf(src), expected));
}
