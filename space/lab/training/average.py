"""The mean of two members' weights: where one went on from the other, it often does better than either.

Weight averaging after Wortsman et al. 2022 (model soups, arXiv 2203.05482).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from space.lab.evaluation.metrics import Estimate
from space.lab.training.files import AVERAGE_FILE, LOG_FILE, MEMBER_FILE, PREDICTIONS_FILE, RECIPE_FILE, START_FILE
from space.lab.training.pairs import TwinData
from space.lab.training.recipe import Recipe
from space.lab.training.recipes import RECIPES
from space.lab.training.result import estimate_auc, predict_split, save_predictions
from space.lab.training.transfer import read_start
from space.models.cards import read_card
from space.models.registry import build_member


def average_runs(earlier: Path, later: Path, data: Path, twins: Path, out: Path, *, threads: int) -> Estimate:
    """Write a run's folder whose member is half the one's and half the other's.

    Args:
        earlier: a finished run, or the card of a member.
        later: a finished run that went on from it; its recipe and log are kept.
        data, twins: what they were trained on; the validation split is predicted anew.

    Returns:
        Frame-level, within-dataset AUC with its 95 % interval by source.

    Raises:
        ValueError: the members are of two architectures, or see faces with two margins.
        WeightsError: as ``load_member``.
    """
    torch.set_num_threads(threads)
    recipe = _read_recipe(later)
    if earlier.is_dir():
        whose, margin = _read_recipe(earlier).name, _read_recipe(earlier).margin
    else:
        card = read_card(earlier)
        whose, margin = f"version {card.version} of {card.name}", card.margin
    if margin != recipe.margin:
        raise ValueError(f"{whose} and {recipe.name} see faces differently")
    states = read_start(earlier, recipe.architecture), read_start(later, recipe.architecture)
    mean = {k: (states[0][k] + v) / 2 if v.dtype.is_floating_point else v for k, v in states[1].items()}
    out.mkdir(parents=True, exist_ok=True)
    for name in (RECIPE_FILE, START_FILE, LOG_FILE):
        if (later / name).exists():
            shutil.copyfile(later / name, out / name)
    (out / AVERAGE_FILE).write_text(json.dumps({"with": whose}) + "\n")
    torch.save(mean, out / MEMBER_FILE)
    member = build_member(recipe.architecture, region_head=True, dropout=recipe.dropout)
    member.load_state_dict(mean)
    predictions = predict_split(member, recipe, TwinData(data, twins, split="val"), bf16=False)
    save_predictions(predictions, out / PREDICTIONS_FILE)
    return estimate_auc(predictions)


def _read_recipe(run: Path) -> Recipe:
    return RECIPES[json.loads((run / RECIPE_FILE).read_text())["name"]]
