"""One run from recipe to predictions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import torch

from space.lab.evaluation.metrics import Estimate
from space.lab.training.engine import Trainer
from space.lab.training.files import MEMBER_FILE, PREDICTIONS_FILE, RECIPE_FILE, START_FILE
from space.lab.training.imagenet import find_imagenet_weights
from space.lab.training.pairs import TwinData
from space.lab.training.recipes import RECIPES
from space.lab.training.result import (
    Before,
    describe_card,
    describe_run,
    estimate_auc,
    predict_split,
    save_predictions,
)
from space.lab.training.transfer import read_start
from space.models.cards import read_card


def train_member(
    recipe_name: str,
    data: Path,
    twins: Path,
    out: Path,
    *,
    device: str,
    threads: int,
    stills: Path | None = None,
    start: Path | None = None,
) -> Estimate:
    """Train to the end and predict the whole validation split.

    Writes the averaged member's state (``member.pt``) and ``val.npz`` into the run's folder, beside log and pictures.

    Args:
        start: a card, a run's folder or a checkpoint to begin with; see ``transfer.read_start``. None: what the recipe
            names, if any.

    Returns:
        Frame-level, within-dataset AUC with its 95 % interval by source.

    Raises:
        KeyError: no such recipe.
        FileNotFoundError: the package with the weights that the recipe begins with is not installed.
        ValueError: data or start do not fit the recipe.
    """
    recipe = RECIPES[recipe_name]
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # batches are drawn in threads of their own
    if start is None and recipe.start == "imagenet":
        start = find_imagenet_weights(recipe.architecture)
    validation = TwinData(data, twins, split="val")
    trainer = Trainer(
        recipe,
        TwinData(data, twins, split="train", stills=stills, source_share=recipe.source_share),
        validation,
        out,
        device=device,
        start=None if start is None else read_start(start, recipe.architecture),
        pictures=True,
    )
    before = None if start is None else _describe_start(start)
    if before is not None:
        (out / START_FILE).write_text(json.dumps(asdict(before), indent=2) + "\n")
    member = trainer.run()
    (out / RECIPE_FILE).write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    torch.save(member.state_dict(), out / MEMBER_FILE)
    predictions = predict_split(member, recipe, validation, bf16=False, device=device)
    save_predictions(predictions, out / PREDICTIONS_FILE)
    return estimate_auc(predictions)


def _describe_start(start: Path) -> Before | None:
    """What is known of weights to begin with; nothing of a checkpoint from elsewhere."""
    if start.is_dir():
        return describe_run(RECIPES[json.loads((start / RECIPE_FILE).read_text())["name"]], start)
    return describe_card(read_card(start)) if start.suffix == ".json" else None
