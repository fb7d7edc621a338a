// @ts-check
// All videos of this document, shadow roots included. Other frames have a script of their own.

/** @param {Element} host @returns {ShadowRoot | null} closed ones too: extensions may look into them */
function shadowRootOf(host) {
  if (host.shadowRoot) return host.shadowRoot;
  const own = /** @type {{openOrClosedShadowRoot?: ShadowRoot | null}} */ (/** @type {unknown} */ (host));
  if ('openOrClosedShadowRoot' in own) return own.openOrClosedShadowRoot ?? null; // Firefox
  return host instanceof HTMLElement ? chrome.dom.openOrClosedShadowRoot(host) : null;
}

/** Elements that can have a shadow root: named with a hyphen, or one of those of the standard. */
const HOSTS = new Set('article aside blockquote body div footer h1 h2 h3 h4 h5 h6 header main nav p section span'.split(' '));

/**
 * @param {Document | ShadowRoot} root
 * @returns {Generator<Element | ShadowRoot>} its elements in the page's order, each shadow root in its host's place
 */
function* walk(root) {
  for (const element of root.querySelectorAll('*')) {
    yield element;
    const inner = element.localName.includes('-') || HOSTS.has(element.localName) ? shadowRootOf(element) : null;
    if (!inner) continue;
    yield inner;
    yield* walk(inner);
  }
}

/** @returns {HTMLVideoElement[]} in the page's order */
export function findVideos() {
  return [...walk(document)].filter((node) => node instanceof HTMLVideoElement);
}

/** @returns {(Document | ShadowRoot)[]} what a media element's events do not get out of */
export function findRoots() {
  return [document, ...[...walk(document)].filter((node) => node instanceof ShadowRoot)];
}

/**
 * Names for videos. A key of another document, or of one that is gone, finds nothing.
 * @returns {{keyOf: (video: HTMLVideoElement) => string, find: (key: string) => HTMLVideoElement | null}}
 */
export function makeVideoKeys() {
  const document_id = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  /** @type {Map<string, WeakRef<HTMLVideoElement>>} */
  const videos = new Map();
  /** @type {WeakMap<HTMLVideoElement, string>} */
  const keys = new WeakMap();
  return {
    keyOf(video) {
      const key = keys.get(video) ?? `${document_id}-${videos.size + 1}`;
      keys.set(video, key);
      videos.set(key, new WeakRef(video));
      return key;
    },
    find(key) {
      const video = videos.get(key)?.deref();
      return video?.isConnected ? video : null;
    },
  };
}
