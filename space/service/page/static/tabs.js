// @ts-check
// Tabs, by mouse, by arrow keys and by the address's hash.

/** @param {HTMLElement} element */
export function setUpTabs(element) {
  const tabs = () => /** @type {HTMLElement[]} */ ([...element.querySelectorAll("[role=tab]")]);

  /** @param {string} name @param {boolean} [focus] */
  function open(name, focus = false) {
    const known = tabs().some((tab) => tab.dataset.tab === name);
    const wanted = known ? name : "check";
    for (const tab of tabs()) {
      const isOpen = tab.dataset.tab === wanted;
      tab.setAttribute("aria-selected", String(isOpen));
      tab.tabIndex = isOpen ? 0 : -1;
      if (isOpen && focus) tab.focus();
    }
    for (const panel of /** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll("[data-panel]"))) {
      panel.hidden = panel.dataset.panel !== wanted;
    }
  }

  /** @param {string} name @param {boolean} [focus] */
  function go(name, focus) {
    history.replaceState(null, "", name === "check" ? location.pathname + location.search : `#${name}`);
    open(name, focus);
  }

  const openHashed = () => open(location.hash.slice(1));
  element.addEventListener("click", (event) => {
    const tab = /** @type {Element} */ (event.target).closest("[role=tab]");
    if (tab instanceof HTMLElement) go(tab.dataset.tab ?? "");
  });
  element.addEventListener("keydown", (event) => {
    const all = tabs();
    const now = all.findIndex((tab) => tab === event.target);
    const steps = /** @type {Record<string, number>} */ ({ ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: all.length - 1 });
    if (now < 0 || !(event.key in steps)) return;
    event.preventDefault();
    go(all[(steps[event.key] + all.length) % all.length].dataset.tab ?? "", true);
  });
  window.addEventListener("hashchange", () => {
    if (tabs().some((tab) => `#${tab.dataset.tab}` === location.hash) || !location.hash) openHashed();
  });
  return openHashed;
}
