"""One table of members: what each costs, how far it was trained, and what it is worth, from finished runs and cards."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from space import __version__
from space.lab.evaluation.contenders import count_parameters
from space.lab.evaluation.metrics import METRICS, bootstrap_metrics
from space.lab.evaluation.results import N_DRAWS, encode_estimate
from space.lab.training.calibration import fit_calibration
from space.lab.training.files import FRAMES_FILE, PREDICTIONS_FILE
from space.lab.training.result import Predictions, load_predictions, read_log
from space.lab.training.sequence_recipes import SequenceRecipe
from space.lab.training.sequence_run import DATASET as SEQUENCE_DATASET
from space.lab.training.sequence_run import read_sequence_recipe
from space.lab.training.ship import DATASET, calibration_half
from space.lab.training.trained import read_run
from space.models.cards import UNCALIBRATED, Card, Params
from space.models.registry import ARCHITECTURES, build_network
from space.models.sequence import SequenceMember
from space.models.weights import describe_member

JSON_FILE, PAGE_FILE, SECTION_FILE = "comparison.json", "comparison.html", "comparison.md"
BATCH = 8
N_TIMED = 5  # batches, after one that warms up
RANKING = ("auc", "ap", "eer")  # need no calibration, so they are of the whole split
JUDGING = ("accuracy", "log_loss", "brier", "ece")  # of the half of the sources that did not fit the calibration


@dataclass(frozen=True)
class Cost:
    """What a member costs."""

    parameters: int
    input_px: int
    multiply_adds: int  # per image
    ms_per_image: float  # measured here, in batches of eight


def measure_cost(architecture: str, params: Params, input_px: int, *, threads: int) -> Cost:
    """Count parameters and multiply-adds, and time the network with random weights.

    Of a member that reads tracks: a frame's share of a track of ``BATCH`` frames.

    Args:
        threads: CPU threads.
    """
    with torch.device("meta"):
        shadow = build_network(architecture, params).eval()
        see = shadow.extract_features if isinstance(shadow, SequenceMember) else shadow
        with FlopCounterMode(display=False) as counter:
            see(torch.empty(1, 3, input_px, input_px))
    torch.set_num_threads(threads)
    member = build_network(architecture, params).eval()
    images = torch.rand(BATCH, 3, input_px, input_px).contiguous(memory_format=torch.channels_last)
    if isinstance(member, SequenceMember):
        images = images[None]
    card = _bare_card(architecture, params, input_px)
    return Cost(
        parameters=count_parameters(card),
        input_px=input_px,
        multiply_adds=counter.get_total_flops() // 2 + _count_reader(shadow),
        ms_per_image=round(_time_ms(member, images) / BATCH, 2),
    )


def _count_reader(member: nn.Module) -> int:
    """Multiply-adds of a frame after its features: every weight of the reader counts once."""
    if not isinstance(member, SequenceMember):
        return 0
    body = ("trunk.", "tail.")
    return sum(p.numel() for name, p in member.named_parameters() if p.ndim > 1 and not name.startswith(body))


def _time_ms(member: nn.Module, images: torch.Tensor) -> float:
    """Median milliseconds of a batch."""
    times = []
    with torch.inference_mode():
        for _ in range(N_TIMED + 1):
            began = time.perf_counter()
            member(images)
            times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times[1:]))


def _bare_card(architecture: str, params: Params, input_px: int) -> Card:
    """Enough of a card to build its network."""
    entry = ARCHITECTURES[architecture]
    return Card(
        *("compared", "1", architecture, params, input_px, entry.mean, entry.std, 1.0, UNCALIBRATED, ()),
        *("", "", "", "compared.safetensors", "0" * 64, None, "unknown", "2000-01-01T00:00:00Z"),
    )


# --- rows -----------------------------------------------------------------------------------------


def describe_run(folder: Path, *, threads: int = 1, seed: int = 0) -> dict[str, Any]:
    """A row for a finished run: the whole validation split, which is the data it was trained on's own."""
    if sequence := read_sequence_recipe(folder):
        return _describe_sequence_run(folder, sequence, threads=threads, seed=seed)
    run = read_run(folder)
    recipe, lines = run.recipe, read_log(folder)
    params = Params(region_head=True, dropout=recipe.dropout)
    last = lines[-1]
    return {
        "name": run.member_name,
        "architecture": recipe.architecture,
        "recipe": recipe.name,
        "images_seen": int(last["images"]),
        "minutes": round(last["seconds"] / 60, 1),
        "cost": vars(measure_cost(recipe.architecture, params, recipe.input_px, threads=threads)),
        "level": "frame",
        "metrics": judge_predictions(run.predictions, seed=seed),
        "dataset": DATASET,
        "curve": [{"images": line["images"], "val_auc": line["val_auc"]} for line in lines],
    }


def _describe_sequence_run(folder: Path, recipe: SequenceRecipe, *, threads: int, seed: int) -> dict[str, Any]:
    """A row for a member that reads tracks: forged tracks of faces held out, and what more frames give."""
    lines = read_log(folder)
    params = Params(hidden=recipe.hidden, dropout=recipe.dropout)
    return {
        "name": recipe.name.removeprefix("sequence-"),
        "architecture": recipe.architecture,
        "recipe": recipe.name,
        "images_seen": int(lines[-1]["images"]),
        "minutes": round(lines[-1]["seconds"] / 60, 1),
        "cost": vars(measure_cost(recipe.architecture, params, recipe.input_px, threads=threads)),
        "level": "video",
        "metrics": judge_predictions(load_predictions(folder / PREDICTIONS_FILE), seed=seed),
        "dataset": SEQUENCE_DATASET,
        "curve": [{"images": line["images"], "val_auc": line["val_auc"]} for line in lines],
        "frame_counts": json.loads((folder / FRAMES_FILE).read_text()),
    }


def judge_predictions(predictions: Predictions, *, seed: int) -> dict[str, Any]:
    """Frame-level figures with intervals by source. Calibration is fitted to half of the sources."""
    labels, sources = predictions.labels, predictions.sources
    logits = predictions.logits.astype(np.float64)
    rng = np.random.default_rng(seed)
    ranking = {name: METRICS[name] for name in RANKING}
    found = bootstrap_metrics(ranking, labels, logits, sources, rng=rng, n_draws=N_DRAWS)
    fit = calibration_half(sources)
    try:
        p_fake = fit_calibration(labels[fit], logits[fit]).p_fake(logits[~fit])
    except ValueError:  # the logits fall where the label rises: there is nothing to calibrate
        return {name: encode_estimate(estimate) for name, estimate in found.items()}
    judging = {name: METRICS[name] for name in JUDGING}
    kept = [source for source, fits in zip(sources, fit.tolist(), strict=True) if not fits]
    found |= bootstrap_metrics(judging, labels[~fit], np.asarray(p_fake), kept, rng=rng, n_draws=N_DRAWS)
    return {name: encode_estimate(estimate) for name, estimate in found.items()}


def describe_card(name: str, *, threads: int = 1) -> dict[str, Any]:
    """A row for a member by its card: what the card says, and the cost measured here.

    Args:
        name: of the member, or the path of its card.

    Raises:
        RequestError: ``bad_members``.
    """
    card = describe_member(name)
    metrics = {
        m.name: {"value": m.value, "low": m.interval[0], "high": m.interval[1], "n": m.n}
        for m in card.metrics
        if m.interval is not None
    }
    return {
        "name": card.name,
        "architecture": card.architecture,
        "recipe": card.recipe.partition(":")[0],
        "images_seen": card.images_seen,
        "minutes": None,
        "training_cost": card.training_cost,
        "cost": vars(measure_cost(card.architecture, card.params, card.input_px, threads=threads)),
        "level": card.metrics[0].level if card.metrics else "frame",
        "metrics": metrics,
        "dataset": card.metrics[0].dataset if card.metrics else "",
        "curve": [],
    }


def read_elsewhere(evaluations: Iterable[Path]) -> list[dict[str, Any]]:
    """Columns from ``evaluation.json`` files: a set's name, and what each contender reached on it."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in evaluations]
    sets = [one for document in documents for one in document["sets"]]
    return [{"name": one["name"], "n": one["n"], "values": _values(one)} for one in sets]


def _values(one: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, figures in one["results"].items():
        crf = {e["value"]: e["auc"] for e in figures["robustness"] if e["kind"] == "crf" and "auc" in e}
        found[name] = {
            "kind": figures["kind"],
            "auc": figures.get("video", {}).get("auc"),
            "accuracy": figures.get("video", {}).get("accuracy"),
            "false_alarm_rate": figures["clips"]["false_alarm_rate"],
            "crf_23": crf.get(23),
            "crf_40": crf.get(40),
            "families": {
                family: of_family["auc"]
                for family, of_family in figures.get("methods", {}).items()
                if "/" not in family and "auc" in of_family
            },
        }
    return found


def make_comparison(rows: Sequence[dict[str, Any]], columns: Sequence[dict[str, Any]], machine: str) -> dict[str, Any]:
    """The document: members in order of their AUC; namesakes are told apart by their recipes.

    Args:
        rows: of ``describe_run`` and ``describe_card``.
        columns: of ``read_elsewhere``.
        machine: what the times were measured on, in words.
    """
    names = [row["name"] for row in rows]
    full = [f"{row['name']} ({row['recipe']})" for row in rows]
    shown = [long if names.count(name) > 1 else name for name, long in zip(names, full, strict=True)]
    distinct = [{**row, "name": name} for row, name in zip(rows, shown, strict=True)]
    ordered = sorted(distinct, key=lambda row: -row["metrics"].get("auc", {"value": 0.0})["value"])
    return {
        "kind": "comparison",
        "app_version": __version__,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine,
        "members": ordered,
        "sets": list(columns),
    }


def write_comparison(document: dict[str, Any], out: Path) -> Path:
    """Write ``comparison.json``, ``comparison.html`` and ``comparison.md``; returns the page's path."""
    from space.lab.evaluation.compare_page import draw_comparison, draw_section

    out.mkdir(parents=True, exist_ok=True)
    (out / JSON_FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / SECTION_FILE).write_text(draw_section(document) + "\n", encoding="utf-8")
    (out / PAGE_FILE).write_text(draw_comparison(document), encoding="utf-8")
    return out / PAGE_FILE
