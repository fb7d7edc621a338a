"""Weights times data: every contender on every set, as one JSON document and one page."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from space import __version__
from space.analysis.faces import FaceFinder
from space.analysis.tracks import link_tracks
from space.lab.evaluation.contenders import Field, Judgement, Raw, judge
from space.lab.evaluation.disturb import CONDITIONS, FRAME_COUNTS, LEVELS, UNDISTURBED, Condition, Kind, disturb_face
from space.lab.evaluation.items import Entry, EvaluationSet, Item, draw_entries
from space.lab.evaluation.metrics import F64
from space.lab.evaluation.results import Result, Row, summarise
from space.lab.evaluation.shortcut import FEATURES, fit_shortcut, measure_shortcuts
from space.models.documents import encode
from space.settings import MAX_FRAMES, Settings

log = logging.getLogger(__name__)

SHORTCUT = "shortcut baseline"
JSON_FILE, PAGE_FILE = "evaluation.json", "evaluation.html"
Advance = Callable[[], None]


@dataclass(frozen=True)
class EvaluationChoices:
    """What is looked at."""

    n_frames: int = 16  # of a clip, as the service samples them
    n_samples: int | None = None  # of a set, whole sources at random; None: all
    n_disturbed: int = 0  # samples of a set that are also looked at disturbed; 0: no robustness curves
    disturbances: tuple[Kind, ...] = tuple(LEVELS)
    seed: int = 0


@dataclass(frozen=True)
class Evaluated:
    """A set with its results."""

    data: EvaluationSet
    entries: tuple[Entry, ...]
    results: tuple[Result, ...]
    errors: dict[str, str]  # name of a sample -> code
    n_faces: int
    note: str  # why there is no baseline; "" where there is one


def evaluate_sets(
    sets: Sequence[EvaluationSet], contenders: Field, choices: EvaluationChoices, *, advance: Advance = lambda: None
) -> list[Evaluated]:
    """Every contender on every set; memory holds one sample's faces at a time.

    Args:
        advance: called after every sample.
    """
    settings = Settings(n_frames=choices.n_frames, maps=False)
    with FaceFinder(settings.faces) as finder:
        return [_SetRun(data, contenders, choices, settings, finder).run(advance) for data in sets]


class _SetRun:
    """One pass over one set."""

    def __init__(
        self,
        data: EvaluationSet,
        contenders: Field,
        choices: EvaluationChoices,
        settings: Settings,
        finder: FaceFinder,
    ) -> None:
        self.data, self.field, self.choices, self.settings, self.finder = data, contenders, choices, settings, finder
        self.results = [Result(c.name, c.kind) for c in contenders.contenders]
        self.errors: dict[str, str] = {}
        self.features: list[F64] = []  # of one face each
        self.owners: list[Entry] = []  # whose face it is
        self.n_faces = 0

    def run(self, advance: Advance) -> Evaluated:
        """Read, score, judge; then the same disturbed, for part of it."""
        n = self.choices.n_samples
        chosen = self.data.entries if n is None else draw_entries(self.data.entries, n, seed=self.choices.seed)
        disturbed = set(draw_entries(chosen, self.choices.n_disturbed, seed=self.choices.seed + 1))
        if not self.choices.n_disturbed:
            disturbed = set()
        for entry in chosen:
            item = self.data.read(entry, self.finder, self.settings)
            rows = self._judge(item)
            for result, row in zip(self.results, rows, strict=True):
                result.rows.append(row)
            if item.error:
                self.errors[entry.name] = item.error
                log.warning("%s: %s", entry.name, item.error)
            self._measure_shortcuts(item)
            if entry in disturbed and item.faces:
                self._disturb(item, rows)
            advance()
        note = self._add_baseline(chosen)
        return Evaluated(self.data, tuple(chosen), tuple(self.results), self.errors, self.n_faces, note)

    def _judge(self, item: Item, *, condition: Condition | None = None) -> list[Row]:
        """One row per contender."""
        if item.info is None:
            return [Row(item.entry, "error", None, np.zeros(0)) for _ in self.results]
        tracks = link_tracks(item.faces)
        margin_factor = condition.value if condition and condition.kind == "margin" else 1.0
        seen = [
            track.faces if condition is None else [disturb_face(face, condition) for face in track.faces]
            for track in tracks
        ]
        raw: Raw = self.field.score(seen, margin_factor=margin_factor)
        if condition is None:
            self.n_faces += sum(len(faces) for faces in seen)
        rows = []
        for contender in self.field.contenders:
            said: Judgement = judge(
                contender, raw, tracks, item.info, self.settings.faces, n_frames=max(1, item.n_frames)
            )
            rows.append(Row(item.entry, said.code, said.p_fake, said.frame_p))
        return rows

    def _measure_shortcuts(self, item: Item) -> None:
        tracks = link_tracks(item.faces)
        most = max(tracks, key=lambda track: len(track.faces), default=None)
        for face in most.faces if most else ():
            self.features.append(measure_shortcuts(face))
            self.owners.append(item.entry)

    def _disturb(self, item: Item, plain: Sequence[Row]) -> None:
        is_clip = self.data.is_clip(item.entry)
        kinds = self.choices.disturbances
        for kind, value in ((kind, UNDISTURBED[kind]) for kind in kinds):  # where each curve begins
            for result, row in zip(self.results, plain, strict=True):
                result.disturbed.setdefault(Condition(kind, value), []).append(row)
        for condition in (condition for condition in CONDITIONS if condition.kind in kinds):
            if is_clip and condition.kind == "crf":  # as platforms do it: the whole clip, before faces are found
                again = self.data.read(item.entry, self.finder, self.settings, crf=int(condition.value))
                rows = self._judge(again)
            else:
                rows = self._judge(item, condition=condition)
            for result, row in zip(self.results, rows, strict=True):
                result.disturbed.setdefault(condition, []).append(row)
        if is_clip:
            self._count_frames(item.entry)

    def _count_frames(self, entry: Entry) -> None:
        """The verdict from fewer and from more frames, evenly spread over the clip."""
        most = min(max(FRAME_COUNTS), MAX_FRAMES)
        item = self.data.read(entry, self.finder, replace(self.settings, n_frames=most))
        for count in FRAME_COUNTS:
            wanted = set(np.linspace(0, item.n_frames - 1, min(count, item.n_frames)).round().astype(int).tolist())
            part = replace(item, faces=tuple(f for f in item.faces if f.frame_index in wanted), n_frames=len(wanted))
            for result, row in zip(self.results, self._judge(part, condition=_PLAIN), strict=True):
                result.by_count.setdefault(count, []).append(row)

    def _add_baseline(self, entries: Sequence[Entry]) -> str:
        labels = np.array([entry.label for entry in self.owners], np.int64)
        sources = [entry.source for entry in self.owners]
        p = fit_shortcut(np.stack(self.features), labels, sources) if self.features else None
        if p is None:
            return "no shortcut baseline: it needs both labels and several sources"
        faces: dict[str, list[float]] = {}
        for owner, value in zip(self.owners, p.tolist(), strict=True):
            faces.setdefault(owner.name, []).append(value)
        rows = []
        for entry in entries:
            own = np.array(faces.get(entry.name, []))
            rows.append(Row(entry, "", float(own.mean()) if own.size else None, own))
        self.results.append(Result(SHORTCUT, "baseline", rows))
        return ""


_PLAIN = Condition("margin", 1.0)  # changes nothing, and is not counted among the faces looked at


# --- the document ---------------------------------------------------------------------------------


def make_document(evaluated: Sequence[Evaluated], contenders: Field, choices: EvaluationChoices) -> dict[str, Any]:
    """All figures and every sample's p_fake, as JSON values."""
    return {
        "kind": "evaluation",
        "app_version": __version__,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "choices": encode(choices),
        "contenders": [
            {
                "name": c.name,
                "kind": c.kind,
                "parameters": c.n_parameters,
                "members": [
                    {"name": name, "weight": round(weight, 4), "sha256": sha}
                    for name, weight, sha in zip(c.combination.members, c.combination.weights, c.checksums, strict=True)
                ],
            }
            for c in contenders.contenders
        ],
        "shortcut_features": list(FEATURES),
        "sets": [_describe_set(one) for one in evaluated],
    }


def _describe_set(one: Evaluated) -> dict[str, Any]:
    labels = [entry.label for entry in one.entries]
    return {
        "name": one.data.name,
        "n": len(labels),
        "n_genuine": labels.count(0),
        "n_forged": labels.count(1),
        "n_sources": len({entry.source for entry in one.entries}),
        "n_faces": one.n_faces,
        "has_clips": any(one.data.is_clip(entry) for entry in one.entries),
        "note": one.note,
        "errors": one.errors,
        "results": {result.name: summarise(result) for result in one.results},
        "samples": [_describe_sample(one, index) for index in range(len(one.entries))],
    }


def _describe_sample(one: Evaluated, index: int) -> dict[str, Any]:
    entry = one.entries[index]
    rows = {result.name: result.rows[index] for result in one.results}
    said = {
        name: {"code": row.code, "p_fake": None if row.p_fake is None else round(row.p_fake, 4)}
        for name, row in rows.items()
    }
    return {"file": entry.name, "label": entry.label, "method": entry.method, "pair": entry.pair, "said": said}


def write_evaluation(
    evaluated: Sequence[Evaluated], contenders: Field, choices: EvaluationChoices, out: Path
) -> dict[str, Any]:
    """Write ``evaluation.json`` and ``evaluation.html`` into a folder.

    Returns:
        The document.
    """
    from space.lab.evaluation.page import draw_page  # matplotlib takes long to import

    document = make_document(evaluated, contenders, choices)
    out.mkdir(parents=True, exist_ok=True)
    (out / JSON_FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / PAGE_FILE).write_text(draw_page(document, evaluated), encoding="utf-8")
    return document
