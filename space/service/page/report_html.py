"""A report as HTML, with its pictures inside: what the page shows and what a person saves."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from space.analysis.report import to_json
from space.contract import Analysis, TrackReport
from space.service.page.html import render_template
from space.texts import translate

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Bar:
    """One frame's estimate in a strip."""

    left: float  # percent of the strip's length
    height: float  # percent of its height
    usable: bool


@dataclass(frozen=True)
class Strip:
    """One person's estimates over time."""

    bars: tuple[Bar, ...]
    low: float  # the lowest p_fake
    high: float


def render_report(analysis: Analysis, *, lang: str) -> str:
    """The report as one HTML element, pictures as data URIs, the JSON document beside them.

    Raises:
        KeyError: the report names a picture or a text that is not there.
    """
    report = analysis.report
    return render_template(
        "report.html",
        lang=lang,
        report=report,
        picture=lambda name: data_uri(analysis.pictures[name]),
        strips={track.id: make_strip(track, report.source.duration_s) for track in report.tracks},
        document=json.dumps(to_json(report), ensure_ascii=False),
    )


def report_title(analysis: Analysis, *, lang: str) -> str:
    """A saved report's title: the verdict's sentence."""
    return f"Telltale: {translate(analysis.report.verdict.sentence, lang=lang)}"


def data_uri(picture: bytes) -> str:
    """A JPEG or PNG picture as a URI that holds it.

    Raises:
        ValueError: it is neither.
    """
    kind = "jpeg" if picture.startswith(JPEG) else "png" if picture.startswith(PNG) else None
    if kind is None:
        raise ValueError("neither JPEG nor PNG")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def make_strip(track: TrackReport, duration_s: float) -> Strip | None:
    """A person's estimates over the clip; None where there is no time to lay them over."""
    if duration_s <= 0 or len(track.frames) < 2:
        return None
    estimates = [frame.p_fake for frame in track.frames]
    bars = tuple(
        Bar(left=100 * min(frame.time_s / duration_s, 1.0), height=100 * frame.p_fake, usable=frame.quality.usable)
        for frame in track.frames
    )
    return Strip(bars=bars, low=min(estimates), high=max(estimates))
