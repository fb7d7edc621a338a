// @ts-check
// Buttons that copy what stands beside them.

/** @param {HTMLElement} element */
export function setUpCopying(element) {
  element.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-action=copy], [data-action=copy-code]"));
    if (button) void copy(button);
  });

  /** @param {HTMLElement} button */
  async function copy(button) {
    const field = /** @type {HTMLInputElement | null} */ (button.parentElement?.querySelector("input") ?? null);
    const text = field?.value ?? button.parentElement?.querySelector("[data-code]")?.textContent ?? "";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (!field) return;
      field.select(); // no clipboard on plain http: the person can still press the keys
      return;
    }
    const words = button.textContent;
    button.textContent = button.dataset.done ?? words;
    setTimeout(() => (button.textContent = words), 2000);
  }
}
