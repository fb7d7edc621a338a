"""Frames become JPEGs in a frame of the extension's own, off the page's thread; or on it, where that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.extension.players import jpegs, numbers, pictures, state
from tests.extension_browser import Rig, wait_until
from tests.fake_space import FakeSpace
from tests.fixture_sites import SITE, SIZE_WH, Sites
from tests.media import corner_colours

pytestmark = pytest.mark.browser

N_SAMPLES = 16
CODER = "/coder/coder.html"
MOST_DIFFERENT = 2.0  # of 255, on average: two ways from YCbCr to RGB
SHOWN_OF = '[...document.documentElement.children].filter(({ localName }) => localName === "span").length'
WATCH = """(isRemoved) => {
  window.coders = 0;
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) {
      if (node.localName !== "span") continue;
      window.coders += 1;
      if (isRemoved) node.remove();
    }
  }).observe(document.documentElement, { childList: true });
}"""


LISTEN = """() => {
  window.handed = [];
  if (window.listens) return;
  window.listens = true;
  chrome.runtime.onMessage.addListener(({ type }, { url }) => {
    if (type === "captured") window.handed.push(new URL(url).pathname);
  });
}"""


def take(rig: Rig, space: FakeSpace, page: Page, *, by: str) -> list[dict[str, Any]]:
    """The frames of one check, handed over once by the coder's frame or by the page's script, as expected."""
    rig.call(LISTEN)
    job = rig.wait_for_stage(rig.check(page), "done", "failed")
    assert (job["stage"], job["capture_method"]) == ("done", "frames"), job["problem"]
    assert rig.call("() => window.handed") == [by]
    frames: list[dict[str, Any]] = space.last["frames"]
    assert len(frames) == N_SAMPLES
    assert all(frame.keys() == {"time_s", "jpeg"} for frame in frames)
    return frames


@pytest.mark.slow
def test_both_ways_give_the_same_pictures(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    taken = []
    for is_removed, by in ((False, CODER), (True, "/same")):
        page = rig.open(sites.url("/same"))
        page.evaluate(WATCH, is_removed)
        taken.append(take(rig, space, page, by=by))
        assert page.evaluate("window.coders") == 1
        wait_until(lambda page=page: page.evaluate(SHOWN_OF) == 0)
    coded, drawn = taken
    assert [frame["time_s"] for frame in coded] == [frame["time_s"] for frame in drawn]
    assert numbers(coded) == numbers(drawn)
    assert jpegs(coded)[0].quantization == jpegs(drawn)[0].quantization
    for one, other in zip(pictures(coded), pictures(drawn), strict=True):
        assert one.shape == other.shape == (SIZE_WH[1], SIZE_WH[0], 3)
        assert np.abs(one.astype(int) - other.astype(int)).mean() < MOST_DIFFERENT


@pytest.mark.parametrize("stage", ["capturing", pytest.param("sending", marks=pytest.mark.slow)])
def test_a_coder_removed_on_the_way_costs_no_evidence(rig: Rig, space: FakeSpace, sites: Sites, stage: str) -> None:
    page = rig.open(sites.url("/same"))
    space.asleep = stage == "sending"
    job_id = rig.check(page)
    wait_until(lambda: (job := rig.job(job_id))["stage"] == stage and (job["fraction"] > 0.3 or job["problem"]))
    page.evaluate("for (const span of document.documentElement.querySelectorAll(':scope > span')) span.remove();")
    space.asleep = False
    job = rig.wait_for_stage(job_id, "done", "failed")
    assert (job["stage"], job["capture_method"]) == ("done", "frames"), job["problem"]
    assert len(set(numbers(space.last["frames"]))) == N_SAMPLES


def test_a_turned_video_is_sent_upright(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/turned"))
    for picture in pictures(take(rig, space, page, by=CODER)):
        assert picture.shape == (SIZE_WH[0], SIZE_WH[1], 3)
        red = corner_colours(picture)["top_right"]  # the clip's top left, a quarter turn clockwise
        assert (red[0] > 200, red[1] < 60, red[2] < 60) == (True, True, True)


@pytest.mark.slow
def test_a_page_gets_nothing_out_of_a_coder_of_its_own(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/same"))
    other = rig.open(sites.url("/none"))
    space.asleep = True
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "sending")
    script = """async ([origin, messages]) => {
      const frame = document.createElement("iframe");
      frame.src = `${origin}coder/coder.html`;
      document.body.append(frame);
      await new Promise((resolve) => { frame.onload = resolve; });
      const { port1, port2 } = new MessageChannel();
      const next = () => new Promise((resolve) => {
        port1.onmessage = ({ data }) => resolve(data);
        setTimeout(resolve, 10000, "silent");
      });
      const ready = next();
      frame.contentWindow.postMessage(null, "*", [port2]);
      const answers = [await ready];
      for (const captured of messages) {
        const answer = next();
        port1.postMessage({ captured });
        answers.push(await answer);
      }
      return answers;
    }"""
    messages = [
        {"type": "captured", "jobId": job_id, "step": "frames", "frames": [], "facts": {}},
        {"type": "check-video", "tabId": rig.tabs[page], "frames": []},
        {"type": "watch-job", "jobId": job_id, "frames": []},
        {"type": "list-videos", "tabId": rig.tabs[page], "frames": []},
    ]
    ready, *answers = other.evaluate(script, [rig.origin, messages])
    assert ready == {"ready": True}
    assert [answer["problem"]["code"] for answer in answers] == ["not_allowed"] * len(messages)
    space.asleep = False
    rig.wait_for_stage(job_id, "done")
    assert len(space.last["frames"]) == N_SAMPLES


def test_no_other_page_of_the_extension_can_be_framed(rig: Rig, sites: Sites) -> None:
    page = rig.open(sites.url("/none"))
    script = """async (urls) => {
      for (const url of urls) document.body.append(Object.assign(document.createElement("iframe"), { src: url }));
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }"""
    pages = ["popup/popup.html", "options/options.html", "history/history.html", "ask/ask.html", "consent/consent.html"]
    page.evaluate(script, [rig.origin + path for path in pages])
    assert [frame.url for frame in page.frames if frame.url.startswith(rig.origin)] == []
    assert len(page.frames) == 1 + len(pages)
    assert SITE in page.url
    assert state(page) == []
