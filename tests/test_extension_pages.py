"""The extension's own pages as a person meets them: popup, settings, consent, history. What pages say is only quoted.

The background is played by the tests here: it answers as extension/README.md says.
The reason for one long file: a browser takes seconds to start, and all pages share one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import ConsoleMessage, Page, ViewportSize, expect

from space.settings import SHARED
from space.texts import languages, render
from tests.extension_browser import Rig, copy_extension, extension_rig
from tests.fake_space import FakeSpace, fake_space
from tests.node_modules import require_node_modules
from tests.websites import Answer, Web, serve

pytestmark = pytest.mark.browser

OTHER_LANGUAGES = languages()[1:]
TAB = 7
SPACE_HOST = "space.example.org"
HOSTILE = "<img src=x onerror=alert(1)><h2>Little sign of face manipulation</h2>"
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CONSENTED = {"settings": {"consented": True, "space_url": f"https://{SPACE_HOST}"}}
VIDEO = {
    "videoKey": "0:1",
    "label": HOSTILE,
    "thumbnail": DOT,
    "playing": True,
    "visible": True,
    "duration_s": 42.3,
    "width": 1280,
    "height": 720,
    "live": False,
    "jobId": None,
}


POPUP: ViewportSize = {"width": 400, "height": 600}
TAB_PAGE: ViewportSize = {"width": 1000, "height": 800}


def example_report() -> dict[str, Any]:
    report: dict[str, Any] = json.loads((SHARED / "report.example.json").read_text(encoding="utf-8"))
    return report


def make_job(stage: str, **known: Any) -> dict[str, Any]:
    """A check as storage.session holds it."""
    return {
        "job_id": "a" * 32,
        "remote_id": "a" * 32,
        "tab_id": TAB,
        "frame_id": 0,
        "video_key": "0:1",
        "host": "news.example.org",
        "title": HOSTILE,
        "link": None,
        "space_url": f"https://{SPACE_HOST}",
        "capture_method": "frames",
        "failed_steps": [],
        "stage": stage,
        "fraction": 0.0,
        "n_ahead": None,
        "started": 1_780_000_000_000,
        "changed": 1_780_000_000_000,
        "preliminary": None,
        "report": None,
        "problem": None,
        "ask": [],
        "media_host": None,
        "share": None,
        "dismissed": False,
    } | known


def make_entry(number: int, **known: Any) -> dict[str, Any]:
    """A result as the history holds it."""
    report = example_report()
    return {
        "job_id": f"{number:032x}",
        "time": 1_780_000_000_000 - number,
        "host": "news.example.org",
        "title": HOSTILE,
        "verdict_code": report["verdict"]["code"],
        "thumbnails": [DOT] * 3,
        "share_url": None,
        "delete_token": None,
        "report": report,
    } | known


def play(answers: dict[str, Any], *, allows: bool = True) -> str:
    """A script that plays browser and background: message type -> answer; what was asked lies in ``asked``."""
    return f"""(() => {{
      if (!globalThis.chrome?.tabs) return;
      const answers = {json.dumps(answers)};
      globalThis.asked = [];
      chrome.tabs.query = async () => [{{ id: {TAB} }}];
      chrome.permissions.request = async (wanted) => {{ asked.push(wanted); return {json.dumps(allows)}; }};
      chrome.runtime.sendMessage = async (message) => {{ asked.push(message); return answers[message.type] ?? {{}}; }};
      navigator.clipboard.writeText = async (text) => {{ asked.push(text); }};
    }})();"""


def asked(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate("() => asked.filter(({ type }) => type !== 'watch-job' && type !== 'picture')")
    return found


@dataclass
class Extension:
    """The extension's pages, and what they write into the console."""

    rig: Rig
    complaints: list[str] = field(default_factory=list)

    def seed(self, local: dict[str, Any], session: dict[str, Any] | None = None) -> None:
        """Put into storage what a page is to find, and nothing else."""
        self.rig.call(SEED, [local, session or {}])

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = self.rig.call("() => chrome.storage.local.get()")
        return found

    def open(self, path: str, script: str = "", *, viewport: ViewportSize = TAB_PAGE) -> Page:
        """A page of the extension; the script runs in it before its own."""
        page = self.rig.context.new_page()
        page.set_viewport_size(viewport)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(self.rig.origin + path)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


SEED = """async ([local, session]) => {
  await chrome.storage.local.clear();
  await chrome.storage.session.clear();
  await chrome.storage.local.set(local);
  await chrome.storage.session.set(session);
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[FakeSpace]:
    with fake_space() as space:
        yield space


@pytest.fixture(scope="module")
def rig(chromium_path: str, server: FakeSpace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("extension")
    with extension_rig(chromium_path, copy_extension(folder / "copy", server.url), folder / "profile") as rig:
        yield rig


@pytest.fixture
def extension(rig: Rig) -> Iterator[Extension]:
    """None of the extension's pages may complain."""
    extension = Extension(rig)
    yield extension
    for page in rig.context.pages:
        if page is not rig.remote:
            page.close()
    assert extension.complaints == []


def open_popup(extension: Extension, job: dict[str, Any] | None = None, **answers: Any) -> Page:
    """The popup over a page with one video, and a check of it where there is one."""
    extension.seed(CONSENTED, {"jobs": {job["job_id"]: job}} if job else None)
    listed = {"host": "news.example.org", "title": HOSTILE, "canCheckPage": True, "videos": [VIDEO]}
    table = {
        "list-videos": listed,
        "watch-job": {"job": job},
        "picture": {"url": DOT},
        "check-video": {"jobId": "a" * 32},
    }
    return extension.open("popup/popup.html", play(table | answers), viewport=POPUP)


def expect_no_markup(page: Page) -> None:
    """What a page calls itself is shown as it is, in quotation marks."""
    assert page.locator("q").first.text_content() == HOSTILE
    assert page.locator('[onerror], img[src="x"]').count() == 0


# --- popup ------------------------------------------------------------------------------------------


def test_popup_is_off_without_consent(extension: Extension) -> None:
    extension.seed({})
    page = extension.open("popup/popup.html", play({}), viewport=POPUP)
    expect(page.get_by_text(render("extension.popup.consent"))).to_be_visible()
    assert asked(page) == []
    with extension.rig.context.expect_page() as opened:
        page.get_by_role("button", name=render("extension.popup.consent.open")).click()
    assert opened.value.url == f"{extension.rig.origin}consent/consent.html"


def test_popup_lists_videos_and_checks_one(extension: Extension) -> None:
    running = {"watch-job": {"job": make_job("capturing", fraction=0.5)}}
    page = open_popup(extension, **running)
    expect(page.get_by_alt_text(render("extension.popup.thumbnail.alt", {"number": 1}))).to_be_visible()
    expect(page.get_by_text("0:42 · 1280 × 720")).to_be_visible()
    expect_no_markup(page)
    page.get_by_role("button", name=render("extension.popup.check", {"number": 1})).click()
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "10")
    assert asked(page)[1:] == [{"type": "check-video", "tabId": TAB, "videoKey": "0:1"}]
    page.get_by_role("button", name=render("page.cancel")).click()
    assert asked(page)[-1] == {"type": "cancel-job", "jobId": "a" * 32}


def test_popup_without_video_offers_the_address(extension: Extension) -> None:
    page = open_popup(
        extension,
        **{
            "list-videos": {"videos": [], "canCheckPage": True},
            "check-page": {"jobId": "a" * 32},
            "watch-job": {"job": make_job("sending", video_key=None)},
        },
    )
    page.get_by_role("button", name=render("extension.ask.page")).click(no_wait_after=True)
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert {"type": "check-page", "tabId": TAB} in asked(page)


def test_popup_follows_a_check_to_its_verdict(extension: Extension) -> None:
    sentence = example_report()["verdict"]["sentence"]
    some = {"code": "some", "p_fake": 0.6, "sentence": {"id": "verdict.some", "en": "", "params": {}}}
    page = open_popup(extension, make_job("scores", preliminary=some))
    expect(page.get_by_text(render("extension.popup.preliminary", {"verdict": render("verdict.some")}))).to_be_visible()
    done = make_job("done", report=example_report(), fraction=1.0)
    extension.rig.call("(job) => void chrome.runtime.sendMessage({ type: 'job-changed', job })", done)
    expect(page.get_by_role("heading", name=sentence["en"])).to_be_visible()


def test_popup_shows_the_report(extension: Extension) -> None:
    report = example_report()
    page = open_popup(
        extension, make_job("done", report=report), **{"share-job": {"url": "https://space.example.org/e/1"}}
    )
    expect(page.get_by_role("heading", name=report["verdict"]["sentence"]["en"])).to_be_focused()
    for text in (*report["verdict"]["reasons"], report["parts"]["sentence"]):
        expect(page.get_by_text(text["en"])).to_be_visible()
    expect(page.get_by_text(render("verdict.strong.next"))).to_be_visible()
    assert "%" not in page.inner_text("body"), "never a percentage"
    page.get_by_text(render("page.limits")).click()
    expect(page.get_by_text(report["limits"][0]["en"])).to_be_visible()
    page.get_by_role("button", name=render("extension.popup.copy")).click()
    expect(page.get_by_text(render("extension.popup.copied"))).to_be_visible()
    page.get_by_role("button", name=render("extension.popup.open")).click()
    assert asked(page) == [
        {"type": "share-job", "jobId": "a" * 32},
        "https://space.example.org/e/1",
        {"type": "open-explanation", "jobId": "a" * 32},
    ]


def test_moment_opens_compares_and_leads_to_the_video(extension: Extension) -> None:
    moment = example_report()["evidence"][0]
    page = open_popup(extension, make_job("done", report=example_report()))
    face = render("page.moment.alt", {"track": moment["track"], "time_s": moment["time_s"]})
    small = page.get_by_role("button", name=f"{face}. {moment['sentence']['en']}")
    small.click()
    expect(page.get_by_text(moment["sentence"]["en"])).to_be_visible()
    page.get_by_role("button", name=render("extension.report.without_heat")).click()
    expect(page.get_by_alt_text(render("page.moment.crop.alt", {"track": moment["track"]}), exact=True)).to_be_visible()
    page.get_by_role("button", name=render("extension.report.seek")).click()
    assert asked(page) == [{"type": "seek-video", "jobId": "a" * 32, "time_s": moment["time_s"]}]
    small.click()
    expect(page.get_by_text(moment["sentence"]["en"])).to_have_count(0)


def test_pictures_that_are_gone_are_said(extension: Extension) -> None:
    page = open_popup(extension, make_job("done", report=example_report()), picture={"url": None})
    expect(page.get_by_text(render("extension.report.picture_gone"))).to_have_count(3)


def test_popup_asks_how_to_get_at_a_video(extension: Extension) -> None:
    page = open_popup(extension, make_job("asking", ask=["file", "page"], media_host="media.example.net:8080"))
    expect(page.get_by_text(render("extension.ask.why", {"host": "news.example.org"}))).to_be_visible()
    page.get_by_label(render("extension.ask.remember", {"host": "news.example.org"})).check()
    page.get_by_role("button", name=render("extension.ask.file")).click()
    page.get_by_role("button", name=render("extension.ask.nothing")).click()
    answer = {"type": "answer-ask", "jobId": "a" * 32, "remember": True}
    assert asked(page) == [
        {"origins": ["https://media.example.net/*", "http://media.example.net/*"]},
        answer | {"step": "file"},
        answer | {"step": None},
    ]


def test_popup_says_what_went_wrong_and_what_to_do(extension: Extension) -> None:
    problem = {"code": "busy", "message": "Too many checks.", "next": "Try again in a minute."}
    page = open_popup(extension, make_job("failed", problem=problem))
    expect(page.get_by_role("alert")).to_contain_text("Too many checks.")
    expect(page.get_by_role("alert")).to_contain_text("Try again in a minute.")
    page.get_by_role("button", name=render("extension.popup.again")).click()
    assert {"type": "check-video", "tabId": TAB, "videoKey": "0:1"} in asked(page)


def test_refusal_of_the_background_is_said(extension: Extension) -> None:
    problem = {"code": "page_closed", "message": "Not here.", "next": "Elsewhere."}
    page = open_popup(extension, **{"list-videos": {"problem": problem}})
    expect(page.get_by_role("alert")).to_contain_text("Not here.")


# --- history ----------------------------------------------------------------------------------------


def test_history_opens_deletes_and_empties(extension: Extension) -> None:
    extension.seed(CONSENTED | {"history": [make_entry(1), make_entry(2, thumbnails=[], title="")]})
    page = extension.open("popup/popup.html", play({"list-videos": {"videos": [], "canCheckPage": False}}))
    page.get_by_role("tab").first.press("ArrowRight")
    expect(page.get_by_role("tab", name=render("extension.popup.history"))).to_be_focused()
    expect_no_markup(page)
    page.get_by_role("button", name=render("verdict.strong.badge")).first.click()
    expect(page.get_by_role("heading", name=render("verdict.strong"))).to_be_visible()
    expect(page.locator(".tt-thumbnail img").first).to_have_attribute("src", DOT)
    page.get_by_role("button", name=render("extension.history.remove")).click()
    expect(page.get_by_role("button", name=render("verdict.strong.badge"))).to_have_count(1)
    assert [entry["title"] for entry in extension.stored()["history"]] == [""]
    page.get_by_role("button", name=render("extension.history.clear")).click()
    page.get_by_role("button", name=render("extension.yes")).click()
    expect(page.get_by_text(render("extension.history.empty"))).to_be_visible()
    assert extension.stored()["history"] == []


def test_history_page_opens_the_result_that_is_named(extension: Extension) -> None:
    other = make_entry(2, title="Second")
    extension.seed(CONSENTED | {"history": [make_entry(1), other]})
    page = extension.open(f"history/history.html#{other['job_id']}", play({}))
    expect(page.locator(".tt-done q")).to_have_text("Second")
    page.locator(".tt-entry").first.click()
    expect(page.locator(".tt-done q")).to_have_text(HOSTILE)
    expect_no_markup(page)


def test_shared_page_of_an_earlier_session_is_deleted(extension: Extension, server: FakeSpace) -> None:
    """The browser was restarted: only the history knows of the page. The background is the real one here."""
    entry = make_entry(1, share_url=f"{server.url}/e/abc", delete_token="secret-token")
    extension.seed(CONSENTED | {"history": [entry]})
    server.shared.append(entry["job_id"])
    page = extension.open("history/history.html")
    page.get_by_role("button", name=render("extension.popup.unshare")).click()
    expect(page.get_by_role("button", name=render("extension.popup.unshare"))).to_have_count(0)
    [stored] = extension.stored()["history"]
    assert (stored["share_url"], stored["delete_token"], server.shared) == (None, None, [])
    extension.complaints[:] = [line for line in extension.complaints if "404" not in line]  # pictures are gone by now


# --- consent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("button", "outcome"), [("accept", "accepted"), ("decline", "declined")])
def test_consent_says_to_whom_and_keeps_the_answer(extension: Extension, button: str, outcome: str) -> None:
    extension.seed({"settings": {"space_url": f"https://{SPACE_HOST}"}})
    page = extension.open("consent/consent.html")
    expect(page.get_by_text(render("extension.consent.whom.server", {"host": SPACE_HOST}))).to_be_visible()
    assert "consented" not in extension.stored()["settings"]
    page.get_by_role("button", name=render(f"extension.consent.{button}")).click()
    expect(page.get_by_role("status")).to_contain_text(render(f"extension.consent.{outcome}"))
    assert extension.stored()["settings"]["consented"] is (outcome == "accepted")


# --- settings ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stranger() -> Iterator[Web]:
    """A server that is no Telltale."""
    page = Answer(b"<h1>Something else</h1>", headers={"Access-Control-Allow-Origin": "*"})
    with serve({"/healthz": page}) as web:
        yield web


def open_settings(extension: Extension, *, allows: bool = True) -> Page:
    extension.seed(CONSENTED)
    return extension.open("options/options.html", play({}, allows=allows))


@pytest.mark.parametrize(
    ("address", "allows", "outcome"),
    [
        ("{server}/", True, "ok"),
        ("{stranger}", True, "not_telltale"),
        ("{server}", False, "not_allowed"),
        ("http://127.0.0.1:1", True, "no_answer"),
        ("http://example.org", True, "bad_url"),
    ],
)
def test_server_is_tested_before_it_is_used(
    extension: Extension, server: FakeSpace, stranger: Web, address: str, allows: bool, outcome: str
) -> None:
    page = open_settings(extension, allows=allows)
    typed = address.format(server=server.url, stranger=stranger.url(""))
    page.get_by_label(render("extension.options.server.url"), exact=True).fill(typed)
    page.get_by_role("button", name=render("extension.options.server.test")).click()
    expect(page.get_by_text(render(f"extension.options.server.{outcome}"))).to_be_visible()
    expected = server.url if outcome == "ok" else f"https://{SPACE_HOST}"
    assert extension.stored()["settings"]["space_url"] == expected
    wanted = {"origins": ["https://127.0.0.1/*", "http://127.0.0.1/*"]}
    assert asked(page) == ([] if outcome == "bad_url" else [wanted])
    extension.complaints[:] = [line for line in extension.complaints if "ERR_" not in line]  # nobody is there


@pytest.mark.parametrize("lang", OTHER_LANGUAGES)
def test_language_changes_every_word(extension: Extension, lang: str) -> None:
    page = open_settings(extension)
    page.get_by_label(render("extension.options.language"), exact=True).select_option(
        label=render("page.language.name", lang=lang)
    )
    expect(page.get_by_role("heading", name=render("extension.popup.settings", lang=lang))).to_be_visible()
    assert page.evaluate("() => document.documentElement.lang") == lang


def test_token_hover_and_sites_are_kept(extension: Extension) -> None:
    page = open_settings(extension)
    page.get_by_label(render("extension.options.token")).fill(" secret ")
    page.get_by_label(render("extension.options.hover")).check()
    site = page.get_by_label(render("extension.options.auto.site"))
    site.fill("https://Video.Example.org/watch")
    site.press("Enter")
    expect(page.get_by_text("video.example.org")).to_be_visible()
    settings = extension.stored()["settings"]
    assert (settings["token"], settings["hover_button"], settings["auto_check_sites"]) == (
        "secret",
        True,
        ["video.example.org"],
    )
    page.get_by_role("button", name=render("extension.options.auto.remove", {"site": "video.example.org"})).click()
    expect(page.get_by_text("video.example.org")).to_have_count(0)
    assert extension.stored()["settings"]["auto_check_sites"] == []


def test_nothing_moves_under_the_pointer_when_a_token_is_saved(extension: Extension) -> None:
    page = open_settings(extension)
    box = page.get_by_label(render("extension.options.hover"))
    before = box.bounding_box()
    page.get_by_label(render("extension.options.token"), exact=True).fill("secret")
    page.keyboard.press("Tab")
    expect(page.get_by_text(render("extension.options.saved"))).to_be_visible()
    assert box.bounding_box() == before


def test_nothing_is_switched_on_without_permission(extension: Extension) -> None:
    page = open_settings(extension, allows=False)
    box = page.get_by_label(render("extension.options.hover"))
    box.click()
    expect(box).not_to_be_checked()
    site = page.get_by_label(render("extension.options.auto.site"))
    site.fill("example.org")
    site.press("Enter")
    expect(page.get_by_text(render("extension.options.auto.not_allowed", {"site": "example.org"}))).to_be_visible()
    assert not extension.stored()["settings"].get("auto_check_sites")


def test_data_is_taken_along_without_the_token_and_deleted(extension: Extension, tmp_path: Path) -> None:
    extension.seed({"settings": CONSENTED["settings"] | {"token": "secret"}, "history": [make_entry(1)]})
    page = extension.open("options/options.html", play({}))
    with page.expect_download() as download:
        page.get_by_role("button", name=render("extension.options.data.export")).click()
    download.value.save_as(tmp_path / "export.json")
    text = (tmp_path / "export.json").read_text(encoding="utf-8")
    assert json.loads(text)["history"][0]["job_id"] == make_entry(1)["job_id"]
    assert "secret" not in text
    page.get_by_role("button", name=render("extension.options.data.clear")).click()
    with page.expect_event("load"):
        page.get_by_role("button", name=render("extension.yes")).click()
    assert extension.stored() == {}


# --- every page, small and large --------------------------------------------------------------------

RESULTS = CONSENTED["settings"] | {"auto_check_sites": ["a-rather-long-name.video.example.org"], "language": "ru"}


@pytest.mark.parametrize("lang", OTHER_LANGUAGES)
@pytest.mark.parametrize(
    "path", ["popup/popup.html", "options/options.html", "consent/consent.html", "history/history.html"]
)
def test_page_fits_a_narrow_window_and_names_everything(extension: Extension, path: str, lang: str) -> None:
    """320 CSS pixels: a page of 1280 at 400 %; the popup has 400 at 200 %."""
    job = make_job("done", report=example_report())
    extension.seed(
        {"settings": RESULTS | {"language": lang}, "history": [make_entry(1)]}, {"jobs": {job["job_id"]: job}}
    )
    width = 400 if path.startswith("popup") else 320
    script = play({"watch-job": {"job": job}, "picture": {"url": DOT}})
    page = extension.open(path, script, viewport={"width": width, "height": 300})
    expect(page.locator("h2").first).to_be_visible()
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= width
    assert page.evaluate("() => [...document.images].every((image) => image.hasAttribute('alt'))")
    unnamed = page.locator("button, a, input, select").evaluate_all(NAMELESS)
    assert unnamed == []
    for theme, colours in THEMES.items():
        page.emulate_media(color_scheme=theme)
        assert page.evaluate(COLOURS) == list(colours)


@pytest.mark.parametrize(
    "path", ["popup/popup.html", "options/options.html", "consent/consent.html", "history/history.html"]
)
def test_page_is_open_to_everybody(extension: Extension, path: str) -> None:
    axe = (require_node_modules() / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    job = make_job("done", report=example_report())
    extension.seed({"settings": RESULTS, "history": [make_entry(1)]}, {"jobs": {job["job_id"]: job}})
    script = play({"watch-job": {"job": job}, "picture": {"url": DOT}})
    page = extension.open(path, script, viewport=POPUP if path.startswith("popup") else TAB_PAGE)
    expect(page.locator("h2").first).to_be_visible()
    page.evaluate(axe)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        found = page.evaluate("async () => (await axe.run()).violations")
        assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found] == []


THEMES: dict[Literal["light", "dark"], tuple[str, str]] = {
    "light": ("rgb(255, 255, 255)", "rgb(27, 30, 34)"),
    "dark": ("rgb(20, 23, 26)", "rgb(241, 243, 245)"),
}
NAMELESS = """(all) => all
  .filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length))
  .filter((one) => !one.querySelector('img[alt]:not([alt=""])'))
  .map((one) => one.outerHTML)"""
COLOURS = "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
