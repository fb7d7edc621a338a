"""Shared reports: what is kept, what their pages hold, and what a stranger, a thief or a forger gets."""

from __future__ import annotations

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

from space.contract import Analysis, VerdictCode
from space.errors import ServiceError
from space.service.share import Shared, Shares, share_routes
from space.service.share.folder import ABANDONED_S, LIFETIME_S, MAX_COMPLAINTS, ShareFolder
from space.service.share.routes import MAX_FORM_BYTES
from space.service.share.shares import MAX_PICTURE_BYTES, REASONS, picture_names
from space.texts import render
from tests.analyses import example_report
from tests.shared_reports import BASE_URL, DAY_S, OTHER_KEY, START_S, Sharing, a_picture, with_decodable_pictures

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
