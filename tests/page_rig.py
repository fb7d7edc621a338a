"""The page as a person meets it: the program as started by hand, in a browser, with untrained weights.

Over 400 lines, for a reason: one server and one browser, started once, serve them all.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from space.settings import PROJECT_ROOT

ARGS = (
    "--no-sandbox --disable-dev-shm-usage --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
).split()
START_S = 150  # Gradio takes long to load, most of all beside other tests
END_S = 60
CHECK_MS = 120_000
PATIENCE_MS = 30_000  # for what takes a moment on a machine that does nothing else
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
CLIP = PROJECT_ROOT / "space" / "service" / "page" / "examples" / "genuine.mp4"
ENDED = "[data-outcome=report], [data-outcome=notice]"


@dataclass(frozen=True)
class Server:
    """A running page."""

    url: str
    folder: Path  # where it keeps what it keeps

    def videos(self) -> list[Path]:
        return [path for path in self.folder.glob("telltale-*/vault/**/*") if path.is_file()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the page did not open:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def page_server(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page, set up by its environment; ended by a signal, after which nothing may be left."""
    from tests.ensembles import write_ensemble  # brings torch, which most tests do without

    folder = tmp_path_factory.mktemp("page")
    ensemble = write_ensemble(folder / "ensemble", bias=-20.0)  # whose members find everything forged
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(folder),
        "TELLTALE_ENSEMBLE": str(ensemble),
        "TELLTALE_EXEMPT_LOOPBACK": "1",
    }
    log = folder / "log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.page_server"],
            cwd=PROJECT_ROOT,
            env=os.environ | own,
            stdout=output,
            stderr=output,
            text=True,
        )
    server = Server(f"{url}/", folder)
    try:
        wait_for(server.url, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert list(folder.glob("telltale-*")) == []


@pytest.fixture(scope="module")  # no longer: Playwright keeps an event loop running meanwhile
def page_browser(chromium_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, server: Server, **choices: Any) -> Iterator[Page]:
    """The page in a fresh profile; it may ask nobody but its own server, and complain about nothing."""
    context = browser.new_context(**{"locale": "en-US", "viewport": DESK, **choices})
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def see(request: Request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            complaints.append(f"a request to {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", see)
    open_page(page, server.url)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(page_browser: Browser, page_server: Server) -> Iterator[Page]:
    with visiting(page_browser, page_server) as page:
        yield page


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("[data-state] .tt-shell:not(.tt-pending)")  # the state comes with the script


def choose_and_check(page: Page, path: Path) -> None:
    page.set_input_files("[data-choose]", path)
    page.click("[data-action=check]")


def check(page: Page, path: Path) -> None:
    choose_and_check(page, path)
    page.wait_for_selector(ENDED, timeout=CHECK_MS)


def read(page: Page, selector: str) -> str:
    return re.sub(r"\s+", " ", page.inner_text(selector))


def wait_for_pictures(page: Page) -> None:
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def watch_stages(page: Page) -> None:
    page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => {
        const stage = document.querySelector("[data-slot=stage]")?.textContent;
        const share = Number(document.querySelector("[data-slot=bar]")?.getAttribute("aria-valuenow") ?? -1);
        const early = document.querySelector(".tt-preliminary") !== null;
        if (stage) window.seen.push([stage, share, early]);
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    }""")


def visible(figures: Locator) -> int:
    return sum(figures.nth(i).is_visible() for i in range(figures.count()))
