"""The page for everybody: languages, screens, keyboards, screen readers, addresses."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from space.settings import PROJECT_ROOT
from space.texts import languages
from tests.node_modules import VARIABLE
from tests.page_rig import (
    CHECK_MS,
    DESK,
    PHONE,
    Server,
    open_page,
    overflow,
    read,
)

pytestmark = pytest.mark.browser

# An evaluation has no time limit of its own.
AXE_IN_TIME = """Promise.race([
  axe.run(document, { resultTypes: ["violations"] }),
  new Promise((_, reject) => setTimeout(() => reject(new Error("axe-core never ended")), 60_000)),
])"""


def test_the_browsers_language_is_spoken_and_can_be_changed(page_browser: Browser, page_server: Server) -> None:
    context = page_browser.new_context(locale="ru-RU")
    page = context.new_page()
    open_page(page, page_server.url)
    expect(page.locator("[data-panel=check] h1")).to_have_text("Подделано ли лицо на этом видео и что его выдаёт?")
    assert page.evaluate("document.documentElement.lang") == "ru"
    page.click("nav a[lang=en]")
    page.wait_for_selector("html[lang=en] .tt-shell[lang=en]:not(.tt-pending)")
    open_page(page, f"{page_server.url}?lang=ru")
    assert page.evaluate("document.documentElement.lang") == "ru"
    context.close()


def axe(page: Page) -> list[str]:
    """What axe-core calls serious or worse; nothing where it is not installed."""
    folder = Path(os.environ.get(VARIABLE, PROJECT_ROOT / "extension" / "node_modules"))
    script = folder / "axe-core" / "axe.min.js"
    if not script.is_file():
        return []
    page.evaluate(script.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate(AXE_IN_TIME)
    return [
        f"{row['id']}: {row['nodes'][0]['target']}"
        for row in found["violations"]
        if row["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("lang", languages())
def test_every_language_fits_a_narrow_window(page_browser: Browser, page_server: Server, lang: str) -> None:
    """320 CSS pixels: a page of 1280 at 400 %."""
    context = page_browser.new_context(viewport={"width": 320, "height": 640}, bypass_csp=True)
    page = context.new_page()
    open_page(page, f"{page_server.url}?lang={lang}")
    page.wait_for_selector(f"html[lang={lang}] .tt-shell[lang={lang}]:not(.tt-pending)")
    for tab in ("giveaways", "how", "developers", "check"):
        page.click(f"[data-tab={tab}]")
        expect(page.locator(f"[data-panel={tab}]")).to_be_visible()
        assert (tab, overflow(page)) == (tab, 0)
    context.close()


@pytest.mark.parametrize(
    ("viewport", "theme", "locale", "sentence"),
    [
        (PHONE, "dark", "ru-RU", "Сильные признаки подделки лица"),
        (DESK, "light", "en-US", "Strong signs of face manipulation"),
    ],
    ids=["phone", "desk"],
)
def test_it_fits_every_screen_and_reader(
    page_browser: Browser, page_server: Server, viewport: Any, theme: str, locale: str, sentence: str
) -> None:
    choices: dict[str, Any] = {"viewport": viewport, "color_scheme": theme, "locale": locale}
    context = page_browser.new_context(bypass_csp=True, **choices)
    page = context.new_page()
    open_page(page, page_server.url)
    for tab in ("giveaways", "how", "developers", "check"):
        page.click(f"[data-tab={tab}]")
        page.wait_for_selector(f"[data-panel={tab}]:visible")
        assert (tab, overflow(page), axe(page)) == (tab, 0, [])
    page.click("[data-example=forged]")
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    assert sentence in read(page, ".tt-verdict")
    for summary in page.query_selector_all(".tt-report summary"):
        summary.click()
    page.locator(".tt-point.tt-shown").first.click()
    page.click("[data-action=share]")
    page.wait_for_selector("#tt-shared:focus")
    page.wait_for_timeout(500)  # until buttons have changed their colours
    assert overflow(page) == 0
    assert axe(page) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (theme == "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.tt-report')).color") == "rgb(27, 30, 34)"
    expect(page.locator(".tt-tabs")).to_be_hidden()
    expect(page.locator(".tt-verdict")).to_be_visible()
    context.close()


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    reached = []
    name = "document.activeElement.dataset.tab ?? document.activeElement.dataset.example ?? document.activeElement.name"
    links = ["A"] * len(languages())
    for _ in range(len(links) + 7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(f"({name}) || document.activeElement.tagName"))
    assert reached == [*links, "check", "tt-way", "INPUT", "BUTTON", "SUMMARY", "genuine", "forged"]
    page.focus("[role=tab][data-tab=check]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[role=tab][data-tab=giveaways]")).to_be_focused()
    expect(page.locator("[data-panel=giveaways]")).to_be_visible()
    page.keyboard.press("End")
    assert page.url.endswith("#developers")
    page.keyboard.press("Home")
    expect(page.locator("[data-panel=check]")).to_be_visible()


def test_a_tab_has_an_address_and_an_unknown_path_leads_to_the_page(page: Page, page_server: Server) -> None:
    open_page(page, f"{page_server.url}#how")
    page.reload()
    expect(page.locator("[data-panel=how]")).to_be_visible()
    open_page(page, f"{page_server.url}no/such/page")
    assert page.url == page_server.url


def test_answers_carry_their_headers(page_server: Server) -> None:
    for path in ("", "examples/forged.mp4", "theme.css", "page/static/main.js"):
        with urllib.request.urlopen(page_server.url + path, timeout=10) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
