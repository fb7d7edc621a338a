// @ts-check
// The one element that the extension puts into a page. What it shows is in a closed shadow root, above everything of
// the page's; the page can hide or remove it, but neither read nor write in it, nor restyle it.

const SHEETS = ['shared/palette.css', 'lib/base.css', 'lib/report-view.css', 'content/badge.css'];
const REPAIRS = 30; // a page that keeps removing it wins: the popup still tells
const SHEET_ROOT = '.tt-surface';

/** @type {Readonly<Record<string, string>>} `all` leaves these two alone */
const BESIDES_ALL = { direction: 'ltr', 'unicode-bidi': 'isolate' };
/** @type {Readonly<Record<string, string>>} */
const HOST_STYLE = {
  all: 'initial',
  ...BESIDES_ALL,
  display: 'block',
  position: 'fixed',
  inset: '0 auto auto 0',
  'inline-size': '0',
  'block-size': '0',
  overflow: 'visible',
  'z-index': '2147483647',
};

/** @type {Promise<CSSStyleSheet[]> | null} */
let sheets = null;

/**
 * @typedef {object} Surface
 * @property {HTMLElement} root what is shown goes here
 * @property {(hidden: boolean) => void} hide for a picture of the screen
 * @property {() => void} raise above what the page has laid over it since
 * @property {() => void} close
 */

/** @returns {Promise<Surface>} */
export async function openSurface() {
  sheets ??= loadSheets();
  const host = document.createElement('div');
  const shadow = host.attachShadow({ mode: 'closed' });
  shadow.adoptedStyleSheets = await sheets;
  const root = document.createElement('div');
  root.className = 'tt tt-surface';
  shadow.append(root);
  for (const type of ['click', 'dblclick', 'pointerdown', 'pointerup', 'mousedown', 'mouseup', 'keydown', 'keyup', 'keypress', 'wheel', 'touchstart', 'touchend'])
    root.addEventListener(type, (event) => event.stopPropagation(), { passive: true }); // a space would pause the video
  const stop = keepInPlace(host);
  return {
    root,
    hide: (hidden) => root.toggleAttribute('data-away', hidden),
    raise: () => showOnTop(host),
    close() {
      stop();
      host.remove();
    },
  };
}

/** @param {HTMLElement} host @returns {() => void} lets it go */
function keepInPlace(host) {
  let left = REPAIRS;
  const repair = () => {
    if (left-- > 0) place();
    else observer.disconnect();
  };
  const observer = new MutationObserver(repair);
  const place = () => {
    observer.disconnect();
    for (const name of host.getAttributeNames()) if (name !== 'popover') host.removeAttribute(name);
    for (const [name, value] of Object.entries(HOST_STYLE)) host.style.setProperty(name, value, 'important');
    host.popover = 'manual';
    if (host.parentNode !== document.documentElement) document.documentElement.append(host);
    showOnTop(host);
    observer.observe(host, { attributes: true });
    observer.observe(document.documentElement, { childList: true });
  };
  const onFullscreen = () => showOnTop(host);
  const onToggle = () => !host.matches(':popover-open') && repair();
  document.addEventListener('fullscreenchange', onFullscreen);
  host.addEventListener('toggle', onToggle);
  place();
  return () => {
    observer.disconnect();
    document.removeEventListener('fullscreenchange', onFullscreen);
    host.removeEventListener('toggle', onToggle);
  };
}

/** @param {HTMLElement} host */
function showOnTop(host) {
  if (!host.isConnected) return;
  if (host.matches(':popover-open')) host.hidePopover();
  host.showPopover();
}

/** @returns {Promise<CSSStyleSheet[]>} */
function loadSheets() {
  return Promise.all(
    SHEETS.map(async (path) => {
      const answer = await fetch(chrome.runtime.getURL(path));
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(forSurface(await answer.text()));
      return sheet;
    }),
  );
}

/**
 * Sheets of the extension's own pages, made safe from the page around: its rules and variables can reach the host, but
 * nothing inside, and its root font size is not ours.
 * @param {string} css
 */
export function forSurface(css) {
  return css
    .replaceAll(/:root, :host/g, SHEET_ROOT)
    .replaceAll(/(\d*\.?\d+)rem\b/g, (_, number) => `${Math.round(Number(number) * 16 * 1000) / 1000}px`);
}
