"""How a check goes, from the click to the history."""

from __future__ import annotations

import time

import pytest

from tests.extension_browser import Rig, Surface, wait_until
from tests.fake_space import FakeSpace
from tests.fixture_sites import SITE, Sites

pytestmark = pytest.mark.browser

BUSY = {"code": "busy", "message": "Too many checks are waiting.", "next": "Wait.", "retry_after_s": 1}


@pytest.mark.slow
def test_another_video_never_gets_the_verdict_of_the_one_before(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/spa"))
    move_on = """() => {
      history.pushState({}, "", "/spa?next" + Math.random());
      document.querySelector("video").src = "/clip.mp4?" + Math.random();
    }"""
    job_id = rig.check(page)
    wait_until(lambda: rig.job(job_id)["fraction"] > 0)
    page.evaluate(move_on)
    assert rig.wait_for_stage(job_id, "failed", "done")["problem"]["code"] == "video_changed"

    space.work_s = 3
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "frames", "faces", "scores")
    page.evaluate(move_on)
    wait_until(lambda: Surface(page).evaluate("function () { return 1; }") is None)
    rig.wait_for_stage(job_id, "done")
    wait_until(lambda: job_id in [entry["job_id"] for entry in rig.history()])


def test_a_closed_tab_still_gets_its_result(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    space.work_s = 1.5
    page = rig.open(sites.url("/same"))
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "frames", "faces")
    page.close()
    rig.wait_for_stage(job_id, "done")
    (entry,) = wait_until(lambda: [e for e in rig.history() if e["thumbnails"] and e["job_id"] == job_id])
    assert (entry["verdict_code"], entry["host"]) == ("strong", SITE)
    assert len(entry["thumbnails"]) == 3
    assert all(url.startswith("data:image/jpeg;base64,") and len(url) < 30_000 for url in entry["thumbnails"])
    assert "frames" not in str(entry["report"]["tracks"])


@pytest.mark.slow
def test_a_space_that_sleeps_or_is_busy_is_waited_for(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    space.asleep = True
    space.refusals.append(BUSY)
    page = rig.open(sites.url("/same"))
    job_id = rig.check(page)
    job = wait_until(lambda: (found := rig.job(job_id))["problem"] and found)
    assert (job["stage"], job["problem"]["code"]) == ("sending", "space_asleep")
    space.asleep = False
    job = rig.wait_for_stage(job_id, "done")
    assert job["problem"] is None
    assert space.refusals == []


def test_a_check_that_the_space_forgot_is_told(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    space.work_s = 30
    page = rig.open(sites.url("/same"))
    job_id = rig.check(page)
    job = rig.wait_for_stage(job_id, "queued", "frames")
    space.forgotten.add(job["remote_id"])
    assert rig.wait_for_stage(job_id, "failed")["problem"]["message"] == "There is no check with this number."


@pytest.mark.slow
def test_a_check_can_be_stopped_and_its_badge_closed(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    space.work_s = 30
    page = rig.open(sites.url("/same"))
    surface = Surface(page)
    job_id = rig.check(page)
    remote_id = rig.wait_for_stage(job_id, "queued", "frames")["remote_id"]
    surface.open_card()
    surface.wait_for_text("Stop", ".tt-card")
    surface.click(".tt-card button")
    assert rig.wait_for_stage(job_id, "cancelled")
    wait_until(lambda: remote_id in space.cancelled)
    wait_until(lambda: surface.evaluate("function () { return 1; }") is None)

    space.work_s = 1
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "queued", "frames", "faces")
    surface.click(".tt-chip-close")
    wait_until(lambda: surface.evaluate("function () { return 1; }") is None)
    assert rig.wait_for_stage(job_id, "done")["dismissed"]


@pytest.mark.slow
def test_sites_of_ones_choice_are_checked_without_a_click(rig: Rig, sites: Sites) -> None:
    rig.settings(auto_check_sites=[SITE], hover_button=True)
    registered = "async () => (await chrome.scripting.getRegisteredContentScripts()).flatMap(({ matches }) => matches)"
    wait_until(lambda: f"http://{SITE}/*" in rig.call(registered))
    page = rig.open(sites.url("/same"))
    surface = Surface(page)

    def is_offered() -> bool:
        page.mouse.move(300, 300 + time.monotonic() % 5)
        return surface.text(".tt-hover") == "Check this video"

    wait_until(is_offered, every_s=0.2)
    page.evaluate("document.querySelector('video').play()")
    job = wait_until(lambda: next(iter(rig.jobs()), None))
    assert rig.wait_for_stage(job["job_id"], "done")["tab_id"] == rig.tabs[page]

    page.evaluate("""() => {
      document.querySelector("video").pause();
      const inner = document.body.appendChild(document.createElement("div")).attachShadow({ mode: "closed" });
      const outer = inner.appendChild(document.createElement("section")).attachShadow({ mode: "closed" });
      const video = { src: "/clip.mp4?late", muted: true, loop: true, autoplay: true, width: 400, height: 225 };
      outer.append(Object.assign(document.createElement("video"), video));
    }""")
    late = wait_until(lambda: next((found for found in rig.jobs() if found["job_id"] != job["job_id"]), None))
    assert rig.wait_for_stage(late["job_id"], "done")["facts"]["src"].endswith("?late")
