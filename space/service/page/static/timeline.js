// @ts-check
// The timeline's points: by mouse, by touch, or with the arrow keys; the chosen one's moment is shown below.

const STEPS = /** @type {Record<string, [number, number]>} */ ({ ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });

/** @param {HTMLElement} article @param {(time_s: number) => void} seek */
export function setUpTimeline(article, seek) {
  const place = /** @type {HTMLElement | null} */ (article.querySelector("[data-slot=timeline]"));
  if (!place) return;
  const rows = [...place.querySelectorAll(".tt-points")].map((row) => /** @type {SVGAElement[]} */ ([...row.querySelectorAll(".tt-point")]));
  const points = rows.flat();
  for (const point of points) {
    point.setAttribute("role", "button");
    point.setAttribute("tabindex", "-1");
  }
  points[0]?.setAttribute("tabindex", "0");

  /** @param {SVGAElement} point */
  function choose(point) {
    for (const other of points) {
      other.setAttribute("tabindex", other === point ? "0" : "-1");
      other.classList.toggle("tt-chosen", other === point);
    }
    showInstant(article, point);
    seek(Number(point.dataset.time));
  }

  /** The nearest in time of a neighbouring person, or the neighbour in time. @param {SVGAElement} point @param {string} key */
  function neighbour(point, key) {
    const row = rows.findIndex((candidates) => candidates.includes(point));
    const [along, across] = STEPS[key];
    if (along) return rows[row][rows[row].indexOf(point) + along];
    const other = rows[row + across];
    const distance = (/** @type {SVGAElement} */ candidate) => Math.abs(Number(candidate.dataset.time) - Number(point.dataset.time));
    return other?.reduce((best, candidate) => (distance(candidate) < distance(best) ? candidate : best));
  }

  place.addEventListener("click", (event) => {
    const point = /** @type {SVGAElement | null} */ (/** @type {Element} */ (event.target).closest(".tt-point"));
    if (!point) return;
    event.preventDefault();
    choose(point);
  });
  place.addEventListener("keydown", (event) => {
    const point = /** @type {SVGAElement | null} */ (/** @type {Element} */ (event.target).closest(".tt-point"));
    if (!point) return;
    const next = event.key in STEPS ? neighbour(point, event.key) : [" ", "Enter"].includes(event.key) ? point : null;
    if (!next) return;
    event.preventDefault();
    choose(next);
    next.focus();
  });
}

/** @param {HTMLElement} article @param {SVGAElement} point */
function showInstant(article, point) {
  const instant = /** @type {HTMLElement} */ (article.querySelector("[data-slot=instant]"));
  const words = /** @type {HTMLElement} */ (instant.querySelector("[data-slot=instant-words]"));
  const pictures = /** @type {HTMLElement} */ (instant.querySelector("[data-slot=instant-pictures]"));
  const moment = point.dataset.moment && article.querySelector(`#tt-moment-${point.dataset.moment}`);
  const described = point.getAttribute("aria-label") ?? "";
  words.textContent = moment ? described : `${described} ${instant.dataset.without ?? ""}`;
  pictures.replaceChildren(...(moment ? copyMoment(moment) : []));
}

/** The face, its heat map, and what is said of them. @param {Element} moment */
function copyMoment(moment) {
  const figures = [...moment.querySelectorAll("[data-view=crop], [data-view=overlay]")].map((figure) => {
    const copy = /** @type {HTMLElement} */ (figure.cloneNode(true));
    copy.removeAttribute("data-view");
    return copy;
  });
  const sentence = moment.querySelector(":scope > p");
  return sentence ? [...figures, sentence.cloneNode(true)] : figures;
}
