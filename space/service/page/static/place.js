// @ts-check
// Puts what the server sent into its place, without disturbing what has not changed.

/** @param {HTMLElement} place @param {HTMLElement} piece */
export function put(place, piece) {
  const before = /** @type {HTMLElement | null} */ (place.firstElementChild);
  const isStep = before?.dataset.outcome === "running" && piece.dataset.outcome === "running";
  if (!before || !isStep) return place.replaceChildren(piece);
  update(before, piece);
}

/** The bar moves, words and steps are exchanged where they differ. @param {HTMLElement} before @param {HTMLElement} after */
function update(before, after) {
  for (const selector of [".tt-steps", "[data-slot=stage]", "[data-slot=preliminary]"]) {
    const old = before.querySelector(selector);
    const next = after.querySelector(selector);
    if (old && next && !old.isEqualNode(next)) old.replaceWith(next);
  }
  const bar = before.querySelector("[data-slot=bar]");
  const next = after.querySelector("[data-slot=bar]");
  if (!bar || !next) return;
  bar.className = next.className;
  const now = next.getAttribute("aria-valuenow");
  if (now === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", now);
  const [fill, width] = [bar.querySelector("span"), next.querySelector("span")?.style.inlineSize];
  if (fill && width) fill.style.inlineSize = width;
}
