"""What each change of a recipe does: runs beside the one they vary, by the numbers that choose a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from space.lab.evaluation.metrics import F64, I64, auc, bootstrap_by_source
from space.lab.evaluation.results import N_DRAWS, UNSCORED_P, encode_estimate
from space.lab.training.recipe import Recipe
from space.lab.training.result import read_log
from space.lab.training.trained import FinishedRun, read_run

JSON_FILE, SECTION_FILE = "ablation.json", "ablation.md"
VALIDATION = "val"
UNTOLD = ("name", "note", "log_every", "n_validation")  # fields of a recipe that are no change of it


@dataclass(frozen=True)
class Scored:
    """The same samples as several runs score them."""

    name: str
    labels: I64
    sources: list[str]
    methods: list[str]
    scores: dict[str, F64]  # by run; higher = more fake
    twins: NDArray[np.int64]  # (n,) row of a forgery's genuine twin; -1 without

    def select(self, keep: NDArray[np.bool_]) -> Scored:
        """Part of the samples; twins are not kept."""
        rows = np.flatnonzero(keep)
        return Scored(
            self.name,
            self.labels[rows],
            [self.sources[i] for i in rows],
            [self.methods[i] for i in rows],
            {name: values[rows] for name, values in self.scores.items()},
            np.full(len(rows), -1),
        )


def describe_ablation(folders: Sequence[Path], evaluations: Sequence[Path], *, seed: int = 0) -> dict[str, Any]:
    """The document: the first run is what the others vary.

    Args:
        folders: of finished runs, validated on the same faces.
        evaluations: ``evaluation.json`` files of these runs (``lab evaluate --run``).

    Raises:
        ValueError: the runs were validated on different faces, or an evaluation lacks one of them.
    """
    runs = [read_run(folder) for folder in folders]
    base = runs[0].recipe
    sets = [_from_predictions(runs), *_from_evaluations(evaluations, [run.recipe.name for run in runs])]
    rows = []
    for run, folder in zip(runs, folders, strict=True):
        last = read_log(folder)[-1]
        rows.append(
            {
                "name": run.recipe.name,
                "changes": describe_changes(run.recipe, base),
                "images_seen": int(last["images"]),
                "minutes": round(last["seconds"] / 60, 1),
                "sets": {one.name: _judge(one, run.recipe.name, base.name, seed) for one in sets},
            }
        )
    return {"kind": "ablation", "base": base.name, "runs": rows}


def describe_changes(recipe: Recipe, base: Recipe) -> dict[str, Any]:
    """The fields in which a recipe differs from the base, as JSON values."""
    own, theirs = asdict(recipe), asdict(base)
    return {key: own[key] for key in own if own[key] != theirs[key] and key not in UNTOLD}


def _from_predictions(runs: Sequence[FinishedRun]) -> Scored:
    first = runs[0].predictions
    if any(run.predictions.names != first.names for run in runs):
        raise ValueError("the runs were validated on different faces")
    return Scored(
        VALIDATION,
        first.labels,
        first.sources,
        ["DFDC" if label else "" for label in first.labels],
        {run.recipe.name: run.predictions.logits.astype(np.float64) for run in runs},
        np.full(len(first.labels), -1),
    )


def _from_evaluations(paths: Sequence[Path], names: Sequence[str]) -> Iterator[Scored]:
    for path in paths:
        for one in json.loads(path.read_text(encoding="utf-8"))["sets"]:
            if lacking := [name for name in names if name not in one["results"]]:
                raise ValueError(f"{path} does not tell of {', '.join(lacking)}")
            if one["n_genuine"] and one["n_forged"]:
                yield _from_samples(one["name"], one["samples"], names)


def _from_samples(name: str, samples: Sequence[dict[str, Any]], names: Sequence[str]) -> Scored:
    rows = {sample["file"]: row for row, sample in enumerate(samples)}
    said = {run: [sample["said"][run]["p_fake"] for sample in samples] for run in names}
    return Scored(
        name,
        np.array([sample["label"] for sample in samples], np.int64),
        [sample["pair"] or sample["file"] for sample in samples],
        [sample["method"] if sample["label"] else "" for sample in samples],
        {run: np.array([UNSCORED_P if p is None else p for p in values]) for run, values in said.items()},
        np.array([rows.get(sample["pair"], -1) if sample["label"] else -1 for sample in samples], np.int64),
    )


def _judge(one: Scored, run: str, base: str, seed: int) -> dict[str, Any]:
    families = sorted({method.partition("/")[0] for method in one.methods} - {""})
    figures = {"n": len(one.labels), **_estimate(one, run, base, seed)}
    paired = one.twins >= 0
    if paired.any():
        leads = one.scores[run][paired] - one.scores[run][one.twins[paired]]
        figures["twins"] = int(paired.sum())
        figures["above_twin"] = float((leads > 0).sum() + 0.5 * (leads == 0).sum())
    if len(families) > 1:
        figures["families"] = {}
        for family in families:
            belongs = np.array([method.partition("/")[0] == family for method in one.methods])
            figures["families"][family] = _estimate(one.select(belongs | (one.labels == 0)), run, base, seed)
    return figures


def _estimate(one: Scored, run: str, base: str, seed: int) -> dict[str, Any]:
    """A run's AUC, and how far it lies above the base's on the same samples."""
    ours, theirs = one.scores[run], one.scores[base]

    def lead(labels: I64, rows: F64) -> float:
        drawn = rows.astype(np.int64)
        return auc(labels, ours[drawn]) - auc(labels, theirs[drawn])

    rows = np.arange(len(ours), dtype=np.float64)
    found = {
        name: bootstrap_by_source(
            metric, one.labels, values, one.sources, rng=np.random.default_rng(seed), n_draws=N_DRAWS
        )
        for name, metric, values in (("auc", auc, ours), ("lead", lead, rows))
    }
    return {name: encode_estimate(estimate) for name, estimate in found.items()}


# --- in Markdown ----------------------------------------------------------------------------------


def draw_ablation(document: dict[str, Any]) -> str:
    """A table of all sets, and one of forgeries' families where a set has several."""
    runs, sets = document["runs"], list(document["runs"][0]["sets"])
    head = ["run", "changes", "images", "minutes"]
    for name in sets:
        head += [f"{name}: AUC", "from the base"]
        head += ["above twin"] if "twins" in runs[0]["sets"][name] else []
    rows = []
    for run in runs:
        cells = [run["name"], _show_changes(run["changes"]), f"{run['images_seen']:,}", f"{run['minutes']:g}"]
        for name in sets:
            figures = run["sets"][name]
            cells += [_show(figures["auc"]), _show_lead(figures["lead"], run["name"] == document["base"])]
            cells += [f"{figures['above_twin']:g} of {figures['twins']}"] if "twins" in figures else []
        rows.append(cells)
    tables = [_table(head, rows)]
    tables += [_draw_families(document, name) for name in sets if "families" in runs[0]["sets"][name]]
    return "\n\n".join(tables)


def _draw_families(document: dict[str, Any], name: str) -> str:
    families = list(document["runs"][0]["sets"][name]["families"])
    rows = []
    for run in document["runs"]:
        found = run["sets"][name]["families"]
        rows.append([run["name"], *(_show(found[family]["auc"]) for family in families)])
    return _table([f"{name}, AUC by family", *families], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _show_changes(changes: dict[str, Any]) -> str:
    words = []
    for key, value in changes.items():
        if key == "phases":
            words.append(" then ".join(f"{phase['n_images']} at {phase['window_px']} px" for phase in value))
        else:
            words.append(f"{key} {value}")
    return ", ".join(words)


def _show(estimate: dict[str, Any]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _show_lead(estimate: dict[str, Any], is_base: bool) -> str:
    if is_base:
        return ""
    return f"{estimate['value']:+.3f} [{estimate['low']:+.3f}, {estimate['high']:+.3f}]"


def write_ablation(document: dict[str, Any], out: Path) -> Path:
    """Write ``ablation.json`` and ``ablation.md``; returns the latter's path."""
    out.mkdir(parents=True, exist_ok=True)
    (out / JSON_FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / SECTION_FILE).write_text(draw_ablation(document) + "\n", encoding="utf-8")
    return out / SECTION_FILE
