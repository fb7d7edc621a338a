"""How the extension gets at videos of every kind, and leaves them as they were."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.extension.players import numbers, ready, state
from tests.extension_browser import Rig, Surface, wait_until
from tests.fake_space import FakeSpace
from tests.fixture_sites import FPS, N_FRAMES, SITE, Sites

pytestmark = pytest.mark.browser

N_SAMPLES = 16
DURATION_S = N_FRAMES / FPS
BLOCKED = {"code": "blocked_by_site", "message": "The site refuses this server.", "next": "Use the extension."}


@pytest.mark.parametrize(
    "path", ["/same", "/mse", "/iframe", *(pytest.param(p, marks=pytest.mark.slow) for p in ("/shadow", "/overlay"))]
)
def test_frames_are_read_and_the_player_given_back(rig: Rig, space: FakeSpace, sites: Sites, path: str) -> None:
    page = rig.open(sites.url(path))
    before = ready(page)
    job = rig.wait_for_stage(rig.check(page), "done", "failed")
    assert job["stage"] == "done"
    assert Surface(page).wait_for_text("Strong signs")

    sent = space.last
    assert (sent["endpoint"], sent["capture_method"], sent["page_host"]) == ("check_frames", "frames", SITE)
    times = [frame["time_s"] for frame in sent["frames"]]
    assert times == pytest.approx([(i + 0.5) / N_SAMPLES * DURATION_S for i in range(N_SAMPLES)], abs=0.2)
    shown = numbers(sent["frames"])
    assert all(abs(number / FPS - time_s) <= 3.5 / FPS for number, time_s in zip(shown, times, strict=True))
    assert len(set(shown)) == N_SAMPLES

    after = state(page)
    assert after[1:] == before[1:]
    assert after[:1] == pytest.approx(before[:1], abs=0.05)


def test_a_playing_stream_of_pieces_goes_on_where_it_was(rig: Rig, sites: Sites) -> None:
    page = rig.open(sites.url("/mse"))
    ready(page)
    page.evaluate("""async () => {
      const video = document.querySelector("video");
      const now = () => [performance.now() / 1000, video.currentTime];
      await video.play();
      const watch = setInterval(() => {
        if (video.paused) { clearInterval(watch); window.noticed = now(); }
        else window.playing = now();
      }, 5);
      video.addEventListener("playing", () => { window.resumed = now(); }, { once: true });
    }""")
    rig.wait_for_stage(rig.check(page), "done")
    playing, noticed, resumed = page.evaluate("[playing, noticed, resumed]")
    unseen_s = 1.25 * (noticed[0] - playing[0])  # played since the last look, at most
    assert playing[1] - 0.05 <= resumed[1] <= playing[1] + unseen_s + 0.05
    assert not state(page)[1]


def test_a_file_is_read_without_touching_the_player(rig: Rig, sites: Sites) -> None:
    page = rig.open(sites.url("/same"))
    page.evaluate("""() => {
      window.touched = [];
      const video = document.querySelector("video");
      for (const type of ["pause", "seeking", "volumechange", "ratechange"]) {
        video.addEventListener(type, () => window.touched.push(type));
      }
      return video.play();
    }""")
    rig.wait_for_stage(rig.check(page), "done")
    assert page.evaluate("window.touched") == []


@pytest.mark.slow
def test_a_live_stream_is_watched(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/live"))
    page.wait_for_function("window.ready")
    job = rig.wait_for_stage(rig.check(page), "failed")
    assert job["problem"]["code"] == "stream_paused"

    page.evaluate("document.querySelector('video').play()")
    rig.wait_for_stage(rig.check(page), "done")
    times = [frame["time_s"] for frame in space.last["frames"]]
    shown = numbers(space.last["frames"])
    assert len(times) >= N_SAMPLES // 2
    assert times == sorted(times)
    assert 6 < times[-1] - times[0] < 9
    assert shown == sorted(shown)
    assert shown[-1] - shown[0] > 5 * FPS


def test_black_frames_are_no_evidence(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/black"))
    job = rig.wait_for_stage(rig.check(page), "failed")
    assert job["problem"]["code"] == "video_protected"
    assert space.sent == {}
    surface = Surface(page)
    surface.wait_for_text("could not be checked")
    surface.open_card()
    assert surface.wait_for_text("copy-protected", ".tt-card")


def test_a_file_of_another_site_is_fetched_once_that_was_allowed(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/cross"))
    ready(page)
    job_id = rig.check(page)
    job = rig.wait_for_stage(job_id, "asking")
    assert job["ask"] == ["file", "page", "screen"]
    assert job["media_host"] == "media.test"
    assert space.sent == {}
    assert rig.send({"type": "answer-ask", "jobId": job_id, "step": "file", "remember": True}) == {}
    rig.wait_for_stage(job_id, "done")
    assert space.last["endpoint"] == "check_upload"
    with_clip = page.request.get(sites.url("/clip.mp4", "127.0.0.1"))
    assert space.uploads[space.last["upload"]] == with_clip.body()

    rig.wait_for_stage(rig.check(page), "done")  # not asked again


def test_refused_steps_lead_to_the_screen(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    """The Space cannot fetch the page's video either; the toolbar button allows pictures of this tab."""
    space.failures["check_url"] = BLOCKED
    page = rig.open(sites.url("/locked"))
    ready(page)
    rig.press_toolbar_button(page)
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "asking")
    rig.send({"type": "answer-ask", "jobId": job_id, "step": "page", "remember": False})
    job = rig.wait_for_stage(job_id, "done", "failed")
    assert job["problem"] is None
    assert (job["stage"], job["capture_method"], job["failed_steps"]) == ("done", "screen", ["frames", "file", "page"])
    first, second = space.sent.values()
    assert (first["endpoint"], first["url"]) == ("check_url", page.url)
    assert (second["endpoint"], second["capture_method"]) == ("check_frames", "screen")
    assert second["job_id"] not in (first["job_id"], "")
    shown = numbers(second["frames"])
    assert len(set(shown)) == len(shown) >= 4
    assert state(page)[0] == pytest.approx(2.0, abs=0.05)
    assert Surface(page).wait_for_text("Strong signs")


def choose_in_menu(rig: Rig, page: Page, click: dict[str, Any]) -> None:
    """What the browser does when an entry of the context menu is chosen; its menus cannot be opened from here."""
    script = """async ([url, click, tabId]) => {
      const { onMenu } = await import(url);
      await onMenu(click, await chrome.tabs.get(tabId));
    }"""
    rig.call(script, [f"{rig.origin}background/menus.js", click, rig.tabs[page]])


def test_the_menu_asks_in_a_window_of_its_own(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/none"))
    link = sites.url("/same")
    with rig.context.expect_page() as asked:
        choose_in_menu(rig, page, {"menuItemId": "link", "linkUrl": link})
    asked.value.get_by_role("button", name="Send the address of this page").click()
    wait_until(lambda: space.sent)
    assert (space.last["endpoint"], space.last["url"]) == ("check_url", link)
    assert rig.wait_for_stage(space.last["job_id"], "done")["capture_method"] == "page"

    with rig.context.expect_page() as asked:
        choose_in_menu(rig, page, {"menuItemId": "page"})  # which has no video
    asked.value.get_by_role("button", name="Send nothing").click()
    assert rig.wait_for_stage(rig.jobs()[-1]["job_id"], "cancelled")
    assert len(space.sent) == 1

    page = rig.open(sites.url("/black"))
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('video'), { src: '/clip.mp4', width: 90 }))"
    )
    choose_in_menu(rig, page, {"menuItemId": "video", "srcUrl": sites.url("/clip.mp4"), "frameId": 0})
    assert rig.wait_for_stage(rig.jobs()[-1]["job_id"], "done", "failed")["capture_method"] == "frames"
    assert len(numbers(space.last["frames"])) == N_SAMPLES


def test_nothing_is_sent_without_consent(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    rig.settings(consented=False)
    page = rig.open(sites.url("/same"))
    with rig.context.expect_page() as consent:
        answer = rig.send({"type": "check-video", "tabId": rig.tabs[page]})
    assert answer["problem"]["code"] == "consent_needed"
    assert "/consent/consent.html" in consent.value.url
    assert space.sent == {}
