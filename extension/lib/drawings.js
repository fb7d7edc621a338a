// @ts-check
// Drawings, 24 by 24, in the colour of the words beside them: the same as the page's.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * A circle is [cx, cy, r]; everything else is path data.
 * @typedef {string | readonly [number, number, number]} Stroke
 */

/** @type {readonly [number, number, number]} */
const RING = [12, 12, 9.6];

/** @type {Readonly<Record<string, readonly Stroke[]>>} */
export const DRAWINGS = {
  'octagon-exclamation': ['M7.9 2.5h8.2l5.4 5.4v8.2l-5.4 5.4H7.9l-5.4-5.4V7.9z', 'M12 7.2v6', 'M12 16.6v.2'],
  'triangle-exclamation': ['M12 3.2 22 20.6H2z', 'M12 9.6v5', 'M12 17.6v.2'],
  'circle-question': [RING, 'M9.1 9.4a2.95 2.95 0 1 1 4.3 2.6c-.9.5-1.4 1.1-1.4 2.1', 'M12 17.1v.2'],
  'circle-minus': [RING, 'M7.8 12h8.4'],
  'face-slash': [RING, 'M8.8 9.6v.4M15.2 9.6v.4M8.6 15.6c2-1.5 4.8-1.5 6.8 0', 'M4.6 19.4 19.4 4.6'],
  'not-checked': ['M14 2.8H6.2v18.4h11.6V6.6z', 'm9.4 11 5.2 5.2m0-5.2-5.2 5.2'],
  checked: [RING, 'm7.6 12.4 3 3 5.8-6.4'],
  video: ['M3.4 5.2h17.2v13.6H3.4z', 'm10 9 5 3-5 3z'],
  waiting: [RING, 'M12 6.6V12l3.4 2.2'],
};

/** Verdict code -> drawing, as shared/verdicts.json says. @type {Readonly<Record<string, string>>} */
export const VERDICT_DRAWINGS = {
  strong: 'octagon-exclamation',
  some: 'triangle-exclamation',
  inconclusive: 'circle-question',
  little: 'circle-minus',
  not_applicable: 'face-slash',
};

/**
 * A drawing beside words that say the same.
 * @param {string} name a key of {@link DRAWINGS}
 * @returns {SVGSVGElement}
 */
export function draw(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'tt-icon');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(...DRAWINGS[name].map(drawStroke));
  return svg;
}

/** @param {Stroke} stroke */
function drawStroke(stroke) {
  const isPath = typeof stroke === 'string';
  const made = document.createElementNS(SVG, isPath ? 'path' : 'circle');
  const attributes = isPath ? { d: stroke } : { cx: stroke[0], cy: stroke[1], r: stroke[2] };
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}
