"""Signed reports: one canonical form, signatures that fit nothing but what was signed, and the command that checks."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from space.analysis.report import to_json
from space.cli import app
from space.errors import RequestError, ServiceError, SourceError
from space.service.share.signature import (
    KEY_FILE,
    PublicKey,
    SigningKey,
    load_signing_key,
    parse_public_key,
    read_signed,
    sign_report,
)
from space.service.share.verify import MAX_BYTES, known_keys, verify_file
from space.texts import render
from tests.analyses import example_report
from tests.shared_reports import KEY, OTHER_KEY, a_picture

DOCUMENT = to_json(example_report())
PICTURES = {"track-1.jpg": a_picture(1), "track-2.jpg": a_picture(2)}


def signed_text(key: SigningKey = KEY) -> str:
    return json.dumps(sign_report(DOCUMENT, PICTURES, key), ensure_ascii=False)


# --- signing ----------------------------------------------------------------------------------


def test_a_signed_report_is_valid_for_its_key_alone() -> None:
    signed = read_signed(signed_text())
    assert signed.report == DOCUMENT
    assert signed.check([KEY.public]) == "valid"
    assert signed.check([OTHER_KEY.public, KEY.public]) == "valid"
    assert signed.check([OTHER_KEY.public]) == "unknown_key"
    assert signed.check([]) == "unknown_key"


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: json.dumps(json.loads(text), indent=4, sort_keys=True),
        lambda text: json.dumps(json.loads(text), separators=(",", ":")),
        lambda text: text.replace("telltale", "\\u0074elltale"),
        lambda text: text.replace('"fps": 29.97', '"fps": 2997e-2'),
        lambda text: text.encode("utf-16"),
    ],
)
def test_a_signature_survives_another_layout(rewrite: Callable[[str], str | bytes]) -> None:
    text = rewrite(signed_text())
    assert text != signed_text()
    assert read_signed(text).check([KEY.public]) == "valid"


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        *above, last = path.split("/")
        for name in above:
            document = document[int(name) if name.isdigit() else name]
        document[last] = value

    return apply


ALTERATIONS = [
    change("report/verdict/code", "little"),
    change("report/verdict/p_fake", 0.1),
    change("report/tracks/0/frames/3/p_fake", 0.675881),
    change("report/source/host", "elsewhere.example"),
    change("report/id", "0" * 32),
    change("report/more", "words"),
    change("pictures/track-1.jpg", "0" * 64),
    change("pictures/more.jpg", "0" * 64),
    change("signature/value", "A" * 86 + "=="),
    change("signature/value", ""),
    change("signature/public_key", OTHER_KEY.public.text),
    change("signature/public_key", ""),
]


@pytest.mark.parametrize("alter", ALTERATIONS)
def test_an_altered_report_is_altered(alter: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(signed_text())
    alter(document)
    assert read_signed(json.dumps(document)).check([KEY.public, OTHER_KEY.public]) == "altered"


def test_somebody_elses_signature_over_other_words_does_not_become_ours() -> None:
    changed = {**DOCUMENT, "id": "0" * 32}
    forged = sign_report(changed, PICTURES, OTHER_KEY)
    assert read_signed(json.dumps(forged)).check([KEY.public]) == "unknown_key"
    forged["signature"]["public_key"] = KEY.public.text
    assert read_signed(json.dumps(forged)).check([KEY.public]) == "altered"


def test_no_key_stands_twice() -> None:
    text = signed_text().replace('"code": "strong"', '"code": "little", "code": "strong"', 1)
    with pytest.raises(ServiceError, match="not_signed"):
        read_signed(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"signature"',
        "[" * 100_000,
        b"\xff\xfe\x00",
        json.dumps(DOCUMENT),
        json.dumps({**sign_report(DOCUMENT, {}, KEY), "more": 1}),
        json.dumps({**sign_report(DOCUMENT, {}, KEY), "version": 2}),
        json.dumps({**sign_report(DOCUMENT, {}, KEY), "report": None}),
        json.dumps({**sign_report(DOCUMENT, {}, KEY), "pictures": []}),
        json.dumps({**sign_report(DOCUMENT, {}, KEY), "signature": "words"}),
        signed_text().replace("0.822509", "NaN", 1),
        signed_text().replace("0.822509", "1e999", 1),
        signed_text().replace("2418733", "9" * 5000, 1),
        signed_text().replace("example", "\\ud800", 1),
    ],
    ids=lambda text: str(text[:24]),
)
def test_other_files_are_no_signed_reports(text: str | bytes) -> None:
    with pytest.raises(ServiceError, match="not_signed"):
        read_signed(text)


@given(position=st.integers(0, len(signed_text()) - 1), letter=st.characters(max_codepoint=126, min_codepoint=32))
def test_no_changed_letter_goes_unnoticed(position: int, letter: str) -> None:
    """Unless the changed text says the same."""
    text = signed_text()
    changed = text[:position] + letter + text[position + 1 :]
    try:
        same = json.loads(changed) == json.loads(text)
        outcome = read_signed(changed).check([KEY.public])
    except (ServiceError, ValueError):
        return
    assert (outcome == "valid") == same


# --- keys -------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_for_this_account_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shares"
    first, second = load_signing_key(folder), load_signing_key(folder)
    assert first.public == second.public
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert load_signing_key(tmp_path / "another").public != first.public


@pytest.mark.parametrize("seed", ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", bytes(range(32)).hex()])
def test_the_key_may_be_a_setting(tmp_path: Path, seed: str) -> None:
    assert load_signing_key(tmp_path, f" {seed}\n").public == KEY.public
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["x", "AAAA", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "é" * 44, "0" * 63 + "g"])
def test_a_bad_key_is_refused_without_being_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(RequestError, match="bad_setting") as caught:
        load_signing_key(tmp_path, text)
    assert text not in str(caught.value)
    (tmp_path / KEY_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match="bad_setting"):
        load_signing_key(tmp_path)


def test_a_public_key_is_read_as_it_is_published() -> None:
    published = KEY.public.to_json()
    assert parse_public_key(json.dumps(published)) == KEY.public
    assert parse_public_key(published["public_key"]) == parse_public_key(KEY.public.raw.hex()) == KEY.public
    assert len(published["fingerprint"].split()) == 4
    for bad in ("", "{}", "[1]", "abc", json.dumps({"public_key": 3})):
        with pytest.raises(ValueError, match=r".+"):
            parse_public_key(bad)


@pytest.mark.parametrize("raw", [b"", bytes(31), b"\xff" * 32])
def test_bytes_that_are_no_key_fit_nothing(raw: bytes) -> None:
    assert not PublicKey(raw).fits(bytes(64), b"words")


# --- the command ------------------------------------------------------------------------------


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *arguments], env=environment)
    return result.exit_code, result.output


@pytest.fixture
def signed_file(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(signed_text(), encoding="utf-8")
    return path


def test_command_tells_valid_altered_and_unknown_apart(signed_file: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key.json"
    key_file.write_text(json.dumps(KEY.public.to_json()), encoding="utf-8")
    name = str(signed_file)
    for arguments in (["--key", str(key_file)], ["--key", KEY.public.text]):
        status, words = run(name, *arguments)
        assert (status, words.split(":")[0]) == (0, "Valid")
        assert render("verdict.strong") in words
        assert KEY.public.fingerprint in words
    status, words = run(name, "--key", OTHER_KEY.public.text)
    assert (status, words.split(":")[0]) == (4, "Unknown key")
    signed_file.write_text(signed_text().replace('"strong"', '"little"'), encoding="utf-8")
    status, words = run(name, "--key", KEY.public.text)
    assert (status, words) == (3, render("cli.verify.altered") + "\n")


def test_command_knows_the_service_of_its_own_machine(signed_file: Path, tmp_path: Path) -> None:
    seed = bytes(range(32)).hex()
    assert run(str(signed_file), TELLTALE_SIGNING_KEY=seed)[0] == 0
    shares = tmp_path / "shares"
    assert run(str(signed_file), TELLTALE_SHARES=str(shares))[0] == 4
    assert not shares.exists()
    shares.mkdir()
    (shares / KEY_FILE).write_text(seed, encoding="ascii")
    assert run(str(signed_file), TELLTALE_SHARES=str(shares))[0] == 0
    assert run(str(signed_file), TELLTALE_SIGNING_KEY="words")[0] == 2


def test_command_looks_at_the_pictures_beside_the_file(signed_file: Path) -> None:
    (signed_file.parent / "track-1.jpg").write_bytes(PICTURES["track-1.jpg"])
    assert "1 of 2" in run(str(signed_file), "--key", KEY.public.text)[1]
    (signed_file.parent / "track-2.jpg").write_bytes(PICTURES["track-1.jpg"])
    status, words = run(str(signed_file), "--key", KEY.public.text)
    assert (status, words) == (3, render("cli.verify.altered.picture", {"name": "track-2.jpg"}) + "\n")


@pytest.mark.parametrize(
    ("arguments", "status"), [(["nothing.json"], 2), (["."], 2), (["a.json", "--key", "words"], 2)]
)
def test_command_refuses_what_it_cannot_read(
    signed_file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int
) -> None:
    monkeypatch.chdir(signed_file.parent)
    assert run(*arguments)[0] == status


def test_command_refuses_what_is_no_signed_report(signed_file: Path) -> None:
    signed_file.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    status, words = run(str(signed_file))
    assert (status, words.split(":")[0]) == (2, "not_signed")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SourceError, match="too_large"):
        verify_file(path, [])


def test_a_strangers_report_cannot_write_to_the_terminal_or_look_around(tmp_path: Path) -> None:
    """Whoever signs with a key of their own may sign anything."""
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    report = {"id": "\x1b[2J\x1b]0;owned\x07" + "x" * 100, "created": 5, "verdict": {"code": "nonsense"}}
    folder = tmp_path / "inner"
    folder.mkdir()
    path = folder / "report.json"
    document = sign_report(report, {"../secret.jpg": b"another", "a/b.jpg": b"", "..": b""}, OTHER_KEY)
    path.write_text(json.dumps(document), encoding="utf-8")
    status, words = run(str(path))
    assert status == 4
    assert "\x1b" not in words
    assert "\x07" not in words
    assert verify_file(path, []).n_pictures == 0


def test_keys_named_by_a_person_come_first() -> None:
    assert known_keys([OTHER_KEY.public.text], {"TELLTALE_SIGNING_KEY": bytes(range(32)).hex()}) == [
        OTHER_KEY.public,
        KEY.public,
    ]
