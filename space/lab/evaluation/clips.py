"""Whole clips scored as the service does: the same decoding, faces, crops, averaging and verdict."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from space.analysis.pipeline import check_file
from space.contract import Report
from space.errors import TelltaleError
from space.lab.evaluation.metrics import auc, bootstrap_by_source, share_above_twin
from space.models.weights import load_ensemble, parse_members
from space.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipScore:
    """One clip's outcome."""

    file: str
    label: int
    method: str
    pair: str  # file of the genuine twin; "" without
    code: str  # of the verdict
    p_fake: float | None  # None without a face
    error: str | None  # code, where no report came out


def evaluate_clips(folder: Path, out: Path, *, n_frames: int, members: str | None) -> str:
    """Score every clip of a manifest and write scores and figures as JSON.

    A clip without a p_fake (an error, no face) stays in the list and counts as p_fake 0.5 in the figures,
    which says so in ``n_unscored``.

    Returns:
        The figures in a line.
    """
    ensemble = load_ensemble(parse_members(members) if members else None)
    settings = Settings(n_frames=n_frames, maps=False)
    scores = []
    for row in read_clip_manifest(folder):
        try:
            report: Report | None = check_file(
                folder / row["file"], settings=settings, ensemble=ensemble, progress=_keep_quiet
            ).report
            error = None
        except TelltaleError as failure:
            report, error = None, failure.code
        scores.append(
            ClipScore(
                file=row["file"],
                label=int(row["label"]),
                method=row["method"] or "",
                pair=row["pair"] or "",
                code=report.verdict.code if report else "error",
                p_fake=report.verdict.p_fake if report else None,
                error=error,
            )
        )
        log.info("%s", scores[-1])
    figures = clip_figures(scores)
    document = {"ensemble": asdict(ensemble.info), "figures": figures, "clips": [asdict(score) for score in scores]}
    out.write_text(json.dumps(document, indent=2) + "\n")
    return json.dumps(figures)


def _keep_quiet(_stage: str, _fraction: float) -> None:
    """The lab shows whole clips, not stages."""


def read_clip_manifest(folder: Path) -> list[dict[str, str]]:
    """Rows of ``manifest.csv``; ``pair`` names a file, with or without its suffix."""
    with (folder / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    files = {Path(row["file"]).stem: row["file"] for row in rows}
    return [{**row, "pair": files.get(Path(row["pair"] or "").stem, "")} for row in rows]


def clip_figures(scores: list[ClipScore]) -> dict[str, Any]:
    """Video-level AUC by source, twins in order, false alarms."""
    p = np.array([0.5 if s.p_fake is None else s.p_fake for s in scores])
    labels = np.array([s.label for s in scores], np.int64)
    sources = [s.pair or s.file for s in scores]
    estimate = bootstrap_by_source(auc, labels, p, sources, rng=np.random.default_rng(0))
    by_file = dict(zip([s.file for s in scores], p, strict=True))
    twins = [(by_file[s.file], by_file[s.pair]) for s in scores if s.label == 1 and s.pair in by_file]
    fakes, genuine = (np.array(side) for side in zip(*twins, strict=True)) if twins else (np.zeros(0), np.zeros(0))
    return {
        "video_auc": round(estimate.value, 4),
        "interval": [round(estimate.low, 4), round(estimate.high, 4)],
        "n": estimate.n,
        "n_unscored": sum(s.p_fake is None for s in scores),
        "twins": len(twins),
        "share_above_twin": round(share_above_twin(fakes, genuine), 4) if twins else None,
        "false_alarms": sum(s.label == 0 and s.code in ("some", "strong") for s in scores),
        "n_genuine": int((labels == 0).sum()),
        "found": sum(s.label == 1 and s.code in ("some", "strong") for s in scores),
        "n_forged": int((labels == 1).sum()),
        "abstained": sum(s.code == "inconclusive" for s in scores),
    }
