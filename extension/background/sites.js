// @ts-check
// Sites on which the extension runs without a click: only those the person asked for and the browser allows.

const ID = 'on-sites';
const EVERYWHERE = ['https://*/*', 'http://*/*'];

/**
 * Where the script runs by itself.
 * @param {Pick<import('../lib/state.js').Settings, 'hover_button' | 'auto_check_sites' | 'consented'>} settings
 * @returns {string[]} match patterns
 */
export function patternsOf({ hover_button, auto_check_sites, consented }) {
  if (!consented) return [];
  const sites = auto_check_sites.flatMap((host) => [`https://${host}/*`, `http://${host}/*`]);
  return hover_button ? [...EVERYWHERE, ...sites] : sites;
}

/** @param {import('../lib/state.js').Settings} settings */
export async function runOnSites(settings) {
  const allowed = await Promise.all(
    patternsOf(settings).map(async (pattern) => ((await chrome.permissions.contains({ origins: [pattern] })) ? [pattern] : [])),
  );
  const matches = allowed.flat();
  const known = await chrome.scripting.getRegisteredContentScripts({ ids: [ID] });
  if (known.length > 0) await chrome.scripting.unregisterContentScripts({ ids: [ID] });
  if (matches.length === 0) return;
  await chrome.scripting.registerContentScripts([{ id: ID, matches, js: ['content/start.js'], allFrames: true, runAt: 'document_idle' }]);
}
