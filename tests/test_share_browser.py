"""A shared report in a browser that runs no scripts: seen, complained about and deleted by hand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from space.service.share import Shared, Shares, share_routes
from space.texts import languages, render
from tests.analyses import example_report
from tests.shared_reports import Sharing, with_decodable_pictures

ARGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

pytestmark = pytest.mark.browser

SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@dataclass(frozen=True)
class Site:
    """A running service with one shared report of each kind."""

    sharing: Sharing
    shares: Shares


@pytest.fixture(scope="module")
def site(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    sharing = Sharing(tmp_path_factory.mktemp("shares"), base_url=f"http://127.0.0.1:{port}")
    shares = sharing.open()
    app = Starlette(routes=[*share_routes(shares), Route("/favicon.ico", _nothing)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.started
    yield Site(sharing, shares)
    server.should_exit = True
    thread.join(30)


def _nothing(_: Request) -> Response:
    return Response(status_code=204)


@pytest.fixture
def shared(site: Site) -> Shared:
    return site.shares.create(with_decodable_pictures())


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield browser
        browser.close()


def visit(browser: Browser, url: str, size: str = "desk", theme: str = "light") -> tuple[Page, list[str]]:
    """A page in a fresh profile without scripts, and what the browser complains about."""
    context = browser.new_context(
        viewport=SIZES[size],  # type: ignore[arg-type]
        color_scheme=theme,  # type: ignore[arg-type]
        java_script_enabled=False,
        locale="en-US",
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on(
        "request",
        lambda request: None if request.url.startswith("http://127.0.0.1") else complaints.append(request.url),
    )
    page.goto(url)
    return page, complaints


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize(("size", "theme"), [("desk", "light"), ("phone", "dark")])
def test_the_page_is_whole_at_every_width(browser: Browser, shared: Shared, size: str, theme: str, lang: str) -> None:
    page, complaints = visit(browser, f"{shared.url}?lang={lang}", size, theme)
    expect(page.locator("h1")).to_have_text(render("verdict.strong", lang=lang))
    for summary in page.locator("summary").all():
        if not summary.evaluate("element => element.parentElement.open"):
            summary.click()
    width, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= seen
    page.locator("footer").scroll_into_view_if_needed()
    loaded = "images => images.every(image => image.complete && image.naturalWidth > 0)"
    page.wait_for_function(f"({loaded})([...document.images])", timeout=20_000)
    chart = page.locator(".plot svg").first.bounding_box()
    assert chart is not None
    assert chart["height"] > 80
    assert chart["width"] > 200
    assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == (
        "rgb(255, 255, 255)" if theme == "light" else "rgb(20, 23, 26)"
    ), "the style sheet passes the policy"
    assert complaints == []
    page.context.close()


def test_a_complaint_and_the_deletion_need_no_script(browser: Browser, site: Site, shared: Shared) -> None:
    page, complaints = visit(browser, shared.url, "phone")
    page.get_by_text(render("share.abuse"), exact=True).click()
    page.get_by_label(render("share.abuse.reason.harm")).check()
    page.get_by_role("button", name=render("share.abuse.button")).click()
    expect(page.locator("h1")).to_have_text(render("share.abuse.sent"))
    page.get_by_role("link", name=render("share.back")).click()

    page.get_by_text(render("share.delete"), exact=True).click()
    page.get_by_label(render("share.delete.token")).fill("wrong")
    page.get_by_role("button", name=render("share.delete.button")).click()
    expect(page.locator("main")).to_contain_text(render("error.bad_token"))
    page.go_back()

    page.get_by_text(render("share.delete"), exact=True).click()
    page.get_by_label(render("share.delete.token")).fill(shared.delete_token)
    page.get_by_role("button", name=render("share.delete.button")).click()
    expect(page.locator("h1")).to_have_text(render("share.deleted"))
    assert page.goto(shared.url).status == 404  # type: ignore[union-attr]
    expect(page.locator("main")).to_contain_text(render("error.report_unknown"))
    assert not any(shared.id in name for name in site.sharing.files())
    assert all("404" in complaint or "403" in complaint for complaint in complaints)
    page.context.close()


def test_the_forms_can_be_reached_by_keyboard(browser: Browser, shared: Shared) -> None:
    page, _ = visit(browser, shared.url)
    wanted = {render(text_id) for text_id in ("share.delete", "share.abuse", "share.signed.download")}
    for _ in range(60):
        page.keyboard.press("Tab")
        wanted.discard(page.evaluate("document.activeElement.textContent.trim()"))
        if not wanted:
            break
    assert wanted == set()
    page.context.close()


def test_a_link_shows_its_report_in_a_fresh_profile(browser: Browser, site: Site) -> None:
    report = replace(example_report(), created="2026-03-14T09:26:53Z")
    page, complaints = visit(browser, site.shares.link(report), "phone", "dark")
    expect(page.locator("h1")).to_have_text(render("verdict.strong"))
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
    page.context.close()


def test_the_signed_report_can_be_downloaded(browser: Browser, shared: Shared, tmp_path: Path) -> None:
    page, _ = visit(browser, shared.url)
    with page.expect_download() as download:
        page.get_by_role("link", name=render("share.signed.download")).click()
    download.value.save_as(tmp_path / "report.json")
    assert b"telltale-signed-report" in (tmp_path / "report.json").read_bytes()
    page.context.close()
