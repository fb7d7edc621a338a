"""What the page says where there is no face, more than one, no video, or nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from space.service.page.page import EXAMPLES_FOLDER
from space.settings import Limits
from space.texts import render
from tests.page_rig import (
    CHECK_MS,
    CLIP,
    Server,
    check,
    choose_and_check,
    open_page,
    read,
    visible,
    visiting,
)
from tests.websites import serve

pytestmark = pytest.mark.browser


def test_without_a_face_there_is_a_sentence_and_no_number(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    Image.effect_noise((320, 240), 20).save(path)
    check(page, path)
    assert "No face to assess" in read(page, ".tt-verdict")
    assert "No face was found" in read(page, ".tt-verdict")
    assert page.locator(".tt-timeline, .tt-gauge, .tt-moments").count() == 0


def test_several_people_have_a_verdict_each(page: Page, tmp_path: Path) -> None:
    face = Image.open(EXAMPLES_FOLDER / "genuine.jpg").convert("RGB")
    both = Image.new("RGB", (2 * face.width, face.height))
    for i in (0, 1):
        both.paste(face, (i * face.width, 0))
    path = tmp_path / "two.png"
    both.save(path)
    check(page, path)
    people = page.locator(".tt-people > li")
    assert people.count() == 2
    assert all("Strong signs" in people.nth(i).inner_text() for i in (0, 1))
    expect(page.locator(".tt-player img")).to_be_visible()
    assert visible(page.locator(".tt-player svg g")) == 2


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("clip.mp4", b"Not a clip at all.", "unsupported_type"),
        ("letter.docx", b"PK\3\4 a letter", "unsupported_type"),
        ("clip.mp4", b"", "empty"),
        ("clip.mp4", CLIP.read_bytes()[:2000], "unreadable"),
    ],
    ids=["text", "Word file", "empty", "damaged"],
)
def test_a_refused_file_is_explained_and_deleted(
    page: Page, page_server: Server, tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    choose_and_check(page, path)
    notice = page.locator(".tt-notice:visible")
    expect(notice).to_contain_text(render(f"error.{code}"), timeout=CHECK_MS)
    expect(notice).to_contain_text(render(f"error.{code}.next"))
    assert page.locator(".tt-verdict").count() == 0
    assert page_server.videos() == []


def test_a_file_beyond_the_limit_is_not_even_sent(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with path.open("wb") as stream:
        stream.truncate(2 * Limits().max_bytes)
    page.set_input_files("[data-choose]", path)
    expect(page.locator("[data-trouble=too_large]")).to_contain_text(
        "The file is too large: 200 MB, at most 100 MB are accepted."
    )


@pytest.mark.parametrize(
    ("way", "typed", "sentence"),
    [
        ("file", "", "Choose a video or a photo first, or record a clip."),
        ("camera", "", "Choose a video or a photo first, or record a clip."),
        ("link", "", "Paste a link that begins with http:// or https://."),
        ("link", "holiday.mp4", "Paste a link that begins with http:// or https://."),
    ],
)
def test_nothing_chosen_is_asked_for(page: Page, way: str, typed: str, sentence: str) -> None:
    page.check(f"[value={way}]", force=True)
    if typed:
        page.fill("[data-slot=url]", typed)
    page.click("[data-action=check]")
    expect(page.locator(".tt-notice:visible")).to_contain_text(sentence)


def test_a_link_that_leads_nowhere_is_explained(page: Page) -> None:
    with serve({}) as site:
        page.check("[value=link]", force=True)
        page.fill("[data-slot=url]", site.url("/gone"))
        page.click("[data-action=check]")
        page.wait_for_selector("[data-outcome=notice]", timeout=CHECK_MS)
    assert render("error.gone") in read(page, "[data-outcome=notice]")


def test_a_failed_transfer_is_told(page_browser: Browser, page_server: Server) -> None:
    context = page_browser.new_context(locale="en-US")
    page = context.new_page()
    open_page(page, page_server.url)
    page.route("**/api/v1/uploads*", lambda route: route.fulfill(status=500, body="no"))
    choose_and_check(page, CLIP)
    expect(page.locator("[data-trouble=not-sent]")).to_contain_text("The file could not be sent.")
    page.unroute("**/api/v1/uploads*")
    busy = {"error": {"code": "busy", "message": "Too many checks.", "next": "Wait a minute."}}
    page.route("**/api/v1/uploads*", lambda route: route.fulfill(status=503, json=busy))
    page.click("[data-action=check]")
    expect(page.locator("[data-trouble=refused]")).to_contain_text(
        "Too many checks. Wait a minute.", use_inner_text=True
    )
    expect(page.locator("[data-action=check]")).to_be_enabled()
    context.close()


def test_a_clip_is_recorded_from_the_camera(page_browser: Browser, page_server: Server) -> None:
    with visiting(page_browser, page_server, permissions=["camera"]) as page:
        page.check("[value=camera]", force=True)
        page.click("[data-action=record]")
        expect(page.locator("[data-slot=viewfinder] video")).to_be_visible()
        page.wait_for_timeout(2000)
        page.click("[data-action=record]")
        expect(page.locator("[data-slot=name]")).to_have_text("Clip from the camera")
        expect(page.locator("[data-slot=preview] video")).to_be_visible()


def test_a_file_chosen_before_the_script_heard_of_it_is_there_and_no_click_is_lost(
    page_browser: Browser, page_server: Server
) -> None:
    context = page_browser.new_context(locale="en-US")
    page = context.new_page()
    held: list[Route] = []
    page.route("**/page/static/main.js", lambda route: held.append(route))  # noqa: PLW0108 - it wants a function
    page.goto(page_server.url)
    page.wait_for_selector(".tt-shell:not(.tt-pending)")
    page.set_input_files("[data-choose]", CLIP)
    buttons = page.locator("[data-action=check], [data-action=example]")
    expect(buttons).to_have_count(3)
    for i in range(3):
        expect(buttons.nth(i)).to_be_disabled()  # a click would be lost
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator("[data-state=chosen] [data-slot=name]")).to_have_text(CLIP.name)
    for i in range(3):
        expect(buttons.nth(i)).to_be_enabled()
    context.close()
