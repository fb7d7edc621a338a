// @ts-check
// Addresses of servers as people type them, and what the browser has to be asked for to reach them.

const LOCAL = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * The origin of a server. Frames of what somebody watches go there, so anything but this machine has to be encrypted.
 * @param {string} text
 * @returns {string | null} such as https://example.org, without a slash at the end; null where it is no such address
 */
export function parseSpaceUrl(text) {
  const whole = withScheme(text);
  if (!URL.canParse(whole)) return null;
  const { protocol, hostname, origin, username, password } = new URL(whole);
  if (hostname === '' || username !== '' || password !== '') return null;
  const isSafe = protocol === 'https:' || (protocol === 'http:' && LOCAL.has(hostname));
  return isSafe ? origin : null;
}

/**
 * The host name of a site as people type it: a name, or an address copied from the browser.
 * @param {string} text
 * @returns {string | null} such as example.org; null where it is none
 */
export function parseSite(text) {
  const whole = withScheme(text);
  if (!URL.canParse(whole)) return null;
  const { protocol, hostname, username } = new URL(whole);
  const isWeb = protocol === 'https:' || protocol === 'http:';
  return isWeb && username === '' && /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(hostname) ? hostname : null;
}

/** @param {string} text an address that may lack its scheme */
function withScheme(text) {
  const trimmed = text.trim();
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`;
}

/**
 * Match patterns for a host. They have no port: Firefox knows none.
 * @param {string} host with or without a port
 * @returns {string[]}
 */
export function hostPatterns(host) {
  const { hostname } = new URL(`https://${host}`);
  return [`https://${hostname}/*`, `http://${hostname}/*`];
}
