"""The page as a person meets it: a check from the choice to the deletion of the shared report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from space.analysis.report import validate
from space.service.page.page import EXAMPLES_FOLDER
from tests.page_rig import (
    CHECK_MS,
    CLIP,
    ENDED,
    Server,
    check,
    open_page,
    read,
    visible,
    wait_for_pictures,
    watch_stages,
)
from tests.websites import Answer, serve

pytestmark = pytest.mark.browser

LABEL_INSIDE = """() => {
  const text = document.querySelector(".tt-player svg text");
  const { x, width } = text.getBBox();
  return width > 0 && x >= 0 && x + width <= text.ownerSVGElement.viewBox.baseVal.width;
}"""


def test_a_clip_is_checked_explained_shared_and_deleted(page: Page, page_browser: Browser, page_server: Server) -> None:
    names: list[str] = []
    page.on("request", lambda request: names.append(str(request.headers)) if "/uploads" in request.url else None)
    watch_stages(page)
    check(page, CLIP)

    assert "Strong signs of face manipulation" in read(page, ".tt-verdict")
    assert "The moments agree: 16 of 16 point the same way." in read(page, ".tt-verdict")
    assert "Do not pass it on as genuine." in read(page, ".tt-verdict")
    expect(page.locator("[data-focus]")).to_be_focused()
    expect(page.locator("[data-slot=spoken]")).to_have_text("Strong signs of face manipulation")
    assert page.locator(".tt-people > li").count() == 1
    wait_for_pictures(page)
    assert page_server.videos() == []
    assert names
    assert not any(CLIP.stem in name for name in names), "the file's name stays with the person"

    seen = page.evaluate("window.seen")
    shares = [share for _, share, _ in seen if share >= 0]
    assert len({stage for stage, _, _ in seen}) >= 2, "a fast check passes some between two looks"
    assert shares == sorted(shares)

    look_at_the_timeline(page)
    switch_the_maps(page)
    link = share(page)
    read_and_delete_without_scripts(page_browser, link)


def test_a_longer_clip_is_checked_the_same_way(page: Page, page_server: Server, shared_data: Path) -> None:
    look_at(page, 64)  # long enough for its stages to be seen
    watch_stages(page)
    check(page, shared_data / "clips" / "519_515.mp4")
    assert "Strong signs of face manipulation" in read(page, ".tt-verdict")
    assert page_server.videos() == []
    seen = page.evaluate("window.seen")
    assert len({stage for stage, _, _ in seen}) >= 3
    assert any(early for _, _, early in seen), "a preliminary verdict is shown on the way"
    look_at_the_timeline(page, n_points=64)
    switch_the_maps(page)


def look_at(page: Page, n_frames: int) -> None:
    page.evaluate("(n) => { document.querySelector('[data-slot=frames]').value = n }", n_frames)


def look_at_the_timeline(page: Page, *, n_points: int = 16) -> None:
    points = page.locator(".tt-point")
    assert points.count() == n_points
    page.locator(".tt-point.tt-shown").first.click()
    assert page.locator("[data-slot=instant-pictures] img").count() == 2
    plain = page.locator(".tt-point:not(.tt-shown)").first
    plain.click()
    words = read(page, "[data-slot=instant-words]")
    assert words.startswith("Person 1 at ")
    assert "Heat maps were only made for the strongest moments." in words
    assert page.locator("[data-slot=instant-pictures] img").count() == 0
    time_s = float(plain.get_attribute("data-time") or "nan")
    page.wait_for_function(
        "(at) => Math.abs(document.querySelector('.tt-player video').currentTime - at) < 0.05", arg=time_s
    )
    expect(page.locator(".tt-player svg g")).to_be_visible()
    long = "text.textContent = 'A long name for somebody'.repeat(2)"
    page.evaluate(f"() => {{ const text = document.querySelector('.tt-player svg text'); {long}; }}")
    page.keyboard.press("ArrowRight")
    assert read(page, "[data-slot=instant-words]") != words
    page.wait_for_function(LABEL_INSIDE)
    expect(page.locator(".tt-chosen")).to_be_focused()


def switch_the_maps(page: Page) -> None:
    moments = page.locator(".tt-moments > li").count()
    assert moments >= 3
    figures = page.locator(".tt-moments figure")
    assert visible(figures) == 2 * moments
    for value in ("crop", "overlay", "view-0-last", "view-1-layered", "view-1-penultimate"):
        page.check(f"[name=tt-show][value={value}]", force=True)
        assert visible(figures) == moments
        assert visible(page.locator(f".tt-moments [data-view={value}]")) == moments
    page.check("[name=tt-show][value=pair]", force=True)


def share(page: Page) -> str:
    page.click("[data-action=share]")
    expect(page.locator("#tt-shared")).to_be_focused()
    link = page.input_value("[data-slot=link]")
    token = page.input_value("[data-slot=token]")
    assert token
    assert token not in link
    assert "It lasts until" in read(page, "[data-slot=until]")
    expect(page.locator("[data-slot=not-persistent]")).to_be_visible()
    page.evaluate("(token) => { window.token = token; }", token)
    return f"{link}\n{token}"


def read_and_delete_without_scripts(page_browser: Browser, shared: str) -> None:
    link, token = shared.split("\n")
    context = page_browser.new_context(java_script_enabled=False, locale="en-US")
    visitor = context.new_page()
    visitor.goto(link)
    assert "Strong signs of face manipulation" in read(visitor, "body")
    field = visitor.locator("form[action*=delete] input:not([type=hidden])").first
    if not field.is_visible():
        visitor.locator("summary", has=field).or_(
            visitor.locator("details:has(form[action*=delete]) > summary")
        ).click()
    field.fill(token)
    visitor.locator("form[action*=delete] button").click()
    answer = visitor.goto(link)
    assert answer is not None
    assert answer.status in (404, 410)
    context.close()


def test_the_same_by_link(page: Page) -> None:
    with serve({"/clip?token=hush": Answer(CLIP.read_bytes(), "video/mp4")}) as site:
        page.check("[value=link]", force=True)
        page.fill("[data-slot=url]", site.url("/clip?token=hush"))
        page.keyboard.press("Enter")
        page.wait_for_selector(ENDED, timeout=CHECK_MS)
    assert "Strong signs of face manipulation" in read(page, ".tt-verdict")
    assert "127.0.0.1" in read(page, ".tt-source")
    assert "hush" not in page.content()
    expect(page.locator("[data-slot=no-player]")).to_be_visible()
    page.set_input_files("[data-own-copy]", EXAMPLES_FOLDER / "forged.mp4")
    expect(page.locator("[data-slot=player-trouble]")).to_contain_text("another file")
    page.set_input_files("[data-own-copy]", CLIP)
    expect(page.locator(".tt-player video")).to_be_visible()


def test_report_can_be_taken_along_and_is_found_again(page: Page, page_browser: Browser, tmp_path: Path) -> None:
    page.click("[data-example=genuine]")
    page.wait_for_selector("[data-outcome=running]")
    page.reload()
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    page.reload()
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    saved = {}
    for kind in ("json", "html"):
        with page.expect_download() as download:
            page.click(f"[href*='report.{kind}']")
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    document = json.loads(saved["json"].read_text(encoding="utf-8"))
    validate(document)
    assert {path.name for path in saved.values()} == {f"telltale-{document['id'][:8]}{s}" for s in (".json", ".html")}

    offline = page_browser.new_context(offline=True, java_script_enabled=False)
    copy = offline.new_page()
    copy.goto(saved["html"].as_uri())
    assert copy.title() == "Telltale: Strong signs of face manipulation"
    moments = copy.locator(".tt-moments > li").count()
    assert moments == len(document["evidence"])
    copy.check("[name=tt-show][value=view-0-layered]", force=True)
    assert visible(copy.locator(".tt-moments figure")) == moments, "the switch works without scripts"
    assert copy.locator("button").count() == 0
    offline.close()

    page.click("[data-action=again]")
    page.reload()
    page.wait_for_selector(".tt-shell:not(.tt-pending)")
    expect(page.locator("[data-outcome]")).to_have_count(0)


def test_a_check_can_be_stopped(page: Page) -> None:
    look_at(page, 128)  # or it may be over before
    page.click("[data-example=genuine]")
    page.click("[data-outcome=running] [data-action=stop]")
    page.wait_for_selector("[data-outcome=notice]", timeout=CHECK_MS)
    assert "The check was stopped." in read(page, "[data-outcome=notice]")
    expect(page.locator("[data-example=genuine]")).to_be_enabled()


def test_a_lost_connection_is_told_and_found_again(page_browser: Browser, page_server: Server) -> None:
    context = page_browser.new_context(locale="en-US")
    page = context.new_page()
    open_page(page, page_server.url)
    page.click("[data-example=forged]")
    page.wait_for_selector("[data-outcome=running]")
    page.route("**/page/jobs/**", lambda route: route.abort())
    expect(page.locator("[data-slot=offline]")).to_contain_text("The connection is lost.", timeout=CHECK_MS)
    page.unroute("**/page/jobs/**")
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    expect(page.locator("[data-slot=offline]")).to_be_empty()
    context.close()
