"""The mean of two runs' weights: where one went on from the other, it often does better than either.

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
from space.lab.training.recipes import RECIPES
from space.lab.training.result import estimate_auc, predict_split, save_predictions
from space.models.registry import build_member


def average_runs(earlier: Path, later: Path, data: Path, twins: Path, out: Path, *, threads: int) -> Estimate:
    """Write a run's folder whose member is half the one run's and half the other's.

    Args:
        earlier, later: finished runs of one architecture and one input; the later one's recipe and log are kept.
        data, twins: what they were trained on; the validation split is predicted anew.

    Returns:
        Frame-level, within-dataset AUC with its 95 % interval by source.

    Raises:
        ValueError: the members do not see faces alike.
    """
    torch.set_num_threads(threads)
    recipes = [RECIPES[json.loads((run / RECIPE_FILE).read_text())["name"]] for run in (earlier, later)]
    first, second = ((r.architecture, r.input_px, r.margin) for r in recipes)
    if first != second:
        raise ValueError(f"{recipes[0].name} and {recipes[1].name} see faces differently")
    states = [torch.load(run / MEMBER_FILE, map_location="cpu", weights_only=True) for run in (earlier, later)]
    mean = {k: (v + states[1][k]) / 2 if v.dtype.is_floating_point else v for k, v in states[0].items()}
    out.mkdir(parents=True, exist_ok=True)
    for name in (RECIPE_FILE, START_FILE, LOG_FILE):
        if (later / name).exists():
            shutil.copyfile(later / name, out / name)
    (out / AVERAGE_FILE).write_text(json.dumps({"with": recipes[0].name}) + "\n")
    torch.save(mean, out / MEMBER_FILE)
    member = build_member(recipes[1].architecture, region_head=True, dropout=recipes[1].dropout)
    member.load_state_dict(mean)
    predictions = predict_split(member, recipes[1], TwinData(data, twins, split="val"), bf16=False)
    save_predictions(predictions, out / PREDICTIONS_FILE)
    return estimate_auc(predictions)
