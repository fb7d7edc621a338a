"""The extension in Debian's Firefox: it loads, checks a clip of the page's own site, and shows the badge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from space.texts import render
from tests.extension_browser import copy_extension, wait_until
from tests.fake_space import FakeSpace, fake_space
from tests.firefox import Marionette, find_firefox, open_firefox
from tests.fixture_sites import fixture_sites

pytestmark = pytest.mark.browser

# What a page cannot see: closed shadow roots are open to the browser itself.
SHADOW_TEXTS = """return [...document.querySelectorAll("*")]
  .flatMap((element) => [...element.openOrClosedShadowRoot?.querySelectorAll(".tt-chip-main") ?? []])
  .map((chip) => chip.textContent);"""


@dataclass
class Session:
    """A Firefox with the extension: one tab shows a page of it, the other a site."""

    firefox: Marionette
    origin: str  # of the extension, with a slash at the end
    own: str  # handles
    site: str
    space: FakeSpace

    def switch(self, handle: str) -> Marionette:
        self.firefox.ask("WebDriver:SwitchToWindow", handle=handle)
        return self.firefox

    def in_extension(self, script: str, *args: Any) -> Any:
        """Evaluate in a page of the extension."""
        api = "const { browser } = window.wrappedJSObject ?? window;"
        return json.loads(self.switch(self.own).evaluate(f"{api} {script}", *args))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    program = find_firefox()
    if program is None:
        pytest.skip("no firefox-esr on this machine")
    folder = tmp_path_factory.mktemp("firefox")
    with fake_space() as space, fixture_sites(folder) as sites, open_firefox(program, folder / "profile") as firefox:
        extension = copy_extension(folder / "copy", space.url)
        allow(extension, "http://127.0.0.1/*")
        origin = firefox.install(extension)
        own = firefox.ask("WebDriver:GetWindowHandle")
        firefox.ask("WebDriver:Navigate", url=f"{origin}ask/ask.css")
        site = firefox.ask("WebDriver:NewWindow", type="tab")["handle"]
        firefox.ask("WebDriver:SwitchToWindow", handle=site)
        firefox.ask("WebDriver:Navigate", url=sites.url("/same", "127.0.0.1"))
        yield Session(firefox, origin, own, site, space)


def allow(extension: Path, pattern: str) -> None:
    """Firefox's patterns have no port."""
    manifest = json.loads((extension / "manifest.json").read_text(encoding="utf-8"))
    manifest["host_permissions"] = [pattern]
    (extension / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_a_clip_is_checked_and_its_badge_shown(session: Session) -> None:
    settings = {"consented": True, "space_url": session.space.url, "language": "en"}
    session.in_extension(
        "await browser.storage.local.set(JSON.parse(args[0])); return '{}'", json.dumps({"settings": settings})
    )
    listed = session.in_extension(
        """const tabs = await browser.tabs.query({});
        const tabId = tabs.find(({ url }) => url?.startsWith("http://127.0.0.1")).id;
        const { videos } = await browser.runtime.sendMessage({ type: "list-videos", tabId });
        const { videoKey } = videos[0];
        const answer = await browser.runtime.sendMessage({ type: "check-video", tabId, videoKey });
        return JSON.stringify({ answer, n_videos: videos.length });"""
    )
    assert listed["n_videos"] == 1
    assert listed["answer"].keys() == {"jobId"}

    badge = render("verdict.strong.badge")
    page = session.switch(session.site)
    wait_until(lambda: badge in page.evaluate(SHADOW_TEXTS, sandbox="system"), every_s=0.25)
    assert page.evaluate('return document.body.textContent.includes("Strong");') is False, "out of the page's reach"
    sent = session.space.last
    assert (sent["endpoint"], sent["capture_method"], sent["page_host"]) == ("check_frames", "frames", "127.0.0.1")
    assert len(sent["frames"]) >= 8

    history = session.switch(session.own)
    history.ask("WebDriver:Navigate", url=f"{session.origin}history/history.html")
    wait_until(lambda: render("verdict.strong") in history.evaluate("return document.body.innerText;"), every_s=0.25)
