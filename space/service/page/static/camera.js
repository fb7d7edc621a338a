// @ts-check
// A short clip from the camera. It is recorded here rather than by Gradio's own component, so that it goes the way
// of every file: from the browser straight into the vault.
import { fill } from "./address.js";

const TYPES = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];

/** @param {HTMLElement} element @param {{choose: (file: File, name?: string) => void, tell: (kind?: string) => void}} choice */
export function setUpCamera(element, choice) {
  /** @type {MediaRecorder | null} */
  let recorder = null;

  /** @param {MediaStream} stream @param {HTMLElement} place */
  function showViewfinder(stream, place) {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, playsInline: true, autoplay: true, srcObject: stream });
    place.replaceChildren(video);
    place.hidden = false;
  }

  /** @param {HTMLElement} button */
  async function record(button) {
    const place = /** @type {HTMLElement} */ (element.querySelector("[data-slot=viewfinder]"));
    const seconds = Number(place.dataset.seconds);
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" } });
    } catch {
      return choice.tell("no-camera"); // none, not allowed, or the page is not on a secure address
    }
    showViewfinder(stream, place);
    const type = TYPES.find((candidate) => MediaRecorder.isTypeSupported(candidate));
    recorder = new MediaRecorder(stream, { mimeType: type, videoBitsPerSecond: 6_000_000 });
    const pieces = /** @type {Blob[]} */ ([]);
    const words = button.textContent ?? "";
    let left = seconds;
    const count = () => (button.textContent = fill(button.dataset.stopWords ?? "", { seconds: String(left) }));
    count();
    const timer = setInterval(() => ((left -= 1), left > 0 ? count() : recorder?.stop()), 1000);
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      clearInterval(timer);
      stream.getTracks().forEach((track) => track.stop());
      place.replaceChildren();
      place.hidden = true;
      button.textContent = words;
      recorder = null;
      choice.choose(new File(pieces, "camera", { type: type?.split(";")[0] }), button.dataset.name ?? "");
    };
    recorder.start();
  }

  element.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action=record]"));
    if (!button) return;
    if (recorder) recorder.stop();
    else void record(button);
  });
}
