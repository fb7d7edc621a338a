"""Training of members that read tracks: a frozen network's features in, a reader out.

The network that sees the frames comes from a run or a card of a frame member. Only the reader and the head learn, on
features that are computed once; twins lie in one batch, cut to the same frames. Resumable at every epoch.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from space.lab.evaluation.metrics import Estimate, auc, bootstrap_by_source
from space.lab.evaluation.results import encode_estimate
from space.lab.forge.sources import Source, read_clips
from space.lab.training.calibration import fit_calibration
from space.lab.training.files import FRAMES_FILE, LOG_FILE, MEMBER_FILE, PREDICTIONS_FILE, RECIPE_FILE
from space.lab.training.pairs import TwinData
from space.lab.training.result import Predictions, save_predictions
from space.lab.training.sequence_features import Amount, Features, read_features
from space.lab.training.sequence_recipes import SEQUENCE_RECIPES, SequenceRecipe
from space.lab.training.ship import LICENCE, auc_metric
from space.lab.training.trained import DATA, STILLS
from space.lab.training.transfer import read_start
from space.models.cards import UNCALIBRATED, Calibration, Card, Params, write_record
from space.models.member import find_linear
from space.models.registry import ARCHITECTURES, build_network
from space.models.sequence import SequenceMember
from space.models.weights import save_weights

log = logging.getLogger(__name__)

TRAIN, VALIDATION = 1, 2  # seeds of their tracks
MIN_WINDOW = 4  # frames
FRAME_COUNTS = (1, 2, 5, 10, 20, 40, 60, 80, 100)
BODY = ("trunk.", "tail.")
DATASET = "tracks forged by the lab from genuine faces of the DFDC's val split"


@dataclass(frozen=True)
class Material:
    """What a member is trained on and judged by."""

    data: Path  # a folder of face crops
    twins: Path  # the ``twins.npz`` of them
    stills: Path | None = None  # photos, where the recipe asks for them
    clips: Path | None = None  # a folder of genuine clips, of which those that may be trained on are


def train_sequence(
    recipe_name: str, material: Material, out: Path, *, start: Path, device: str, threads: int
) -> Estimate:
    """Train to the end and predict the validation tracks.

    Writes the member's card and weights into the run's folder beside log, predictions and what more frames give.

    Args:
        start: a card, a run's folder or a checkpoint of the frame member whose network sees the frames.

    Returns:
        Video-level, within-dataset AUC with its 95 % interval by source.

    Raises:
        KeyError: no such recipe.
        ValueError: data or start do not fit the recipe.
    """
    recipe = SEQUENCE_RECIPES[recipe_name]
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.manual_seed(recipe.seed)
    member, before = _begin(recipe, start)
    member = member.to(device).to(memory_format=torch.channels_last)
    where = torch.device(device)
    train = TwinData(material.data, material.twins, split="train", stills=material.stills)
    filmed = [] if material.clips is None else _read_filmed(material.clips, recipe)
    amount = Amount(train, filmed, recipe.n_train, recipe.n_frames, TRAIN)
    seen = read_features(member.eval(), recipe, amount, out, where)
    # Nothing of the photos and clips is kept from training; the split's own faces are.
    apart = replace(recipe, stills_share=0.0, clips_share=0.0)
    validation = TwinData(material.data, material.twins, split="val")
    amount = Amount(validation, [], recipe.n_validation, recipe.validation_frames, VALIDATION)
    held_out = read_features(member, apart, amount, out, where)
    _learn(member, recipe, seen, held_out, out, where)
    (out / RECIPE_FILE).write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    torch.save(member.state_dict(), out / MEMBER_FILE)
    predictions = _predict(member, held_out)
    save_predictions(predictions, out / PREDICTIONS_FILE)
    (out / FRAMES_FILE).write_text(json.dumps(compare_frame_counts(member, before, held_out), indent=1) + "\n")
    estimate = _estimate(predictions)
    _write_card(member, recipe, predictions, estimate, start.name, out)
    return estimate


def _begin(recipe: SequenceRecipe, start: Path) -> tuple[SequenceMember, nn.Linear | None]:
    """The untrained member over the start's network, and the layer that gave the start's own logit per frame."""
    member = build_network(recipe.architecture, Params(hidden=recipe.hidden, dropout=recipe.dropout))
    if not isinstance(member, SequenceMember):
        raise TypeError(f"{recipe.architecture} reads no tracks")
    base = ARCHITECTURES[recipe.architecture].base
    state = read_start(start, base)
    missing, _ = member.load_state_dict({k: v for k, v in state.items() if k.startswith(BODY)}, strict=False)
    if lacking := [key for key in missing if key.startswith(BODY)]:
        raise ValueError(f"the start lacks {', '.join(lacking[:3])}")
    frame = build_network(base, Params(region_head="region.weight" in state))
    frame.load_state_dict(dict(state))
    return member.requires_grad_(True), find_linear(frame.head)


def _read_filmed(folder: Path, recipe: SequenceRecipe) -> list[Source]:
    rng = np.random.default_rng(recipe.seed)
    return read_clips(folder, len(list(folder.iterdir())), rng, n_frames=4 * recipe.n_frames, use="train")


# --- learning -------------------------------------------------------------------------------------


def _learn(
    member: SequenceMember, recipe: SequenceRecipe, seen: Features, held_out: Features, out: Path, device: torch.device
) -> None:
    learning = [parameter for name, parameter in member.named_parameters() if not name.startswith(BODY)]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.peak_lr)
    first, seconds = _resume(member, optimiser, recipe, out)
    for epoch in range(first, recipe.epochs):
        began = time.perf_counter()
        rng = np.random.default_rng((recipe.seed, epoch))
        order = rng.permutation(len(seen.counts))
        member.train()
        losses = []
        for begin in range(0, len(order), recipe.batch_pairs):
            share = (epoch + begin / len(order)) / recipe.epochs
            for group in optimiser.param_groups:
                group["lr"] = recipe.peak_lr * _rate(share, recipe.warmup_share)
            frames, mask = _cut_windows(seen, order[begin : begin + recipe.batch_pairs], rng)
            logits = member.score_features(frames.float().to(device), mask.to(device))
            labels = torch.tensor([0.0, 1.0], device=device).repeat(len(logits) // 2)
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
            loss = loss + functional.softplus(logits[0::2] - logits[1::2]).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learning, recipe.clip_norm)
            optimiser.step()
            losses.append(float(loss.detach()))
        seconds += time.perf_counter() - began
        predictions = _predict(member, held_out)
        area = auc(predictions.labels, predictions.logits.astype(np.float64))
        line = {
            "epoch": epoch + 1,
            "images": (epoch + 1) * 2 * int(seen.counts.sum()),
            "loss": round(float(np.mean(losses)), 4),
            "val_auc": round(area, 4),
            "val_n": len(predictions.labels),
            "seconds": round(seconds, 1),
        }
        with (out / LOG_FILE).open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        log.info("%s", json.dumps(line))
        _save(member, optimiser, recipe, epoch + 1, seconds, out)
    member.eval()


def _rate(share: float, warmup: float) -> float:
    """Linear warm-up, then a cosine to zero."""
    if share < warmup:
        return (share + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))


def _cut_windows(seen: Features, rows: np.ndarray[Any, Any], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Some of the frames of every pair, the same of both twins: (2n, t, C) genuine and forged in turn, (2n, t)."""
    longest = seen.frames.shape[2]
    frames = torch.zeros(2 * len(rows), longest, seen.frames.shape[3], dtype=seen.frames.dtype)
    mask = torch.zeros(2 * len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows.tolist()):
        count = int(seen.counts[row])
        length = int(rng.integers(min(MIN_WINDOW, count), count + 1))
        step = int(rng.integers(1, max(1, count // length) + 1))
        first = int(rng.integers(count - (length - 1) * step))
        frames[2 * i : 2 * i + 2, :length] = seen.frames[row, :, first : first + (length - 1) * step + 1 : step]
        mask[2 * i : 2 * i + 2, :length] = True
    return frames, mask


def _save(
    member: SequenceMember,
    optimiser: torch.optim.Optimizer,
    recipe: SequenceRecipe,
    epoch: int,
    seconds: float,
    out: Path,
) -> None:
    reader = {key: value for key, value in member.state_dict().items() if not key.startswith(BODY)}
    state = {"recipe": asdict(recipe), "epoch": epoch, "seconds": seconds, "reader": reader}
    state |= {"optimiser": optimiser.state_dict(), "torch_rng": torch.get_rng_state()}
    partial = out / "checkpoint.partial"
    torch.save(state, partial)
    partial.rename(out / "checkpoint.pt")


def _resume(
    member: SequenceMember, optimiser: torch.optim.Optimizer, recipe: SequenceRecipe, out: Path
) -> tuple[int, float]:
    """Epochs done and their seconds, with everything as it was after them."""
    path, lines = out / "checkpoint.pt", out / LOG_FILE
    epoch, seconds = 0, 0.0
    if path.exists():
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if {**state["recipe"], "note": ""} != {**asdict(recipe), "note": ""}:
            raise ValueError(f"{path} belongs to another recipe; choose another folder")
        member.load_state_dict(state["reader"], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_rng"])
        epoch, seconds = state["epoch"], state["seconds"]
    if lines.exists():
        kept = [text for text in lines.read_text().splitlines() if json.loads(text)["epoch"] <= epoch]
        lines.write_text("".join(f"{text}\n" for text in kept))
    return epoch, seconds


# --- what it is worth -----------------------------------------------------------------------------


def _predict(member: SequenceMember, held_out: Features, n_frames: int | None = None) -> Predictions:
    """Logits of the validation tracks, or of so many of their frames."""
    member.eval()
    rows = []
    with torch.inference_mode():
        for i, count in enumerate(held_out.counts.tolist()):
            frames = held_out.frames[i, :, _spread(count, n_frames)].float()
            rows.append(member.score_features(frames.to(next(member.parameters()).device)).cpu().numpy())
    return _predictions(np.concatenate(rows), held_out)


def _spread(count: int, n_frames: int | None) -> list[int]:
    """Frames evenly over a track; all where there are no more."""
    n = count if n_frames is None else min(n_frames, count)
    return np.linspace(0, count - 1, n).round().astype(int).tolist() if n > 1 else [count // 2]


def _predictions(logits: np.ndarray[Any, Any], held_out: Features) -> Predictions:
    n = len(held_out.counts)
    return Predictions(
        names=[f"{i}-{label}" for i in range(n) for label in ("genuine", "forged")],
        labels=np.tile(np.array([0, 1], np.int64), n),
        sources=[source for source in held_out.sources for _ in range(2)],
        logits=logits.astype(np.float32),
    )


def _estimate(predictions: Predictions) -> Estimate:
    scores = predictions.logits.astype(np.float64)
    rng = np.random.default_rng(0)
    return bootstrap_by_source(auc, predictions.labels, scores, predictions.sources, rng=rng)


def compare_frame_counts(member: SequenceMember, linear: nn.Linear | None, held_out: Features) -> list[dict[str, Any]]:
    """Video AUC over the number of frames: of the reader, and of the mean of the frames' own logits.

    Args:
        linear: gives the frame member's logit from pooled features; None: its head is another.
    """
    rows = []
    for n in FRAME_COUNTS:
        if n > int(held_out.counts.max()):
            break
        row: dict[str, Any] = {"n_frames": n, "reader": encode_estimate(_estimate(_predict(member, held_out, n)))}
        if linear is not None:
            row["mean"] = encode_estimate(_estimate(_predictions(_mean_logits(linear, held_out, n), held_out)))
        rows.append(row)
    return rows


def _mean_logits(linear: nn.Linear, held_out: Features, n_frames: int) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        rows = [
            linear(held_out.frames[i, :, _spread(count, n_frames)].float()).mean(dim=1).flatten().numpy()
            for i, count in enumerate(held_out.counts.tolist())
        ]
    return np.concatenate(rows)


def _write_card(
    member: SequenceMember,
    recipe: SequenceRecipe,
    predictions: Predictions,
    estimate: Estimate,
    start: str,
    out: Path,
) -> None:
    entry, name = ARCHITECTURES[recipe.architecture], recipe.name
    last = json.loads((out / LOG_FILE).read_text().splitlines()[-1])
    try:
        calibration: Calibration = fit_calibration(predictions.labels, predictions.logits)
    except ValueError:  # it has learned nothing
        calibration = UNCALIBRATED
    card = Card(
        name=name,
        version="1",
        architecture=recipe.architecture,
        params=Params(hidden=recipe.hidden, dropout=recipe.dropout),
        input_px=recipe.input_px,
        mean=entry.mean,
        std=entry.std,
        margin=recipe.margin,
        calibration=calibration,
        metrics=(auc_metric(estimate, level="video", dataset=DATASET),),
        recipe=f"{name}: reader over the frozen network of {start}, {recipe.n_train} pairs of twin tracks of up to "
        f"{recipe.n_frames} frames, {recipe.epochs} epochs, AdamW {recipe.peak_lr:g} cosine, seed {recipe.seed}",
        data=DATA + (STILLS if recipe.stills_share else ""),
        licence=LICENCE,
        weights=f"{name}.safetensors",
        sha256=save_weights(member, out / f"{name}.safetensors"),
        images_seen=int(last["images"]),
        training_cost=f"{last['seconds'] / 60:.0f} minutes on shared x86 cores, without the frames' features",
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    write_record(card, out / f"{name}.json")


def read_sequence_recipe(folder: Path) -> SequenceRecipe | None:
    """A run's recipe; None where the run's member scores single faces."""
    name: str = json.loads((folder / RECIPE_FILE).read_text())["name"]
    return SEQUENCE_RECIPES.get(name)
