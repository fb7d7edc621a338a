"""What is told of a job, as a record and as JSON in a reader's language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import Any, Literal, get_args

from space.contract import Text, Verdict, VerdictCode
from space.errors import InternalError, TelltaleError
from space.settings import SHARED
from space.texts import FALLBACK_LANGUAGE, render, translate

Stage = Literal[
    "accepted",  # known, and nothing has begun
    "download",  # links only, before the queue
    "queued",  # others come first: n_ahead
    "loading",  # of the models, where they are not loaded yet
    "source",  # this and the next five are the pipeline's
    "frames",
    "faces",
    "scores",
    "verdict",
    "pictures",
    "done",  # last: there is a report
    "failed",  # last: there is an error
    "cancelled",  # last: it was stopped
]
STAGES: tuple[Stage, ...] = get_args(Stage)
LAST: frozenset[Stage] = frozenset(("done", "failed", "cancelled"))


@dataclass(frozen=True)
class Preliminary:
    """What the first faces say, while the others are still being scored."""

    code: VerdictCode
    p_fake: float | None  # calibrated; None without a face
    sentence: Text


@dataclass(frozen=True)
class JobView:
    """A job at one moment."""

    job_id: str  # 32 hex digits
    stage: Stage
    fraction: float  # of the whole job, [0, 1]; never goes back
    created: float  # seconds since the epoch
    expires: float  # seconds since the epoch: when the job and its report are forgotten, unless shared
    n_ahead: int | None = None  # how many must end before; only while "queued" or waiting for a download
    preliminary: Preliminary | None = None
    report: Mapping[str, Any] | None = None  # shared/report.schema.json; only with "done"
    error: TelltaleError | None = None  # only with "failed"

    @property
    def is_last(self) -> bool:
        """Whether the job has ended."""
        return self.stage in LAST


def view_json(view: JobView, *, lang: str = FALLBACK_LANGUAGE) -> dict[str, Any]:
    """A view as a JSON document; sentences in a language, the report as it is."""
    preliminary = view.preliminary
    return {
        "job_id": view.job_id,
        "stage": view.stage,
        "fraction": round(view.fraction, 4),
        "n_ahead": view.n_ahead,
        "preliminary": preliminary
        and {
            "code": preliminary.code,
            "p_fake": preliminary.p_fake,
            "sentence": translate(preliminary.sentence, lang=lang),
        },
        "report": view.report,
        "error": None if view.error is None else error_json(view.error, lang=lang),
        "created": iso_time(view.created),
        "expires": iso_time(view.expires),
    }


def refusal_json(job_id: str, error: TelltaleError, *, now: float, lang: str = FALLBACK_LANGUAGE) -> dict[str, Any]:
    """What is told when there is no job because it was refused: a view of one that failed."""
    view = JobView(job_id=job_id, stage="failed", fraction=0.0, created=now, expires=now, error=error)
    return view_json(view, lang=lang)


def error_json(error: TelltaleError, *, lang: str = FALLBACK_LANGUAGE) -> dict[str, Any]:
    """An error as ``{"code", "message", "next"}``, and ``retry_after_s`` where waiting helps."""
    said = {
        "code": error.code,
        "message": render(f"error.{error.code}", error.params, lang=lang),
        "next": render(f"error.{error.code}.next", error.params, lang=lang),
    }
    retry = {name: error.params[name] for name in ("retry_after_s",) if name in error.params}
    return {**said, **retry}


def http_status(error: TelltaleError) -> int:
    """What ``shared/errors.json`` says."""
    return _http_statuses()[error.code]


@cache
def _http_statuses() -> Mapping[str, int]:
    rows = json.loads((SHARED / "errors.json").read_text(encoding="utf-8"))["errors"]
    return {row["code"]: row["http_status"] for row in rows}


def iso_time(seconds: float) -> str:
    """ISO 8601, UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- as it is kept ----------------------------------------------------------------------------


def store_error(error: TelltaleError) -> dict[str, Any]:
    """An error for the database."""
    return {"code": error.code, "params": dict(error.params)}


def restore_error(kept: Mapping[str, Any]) -> TelltaleError:
    """An error out of the database; one of a version whose codes were others is an internal one."""
    for kind in _error_kinds(TelltaleError):
        if kept["code"] in kind.codes:
            return kind(kept["code"], **kept["params"])
    return InternalError("internal")


def _error_kinds(kind: type[TelltaleError]) -> list[type[TelltaleError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _error_kinds(child))]


def make_preliminary(verdict: Verdict) -> Preliminary:
    """What is told of a verdict that may still change."""
    return Preliminary(verdict.code, verdict.p_fake, verdict.sentence)


def store_preliminary(preliminary: Preliminary) -> dict[str, Any]:
    """A preliminary verdict for the database."""
    sentence = preliminary.sentence
    text = {"id": sentence.id, "en": sentence.en, "params": dict(sentence.params)}
    return {"code": preliminary.code, "p_fake": preliminary.p_fake, "sentence": text}


def restore_preliminary(kept: Mapping[str, Any]) -> Preliminary:
    """A preliminary verdict out of the database."""
    return Preliminary(kept["code"], kept["p_fake"], Text(**kept["sentence"]))
