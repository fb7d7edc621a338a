"""Pages and pieces of them as HTML, from the files in ``templates``; every value is escaped unless it is HTML we made.

Templates get the words of one language: ``t`` (a text id), ``say`` (a report's text), ``number`` and ``percent``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from space.errors import TelltaleError
from space.service.page.languages import Words
from space.service.page.palette import palette_css
from space.settings import MIB, SHARED, Limits
from space.texts import languages

HERE = Path(__file__).parent
STATIC = HERE / "static"
EXAMPLES = ("genuine", "forged")  # clips in examples/, each beside its poster


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
        lang=lang, t=words.t, say=words.say, number=words.number, percent=words.percent, **values
    ).strip()


def read_static(*names: str) -> str:
    """Files of ``static``, one after the other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def render_shell(limits: Limits, query: Mapping[str, str], *, lang: str, pending: bool = False) -> str:
    """What a person sees before a check: how to choose a file, the examples, the promises.

    Args:
        query: the page's query parameters, kept when the language is changed.
        pending: made before it was known which language is wanted; shown only after a moment.
    """
    links = [
        {"lang": other, "name": Words(other).t("page.language.name"), "link": f"?{urlencode({**query, 'lang': other})}"}
        for other in languages()
    ]
    return render_template(
        "shell.html",
        lang=lang,
        pending=pending,
        languages=links,
        examples=EXAMPLES,
        max_bytes=limits.max_bytes,
        limit_mb=limits.max_bytes // MIB,
        limit_min=round(limits.max_duration_s / 60),
    )


def render_progress(stage: str, fraction: float | None, *, lang: str) -> str:
    """How far a check is.

    Args:
        stage: words.
        fraction: of the whole check, [0, 1]; None where nobody knows.
    """
    return render_template("progress.html", lang=lang, stage=stage, fraction=fraction)


def render_error(error: TelltaleError, *, lang: str) -> str:
    """What went wrong and what to do next. Looks like no verdict."""
    t = Words(lang).t
    sentence, step = f"error.{error.code}", f"error.{error.code}.next"
    return render_notice(t("page.error"), t(sentence, **error.params), t(step, **error.params), lang=lang)


def render_notice(title: str, sentence: str, step: str = "", *, drawing: str = "not-checked", lang: str) -> str:
    """A card with a title, a sentence and the next step, all in words."""
    return render_template("notice.html", lang=lang, title=title, sentence=sentence, next=step, drawing=drawing)


def render_document(article: str, *, title: str, lang: str) -> str:
    """A file of its own around HTML that we made.

    Args:
        article: HTML, taken as it is.
    """
    styles = palette_css(dark="@media (prefers-color-scheme: dark)") + read_static("report.css")
    return render_template("document.html", lang=lang, title=title, article=article, styles=styles)
