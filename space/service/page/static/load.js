// @ts-check
// Loads the page's scripts. Gradio runs this with `element`, `trigger` and `watch`, and looks in it for events' names.
const check = (/** @type {Record<string, unknown>} */ source) => trigger("check", source);
import(`${window.gradio_config.root}/page/static/main.js`).then((main) => main.start(element, check, watch));
