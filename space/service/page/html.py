"""Pages and pieces of them as HTML, from the files in ``templates``; every value is escaped unless it is HTML we made.

Templates get the words of one language: ``t`` (a text id), ``say`` (a report's text), ``number`` and ``percent``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from space.errors import TelltaleError
from space.service.page.atlas import Atlas
from space.service.page.found import Found
from space.service.page.languages import Words
from space.service.page.measured import Models, measured
from space.service.page.palette import palette_css
from space.service.page.snippets import read_snippets
from space.settings import MAX_FRAMES, MIB, MIN_FRAMES, SHARED, Settings
from space.texts import languages

HERE = Path(__file__).parent
STATIC = HERE / "static"
EXAMPLES = ("genuine", "forged")  # clips in examples/, each beside its poster
TABS = ("check", "giveaways", "how", "developers")
CAMERA_S = 8  # of a clip from the camera: enough for 16 frames, small enough to send from a phone


@dataclass(frozen=True)
class About:
    """What the page tells of this server beside words."""

    settings: Settings
    models: Models | None = None  # None: no cards at hand
    atlas: Atlas | None = None  # None: not measured yet
    found: Found | None = None  # None: no examples at hand


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    verdicts = json.loads((SHARED / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    environment.globals.update(icons={row["code"]: row["icon"] for row in verdicts}, mib=MIB)
    return environment


def render_template(name: str, *, lang: str, **values: Any) -> str:
    """A template's HTML in a language."""
    words = Words(lang)
    template = _environment().get_template(name)
    return template.render(
        lang=lang,
        t=words.t,
        say=words.say,
        number=words.number,
        estimate=words.estimate,
        percent=words.percent,
        **values,
    ).strip()


def read_static(*names: str) -> str:
    """Files of ``static``, one after the other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def render_shell(
    about: About, query: Mapping[str, str], *, lang: str, base_url: str = "", pending: bool = False
) -> str:
    """What a person sees before a check: how to choose a video, the examples, the promises, and the other tabs.

    Args:
        about: what the page tells of this server.
        query: the page's query parameters, kept when the language is changed.
        base_url: where this server is reached, for the examples of programs.
        pending: made before it was known which language is wanted; shown only after a moment.
    """
    words = Words(lang)
    links = [
        {"lang": other, "name": Words(other).t("page.language.name"), "link": f"?{urlencode({**query, 'lang': other})}"}
        for other in languages()
    ]
    limits = about.settings.limits
    return render_template(
        "shell.html",
        lang=lang,
        pending=pending,
        languages=links,
        tabs=TABS,
        examples=EXAMPLES,
        max_bytes=limits.max_bytes,
        limit_mb=limits.max_bytes // MIB,
        limit_min=round(limits.max_duration_s / 60),
        camera_s=CAMERA_S,
        n_frames=about.settings.n_frames,
        min_frames=MIN_FRAMES,
        max_frames=MAX_FRAMES,
        models=about.models,
        atlas=about.atlas,
        found=about.found,
        measured=lambda metric: measured(metric, words),
        snippets=read_snippets(base_url=base_url),
    )


def render_error(error: TelltaleError, *, lang: str, job: str = "", outcome: str = "notice") -> str:
    """What went wrong and what to do next. Looks like no verdict.

    Args:
        job: the check it is about, where that must be told from others.
        outcome: by which the page's scripts know it.
    """
    t = Words(lang).t
    sentence, step = f"error.{error.code}", f"error.{error.code}.next"
    words = t("page.error"), t(sentence, **error.params), t(step, **error.params)
    return render_notice(*words, job=job, outcome=outcome, lang=lang)


def render_notice(
    title: str, sentence: str, step: str = "", *, job: str = "", outcome: str = "notice", lang: str
) -> str:
    """A card with a title, a sentence and the next step, all in words."""
    return render_template(
        "notice.html", lang=lang, title=title, sentence=sentence, next=step, job=job, outcome=outcome
    )


def render_document(article: str, *, title: str, lang: str) -> str:
    """A file of its own around HTML that we made.

    Args:
        article: HTML, taken as it is.
    """
    styles = palette_css(dark="@media screen and (prefers-color-scheme: dark)") + read_static("report.css")
    return render_template("document.html", lang=lang, title=title, article=article, styles=styles)
