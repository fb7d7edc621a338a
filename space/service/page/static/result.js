// @ts-check
// What a person does with a result: take it along, or begin anew. Gradio runs this with `element`, `props` and `watch`.

/** @param {string} name @param {string} type @param {string} content */
function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @param {HTMLElement} article */
function asDocument(article) {
  const copy = /** @type {HTMLElement} */ (article.cloneNode(true));
  for (const live of copy.querySelectorAll("[data-live]")) live.remove();
  const frame = element.querySelector("[data-frame]")?.textContent ?? "";
  const [head, tail] = frame.split("<!--report-->");
  return head + copy.outerHTML + tail;
}

element.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const article = /** @type {HTMLElement | null} */ (element.querySelector("[data-outcome='report']"));
  if (!article) return;
  const name = article.dataset.name ?? "telltale";
  switch (target.closest("[data-download]")?.getAttribute("data-download")) {
    case "html":
      return save(`${name}.html`, "text/html", asDocument(article));
    case "json":
      return save(`${name}.json`, "application/json", article.querySelector("[data-json]")?.textContent ?? "");
  }
  if (target.closest("[data-again]")) document.dispatchEvent(new CustomEvent("telltale:again"));
});

// A report never stands beside another file than its own.
document.addEventListener("telltale:cleared", () => {
  props.value = "";
});

let wasRunning = false;

watch("value", () => {
  const outcome = element.querySelector("[data-outcome]")?.getAttribute("data-outcome") ?? "none";
  document.dispatchEvent(new CustomEvent("telltale:outcome", { detail: outcome }));
  if (outcome === "none") return;
  const isReport = outcome === "report";
  if (isReport) /** @type {HTMLElement} */ (element.querySelector("[data-focus]")).focus({ preventScroll: true });
  if (outcome === "running" && wasRunning) return;
  wasRunning = outcome === "running";
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.firstElementChild?.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: isReport ? "start" : "nearest" });
});
