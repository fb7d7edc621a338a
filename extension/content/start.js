// @ts-check
// Loads this folder's modules into a page, once. The browser runs scripts in pages only as classic scripts, so this
// one is; its value, a promise, tells whoever injected it when the page listens.

(() => {
  const place = /** @type {{telltale?: Promise<true>}} */ (/** @type {unknown} */ (globalThis));
  place.telltale ??= import(chrome.runtime.getURL('content/main.js')).then(({ listen }) => listen());
  return place.telltale;
})();
