"""A check goes on, whatever dies meanwhile: the service worker, the browser, the Space."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from space.service.page.routes import EXAMPLES_FOLDER
from space.texts import render
from tests.bare_browser import BareBrowser, BareTab, bare_browser
from tests.extension_browser import Surface, copy_extension, wait_until
from tests.fake_space import fake_space
from tests.fixture_sites import SITE, fixture_sites
from tests.real_space import RealSpace

pytestmark = pytest.mark.browser

LONG_S = 600.0
SHOWN_S = 1.0
CONSENT = "/consent/consent.html"


@dataclass(frozen=True)
class Scene:
    """A browser, one of the extension's pages, and a site with a video."""

    browser: BareBrowser
    own: BareTab
    site: BareTab

    def check(self) -> str:
        tab_id = self.own.evaluate(f"chrome.tabs.query({{ url: 'http://{SITE}/*' }}).then(([tab]) => tab.id)")
        message = json.dumps({"type": "check-video", "tabId": tab_id})
        answer = self.own.evaluate(f"chrome.runtime.sendMessage({message})")
        job_id: str = answer["jobId"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        script = f"chrome.storage.session.get('jobs').then(({{ jobs }}) => jobs['{job_id}'])"
        found: dict[str, Any] = self.own.evaluate(script)
        return found

    def history(self) -> list[dict[str, Any]]:
        script = "chrome.storage.local.get('history').then(({ history }) => history ?? [])"
        found: list[dict[str, Any]] = self.own.evaluate(script)
        return found

    def wait_for_stage(self, job_id: str, *stages: str) -> dict[str, Any]:
        def probe() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["stage"] in stages else None

        try:
            found: dict[str, Any] = wait_until(probe, limit_s=120)
        except AssertionError as error:
            raise AssertionError(f"{self.job(job_id)}") from error
        return found


def find_workers(browser: BareBrowser) -> list[dict[str, Any]]:
    return [target for target in browser.targets("service_worker") if "/background/" in target["url"]]


def enter(browser: BareBrowser, space_url: str, site_url: str, *, is_first: bool) -> Scene:
    if is_first:  # asks for consent, in front of everything
        wait_until(lambda: [target for target in browser.targets("page") if target["url"].endswith(CONSENT)])
    (worker,) = wait_until(lambda: find_workers(browser))
    own = browser.open(worker["url"].replace("background/service-worker.js", "ask/ask.css"))
    settings = json.dumps({"space_url": space_url, "consented": True, "language": "en"})
    own.evaluate(f"chrome.storage.local.set({{ settings: {settings} }})")
    return Scene(browser, own, browser.open(site_url))


def kill_worker(browser: BareBrowser) -> None:
    """As the browser does it with one that it thinks idle."""
    (worker,) = find_workers(browser)
    browser.send("Target.closeTarget", {"targetId": worker["targetId"]})
    wait_until(lambda: worker["targetId"] not in [target["targetId"] for target in find_workers(browser)])


@pytest.mark.slow
def test_worker_and_browser_may_die(chromium_path: str, tmp_path: Path) -> None:
    with fake_space() as space, fixture_sites(tmp_path) as sites:
        extension, profile = copy_extension(tmp_path / "telltale", space.url), tmp_path / "profile"
        site = sites.url("/same")
        with bare_browser(chromium_path, extension, profile) as browser:
            scene = enter(browser, space.url, site, is_first=True)
            space.work_s = LONG_S
            job_id = scene.check()
            scene.wait_for_stage(job_id, "queued")
            kill_worker(browser)
            space.work_s = 0.1
            assert Surface(scene.site).wait_for_text("Strong signs")
            assert scene.job(job_id)["stage"] == "done"

            space.asleep = True  # so the worker dies with the frames in hand
            job_id = scene.check()
            wait_until(lambda: scene.job(job_id)["problem"])
            kill_worker(browser)
            space.asleep = False
            scene.wait_for_stage(job_id, "done")

            space.work_s = LONG_S
            interrupted = scene.check()
            scene.wait_for_stage(interrupted, "queued")

        space.work_s = 0.1
        with bare_browser(chromium_path, extension, profile) as browser:
            scene = enter(browser, space.url, site, is_first=False)
            found = wait_until(lambda: [entry for entry in scene.history() if entry["job_id"] == interrupted])
            assert found[0]["verdict_code"] == "strong"
            pending = "chrome.storage.local.get('pending').then(({ pending }) => Object.keys(pending))"
            wait_until(lambda: scene.own.evaluate(pending) == [])


# --- the real thing ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_forged_clip_gets_its_badge_and_a_restart_is_told(chromium_path: str, tmp_path: Path) -> None:
    clip = (EXAMPLES_FOLDER / "forged.mp4").read_bytes()
    space = RealSpace(tmp_path)
    extension = copy_extension(tmp_path / "telltale", space.url)
    try:
        space.start()
        with (
            fixture_sites(tmp_path, clip) as sites,
            bare_browser(chromium_path, extension, tmp_path / "profile") as browser,
        ):
            scene = enter(browser, space.url, sites.url("/own"), is_first=True)
            surface = Surface(scene.site)
            job_id = scene.check()
            remote_id = scene.wait_for_stage(job_id, "accepted", "queued", "source", "frames", "faces")["remote_id"]
            wait_until(lambda: space.ask(f"/api/v1/jobs/{remote_id}")["stage"] in ("done", "failed"), every_s=0.02)
            ended_s = time.time()
            job = scene.wait_for_stage(job_id, "done", "failed")
            assert job["stage"] == "done", job["problem"]
            shown_s = job["changed"] / 1000 - ended_s
            assert shown_s < SHOWN_S, "the verdict is there within a second of the Space's own"
            source, code = job["report"]["source"], job["report"]["verdict"]["code"]
            assert (source["kind"], source["capture_method"], source["host"]) == ("frames", "frames", SITE)
            assert code not in ("little", "not_applicable")
            surface.wait_for_text(render(f"verdict.{code}.badge"))
            surface.open_card()
            loaded = (
                "function () { return [...this.querySelectorAll('.tt-thumbnail img')].map((i) => i.naturalWidth); }"
            )
            wait_until(lambda: len(widths := surface.evaluate(loaded)) >= 3 and min(widths) > 0)
            (entry,) = wait_until(lambda: [entry for entry in scene.history() if entry["thumbnails"]])
            assert entry["verdict_code"] == code

            job_id = scene.check()
            scene.wait_for_stage(job_id, "accepted", "queued", "source", "frames", "faces", "scores")
            space.kill()
            wait_until(lambda: (scene.job(job_id)["problem"] or {}).get("code") == "space_unreachable")
            space.start()
            assert scene.wait_for_stage(job_id, "failed")["problem"]["code"] == "server_restarted"
            surface.wait_for_text("could not be checked")
    finally:
        space.kill()
