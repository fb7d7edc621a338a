"""From a trained member to a card: figures on the whole validation split, then the shipped files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from space.contract import F32
from space.lab.evaluation.metrics import Estimate, auc, bootstrap_by_source
from space.lab.training.engine import predict_logits
from space.lab.training.files import AVERAGE_FILE, LOG_FILE, START_FILE
from space.lab.training.pairs import TwinData, frame_crops
from space.lab.training.recipe import Recipe
from space.models.cards import Card
from space.models.member import FrameMember


@dataclass(frozen=True)
class Before:
    """What is known of the weights that a run began with, if they were trained here."""

    recipe: str  # in a line
    images_seen: int
    training_cost: str


@dataclass(frozen=True)
class Predictions:
    """Logits of a data set's faces, with what is needed to judge them."""

    names: list[str]
    labels: np.ndarray[tuple[int], np.dtype[np.int64]]
    sources: list[str]
    logits: F32


def predict_split(
    member: FrameMember,
    recipe: Recipe,
    data: TwinData,
    *,
    bf16: bool,
    device: str = "cpu",
    chunk: int = 256,
) -> Predictions:
    """Logits of every face of a split, in chunks so that memory stays bounded."""
    logits = []
    for start in range(0, len(data.faces), chunk):
        crops = frame_crops(data, data.faces[start : start + chunk], margin=recipe.margin, input_px=recipe.input_px)
        logits.append(predict_logits(member, recipe, crops, bf16=bf16, device=torch.device(device)))
    return Predictions(
        names=data.faces,
        labels=np.array([data.label(n) for n in data.faces], np.int64),
        sources=[data.source(n) for n in data.faces],
        logits=np.concatenate(logits),
    )


def estimate_auc(predictions: Predictions, *, seed: int = 0) -> Estimate:
    """Frame-level, within-dataset AUC with its interval by source."""
    return bootstrap_by_source(
        auc,
        predictions.labels,
        predictions.logits.astype(np.float64),
        predictions.sources,
        rng=np.random.default_rng(seed),
    )


def save_predictions(predictions: Predictions, path: Path) -> None:
    """As an npz that ``load_predictions`` reads."""
    np.savez(
        path,
        names=np.array(predictions.names),
        labels=predictions.labels,
        sources=np.array(predictions.sources),
        logits=predictions.logits,
    )


def load_predictions(path: Path) -> Predictions:
    """What ``save_predictions`` wrote."""
    with np.load(path) as arrays:
        return Predictions(
            arrays["names"].tolist(), arrays["labels"], arrays["sources"].tolist(), arrays["logits"].astype(np.float32)
        )


def describe_run(recipe: Recipe, folder: Path) -> Before:
    """A finished run, with all that came before it."""
    last = read_log(folder)[-1]  # fewer images than planned if it stopped early
    start = read_before(folder)
    cost = f"{last['seconds'] / 60:.0f} minutes on shared x86 cores"
    average = folder / AVERAGE_FILE
    mean = f"; mean of its weights and {json.loads(average.read_text())['with']}'s" if average.exists() else ""
    return Before(
        recipe=describe_recipe(recipe, start) + mean,
        images_seen=int(last["images"]) + (start.images_seen if start else 0),
        training_cost=f"{start.training_cost}, then {cost}" if start else cost,
    )


def describe_card(card: Card) -> Before:
    """A member that was trained earlier."""
    return Before(card.recipe, card.images_seen or 0, card.training_cost)


def read_before(folder: Path) -> Before | None:
    """What a run's folder says of the weights it began with."""
    path = folder / START_FILE
    return Before(**json.loads(path.read_text())) if path.exists() else None


def read_log(folder: Path) -> list[dict[str, float]]:
    """A run's log lines."""
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def describe_recipe(recipe: Recipe, start: Before | None = None) -> str:
    """A recipe in a line, for the card; after that of the weights it began with, if they were trained here."""
    sizes = ", ".join(f"{phase.n_images} windows of {phase.window_px} px" for phase in recipe.phases)
    kinds = [
        (recipe.self_blend_share, "self-blended"),
        (recipe.swap_share, "swapped"),
        (recipe.further_share, "of further families"),
        (recipe.feathered_share, "feathered"),
    ]
    forged = ", ".join(f"{share:.0%} {name}" for share, name in kinds if share)
    rates = {"none": "falling towards the end" if recipe.cooldown_images else "constant", "one_cycle": "in one cycle"}
    rate = rates.get(recipe.decay, "cosine")
    body = f"{recipe.train_from or 'all'} on at {recipe.body_rate:g} of the rate"
    origin = "public ImageNet" if recipe.start == "imagenet" else "other"
    begins = f"from {origin} weights (heads alone for {recipe.head_images} images, then {body})"
    begins = begins if recipe.head_images else "from scratch" if start is None else "from there"
    earlier = "" if start is None else f"{start.recipe}; then "
    return (
        f"{earlier}{recipe.name}: {begins}, {recipe.n_images} images ({sizes}), "
        f"{'twins' if recipe.paired else 'unrelated faces'} in a batch of {2 * recipe.batch_pairs}, "
        f"{forged}, region head, AdamW {recipe.peak_lr:g} {rate}, "
        f"moving average {recipe.ema_decay:g}, seed {recipe.seed}"
    )
