"""Analyses to show, made from the example report, and HTML as a browser would read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

from space.analysis.report import from_json
from space.contract import Analysis, Report, Verdict, VerdictCode
from space.settings import SHARED
from space.texts import make_text

JPEG = b"\xff\xd8\xff\xe0 a picture"
VOID = {"meta", "img", "br", "hr", "input", "link", "path", "circle", "rect", "line", "polyline"}


def example_report() -> Report:
    return from_json(json.loads((SHARED / "report.example.json").read_text(encoding="utf-8")))


def picture_names(report: Report) -> Iterator[str]:
    yield from (track.thumbnail for track in report.tracks)
    for moment in report.evidence:
        yield from (moment.crop, moment.overlay)
        yield from (name for layers in moment.maps.values() for name in layers.values())


def with_pictures(report: Report) -> Analysis:
    return Analysis(report, {name: JPEG + name.encode() for name in picture_names(report)})


def make_analysis(code: VerdictCode) -> Analysis:
    report = example_report()
    sentence = make_text(f"verdict.{code}")
    if code == "not_applicable":
        verdict = Verdict(code, sentence, (make_text("reason.no_face", n_frames=8),), None, None)
        return Analysis(replace(report, verdict=verdict, n_faces=0, tracks=(), evidence=(), parts=None), {})
    verdict = replace(report.verdict, code=code, sentence=sentence)
    if code in ("strong", "some"):
        return with_pictures(replace(report, verdict=verdict))
    assert report.parts is not None
    parts = replace(
        report.parts,
        sentence=make_text("parts.withheld"),
        parts=tuple(replace(part, compromising=False) for part in report.parts.parts),
    )
    return with_pictures(replace(report, verdict=verdict, parts=parts))


def image_analysis() -> Analysis:
    report = example_report()
    source = replace(report.source, kind="image", container="jpeg", codec=None, fps=None, duration_s=0.0)
    track = replace(report.tracks[0], frames=report.tracks[0].frames[:1])
    return with_pictures(replace(report, source=source, tracks=(track,), evidence=report.evidence[:1], n_frames=1))


class Outline(HTMLParser):
    """What a browser would make of HTML: elements with their attributes, the text, and whether tags balance."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def find(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [a for name, a in self.elements if name == tag and attributes.items() <= a.items()]

    def classes(self) -> set[str]:
        return {name for _, attributes in self.elements for name in (attributes.get("class") or "").split()}


def tidy(words: str) -> str:
    return re.sub(r"\s+", " ", words)
