// @ts-check
// Where things are, and names for them.

/** The address of a path on this server. @param {string} path */
export function at(path) {
  return `${window.gradio_config.root}/${path}`;
}

/** 128 random bits in hex; randomUUID is not there on plain http. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A text with its `{placeholders}` filled in. @param {string} words @param {Record<string, string>} params */
export function fill(words, params) {
  return words.replace(/\{(\w+)\}/g, (whole, name) => params[name] ?? whole);
}
