// @ts-check
// The clip with the faces marked in it. The server's copy is deleted, so they are drawn over the viewer's own, which
// never leaves the browser for it.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {{index: number, time_s: number, box: number[]}} Sighting */
/** @typedef {{label: string, code: string, frames: Sighting[]}} Person */

/**
 * @param {HTMLElement} article
 * @param {string} ownCopy - address of the viewer's copy; "" where there is none
 */
export function setUpPlayer(article, ownCopy) {
  if (!article.querySelector("[data-slot=player]")) return { seek: () => {} };
  const figure = /** @type {HTMLElement} */ (article.querySelector("[data-slot=player]"));
  const absent = /** @type {HTMLElement} */ (article.querySelector("[data-slot=no-player]"));
  const trouble = /** @type {HTMLElement} */ (article.querySelector("[data-slot=player-trouble]"));
  const source = JSON.parse(figure.dataset.boxes ?? "{}");
  const stage = /** @type {HTMLElement} */ (figure.querySelector("[data-slot=stage]"));
  /** @type {HTMLVideoElement | null} */
  let video = null;

  /** @param {string} [kind] */
  function complain(kind) {
    trouble.hidden = !kind;
    trouble.textContent = (kind && trouble.dataset[kind]) || "";
    figure.hidden = Boolean(kind);
    absent.hidden = !kind;
  }

  /** @param {string} address @param {boolean} isVideo */
  function open(address, isVideo) {
    const media = document.createElement(isVideo ? "video" : "img");
    media.onerror = () => (isVideo ? open(address, false) : complain("unplayable"));
    media.src = address;
    const boxes = makeBoxes(source);
    if (media instanceof HTMLVideoElement) {
      Object.assign(media, { muted: true, controls: true, playsInline: true, preload: "auto" });
      video = media;
      followTime(media, boxes.show);
    } else {
      media.alt = "";
      video = null;
      boxes.show(null);
    }
    stage.style.aspectRatio = `${source.width} / ${source.height}`;
    stage.style.setProperty("--tt-ratio", String(source.width / source.height));
    stage.replaceChildren(media, boxes.drawing);
    complain();
  }

  article.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const file = input.matches("[data-own-copy]") && input.files?.[0];
    if (!file) return;
    if (file.size !== Number(input.dataset.size)) return complain("other");
    open(URL.createObjectURL(file), !file.type.startsWith("image/"));
  });
  if (ownCopy) open(ownCopy, true);
  else absent.hidden = false;
  return {
    /** @param {number} time_s */
    seek(time_s) {
      if (!video) return;
      video.pause();
      video.currentTime = time_s;
    },
  };
}

/** @param {HTMLVideoElement} video @param {(time_s: number) => void} show */
function followTime(video, show) {
  const tick = () => {
    show(video.currentTime);
    if (!video.paused && !video.ended && video.isConnected) requestAnimationFrame(tick);
  };
  for (const event of ["play", "seeked", "timeupdate", "loadeddata"]) video.addEventListener(event, tick);
}

/** @param {{width: number, height: number, people: Person[]}} source */
function makeBoxes({ width, height, people }) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.setAttribute("aria-hidden", "true");
  const marks = people.map((person) => makeMark(person, width, Math.max(width, height)));
  drawing.append(...marks.map(({ group }) => group));
  return {
    drawing,
    /** @param {number | null} time_s - null: a picture */
    show(time_s) {
      people.forEach((person, i) => marks[i].move(time_s === null ? person.frames[0]?.box : whereAt(person.frames, time_s)));
    },
  };
}

/** @param {Person} person @param {number} width - of the picture @param {number} size - its longer side */
function makeMark(person, width, size) {
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("class", `tt-${person.code}`);
  const [halo, frame] = ["tt-halo", "tt-box"].map((name) => {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("class", name);
    rect.setAttribute("rx", String(size / 120));
    return rect;
  });
  const label = document.createElementNS(SVG, "text");
  label.textContent = person.label;
  label.setAttribute("font-size", String(size / 36));
  group.append(halo, frame, label);
  return {
    group,
    /** @param {number[] | null | undefined} box */
    move(box) {
      group.style.display = box ? "" : "none";
      if (!box) return;
      const [x0, y0, x1, y1] = box;
      const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
      for (const rect of [halo, frame]) for (const [name, value] of Object.entries(place)) rect.setAttribute(name, String(value));
      const rightmost = width - label.getComputedTextLength() - size / 120;
      label.setAttribute("x", String(Math.max(0, Math.min(x0, rightmost))));
      label.setAttribute("y", String(y0 > size / 24 ? y0 - size / 100 : y1 + size / 30));
    },
  };
}

/**
 * Between two frames in a row the box moves evenly; elsewhere it stays for half a step and goes.
 * @param {Sighting[]} frames @param {number} time_s @returns {number[] | null}
 */
export function whereAt(frames, time_s) {
  const next = frames.findIndex((frame) => frame.time_s >= time_s);
  const [before, after] = next < 0 ? [frames[frames.length - 1], null] : [frames[next - 1] ?? null, frames[next]];
  if (before && after && after.index === before.index + 1) {
    const share = (time_s - before.time_s) / (after.time_s - before.time_s || 1);
    return before.box.map((edge, i) => edge + share * (after.box[i] - edge));
  }
  const step = frames.length > 1 ? (frames[1].time_s - frames[0].time_s) / Math.max(1, frames[1].index - frames[0].index) : Infinity;
  const near = [before, after].filter((frame) => frame && Math.abs(frame.time_s - time_s) <= step / 2 + 0.02);
  return near[0]?.box ?? null;
}
