// @ts-check
// Hands on why a check could not begin. Gradio runs this with `element` and `watch`.
watch("value", () => {
  const notice = element.querySelector("[data-outcome]");
  if (notice) document.dispatchEvent(new CustomEvent("telltale:refused", { detail: notice }));
});
