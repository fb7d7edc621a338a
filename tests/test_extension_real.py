"""Every kind of site, with the real Space and its weights: the forged example gets its verdict and its pictures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from space.service.page.routes import EXAMPLES_FOLDER
from space.texts import render
from tests.extension.players import ready, state
from tests.extension_browser import Rig, Surface, copy_extension, extension_rig, wait_until
from tests.fixture_sites import Sites, fixture_sites
from tests.real_space import RealSpace

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHECK_S = 120.0
LOADED = "function () { return [...this.querySelectorAll('.tt-thumbnail img')].map((i) => i.naturalWidth); }"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSpace]:
    space = RealSpace(tmp_path_factory.mktemp("space"))
    try:
        space.start()
        yield space
    finally:
        space.kill()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with fixture_sites(tmp_path_factory.mktemp("media"), shown=EXAMPLES_FOLDER / "forged.mp4") as found:
        yield found


@pytest.fixture(scope="module")
def browser(chromium_path: str, space: RealSpace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("extension")
    with extension_rig(chromium_path, copy_extension(folder / "telltale", space.url), folder / "profile") as rig:
        yield rig


@pytest.fixture
def rig(browser: Rig, space: RealSpace) -> Iterator[Rig]:
    browser.forget()
    browser.settings(space_url=space.url, consented=True, consent_sites={}, language="en")
    yield browser
    for page in [page for page in browser.context.pages if page is not browser.remote]:
        page.close()


@pytest.mark.parametrize(
    ("path", "step"),
    [
        *((path, "frames") for path in ("/same", "/mse", "/shadow", "/iframe", "/overlay", "/live")),
        ("/cross", "file"),
        ("/locked", "screen"),
    ],
)
def test_the_forged_clip_gets_its_badge_everywhere(rig: Rig, sites: Sites, path: str, step: str) -> None:
    page = rig.open(sites.url(path))
    if path == "/live":
        page.wait_for_function("window.ready")
        page.evaluate("document.querySelector('video').play()")
    else:
        before = ready(page, at_s=1.0)
    if step == "screen":
        rig.press_toolbar_button(page)
    job_id = rig.check(page)
    if step != "frames":
        rig.wait_for_stage(job_id, "asking")
        rig.send({"type": "answer-ask", "jobId": job_id, "step": step, "remember": False})
    job = wait_until(lambda: job if (job := rig.job(job_id))["stage"] in ("done", "failed") else None, limit_s=CHECK_S)
    assert (job["stage"], job["problem"], job["capture_method"]) == ("done", None, step)
    code = job["report"]["verdict"]["code"]
    assert code not in ("little", "not_applicable"), "no signs in a forged clip"
    surface = Surface(page)
    surface.wait_for_text(render(f"verdict.{code}.badge"))
    if path == "/iframe":  # the mouse would have to know where the frame lies
        assert len(wait_until(lambda: [e for e in rig.history() if e["thumbnails"]])[0]["thumbnails"]) >= 3
    else:
        surface.open_card()
        wait_until(lambda: len(widths := surface.evaluate(LOADED) or []) >= 3 and min(widths) > 0)
    if path != "/live":
        after = state(page)
        assert after[1:] == before[1:]
        assert after[:1] == pytest.approx(before[:1], abs=0.05)


def test_a_page_that_moves_on_leaves_its_check_to_the_history(rig: Rig, sites: Sites) -> None:
    page = rig.open(sites.url("/spa"))
    ready(page, at_s=1.0)
    job_id = rig.check(page)
    rig.wait_for_stage(job_id, "accepted", "queued", "source", "frames", "faces", "scores")
    page.evaluate("""() => {
      history.pushState(null, "", "/elsewhere");
      document.querySelector("video").remove();
    }""")
    wait_until(lambda: rig.job(job_id)["stage"] == "done", limit_s=CHECK_S)
    (entry,) = wait_until(lambda: [entry for entry in rig.history() if entry["thumbnails"]])
    assert entry["verdict_code"] == rig.job(job_id)["report"]["verdict"]["code"]
