import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstEvent, readRefusal, SpaceError } from '../../extension/lib/api.js';
import { changedJob, HISTORY_LENGTH, isLast, isOwn, makeJob, makeJobId, withEntry } from '../../extension/lib/state.js';

const JOB = makeJob({ job_id: 'a', host: 'site.example', title: 'A page', space_url: 'https://space.example' });

test('an id has 128 bits', () => {
  assert.match(makeJobId(), /^[0-9a-f]{32}$/);
  assert.notEqual(makeJobId(), makeJobId());
});

for (const [from, change, expected] of [
  ['capturing', { stage: 'sending' }, 'sending'],
  ['sending', { stage: 'scores' }, 'scores'],
  ['scores', { stage: 'cancelled' }, 'cancelled'],
  ['cancelled', { stage: 'done' }, 'cancelled'],
  ['cancelled', { stage: 'sending' }, 'cancelled'],
  ['done', { stage: 'failed' }, 'done'],
  ['failed', { stage: 'done' }, 'failed'],
]) {
  test(`${from} -> ${change.stage}`, () => assert.equal(changedJob({ ...JOB, stage: from }, change).stage, expected));
}

test('a finished check can be dismissed and shared', () => {
  const done = { ...JOB, stage: 'done' };
  assert.equal(changedJob(done, { dismissed: true }).dismissed, true);
});

test('nothing new is no change', () => {
  assert.equal(changedJob(JOB, { stage: 'capturing', ask: [] }), JOB);
  assert.notEqual(changedJob(JOB, { fraction: 0.5 }), JOB);
});

test('stages are the extension’s, the Space’s or the last', () => {
  for (const stage of ['capturing', 'asking', 'sending']) assert.ok(isOwn(stage) && !isLast(stage));
  for (const stage of ['accepted', 'queued', 'scores']) assert.ok(!isOwn(stage) && !isLast(stage));
  for (const stage of ['done', 'failed', 'cancelled']) assert.ok(isLast(stage) && !isOwn(stage));
});

test('history keeps the newest, and one entry for each check', () => {
  let history = [];
  for (let time = 0; time < HISTORY_LENGTH + 5; time++) history = withEntry(history, { job_id: `j${time}`, time });
  history = withEntry(history, { job_id: 'j20', time: 20, thumbnails: ['x'] });
  assert.equal(history.length, HISTORY_LENGTH);
  assert.equal(history[0].job_id, `j${HISTORY_LENGTH + 4}`);
  assert.deepEqual(history.filter(({ job_id }) => job_id === 'j20'), [{ job_id: 'j20', time: 20, thumbnails: ['x'] }]);
  assert.deepEqual(history.map(({ time }) => time), history.map(({ time }) => time).sort((a, b) => b - a));
});

// --- what the Space says --------------------------------------------------------------------------

for (const [name, text, expected] of [
  ['whole', 'event: generating\ndata: [1]\n\n', { event: 'generating', data: '[1]' }],
  ['cut off', 'event: generating\ndata: [1', null],
  ['after heartbeats', 'event: heartbeat\ndata: null\n\nevent: error\ndata: null\n\n', { event: 'error', data: 'null' }],
  ['with carriage returns', 'event: complete\r\ndata: [2]\r\n\r\nevent: x', { event: 'complete', data: '[2]' }],
  ['only heartbeats', 'event: heartbeat\ndata: null\n\n', null],
  ['nothing', '', null],
]) {
  test(`event stream: ${name}`, () => assert.deepEqual(firstEvent(text), expected));
}

const json = (body, status, headers = {}) => new Response(JSON.stringify(body), { status, headers });
for (const [name, answer, code, wait_ms] of [
  ['told', json({ error: { code: 'job_unknown', message: 'No.', next: 'Yes.' } }, 404), 'job_unknown', null],
  ['told to wait', json({ error: { code: 'busy', message: 'No.', next: '' } }, 503, { 'Retry-After': '7' }), 'busy', 7000],
  ['told to wait long', json({ error: { code: 'rate_limited', message: 'No.', next: '' } }, 429, { 'Retry-After': '500' }), 'rate_limited', null],
  ['a full queue of Gradio', json({ detail: 'Queue is full' }, 503), 'busy', null],
  ['a Space that sleeps', new Response('<html>', { status: 503 }), 'space_asleep', 3000],
  ['a private Space', new Response('', { status: 401 }), 'space_token', null],
  ['something else', new Response('<html>', { status: 404 }), 'space_unknown', null],
]) {
  test(`refusal: ${name}`, async () => {
    const error = await readRefusal(answer);
    assert.ok(error instanceof SpaceError);
    assert.deepEqual([error.code, error.wait_ms], [code, wait_ms]);
  });
}
