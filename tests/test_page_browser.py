"""The page as a person meets it: the program as started by hand, in a browser, with untrained weights."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from space.analysis.report import validate
from space.service.page.page import ENSEMBLE_VARIABLE, EXAMPLES_FOLDER
from space.settings import PROJECT_ROOT, Limits
from space.texts import render
from tests.ensembles import write_ensemble

ARGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
START_S = 60
CHECK_MS = 60_000
PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Server:
    """A running page."""

    url: str
    folder: Path  # where it keeps what it keeps

    def files(self) -> list[Path]:
        return [path for path in self.folder.glob("telltale-*/**/*") if path.is_file()]


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
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"the page did not open:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def server(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page, started as the README says; ended by a signal, after which nothing may be left."""
    folder = tmp_path_factory.mktemp("page")
    ensemble = write_ensemble(folder / "ensemble", bias=-20.0)  # whose members find everything forged
    port = free_port()
    own = {"GRADIO_SERVER_PORT": str(port), "TMPDIR": str(folder), ENSEMBLE_VARIABLE: str(ensemble)}
    log = folder / "log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=PROJECT_ROOT, env=os.environ | own, stdout=output, stderr=output, text=True
        )
    server = Server(f"http://127.0.0.1:{port}/", folder)
    try:
        wait_for(server.url, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert list(folder.glob("telltale-*")) == []


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page in English; it may ask nobody but its own server, and complain about nothing."""
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
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


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector(".tt-shell:not(.tt-pending)")


def check(page: Page, path: Path) -> None:
    page.set_input_files("input[type=file]", path)
    page.click("[data-action=check]")
    page.wait_for_selector("[data-outcome=report], [data-outcome=notice]", timeout=CHECK_MS)


def read(page: Page, selector: str) -> str:
    return re.sub(r"\s+", " ", page.inner_text(selector))


def wait_for_pictures(page: Page) -> None:
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


# --- a check ----------------------------------------------------------------------------------


def test_a_clip_is_uploaded_checked_explained_and_deleted(page: Page, server: Server, tmp_path: Path) -> None:
    clip = tmp_path / "My holiday.mp4"
    clip.write_bytes((EXAMPLES_FOLDER / "genuine.mp4").read_bytes())
    uploads: list[str] = []
    page.on("request", lambda request: uploads.append(request.post_data or "") if "/upload" in request.url else None)
    check(page, clip)

    assert "Strong signs of face manipulation" in read(page, ".tt-verdict")
    assert "The moments agree: 16 of 16 point the same way." in read(page, ".tt-verdict")
    assert "Do not pass it on as genuine." in read(page, ".tt-verdict")
    assert page.locator(".tt-moments > li").count() >= 3
    assert page.locator(".tt-people > li").count() == 1
    assert "Parts of the face" in read(page, ".tt-report")
    expect(page.locator("[data-focus]")).to_be_focused()
    wait_for_pictures(page)

    assert server.files() == []
    assert len(uploads) == 1
    assert "holiday" not in uploads[0], "the file's name stays with the person"


def test_report_can_be_taken_along(page: Page, browser: Browser, tmp_path: Path) -> None:
    check(page, EXAMPLES_FOLDER / "genuine.mp4")
    saved = {}
    for kind in ("json", "html"):
        with page.expect_download() as download:
            page.click(f"[data-download={kind}]")
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    document = json.loads(saved["json"].read_text(encoding="utf-8"))
    validate(document)
    assert {path.name for path in saved.values()} == {f"telltale-{document['id'][:8]}{s}" for s in (".json", ".html")}

    offline = browser.new_context(offline=True)
    copy = offline.new_page()
    copy.goto(saved["html"].as_uri())
    assert copy.title() == "Telltale: Strong signs of face manipulation"
    assert copy.locator(".tt-moments > li").count() == len(document["evidence"])
    wait_for_pictures(copy)
    assert copy.locator("[data-download]").count() == 0
    assert (
        copy.evaluate("getComputedStyle(document.querySelector('.tt-verdict')).backgroundColor") == "rgb(253, 236, 234)"
    )
    offline.close()


def test_progress_is_seen_on_the_way(page: Page) -> None:
    page.evaluate("""() => {
      window.seen = [];
      document.addEventListener("telltale:outcome", () => {
        const bar = document.querySelector("#tt-result [role=progressbar]");
        const stage = document.querySelector("#tt-result [role=status]")?.textContent;
        if (bar && stage) window.seen.push([stage, Number(bar.getAttribute("aria-valuenow") ?? -1)]);
      });
    }""")
    page.focus("[data-example=forged]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    seen = page.evaluate("window.seen")
    assert {"Checking: Finding faces", "Checking: Assessing faces"} <= {stage for stage, _ in seen}
    shares = [share for _, share in seen if share >= 0]
    assert shares == sorted(shares)


def test_a_check_can_be_stopped(page: Page) -> None:
    page.click("[data-example=genuine]")
    page.click("[data-action=stop]")
    page.wait_for_selector("[data-outcome=notice]", timeout=CHECK_MS)
    assert "The check was stopped." in read(page, "[data-outcome=notice]")
    expect(page.locator("[data-example=genuine]")).to_be_enabled()


def test_another_file_never_stands_beside_an_old_report(page: Page) -> None:
    check(page, EXAMPLES_FOLDER / "genuine.mp4")
    page.click("[data-again]")
    expect(page.locator("[data-outcome]")).to_have_count(0)
    expect(page.locator("input[type=file]")).to_be_focused()
    expect(page.locator("[data-action=check]")).to_be_disabled()


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "code"), [(b"Not a clip at all.", "unsupported_type"), (b"", "empty")])
def test_a_refused_file_is_explained_and_deleted(
    page: Page, server: Server, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    check(page, path)
    assert read(page, "[data-outcome=notice]") == (
        f"This could not be checked {render(f'error.{code}')} {render(f'error.{code}.next')}"
    )
    assert page.locator(".tt-verdict, .tt-badge").count() == 0
    assert server.files() == []


def test_a_file_beyond_the_limit_is_not_even_sent(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as stream:
        stream.truncate(Limits().max_bytes + 1)
    page.set_input_files("input[type=file]", path)
    expect(page.locator("[data-trouble=too-large]")).to_contain_text(
        "The file is too large: 101 MB, at most 100 MB are accepted."
    )
    expect(page.locator("[data-action=check]")).to_be_disabled()


def test_a_failed_transfer_is_told(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    open_page(page, server.url)
    page.route("**/upload", lambda route: route.fulfill(status=500, body="no"))
    page.set_input_files("input[type=file]", EXAMPLES_FOLDER / "genuine.mp4")
    page.click("[data-action=check]")
    expect(page.locator("[data-trouble=not-sent]")).to_contain_text("The file could not be sent.")
    expect(page.locator("[data-action=check]")).to_be_enabled()
    context.close()


# --- languages, screens, hands ----------------------------------------------------------------


def test_the_browsers_language_is_spoken_and_can_be_changed(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="ru-RU")
    page = context.new_page()
    open_page(page, server.url)
    expect(page.locator("h1")).to_have_text("Подделано ли лицо на этом видео и что его выдаёт?")
    assert page.evaluate("document.documentElement.lang") == "ru"
    page.click("nav a[lang=en]")
    page.wait_for_selector(".tt-shell[lang=en]:not(.tt-pending)")
    assert page.evaluate("document.documentElement.lang") == "en"
    open_page(page, f"{server.url}?lang=ru")
    assert page.evaluate("document.documentElement.lang") == "ru"
    context.close()


def test_it_fits_a_phone_in_the_dark_and_in_russian(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme="dark", locale="ru-RU")
    page = context.new_page()
    open_page(page, server.url)
    assert overflow(page) == 0
    page.click("[data-example=forged]")
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    assert "Сильные признаки подделки лица" in read(page, ".tt-verdict")
    for summary in page.query_selector_all("summary"):
        summary.click()
    assert overflow(page) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    context.close()


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.example ?? document.activeElement.tagName"))
    assert reached == ["A", "A", "INPUT", "genuine", "forged"]


def test_answers_carry_their_headers(server: Server) -> None:
    for path in ("", "examples/forged.mp4", "theme.css"):
        with urllib.request.urlopen(server.url + path, timeout=10) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
