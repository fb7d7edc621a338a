"""Pages of shared reports: what they say, what they hold, whom they tell, and strangers' words in them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from space.contract import Analysis, Report, Text, VerdictCode
from space.service.share import Shared, Shares, SigningKey, share_routes
from space.service.share.pages import styles
from space.service.share.recent import Recent
from space.service.share.shares import picture_names
from space.service.share.signature import read_signed
from space.texts import languages, load_texts, render, translate
from tests.analyses import Outline, example_report, make_analysis, tidy
from tests.shared_reports import BASE_URL, KEY, Sharing, with_decodable_pictures

CODES: tuple[VerdictCode, ...] = get_args(VerdictCode)


@pytest.fixture
def sharing(tmp_path: Path) -> Sharing:
    return Sharing(tmp_path / "shares")


@pytest.fixture
def shares(sharing: Sharing) -> Shares:
    return sharing.open()


@pytest.fixture
def shared(shares: Shares) -> Shared:
    return shares.create(with_decodable_pictures())


@pytest.fixture
def client(shares: Shares) -> TestClient:
    return TestClient(Starlette(routes=share_routes(shares)), raise_server_exceptions=False)


def path_of(url: str) -> str:
    return url.removeprefix(BASE_URL)


def analysis_with(code: VerdictCode) -> Analysis:
    return with_decodable_pictures(make_analysis(code).report)


# --- the page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("code", CODES)
def test_the_page_says_it_all(shares: Shares, code: VerdictCode, lang: str) -> None:
    analysis = analysis_with(code)
    report = analysis.report
    html = shares.page(shares.create(analysis).id, lang=lang)
    page = Outline(html)
    words = tidy(page.words)
    sentences = [report.verdict.sentence, *report.verdict.reasons, *report.limits]
    sentences += [moment.sentence for moment in report.evidence]
    sentences += [report.parts.sentence] if report.parts else []
    assert [text.id for text in sentences if translate(text, lang=lang) not in words] == []
    assert load_texts(lang)[f"verdict.{code}.next"] in words
    for member in report.ensemble.members:
        assert member.name in words
        assert member.sha256 in words
    assert report.source.sha256 in words
    assert "2026-03-14 09:26 UTC" in words
    assert f"{report.app_version}" in words
    assert KEY.public.fingerprint in words
    assert load_texts(lang)["share.cannot"] in words
    assert page.find("html", lang=lang)


@pytest.mark.parametrize("code", CODES)
def test_pictures_are_described_by_the_sentence_about_parts(shares: Shares, code: VerdictCode) -> None:
    analysis = analysis_with(code)
    page = Outline(shares.page(shares.create(analysis).id))
    images = page.find("img")
    assert sorted(str(image["src"]).rsplit("/", 1)[-1] for image in images) == sorted(picture_names(analysis.report))
    assert all(image["alt"] for image in images)
    described = [str(image["alt"]) for image in images]
    for moment in analysis.report.evidence:
        assert any(moment.sentence.en in alt for alt in described)


def test_a_number_is_never_the_verdict(shares: Shares) -> None:
    html = shares.page(shares.create(with_decodable_pictures()).id)
    head, body = html.split("</head>")
    card = body.split('class="verdict', 1)[1].split("</section>", 1)[0]
    for words in (re.sub(r"<style>.*?</style>", "", head, flags=re.DOTALL), card):
        assert "%" not in words
        assert "0.82" not in words


def test_each_person_has_a_line_with_a_band(shares: Shares) -> None:
    report = example_report()
    page = Outline(shares.page(shares.create(with_decodable_pictures()).id))
    charts = page.find("svg", role="img")
    assert len(charts) == len(report.tracks)
    assert all("Person" in str(chart["aria-label"]) for chart in charts)
    assert len(page.find("rect", **{"class": "band"})) == len(report.tracks)
    drawn = sum(len(str(line["points"]).split()) for line in page.find("polyline"))
    assert drawn == sum(len(track.frames) for track in report.tracks)
    assert len(page.find("polyline")) == 3  # person 2 was out of sight in between
    assert len(page.find("path", **{"class": "hole"})) == 1  # and blurred once


def test_the_page_needs_no_script_and_nothing_from_elsewhere(shares: Shares, shared: Shared) -> None:
    html = shares.page(shared.id)
    page = Outline(html)
    assert not any(page.find(tag) for tag in ("script", "iframe", "object", "embed", "link", "video"))
    assert not any(name.startswith("on") or name == "style" for _, found in page.elements for name in found)
    addresses = [str(found[name]) for _, found in page.elements for name in ("src", "href", "action") if name in found]
    assert addresses
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert not re.search(r"url\(|@import|expression\(", styles())


@pytest.mark.parametrize(("lang", "locale"), [("en", "en_US"), ("es", "es_ES"), ("ne", "ne_NP"), ("ru", "ru_RU")])
def test_a_messenger_is_told_what_to_show(shares: Shares, shared: Shared, lang: str, locale: str) -> None:
    page = Outline(shares.page(shared.id, lang=lang))
    said = {str(meta.get("property") or meta.get("name")): str(meta.get("content")) for meta in page.find("meta")}
    assert said["og:title"] == said["twitter:title"] == render("verdict.strong", lang=lang)
    assert said["og:image"] == said["twitter:image"] == f"{shared.url}/preview.jpg?lang={lang}"
    assert (said["og:image:width"], said["og:image:height"]) == ("1200", "630")
    assert said["og:url"] == shared.url
    assert said["twitter:card"] == "summary_large_image"
    assert said["og:locale"] == locale
    assert render("verdict.strong", lang=lang) in said["og:image:alt"]
    assert "noindex" in said["robots"]
    assert said["referrer"] == "no-referrer"


def test_a_share_that_will_not_last_says_so(sharing: Sharing) -> None:
    for persistent in (True, False):
        shares = replace(sharing, persistent=persistent).open()
        shared = shares.create(with_decodable_pictures())
        words = tidy(Outline(shares.page(shared.id)).words)
        assert (render("share.notice.temporary", {"date": "2026-04-13"}) in words) is not persistent
        assert shared.persistent is persistent


@pytest.mark.parametrize(("persistent", "is_given"), [(True, False), (False, True), (False, False)])
def test_a_link_whose_key_will_not_last_says_so(sharing: Sharing, persistent: bool, is_given: bool) -> None:
    key = SigningKey(bytes(32), is_given=is_given)
    shares = replace(sharing, persistent=persistent, key=key).open()
    words = tidy(Outline(shares.linked_page(shares.link(example_report()).rsplit("/", 1)[-1])).words)
    assert (render("share.notice.temporary", {"date": "2026-04-13"}) in words) == (not persistent and not is_given)


def test_a_contact_is_named_where_there_is_one(sharing: Sharing) -> None:
    shares = replace(sharing, contact="<b>abuse@telltale.example").open()
    page = Outline(shares.page(shares.create(with_decodable_pictures()).id))
    assert "Or write to <b>abuse@telltale.example." in page.words
    assert not any(tag == "b" and not found for tag, found in page.elements if "abuse" in str(found))


def test_a_service_below_a_path_leads_to_itself(sharing: Sharing) -> None:
    shares = replace(sharing, base_url=f"{BASE_URL}/tools/telltale/").open()
    shared = shares.create(with_decodable_pictures())
    assert shared.url == f"{BASE_URL}/tools/telltale/e/{shared.id}"
    page = Outline(shares.page(shared.id))
    addresses = [str(found[name]) for _, found in page.elements for name in ("src", "href", "action") if name in found]
    assert all(address.startswith("/tools/telltale/") for address in addresses)


def test_a_link_has_a_page_without_pictures_or_forms(shares: Shares, client: TestClient) -> None:
    link = shares.link(example_report())
    answer = client.get(path_of(link), params={"lang": "en"})
    page = Outline(answer.text)
    words = tidy(page.words)
    assert answer.status_code == 200
    assert not page.find("img")
    assert not page.find("form")
    assert render("share.notice.link", {"date": "2026-04-13"}) in words
    assert render("verdict.strong") in words
    assert all(moment.sentence.en in words for moment in example_report().evidence)
    assert len(page.find("svg", role="img")) == len(example_report().tracks)
    assert client.get(f"{path_of(link)}/preview.jpg").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("path", ["/v/x", "/v/" + "A" * 3000, "/v/x/preview.jpg", "/v/%00", "/v/é"])
def test_a_forged_link_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 422
    assert "changed" in answer.text


# --- strangers' words -------------------------------------------------------------------------

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{%raw%}&lt;'"


FREE = {"container", "codec", "architecture", "version", "app_version", "capture_method"}  # what holds any words


def poison(value: Any) -> Any:
    """A report's record with hostile words in every field that holds free text."""
    if isinstance(value, tuple):
        return tuple(poison(item) for item in value)
    if isinstance(value, Text):
        params = {name: poison_param(param) for name, param in value.params.items()}
        return replace(value, params=params)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    names = [item.name for item in fields(value)]
    return replace(value, **{name: HOSTILE if name in FREE else poison(getattr(value, name)) for name in names})


def poison_param(param: Any) -> Any:
    return param if isinstance(param, list) else HOSTILE


def hostile_report() -> Report:
    report = example_report()
    source = replace(report.source, kind="frames", host="video.example", capture_method="canvas")
    poisoned: Report = poison(replace(report, source=source))
    ensemble = replace(poisoned.ensemble, name=HOSTILE)
    return replace(poisoned, ensemble=ensemble)


def test_hostile_words_stay_words(shares: Shares) -> None:
    shared = shares.create(with_decodable_pictures(hostile_report()))
    html = shares.page(shared.id)
    page = Outline(html)
    assert not page.find("script")
    assert not any("onerror" in found for _, found in page.elements)
    assert HOSTILE in page.words
    assert "49" not in [word.strip() for word in re.findall(r">([^<]*)<", html)]
    assert shares.preview(shared.id)
    linked = shares.link(hostile_report()).rsplit("/", 1)[-1]
    assert not Outline(shares.linked_page(linked)).find("script")


def test_words_this_version_does_not_know_are_shown_in_the_reports_own_english(shares: Shares) -> None:
    report = example_report()
    unknown = Text(id="limit.of_another_version", en="A <limit> of another version.", params={})
    changed = Text(id="limit.sampled_frames", en="Its parameters were others.", params={"n": 1})
    page = Outline(
        shares.page(shares.create(with_decodable_pictures(replace(report, limits=(unknown, changed)))).id, lang="ru")
    )
    assert "A <limit> of another version." in page.words
    assert "Its parameters were others." in page.words


def test_a_host_is_shown_and_no_address(shares: Shares, sharing: Sharing) -> None:
    report = example_report()
    source = replace(report.source, kind="url", host="video.example")
    shared = shares.create(with_decodable_pictures(replace(report, source=source)))
    assert "A video from video.example" in Outline(shares.page(shared.id)).words
    document = sharing.files()[f"{shared.id}/report.json"]
    assert b"video.example" in document
    assert b"://" not in document


# --- HTTP -------------------------------------------------------------------------------------


def test_headers_keep_the_page_to_itself(client: TestClient, shared: Shared) -> None:
    answer = client.get(path_of(shared.url))
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", policy["style-src"])
    assert policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "script-src" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert "set-cookie" not in answer.headers


def test_the_policy_names_the_sheet_that_is_in_the_page(client: TestClient, shared: Shared) -> None:
    answer = client.get(path_of(shared.url))
    (sheet,) = re.findall(r"<style>(.*?)</style>", answer.text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_a_browser_asks_again_and_gets_nothing_twice(client: TestClient, shares: Shares, shared: Shared) -> None:
    for path in ("", "/report.json", "/pictures/track-1.jpg", "/preview.jpg"):
        first = client.get(path_of(shared.url) + path)
        assert "private" in first.headers["cache-control"]
        again = client.get(path_of(shared.url) + path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert "no-cache" in client.get(path_of(shared.url)).headers["cache-control"]
    tag = client.get(path_of(shared.url)).headers["etag"]
    shares.delete(shared.id, shared.delete_token)
    gone = client.get(path_of(shared.url), headers={"If-None-Match": tag})
    assert (gone.status_code, gone.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize(
    ("query", "header", "lang"),
    [
        ("", "", "en"),
        ("", "ru-RU,ru;q=0.9", "ru"),
        ("?lang=ru", "en", "ru"),
        ("", "es-MX,es;q=0.9", "es"),
        ("?lang=ne", "en", "ne"),
        ("?lang=xx", "ru", "ru"),
        ("?lang=../", "", "en"),
    ],
)
def test_the_page_speaks_the_readers_language(
    client: TestClient, shared: Shared, query: str, header: str, lang: str
) -> None:
    answer = client.get(path_of(shared.url) + query, headers={"Accept-Language": header})
    assert Outline(answer.text).find("html", lang=lang)
    assert answer.headers["vary"] == "Accept-Language"


def test_the_signed_report_can_be_checked_with_the_published_key(client: TestClient, shared: Shared) -> None:
    answer = client.get(f"{path_of(shared.url)}/report.json")
    assert answer.headers["content-type"] == "application/json"
    assert "attachment" in answer.headers["content-disposition"]
    published = client.get("/api/v1/key").json()
    assert published == KEY.public.to_json()
    signed = read_signed(answer.content)
    assert signed.check([KEY.public]) == "valid"
    for name, checksum in signed.pictures.items():
        picture = client.get(f"{path_of(shared.url)}/pictures/{name}")
        assert hashlib.sha256(picture.content).hexdigest() == checksum
        assert picture.headers["content-type"] == "image/jpeg"


def test_an_unforeseen_fault_is_told_without_details(
    shares: Shares, shared: Shared, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("secret details")

    monkeypatch.setattr(Shares, "page", fail)
    answer = client.get(path_of(shared.url))
    assert answer.status_code == 500
    assert render("error.internal") in answer.text
    assert "secret" not in answer.text


# --- what was made lately ---------------------------------------------------------------------


def test_recent_keeps_the_last_and_forgets_when_told() -> None:
    made: list[int] = []

    def make(value: int) -> int:
        made.append(value)
        return value

    recent: Recent[int, int] = Recent(2)
    for key in (1, 2, 1, 3, 1, 2):
        assert recent.get(key, lambda key=key: make(key)) == key  # type: ignore[misc]
    assert made == [1, 2, 3, 2]
    recent.forget(lambda key: key == 2)
    recent.get(2, lambda: make(2))
    assert made == [1, 2, 3, 2, 2]
    with pytest.raises(ZeroDivisionError):
        recent.get(9, lambda: 1 // 0)
    assert recent.get(9, lambda: make(9)) == 9
