"""The extension in Debian's Chromium: a copy of it loaded unpacked, and pages of it opened with what they find."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, ViewportSize, sync_playwright

from extension.pack import EXTENSION, packed_files

ARGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

POPUP: ViewportSize = {"width": 400, "height": 600}


def unpack(folder: Path, *, hosts: tuple[str, ...] = ()) -> Path:
    """A copy of what is packed.

    Args:
        hosts: match patterns that the copy may reach without asking, such as a server on this machine.
    """
    for path in packed_files():
        target = folder / path.relative_to(EXTENSION)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["host_permissions"] += hosts
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@dataclass
class Extension:
    """A browser with the extension in it."""

    context: BrowserContext
    base: str  # chrome-extension://<id>
    complaints: list[str]  # of its pages, in the console

    def seed(self, local: dict[str, Any], session: dict[str, Any] | None = None) -> None:
        """Put into storage what a page is to find, and nothing else."""
        page = self.context.pages[0]
        if not page.url.startswith(self.base):
            page.goto(f"{self.base}/ask/ask.css")
        page.evaluate(SEED, [local, session or {}])

    def stored(self) -> dict[str, Any]:
        """What lies in storage.local."""
        found: dict[str, Any] = self.context.pages[0].evaluate("() => chrome.storage.local.get()")
        return found

    def open(self, path: str, script: str = "", *, viewport: ViewportSize = POPUP) -> Page:
        """A page of the extension.

        Args:
            script: runs in it before its own.
        """
        page = self.context.new_page()
        page.set_viewport_size(viewport)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(f"{self.base}/{path}")
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


SEED = """async ([local, session]) => {
  await chrome.storage.local.clear();
  await chrome.storage.session.clear();
  await chrome.storage.local.set(local);
  await chrome.storage.session.set(session);
}"""


@contextmanager
def open_extension(chromium_path: str, folder: Path, *, locale: str = "en-US") -> Iterator[Extension]:
    """A browser of its own with an unpacked extension."""
    profile = folder.parent / f"profile-{locale}"
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium_path,
            headless=False,  # the flag above says so: Playwright's own way of being headless loads no extension
            locale=locale,
            args=[*ARGS, f"--disable-extensions-except={folder}", f"--load-extension={folder}"],
        )
        worker = context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
        yield Extension(context, worker.url.removesuffix("/background/service-worker.js"), [])
        context.close()
