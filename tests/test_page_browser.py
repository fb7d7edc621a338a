"""The page as a person meets it: the program as started by hand, in a browser, with untrained weights.

Over 400 lines, for a reason: one server and one browser, started once, serve them all.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from space.analysis.report import validate
from space.service.page.page import EXAMPLES_FOLDER
from space.settings import PROJECT_ROOT, Limits
from space.texts import languages, render
from tests.ensembles import write_ensemble
from tests.node_modules import VARIABLE
from tests.websites import Answer, serve

ARGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
).split()
START_S = 240  # Gradio takes long to load, most of all beside other tests
CHECK_MS = 120_000
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
CLIP = EXAMPLES_FOLDER / "genuine.mp4"
ENDED = "[data-outcome=report], [data-outcome=notice]"

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Server:
    """A running page."""

    url: str
    folder: Path  # where it keeps what it keeps

    def videos(self) -> list[Path]:
        return [path for path in self.folder.glob("telltale-*/vault/**/*") if path.is_file()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"the page did not open:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def server(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page, set up by its environment; ended by a signal, after which nothing may be left."""
    folder = tmp_path_factory.mktemp("page")
    ensemble = write_ensemble(folder / "ensemble", bias=-20.0)  # whose members find everything forged
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {
        "GRADIO_SERVER_PORT": str(port),
        "SPACE_URL": url,
        "TMPDIR": str(folder),
        "TELLTALE_ENSEMBLE": str(ensemble),
        "TELLTALE_EXEMPT_LOOPBACK": "1",
    }
    log = folder / "log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.page_server"],
            cwd=PROJECT_ROOT,
            env=os.environ | own,
            stdout=output,
            stderr=output,
            text=True,
        )
    server = Server(f"{url}/", folder)
    try:
        wait_for(server.url, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert list(folder.glob("telltale-*")) == []


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, server: Server, **choices: Any) -> Iterator[Page]:
    """The page in a fresh profile; it may ask nobody but its own server, and complain about nothing."""
    context = browser.new_context(**{"locale": "en-US", "viewport": DESK, **choices})
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def see(request: Request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            complaints.append(f"a request to {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", see)
    open_page(page, server.url)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    with visiting(browser, server) as page:
        yield page


def open_page(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector(".tt-shell:not(.tt-pending)")


def choose_and_check(page: Page, path: Path) -> None:
    page.set_input_files("[data-choose]", path)
    page.click("[data-action=check]")


def check(page: Page, path: Path) -> None:
    choose_and_check(page, path)
    page.wait_for_selector(ENDED, timeout=CHECK_MS)


def read(page: Page, selector: str) -> str:
    return re.sub(r"\s+", " ", page.inner_text(selector))


def wait_for_pictures(page: Page) -> None:
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def watch_stages(page: Page) -> None:
    page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => {
        const stage = document.querySelector("[data-slot=stage]")?.textContent;
        const share = Number(document.querySelector("[data-slot=bar]")?.getAttribute("aria-valuenow") ?? -1);
        const early = document.querySelector(".tt-preliminary") !== null;
        if (stage) window.seen.push([stage, share, early]);
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    }""")


# --- a check ----------------------------------------------------------------------------------


def test_a_clip_is_checked_explained_shared_and_deleted(page: Page, browser: Browser, server: Server) -> None:
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
    assert server.videos() == []
    assert names
    assert not any(CLIP.stem in name for name in names), "the file's name stays with the person"

    seen = page.evaluate("window.seen")
    shares = [share for _, share, _ in seen if share >= 0]
    assert len({stage for stage, _, _ in seen}) >= 3
    assert shares == sorted(shares)

    look_at_the_timeline(page)
    switch_the_maps(page)
    link = share(page)
    read_and_delete_without_scripts(browser, link)


def test_a_longer_clip_is_checked_the_same_way(page: Page, server: Server, shared_data: Path) -> None:
    watch_stages(page)
    check(page, shared_data / "clips" / "519_515.mp4")
    assert "Strong signs of face manipulation" in read(page, ".tt-verdict")
    assert server.videos() == []
    assert any(early for _, _, early in page.evaluate("window.seen")), "a preliminary verdict is shown on the way"
    look_at_the_timeline(page)
    switch_the_maps(page)


def look_at_the_timeline(page: Page) -> None:
    points = page.locator(".tt-point")
    assert points.count() == 16
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
    page.keyboard.press("ArrowRight")
    assert read(page, "[data-slot=instant-words]") != words
    expect(page.locator(".tt-chosen")).to_be_focused()


def visible(figures: Locator) -> int:
    return sum(figures.nth(i).is_visible() for i in range(figures.count()))


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


def read_and_delete_without_scripts(browser: Browser, shared: str) -> None:
    link, token = shared.split("\n")
    context = browser.new_context(java_script_enabled=False, locale="en-US")
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


def test_report_can_be_taken_along_and_is_found_again(page: Page, browser: Browser, tmp_path: Path) -> None:
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

    offline = browser.new_context(offline=True, java_script_enabled=False)
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
    page.click("[data-example=genuine]")
    page.click("[data-outcome=running] [data-action=stop]")
    page.wait_for_selector("[data-outcome=notice]", timeout=CHECK_MS)
    assert "The check was stopped." in read(page, "[data-outcome=notice]")
    expect(page.locator("[data-example=genuine]")).to_be_enabled()


def test_a_lost_connection_is_told_and_found_again(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    open_page(page, server.url)
    page.click("[data-example=forged]")
    page.wait_for_selector("[data-outcome=running]")
    page.route("**/page/jobs/**", lambda route: route.abort())
    expect(page.locator("[data-slot=offline]")).to_contain_text("The connection is lost.", timeout=CHECK_MS)
    page.unroute("**/page/jobs/**")
    page.wait_for_selector("[data-outcome=report]", timeout=CHECK_MS)
    expect(page.locator("[data-slot=offline]")).to_be_empty()
    context.close()


# --- what is no clip of one face --------------------------------------------------------------


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
    page: Page, server: Server, tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    choose_and_check(page, path)
    notice = page.locator(".tt-notice:visible")
    expect(notice).to_contain_text(render(f"error.{code}"), timeout=CHECK_MS)
    expect(notice).to_contain_text(render(f"error.{code}.next"))
    assert page.locator(".tt-verdict").count() == 0
    assert server.videos() == []


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


def test_a_failed_transfer_is_told(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    open_page(page, server.url)
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


def test_a_clip_is_recorded_from_the_camera(browser: Browser, server: Server) -> None:
    with visiting(browser, server, permissions=["camera"]) as page:
        page.check("[value=camera]", force=True)
        page.click("[data-action=record]")
        expect(page.locator("[data-slot=viewfinder] video")).to_be_visible()
        page.wait_for_timeout(2000)
        page.click("[data-action=record]")
        expect(page.locator("[data-slot=name]")).to_have_text("Clip from the camera")
        expect(page.locator("[data-slot=preview] video")).to_be_visible()


# --- languages, screens, hands ----------------------------------------------------------------


def test_the_browsers_language_is_spoken_and_can_be_changed(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="ru-RU")
    page = context.new_page()
    open_page(page, server.url)
    expect(page.locator("[data-panel=check] h1")).to_have_text("Подделано ли лицо на этом видео и что его выдаёт?")
    assert page.evaluate("document.documentElement.lang") == "ru"
    page.click("nav a[lang=en]")
    page.wait_for_selector(".tt-shell[lang=en]:not(.tt-pending)")
    assert page.evaluate("document.documentElement.lang") == "en"
    open_page(page, f"{server.url}?lang=ru")
    assert page.evaluate("document.documentElement.lang") == "ru"
    context.close()


def axe(page: Page) -> list[str]:
    """What axe-core calls serious or worse; nothing where it is not installed."""
    folder = Path(os.environ.get(VARIABLE, PROJECT_ROOT / "extension" / "node_modules"))
    script = folder / "axe-core" / "axe.min.js"
    if not script.is_file():
        return []
    page.evaluate(script.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{row['id']}: {row['nodes'][0]['target']}"
        for row in found["violations"]
        if row["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("lang", languages())
def test_every_language_fits_a_narrow_window(browser: Browser, server: Server, lang: str) -> None:
    """320 CSS pixels: a page of 1280 at 400 %."""
    context = browser.new_context(viewport={"width": 320, "height": 640}, bypass_csp=True)
    page = context.new_page()
    open_page(page, f"{server.url}?lang={lang}")
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
    browser: Browser, server: Server, viewport: Any, theme: str, locale: str, sentence: str
) -> None:
    choices: dict[str, Any] = {"viewport": viewport, "color_scheme": theme, "locale": locale}
    context = browser.new_context(bypass_csp=True, **choices)
    page = context.new_page()
    open_page(page, server.url)
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


def test_a_tab_has_an_address_and_an_unknown_path_leads_to_the_page(page: Page, server: Server) -> None:
    open_page(page, f"{server.url}#how")
    page.reload()
    expect(page.locator("[data-panel=how]")).to_be_visible()
    open_page(page, f"{server.url}no/such/page")
    assert page.url == server.url


def test_answers_carry_their_headers(server: Server) -> None:
    for path in ("", "examples/forged.mp4", "theme.css", "page/static/main.js"):
        with urllib.request.urlopen(server.url + path, timeout=10) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
