// What Gradio gives to the page's scripts.
interface Window {
  gradio_config: { root: string };
}
declare const element: HTMLElement;
declare function trigger(event: string, data?: unknown): void;
declare function watch(name: string, act: () => void): void;
