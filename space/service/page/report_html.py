"""A report as HTML, with its pictures inside: what the page shows and what a person saves."""

from __future__ import annotations

import base64
import json
from typing import Any

from space.analysis.report import to_json
from space.contract import Analysis, PartsReport, Report
from space.models.cards import Metric
from space.service.page.html import render_document, render_template
from space.service.page.languages import Words
from space.service.page.measured import Models, measured
from space.service.page.palette import lift_colour
from space.service.page.scale import draw_scale
from space.service.page.timeline import draw_timeline
from space.texts import translate

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def render_report(analysis: Analysis, *, lang: str, models: Models | None = None, job: str | None = None) -> str:
    """The report as one HTML element, pictures as data URIs, the JSON document beside them.

    Args:
        analysis: the report and its pictures.
        lang: a language of ``shared/text``.
        models: the cards at hand; their figures are shown only where the report rests on the same weights.
        job: the check it came from; None for a report that stands alone, without anything to press.

    Raises:
        KeyError: the report names a picture or a text that is not there.
    """
    report, words = analysis.report, Words(lang)
    record = models.record if models is not None and models.made(report.ensemble) else None
    scale = draw_scale(record.thresholds if record else None)

    def say_measured(metric: Metric) -> str:
        return measured(metric, words)

    return render_template(
        "report.html",
        lang=lang,
        report=report,
        job=job,
        record=record or {"metrics": ()},
        picture=lambda name: data_uri(analysis.pictures[name]),
        timeline=draw_timeline(report, scale),
        scale=scale,
        views=number_views(report),
        tints=tint_parts(report.parts) if report.parts else {},
        boxes=json.dumps(list_boxes(report, words)),
        measured=say_measured,
        document=json.dumps(to_json(report), ensure_ascii=False),
    )


def render_saved(analysis: Analysis, *, lang: str, models: Models | None = None) -> str:
    """The report as a file that needs nothing else."""
    return render_document(
        render_report(analysis, lang=lang, models=models), title=report_title(analysis, lang=lang), lang=lang
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


def number_views(report: Report) -> dict[str, dict[str, str]]:
    """Member -> layer -> a short name for the switch: a member's own name may be anything."""
    views: dict[str, dict[str, str]] = {}
    for moment in report.evidence:
        for member, layers in moment.maps.items():
            known = views.setdefault(member, {})
            number = list(views).index(member)
            known.update({layer: f"view-{number}-{layer}" for layer in layers})
    return views


def tint_parts(parts: PartsReport) -> dict[str, str]:
    """Part -> colour of the heat scale: how many times the usual reaction it drew, or else what its area explains."""
    is_known = any(part.excess is not None for part in parts.parts)
    return {part.name: lift_colour(part.excess or 0.0 if is_known else part.lift) for part in parts.parts}


def list_boxes(report: Report, words: Words) -> dict[str, Any]:
    """Where each person's face is, for the viewer's own copy of the clip: pixels as displayed."""
    people = [
        {
            "label": f"{words.t('page.person', track=track.id)}: {words.t(f'verdict.{track.verdict.code}.badge')}",
            "code": track.verdict.code,
            "frames": [
                {"index": frame.frame_index, "time_s": frame.time_s, "box": list(frame.box_xyxy)}
                for frame in track.frames
            ],
        }
        for track in report.tracks
    ]
    return {"width": report.source.width, "height": report.source.height, "people": people}
