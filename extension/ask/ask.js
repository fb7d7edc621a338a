// @ts-check
// The question which way to get at a video, where no popup is open that could ask it.

import { renderAsk, requestAccess } from '../lib/ask-view.js';
import { renderNotice } from '../lib/notice.js';
import { openPage } from '../lib/page.js';
import { send } from '../lib/send.js';

const main = /** @type {HTMLElement} */ (document.querySelector('main'));
const jobId = location.hash.slice(1);
const { words } = await openPage();
const { job } = await send({ type: 'watch-job', jobId });

if (job.stage !== 'asking') close();
main.append(
  renderAsk(job, {
    words,
    async answer(step, remember) {
      if (!(await requestAccess(step, job.media_host))) return;
      await send({ type: 'answer-ask', jobId, step, remember }).catch(({ problem }) => {
        main.replaceChildren(renderNotice(problem.message, problem.next));
        throw problem;
      });
      close();
    },
  }),
);
main.querySelector('h2')?.focus();
