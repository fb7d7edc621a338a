import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CaptureError, sampleBySeeking } from '../../extension/content/sample-frames.js';

globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
globalThis.HTMLMediaElement = { HAVE_CURRENT_DATA: 2 };

/** A player that arrives at once wherever it is wound to. */
class Player extends EventTarget {
  duration = 16;
  readyState = 2;
  seekable = { length: 1, start: () => 0, end: () => 16 };

  set currentTime(time_s) {
    queueMicrotask(() => {
      this.dispatchEvent(new Event('seeked'));
      this.drawn?.(0, { mediaTime: time_s });
    });
  }

  requestVideoFrameCallback(callback) {
    this.drawn = callback;
    return 1;
  }

  cancelVideoFrameCallback() {}
}

const PICTURE = { jpeg: 'aGk=', black: false };

/** What is sampled where each frame is read so. */
function sample(grab) {
  const { signal } = new AbortController();
  return sampleBySeeking(new Player(), { grab, signal, progress() {}, least_ms: 0 });
}

/** A grab that fails so at the frames of these numbers. */
function failing(name, at) {
  let i = 0;
  return async () => {
    if (at(i++)) throw name === 'Error' ? new Error('broken') : new DOMException('broken', name);
    return PICTURE;
  };
}

test('a frame that the browser does not have yet is left out', async () => {
  const samples = await sample(failing('InvalidStateError', (i) => i < 2));
  assert.deepEqual([samples.length, samples[0].time_s], [14, 2.5]);
});

test('too few frames are no frames', async () => {
  const samples = sample(failing('InvalidStateError', (i) => i > 2));
  await assert.rejects(samples, (error) => error instanceof CaptureError && error.code === 'unreadable');
});

test('a frame of another site ends it', async () => {
  const samples = sample(failing('SecurityError', (i) => i === 5));
  await assert.rejects(samples, (error) => error instanceof CaptureError && error.code === 'tainted');
});

test('what nobody foresaw is not hidden', async () => {
  await assert.rejects(sample(failing('Error', (i) => i === 5)), /broken/);
});
