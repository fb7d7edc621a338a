"""What the badge opens, and how soon."""

from __future__ import annotations

import time

import pytest

from tests.extension.players import state
from tests.extension_browser import Rig, Surface, wait_until
from tests.fake_space import FakeSpace
from tests.fixture_sites import Sites

pytestmark = pytest.mark.browser


def test_the_card_explains(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/same"))
    surface = Surface(page)
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "done")
    surface.wait_for_text("Strong signs")
    surface.open_card()
    surface.wait_for_text("The models reacted most strongly to", ".tt-card .tt-parts")
    pictures = """function () {
      return [...this.querySelectorAll(".tt-thumbnail img")].map(({ naturalWidth, alt }) => [naturalWidth, alt]);
    }"""
    wait_until(lambda: min(width for width, _ in surface.evaluate(pictures)) > 0)
    found = surface.evaluate(pictures)
    assert len(found) == 3
    assert all(width == 320 and "heat map" in alt for width, alt in found)

    surface.click(".tt-thumbnail:nth-child(2)")
    surface.wait_for_text("Go to this moment", ".tt-stage")
    surface.click(".tt-stage .tt-row button:last-child")
    moment = space.report["evidence"][1]["time_s"]
    wait_until(lambda: abs(state(page)[0] - moment) < 0.05)

    assert space.shared == []
    surface.click(".tt-whole > .tt-row button:last-child")
    wait_until(lambda: space.shared)
    wait_until(lambda: rig.job(job_id)["share"])
    wait_until(lambda: rig.history()[0]["share_url"] == f"{space.url}/e/abc")

    with rig.context.expect_page() as opened:
        surface.click(".tt-whole > .tt-row button:first-child")
    assert opened.value.url == f"{rig.origin}history/history.html#{job_id}"
    page.bring_to_front()
    page.keyboard.press("Escape")
    wait_until(lambda: surface.evaluate("function () { return this.querySelector('.tt-card').hidden; }"))


@pytest.mark.slow
def test_a_verdict_is_there_within_a_second(rig: Rig, space: FakeSpace, sites: Sites) -> None:
    page = rig.open(sites.url("/same"))
    waits = []
    for _ in range(3):
        job = rig.wait_for_stage(rig.check(page), "done")
        ended = time.time() - time.monotonic() + space.begun[job["remote_id"]] + space.work_s
        waits.append(job["changed"] / 1000 - ended)
    assert min(waits) < 1.0
