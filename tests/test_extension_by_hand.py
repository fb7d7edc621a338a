"""What only the browser itself shows, by mouse and keys: its context menu, its shortcut, its question for a permission.

Needs a screen that nobody looks at and a hand: Debian's ``xvfb``, ``openbox`` and ``xdotool``; skips without them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Worker, sync_playwright

from tests.extension_browser import ARGS, RESOLVE, copy_extension, wait_until
from tests.fake_space import FakeSpace, fake_space
from tests.fixture_sites import MEDIA, Sites, fixture_sites

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PROGRAMS = ("Xvfb", "openbox", "xdotool")
SCREEN = "1280x900x24"
SHORTCUT = "alt+shift+v"
GRANTED = "async () => (await chrome.permissions.getAll()).origins"
JOBS = "async () => Object.values((await chrome.storage.session.get('jobs')).jobs ?? {})"


@dataclass(frozen=True)
class Desk:
    """A browser on a screen of its own, and a hand."""

    display: str
    context: BrowserContext
    worker: Worker
    space: FakeSpace
    sites: Sites

    def hand(self, *words: str | float) -> None:
        environment = os.environ | {"DISPLAY": self.display}
        subprocess.run(["xdotool", *map(str, words)], env=environment, check=True, timeout=30)

    def point(self, page: Page, x: float, y: float, button: int) -> None:
        """Click somewhere in a page, by the real pointer."""
        left, top, chrome_px = page.evaluate("[screenX, screenY, outerHeight - innerHeight]")
        self.hand("mousemove", round(left + x), round(top + chrome_px + y))
        self.hand("click", button)

    def open(self, path: str) -> Page:
        self.worker.evaluate("() => chrome.storage.session.clear()")
        page = self.context.new_page()
        page.goto(self.sites.url(path))
        page.bring_to_front()
        page.evaluate("addEventListener('pointerdown', () => { window.touched = true; })")

        def has_focus() -> bool:
            self.point(page, 800, 600, 1)
            return bool(page.evaluate("window.touched && document.hasFocus()"))

        wait_until(has_focus, every_s=0.5)
        return page

    def wait_for_job(self, *stages: str) -> dict[str, Any]:
        jobs: list[dict[str, Any]] = wait_until(
            lambda: [job for job in self.worker.evaluate(JOBS) if job["stage"] in stages]
        )
        return jobs[0]


@contextmanager
def screen(folder: Path) -> Iterator[str]:
    """A screen with a window manager; its name."""
    read, write = os.pipe()
    with (folder / "screen.log").open("wb") as log, ExitStack() as ends:

        def start(*command: str, **options: Any) -> None:
            process = subprocess.Popen(command, stdout=log, stderr=log, **options)
            ends.callback(process.wait, 30)
            ends.callback(process.terminate)

        start("Xvfb", "-displayfd", str(write), "-screen", "0", SCREEN, pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as answer:
            display = f":{answer.readline().strip()}"
        start("openbox", env=os.environ | {"DISPLAY": display})
        yield display


@pytest.fixture(scope="module")
def desk(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("desk")
    with (
        fake_space() as space,
        fixture_sites(folder) as sites,
        screen(folder) as display,
        sync_playwright() as playwright,
    ):
        extension = copy_extension(folder / "telltale", space.url)
        manifest = json.loads((extension / "manifest.json").read_text(encoding="utf-8"))
        manifest["host_permissions"] = [f"{space.url}/*"]  # none of the sites
        (extension / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        load = [f"--disable-extensions-except={extension}", f"--load-extension={extension}", "--lang=en-US"]
        context = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=chromium_path,
            headless=False,
            args=[*ARGS, RESOLVE, *load, "--window-size=1200,850", "--window-position=0,0"],
            env=os.environ | {"DISPLAY": display},
            no_viewport=True,
        )
        workers = context.service_workers
        worker = workers[0] if workers else context.wait_for_event("serviceworker")
        settings = {"consented": True, "space_url": space.url, "language": "en"}
        worker.evaluate("(settings) => chrome.storage.local.set({ settings })", settings)
        yield Desk(display, context, worker, space, sites)
        context.close()


def test_the_shortcut_checks_the_best_video(desk: Desk) -> None:
    desk.open("/shadow")
    desk.hand("key", SHORTCUT)
    job = desk.wait_for_job("done", "failed")
    assert (job["stage"], job["capture_method"]) == ("done", "frames")


def test_the_entry_of_the_context_menu_checks_the_video_under_it(desk: Desk) -> None:
    page = desk.open("/same")
    desk.point(page, 150, 100, 3)

    def chosen() -> bool:  # the menu takes a moment to open: last is "Inspect", before it the extension's entry
        desk.hand("sleep", 1, "key", "Up", "sleep", 0.3, "key", "Up", "sleep", 0.3, "key", "Return")
        return bool(desk.worker.evaluate(JOBS))

    wait_until(chosen, every_s=0.5)
    job = desk.wait_for_job("done", "failed")
    assert (job["stage"], job["capture_method"]) == ("done", "frames")
    assert job["facts"]["src"] == desk.sites.url("/clip.mp4")


@pytest.mark.parametrize("is_allowed", [False, True])
def test_the_browser_asks_before_a_file_of_another_site_is_fetched(desk: Desk, is_allowed: bool) -> None:
    desk.space.uploads.clear()
    desk.open("/cross")
    with desk.context.expect_page(lambda opened: "/ask/ask.html" in opened.url, timeout=90_000) as asked:
        desk.hand("key", SHORTCUT)
    ask = asked.value
    desk.wait_for_job("asking")
    button = ask.get_by_role("button", name="Send the video file")
    button.wait_for()
    box = button.bounding_box()
    assert box is not None
    desk.point(ask, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 1)
    desk.hand("sleep", 3, *(("key", "Tab", "sleep", 0.5, "key", "Return") if is_allowed else ("key", "Return")))
    if is_allowed:
        job = desk.wait_for_job("done", "failed")
        assert (job["stage"], job["capture_method"]) == ("done", "file")
        assert len(desk.space.uploads) == 1
    else:  # "Deny" has the focus
        wait_until(button.is_enabled)
        assert desk.wait_for_job("asking")
        assert desk.space.uploads == {}
        ask.close()
    assert (f"http://{MEDIA}/*" in desk.worker.evaluate(GRANTED)) is is_allowed
