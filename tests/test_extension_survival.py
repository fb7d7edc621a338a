"""A check goes on, whatever dies meanwhile: the service worker, the browser, the Space. The Space's doors are real."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from space.texts import render
from tests.bare_browser import BareBrowser, BareTab, bare_browser
from tests.extension_browser import Surface, copy_extension, wait_until
from tests.fixture_sites import SITE, Sites, fixture_sites
from tests.servers import Server, running
from tests.services import ANALYSIS

pytestmark = pytest.mark.browser

VERDICT = ANALYSIS.report.verdict


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment:
        with socket.create_server(("127.0.0.1", 0)) as free:
            environment.setenv("GRADIO_SERVER_PORT", str(free.getsockname()[1]))  # the same one after a restart
        with running(tmp_path_factory.mktemp("space")) as found:
            yield found


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with fixture_sites(tmp_path_factory.mktemp("media")) as found:
        yield found


@dataclass(frozen=True)
class Scene:
    """A browser, one of the extension's pages, and a site with a video."""

    browser: BareBrowser
    own: BareTab
    site: BareTab

    def ask(self, message: dict[str, Any]) -> Any:
        return self.own.evaluate(f"chrome.runtime.sendMessage({json.dumps(message)})")

    def check(self) -> str:
        tab_id = self.own.evaluate(f"chrome.tabs.query({{ url: 'http://{SITE}/*' }}).then(([tab]) => tab.id)")
        answer = self.ask({"type": "check-video", "tabId": tab_id})
        job_id: str = answer["jobId"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.own.evaluate(f"chrome.storage.session.get('jobs').then(({{ jobs }}) => jobs['{job_id}'])")
        return found

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.own.evaluate("chrome.storage.local.get('history').then((o) => o.history ?? [])")
        return found

    def workers(self) -> list[dict[str, Any]]:
        return [target for target in self.browser.targets("service_worker") if "/background/" in target["url"]]


def enter(browser: BareBrowser, server: Server, sites: Sites, *, is_first: bool) -> Scene:
    if is_first:  # asks for consent, in front of everything
        wait_until(lambda: [t for t in browser.targets("page") if t["url"].endswith("/consent/consent.html")])
    (worker,) = wait_until(lambda: [t for t in browser.targets("service_worker") if "/background/" in t["url"]])
    own = browser.open(worker["url"].replace("background/service-worker.js", "ask/ask.css"))
    settings = json.dumps({"space_url": server.url, "consented": True, "language": "en"})
    own.evaluate(f"chrome.storage.local.set({{ settings: {settings} }})")
    return Scene(browser, own, browser.open(sites.url("/same")))


def check_until_scores(scene: Scene, server: Server) -> str:
    """A check that waits in the Space."""
    server.hold("scores")
    job_id = scene.check()
    try:
        server.wait_for("at-scores", limit_s=60)
    except AssertionError as error:
        raise AssertionError(f"{scene.job(job_id)}") from error
    return job_id


def test_worker_browser_and_space_may_die(chromium_path: str, server: Server, sites: Sites, tmp_path: Path) -> None:
    extension, profile = copy_extension(tmp_path / "telltale", server.url), tmp_path / "profile"
    with bare_browser(chromium_path, extension, profile) as browser:
        scene = enter(browser, server, sites, is_first=True)
        surface = Surface(scene.site)

        job_id = check_until_scores(scene, server)
        (worker,) = scene.workers()
        browser.send("Target.closeTarget", {"targetId": worker["targetId"]})
        wait_until(lambda: worker["targetId"] not in [target["targetId"] for target in scene.workers()])
        server.release()
        assert surface.wait_for_text(render(f"verdict.{VERDICT.code}.badge"))
        assert scene.job(job_id)["report"]["verdict"]["code"] == VERDICT.code

        job_id = check_until_scores(scene, server)
        server.kill()
        wait_until(lambda: (scene.job(job_id)["problem"] or {}).get("code") == "space_unreachable")
        server.release()
        server.start()
        wait_until(lambda: scene.job(job_id)["stage"] == "failed")
        assert scene.job(job_id)["problem"]["code"] == "server_restarted"
        surface.click(".tt-chip-main")
        assert surface.wait_for_text("restarted while the check was running", ".tt-card")

        interrupted = check_until_scores(scene, server)

    server.release()
    server.end(interrupted)
    with bare_browser(chromium_path, extension, profile) as browser:
        scene = enter(browser, server, sites, is_first=False)
        found = wait_until(lambda: [entry for entry in scene.history() if entry["job_id"] == interrupted])
        assert found[0]["verdict_code"] == VERDICT.code
        assert scene.own.evaluate("chrome.storage.local.get('pending').then((o) => Object.keys(o.pending))") == []
