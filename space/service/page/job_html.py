"""A check as a person sees it at one moment: how far it is, what it found, or why there is nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from space.contract import Analysis
from space.errors import InternalError
from space.service.page.html import render_error, render_notice, render_template
from space.service.page.languages import Words
from space.service.page.measured import Models
from space.service.page.report_html import render_report
from space.service.views import JobView, Stage

STEPS: tuple[tuple[str, frozenset[Stage]], ...] = (
    ("start", frozenset({"accepted", "download", "queued", "loading", "source"})),
    ("faces", frozenset({"frames", "faces"})),
    ("scores", frozenset({"scores"})),
    ("report", frozenset({"verdict", "pictures"})),
)

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One of the steps a check goes through."""

    name: str
    state: str  # "past", "now" or "next"


def render_job(view: JobView, analysis: Callable[[], Analysis], *, lang: str, models: Models | None = None) -> str:
    """What is to be seen of a job.

    Args:
        view: the job as it is.
        analysis: its report with its pictures; called only when it is done.
        lang: a language of ``shared/text``.
        models: the cards at hand.
    """
    t = Words(lang).t
    if view.stage == "cancelled":
        return render_notice(t("page.stopped"), "", lang=lang)
    if view.stage == "failed":
        return render_error(view.error or InternalError("internal"), lang=lang)
    if view.stage == "done":
        return _render_done(view.job_id, analysis, lang=lang, models=models)
    return render_template(
        "progress.html",
        lang=lang,
        steps=list_steps(view.stage),
        stage=describe_stage(view, Words(lang)),
        fraction=None if view.stage in ("accepted", "queued", "loading") else view.fraction,
        preliminary=view.preliminary,
    )


def list_steps(stage: Stage) -> list[Step]:
    """The steps, as far as a job that has not ended has come."""
    current = next(i for i, (_, stages) in enumerate(STEPS) if stage in stages)
    states = ["past"] * current + ["now"] + ["next"] * (len(STEPS) - current - 1)
    return [Step(name, state) for (name, _), state in zip(STEPS, states, strict=True)]


def describe_stage(view: JobView, words: Words) -> str:
    """What happens at the moment, in words."""
    ahead = "" if view.n_ahead is None else f" {words.t('page.waiting.ahead', n_ahead=view.n_ahead)}."
    match view.stage:
        case "queued":
            return f"{words.t('page.waiting')}.{ahead}"
        case "accepted":
            return words.t("page.accepted")
        case "loading":
            return words.t("page.loading")
        case "download":
            return f"{words.t('page.fetching')}.{ahead}" if ahead else words.t("page.fetching")
    return words.t(f"stage.{view.stage}")


def _render_done(job_id: str, analysis: Callable[[], Analysis], *, lang: str, models: Models | None) -> str:
    try:
        return render_report(analysis(), lang=lang, models=models, job=job_id)
    except (KeyError, ValueError):  # a picture or text it names is not there: our fault, and no verdict
        LOG.exception("a report could not be shown")
        return render_error(InternalError("internal"), lang=lang)
