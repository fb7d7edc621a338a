// @ts-check
// Questions to the background, from the extension's own pages; README.md lists them.

/** @typedef {import('./state.js').Problem} Problem */

/** The background refused, and says why in sentences. */
export class Refusal extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.code);
    this.problem = problem;
  }
}

/**
 * @param {{type: string} & Record<string, unknown>} message
 * @returns {Promise<any>} the answer
 * @throws {Refusal}
 */
export async function send(message) {
  const answer = await chrome.runtime.sendMessage(message);
  if (answer?.problem) throw new Refusal(answer.problem);
  return answer;
}

/**
 * Pictures of a check by their names in the report; each is asked for once.
 * @param {string} jobId
 * @returns {(name: string) => Promise<string | null>} null where it is no longer kept
 */
export function openPictures(jobId) {
  /** @type {Map<string, Promise<string | null>>} */
  const asked = new Map();
  return (name) => {
    const known = asked.get(name) ?? send({ type: 'picture', jobId, name }).then(({ url }) => url);
    asked.set(name, known);
    return known;
  };
}
