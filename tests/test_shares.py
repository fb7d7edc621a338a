"""Shared reports: what is kept, what their pages hold, and what a stranger, a thief or a forger gets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from space.contract import Analysis, Report, Text, VerdictCode
from space.errors import ServiceError
from space.service.share import Shared, Shares, SigningKey, share_routes
from space.service.share.folder import ABANDONED_S, LIFETIME_S, MAX_COMPLAINTS, ShareFolder
from space.service.share.pages import styles
from space.service.share.recent import Recent
from space.service.share.routes import MAX_FORM_BYTES
from space.service.share.shares import MAX_PICTURE_BYTES, REASONS, picture_names
from space.service.share.signature import read_signed
from space.texts import languages, load_texts, render, translate
from tests.analyses import Outline, example_report, make_analysis, tidy
from tests.shared_reports import BASE_URL, DAY_S, KEY, OTHER_KEY, START_S, Sharing, a_picture, with_decodable_pictures

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


# --- what is kept -----------------------------------------------------------------------------


def test_whoever_shares_gets_a_link_and_the_only_key_for_deleting(sharing: Sharing, shared: Shared) -> None:
    assert re.fullmatch(rf"{BASE_URL}/e/[0-9a-f]{{32}}", shared.url)
    assert shared.expires == "2026-04-13T09:26:53Z"
    assert shared.persistent
    assert shared.link is not None
    assert shared.link.startswith(f"{BASE_URL}/v/")
    kept = b"".join(sharing.files().values())
    assert shared.delete_token.encode() not in kept
    assert hashlib.sha256(shared.delete_token.encode()).hexdigest().encode() in kept


def test_what_is_kept_is_the_report_and_its_pictures(sharing: Sharing, shares: Shares) -> None:
    analysis = with_decodable_pictures()
    strange = replace(analysis, pictures={**analysis.pictures, "video.mp4": b"video", "another.jpg": a_picture()})
    shared = shares.create(strange)
    names = {f"{shared.id}/pictures/{name}" for name in picture_names(analysis.report)}
    assert set(sharing.files()) == names | {f"{shared.id}/report.json", f"{shared.id}/share.json"}


def test_two_shares_of_one_report_know_nothing_of_each_other(shares: Shares) -> None:
    first, second = (shares.create(with_decodable_pictures()) for _ in range(2))
    assert first.id != second.id
    shares.delete(first.id, first.delete_token)
    with pytest.raises(ServiceError, match="bad_token"):
        shares.delete(second.id, first.delete_token)
    assert shares.page(second.id)


def test_files_are_written_once(sharing: Sharing, shares: Shares, shared: Shared, client: TestClient) -> None:
    before = sharing.files()
    times = {path: path.stat().st_mtime_ns for path in sharing.folder.rglob("*") if path.is_file()}
    for path in ("", "/report.json", "/preview.jpg", "/pictures/track-1.jpg"):
        assert client.get(f"/e/{shared.id}{path}").status_code == 200
    client.post(f"/e/{shared.id}/delete", data={"token": "wrong"})
    client.post(f"/e/{shared.id}/abuse", data={"reason": "harm"})
    shares.sweep(START_S + DAY_S)
    after = sharing.files()
    assert {name: after[name] for name in before} == before
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_nothing_is_renamed_locked_or_opened_twice(
    sharing: Sharing, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted bucket takes whole new files and nothing else."""
    opened: list[tuple[str, str]] = []
    original = Path.open

    def watch(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if self.is_relative_to(sharing.folder):
            opened.append((self.name, mode))
        return original(self, mode, *args, **kwargs)

    def refuse(*_: object) -> None:
        raise AssertionError("renamed")

    monkeypatch.setattr(Path, "open", watch)
    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    shares.create(with_decodable_pictures())
    names = [name for name, _ in opened]
    assert {mode for _, mode in opened} == {"xb"}
    assert len(names) == len(set(names))
    assert names[-1] == "share.json"


def test_folder_is_this_accounts_own(shares: Shares, shared: Shared, sharing: Sharing) -> None:
    assert stat.S_IMODE((sharing.folder / shared.id / "pictures").stat().st_mode) & 0o077 == 0


def test_a_full_disk_leaves_nothing_half_shared(
    sharing: Sharing, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.open

    def fail(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "report.json":
            raise OSError(28, "No space left on device")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ServiceError, match="share_failed"):
        shares.create(with_decodable_pictures())
    assert sharing.files() == {}


def test_there_is_an_end_to_the_number_of_shares(
    sharing: Sharing, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("space.service.share.folder.MAX_SHARES", 2)
    for _ in range(2):
        shares.create(with_decodable_pictures())
    before = sharing.files()
    with pytest.raises(ServiceError, match="share_failed"):
        shares.create(with_decodable_pictures())
    assert sharing.files() == before


@pytest.mark.parametrize(
    "picture", [None, b"", b"<html>", b"\x00\x00\x00\x18ftypmp42", b"\xff\xd8\xff" + bytes(MAX_PICTURE_BYTES)]
)
def test_only_pictures_are_shared(sharing: Sharing, shares: Shares, picture: bytes | None) -> None:
    analysis = with_decodable_pictures()
    pictures = dict(analysis.pictures)
    if picture is None:
        del pictures["track-1.jpg"]
    else:
        pictures["track-1.jpg"] = picture
    with pytest.raises(ValueError, match=r"track-1\.jpg"):
        shares.create(Analysis(analysis.report, pictures))
    assert sharing.files() == {}


def test_a_picture_cannot_be_named_into_another_folder(shares: Shares, sharing: Sharing) -> None:
    report = example_report()
    tracks = (replace(report.tracks[0], thumbnail="../../escaped.jpg"), *report.tracks[1:])
    with pytest.raises(ValueError, match="name"):
        shares.create(with_decodable_pictures(replace(report, tracks=tracks)))
    assert sharing.files() == {}


# --- until when -------------------------------------------------------------------------------


def test_a_share_ends_after_thirty_days(sharing: Sharing, shares: Shares, shared: Shared, client: TestClient) -> None:
    sharing.clock.now = START_S + LIFETIME_S - 1
    shares.sweep(sharing.clock.now)
    assert client.get(path_of(shared.url)).status_code == 200
    sharing.clock.now += 1
    paths = ["", "/report.json", "/preview.jpg", "/pictures/track-1.jpg"]
    assert {client.get(path_of(shared.url) + path).status_code for path in paths} == {404}
    with pytest.raises(ServiceError, match="report_unknown"):
        shares.delete(shared.id, shared.delete_token)
    assert shares.sweep(sharing.clock.now) == 1
    assert sharing.files() == {}


def test_a_sweep_leaves_the_living_and_takes_the_unfinished(sharing: Sharing, shares: Shares) -> None:
    sharing.clock.now = time.time()  # files carry this machine's own
    shared = shares.create(with_decodable_pictures())
    unfinished = sharing.folder / ("0" * 32)
    (unfinished / "pictures").mkdir(parents=True)
    (unfinished / "pictures" / "track-1.jpg").write_bytes(a_picture())
    broken = sharing.folder / ("1" * 32)
    broken.mkdir()
    (broken / "share.json").write_bytes(b'{"id": "111')
    (sharing.folder / "signing.key").write_text("key", encoding="ascii")
    (sharing.folder / "notes").mkdir()
    assert shares.sweep(time.time()) == 0
    assert shares.sweep(time.time() + ABANDONED_S + 1) == 2
    assert {path.name for path in sharing.folder.iterdir()} == {"signing.key", "notes", shared.id}


def test_a_sweep_of_nothing_is_fine(tmp_path: Path) -> None:
    assert ShareFolder(tmp_path / "never").sweep(now=START_S) == 0


def test_links_end_as_well(sharing: Sharing, shares: Shares) -> None:
    link = path_of(shares.link(example_report()))
    client = TestClient(Starlette(routes=share_routes(shares)))
    sharing.clock.now = START_S + LIFETIME_S - 1
    assert client.get(link).status_code == 200
    sharing.clock.now += 1
    assert client.get(link).status_code == 404


def test_shares_outlive_a_restart(sharing: Sharing, shared: Shared) -> None:
    again = sharing.open()
    assert again.page(shared.id)
    again.delete(shared.id, shared.delete_token)
    with pytest.raises(ServiceError, match="report_unknown"):
        sharing.open().page(shared.id)


# --- deleting ---------------------------------------------------------------------------------


def test_deleting_takes_the_right_key_and_everything(
    sharing: Sharing, shares: Shares, shared: Shared, client: TestClient
) -> None:
    page = path_of(shared.url)
    for path in ("", "/preview.jpg"):  # so that they would be remembered
        assert client.get(page + path).status_code == 200
    client.post(f"{page}/abuse", data={"reason": "harm"})
    for wrong in ("", "x", shared.delete_token[:-1], shared.delete_token + "x", shared.delete_token.lower(), "é\ud800"):
        with pytest.raises(ServiceError, match="bad_token"):
            shares.delete(shared.id, wrong)
    answer = client.post(f"{page}/delete", data={"token": f"  {shared.delete_token}\n"})
    assert answer.status_code == 200
    assert render("share.deleted") in answer.text
    assert sharing.files() == {}
    for path in ("", "/report.json", "/preview.jpg", "/pictures/track-1.jpg"):
        assert client.get(page + path).status_code == 404
    assert client.post(f"{page}/delete", data={"token": shared.delete_token}).status_code == 404
    assert client.post(f"{page}/abuse", data={"reason": "harm"}).status_code == 404


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"token": "wrong"}},
        {"data": {"token": ""}},
        {"data": {}},
        {"content": b"\xff\xfe\x00"},
        {"content": b"token=" + b"x" * MAX_FORM_BYTES},
        {"content": b"&".join(b"token=x" for _ in range(100))},
        {"content": b"token"},
        {"json": {"token": "x"}},
        {"files": {"token": b"x"}},
    ],
    ids=str,
)
def test_a_wrong_form_deletes_nothing(client: TestClient, shares: Shares, shared: Shared, form: Any) -> None:
    answer = client.post(f"{path_of(shared.url)}/delete", **form)
    assert answer.status_code == 403
    assert render("error.bad_token") in answer.text
    assert shares.page(shared.id)


def test_an_oversized_form_hides_no_key(client: TestClient, shared: Shared) -> None:
    content = f"token={shared.delete_token}&more=".encode() + b"x" * MAX_FORM_BYTES
    assert client.post(f"{path_of(shared.url)}/delete", content=content).status_code == 403


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_deleting_takes_a_form(client: TestClient, shared: Shared, method: str) -> None:
    assert client.request(method, f"{path_of(shared.url)}/delete").status_code == 405


def test_tokens_are_compared_in_constant_time(shares: Shares, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []

    def compare(left: str, right: str) -> bool:
        compared.append((left, right))
        return False

    monkeypatch.setattr("space.service.share.folder.hmac.compare_digest", compare)
    with pytest.raises(ServiceError, match="bad_token"):
        shares.delete(shared.id, shared.delete_token)
    assert [len(side) for pair in compared for side in pair] == [64, 64]


# --- complaints -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "kept"), [*((reason, reason) for reason in REASONS), ("<script>", "other"), ("", "other")]
)
def test_a_complaint_keeps_nothing_about_whoever_complains(
    sharing: Sharing, shared: Shared, client: TestClient, sent: str, kept: str
) -> None:
    headers = {"User-Agent": "a browser", "X-Forwarded-For": "203.0.113.9", "Referer": "https://elsewhere.example/"}
    answer = client.post(f"{path_of(shared.url)}/abuse", data={"reason": sent, "name": "Me"}, headers=headers)
    assert answer.status_code == 200
    assert render("share.abuse.sent") in answer.text
    (complaint,) = [content for name, content in sharing.files().items() if "abuse" in name]
    assert json.loads(complaint) == {"id": shared.id, "reason": kept, "time_s": int(START_S)}


def test_complaints_do_not_fill_the_disk(sharing: Sharing, shared: Shared, client: TestClient) -> None:
    for _ in range(MAX_COMPLAINTS + 5):
        assert client.post(f"{path_of(shared.url)}/abuse", data={"reason": "harm"}).status_code == 200
    assert sum("abuse" in name for name in sharing.files()) == MAX_COMPLAINTS


# --- hostile ids, names and files -------------------------------------------------------------

STRANGE = [
    "..",
    ".",
    "%2e%2e",
    "..%2f..%2fsigning.key",
    "signing.key",
    "0" * 31,
    "0" * 33,
    "G" * 32,
    "A" * 32,
    "é" * 32,
]
STRANGE += ["%00" * 8, "0" * 32 + "%0a", "~", "C:%5c", "x" * 5000]


@pytest.mark.parametrize("share_id", STRANGE, ids=lambda text: text[:24])
def test_a_strange_id_finds_nothing(client: TestClient, share_id: str) -> None:
    for path in ("", "/report.json", "/pictures/track-1.jpg", "/preview.jpg"):
        assert client.get(f"/e/{share_id}{path}").status_code == 404
    assert client.post(f"/e/{share_id}/delete", data={"token": "x"}).status_code in (404, 405)


@pytest.mark.parametrize(
    "name",
    [
        *("share.json", "report.json", "../share.json", "..%2fshare.json", "%2e%2e%2freport.json", "track-3.jpg"),
        *("track-1.jpg%00.png", "track-1.jpg%0a", "..%2f..%2fsigning.key", "track-1.svg", ".jpg", "TRACK-1.JPG"),
        "x" * 300 + ".jpg",
    ],
)
def test_a_strange_name_finds_nothing(client: TestClient, sharing: Sharing, shared: Shared, name: str) -> None:
    (sharing.folder / "signing.key").write_text("secret", encoding="ascii")
    answer = client.get(f"{path_of(shared.url)}/pictures/{name}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize("share_id", ["../x", "", "0" * 32 + "\n", "\0", "x/../" + "0" * 32])
def test_ids_are_checked_behind_the_routes_as_well(shares: Shares, sharing: Sharing, share_id: str) -> None:
    for ask in (shares.page, shares.report, shares.preview):
        with pytest.raises(ServiceError, match="report_unknown"):
            ask(share_id)
    with pytest.raises(ServiceError, match="report_unknown"):
        ShareFolder(sharing.folder).remove(share_id)


def test_a_report_altered_in_its_folder_is_not_shown(sharing: Sharing, shares: Shares, shared: Shared) -> None:
    path = sharing.folder / shared.id / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"code": "strong"', b'"code": "little"', 1))
    for ask in (shares.page, shares.preview):
        with pytest.raises(ServiceError, match="bad_signature"):
            ask(shared.id)
    assert TestClient(Starlette(routes=share_routes(shares))).get(f"/e/{shared.id}").status_code == 422


def test_a_report_of_another_service_is_not_shown(sharing: Sharing, shared: Shared) -> None:
    with pytest.raises(ServiceError, match="bad_signature"):
        replace(sharing, key=OTHER_KEY).open().page(shared.id)


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


def test_a_messenger_is_told_what_to_show(shares: Shares, shared: Shared) -> None:
    page = Outline(shares.page(shared.id, lang="ru"))
    said = {str(meta.get("property") or meta.get("name")): str(meta.get("content")) for meta in page.find("meta")}
    assert said["og:title"] == said["twitter:title"] == render("verdict.strong", lang="ru")
    assert said["og:image"] == said["twitter:image"] == f"{shared.url}/preview.jpg?lang=ru"
    assert (said["og:image:width"], said["og:image:height"]) == ("1200", "630")
    assert said["og:url"] == shared.url
    assert said["twitter:card"] == "summary_large_image"
    assert said["og:locale"] == "ru_RU"
    assert render("verdict.strong", lang="ru") in said["og:image:alt"]
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


def poison(value: Any) -> Any:
    """A report's record with hostile words in every field that holds free text."""
    from dataclasses import fields, is_dataclass

    if isinstance(value, Text):
        return Text(
            id=value.id, en=value.en, params={name: poison_param(param) for name, param in value.params.items()}
        )
    if not is_dataclass(value):
        return tuple(poison(item) for item in value) if isinstance(value, tuple) else value
    free = {"container", "codec", "architecture", "version", "app_version", "capture_method"}
    changed = {
        item.name: HOSTILE
        if item.name in free and value.__class__.__name__ != "X"
        else poison(getattr(value, item.name))
        for item in fields(value)
        if item.init
    }
    return replace(value, **changed)  # type: ignore[type-var]


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
