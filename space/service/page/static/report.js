// @ts-check
// What can be done with a report on the page. All of it can also be read without this.
import { setUpPlayer } from "./player.js";
import { setUpSharing } from "./share.js";
import { setUpTimeline } from "./timeline.js";

/** @param {HTMLElement} article @param {{ownCopy: string, lang: string}} context */
export function wireReport(article, { ownCopy, lang }) {
  const player = setUpPlayer(article, ownCopy);
  setUpTimeline(article, (time_s) => player.seek(time_s));
  setUpSharing(article, lang);
}
