"""A report in words: everything a person is owed is printed, in every language and at any width."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from space.analysis.report import from_json
from space.console import print_report
from space.contract import Report, Verdict
from space.settings import SHARED
from space.texts import languages, make_text, render, translate

REPORT = from_json(json.loads((SHARED / "report.example.json").read_text(encoding="utf-8")))
NO_FACE = replace(
    REPORT,
    verdict=Verdict(
        "not_applicable", make_text("verdict.not_applicable"), (make_text("reason.no_face", n_frames=8),), None, None
    ),
    n_faces=0,
    tracks=(),
    evidence=(),
    parts=None,
)


def printed(report: Report, *, lang: str = "en", width: int = 200, **options: Any) -> str:
    stream = io.StringIO()
    print_report(Console(file=stream, width=width), report, lang=lang, **options)
    return stream.getvalue()


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("lang", languages())
def test_verdict_reasons_moments_parts_and_limits_are_printed(lang: str) -> None:
    text = one_line(printed(REPORT, lang=lang))
    assert REPORT.parts is not None
    texts = [REPORT.verdict.sentence, *REPORT.verdict.reasons, REPORT.parts.sentence, *REPORT.limits]
    texts += [moment.sentence for moment in REPORT.evidence]
    for item in texts:
        assert translate(item, lang=lang) in text
    assert render(f"verdict.{REPORT.verdict.code}.next", lang=lang) in text


def test_people_are_listed_with_their_own_verdict() -> None:
    text = printed(REPORT)
    for track in REPORT.tracks:
        row = next(line for line in text.splitlines() if f"Person {track.id} " in line)
        assert track.verdict.sentence.en in row
        assert f"{track.verdict.p_fake:.2f}" in row


def test_only_compromising_parts_are_named() -> None:
    assert REPORT.parts is not None
    named = [part for part in REPORT.parts.parts if part.compromising]
    assert named
    labels = {part.name: render(f"part.{part.name}.label") for part in REPORT.parts.parts}
    rows = [line.strip() for line in printed(REPORT).splitlines()]
    for name, label in labels.items():
        shown = any(row.startswith(f"{label}  ") for row in rows)
        assert shown == (name in {part.name for part in named})


def test_numbers_follow_the_language() -> None:
    assert "10.0 s" in printed(REPORT, lang="en")
    assert "10,0 s" in printed(REPORT, lang="ru")


def test_without_a_face_there_is_no_table_and_no_number() -> None:
    text = printed(NO_FACE)
    assert "No face was found in the frames looked at (8)." in text
    assert "Person" not in text
    assert "None" not in text


def test_where_files_are_is_never_broken_over_lines() -> None:
    path = Path("a" * 90) / "report.json"
    assert str(path) in printed(REPORT, width=40, written=[path])
