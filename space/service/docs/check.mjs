// Check a video file with a Telltale server: node check.mjs https://example.hf.space video.mp4
// Plain fetch, no library; the same code runs in a browser, with a File instead of readFile.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { argv, exit } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const [server, video] = [argv[2].replace(/\/$/, ""), argv[3]];
const jobId = randomBytes(16).toString("hex");

/** Ask the server; an answer that is an error ends the program with its sentence. */
async function ask(path, options = {}) {
  const answer = await fetch(server + path, options);
  const body = await answer.json();
  if (!answer.ok) {
    console.error(body.error?.message ?? answer.status);
    exit(1);
  }
  return body;
}

// 1. Send the file.
const upload = await ask("/api/v1/uploads", { method: "POST", body: await readFile(video) });

// 2. Begin the check. Why one was refused stands in the events, so read the first of them.
const { event_id } = await ask("/gradio_api/call/v2/check_upload", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ job_id: jobId, upload: upload.upload_id }),
});
let view = await firstEvent(`/gradio_api/call/check_upload/${event_id}`);

/** The first view among the events; the rest is had by polling, which survives a lost connection. */
async function firstEvent(path) {
  const { body } = await fetch(server + path);
  let text = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const found = /^data: (\[.*\])$/m.exec(text);
    if (found) return JSON.parse(found[1])[0];
  }
  throw new Error("the events ended without a view");
}

// 3. Ask until it has ended.
while (!["done", "failed", "cancelled"].includes(view.stage)) {
  console.error(view.stage, `${Math.round(view.fraction * 100)} %`);
  await sleep(1000);
  view = await ask(`/api/v1/jobs/${jobId}`);
}
if (view.stage !== "done") {
  console.error(view.error?.message ?? view.stage);
  exit(1);
}
console.log(view.report.verdict.sentence.en);
for (const reason of view.report.verdict.reasons) console.log("-", reason.en);
