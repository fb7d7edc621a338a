"""Finished runs as contenders: judged like shipped members before anything of them is shipped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from space.analysis.verdict import Combination
from space.lab.evaluation.contenders import Contender, count_parameters
from space.lab.training.calibration import fit_calibration, verdict_levels
from space.lab.training.files import MEMBER_FILE, PREDICTIONS_FILE
from space.lab.training.result import Predictions, load_predictions
from space.lab.training.sequence_run import read_sequence_recipe
from space.lab.training.ship import MAX_INTERVAL_WIDTH, MIN_FACES, MIN_WEIGHT, calibration_half
from space.lab.training.trained import FinishedRun, read_run
from space.models.cards import UNCALIBRATED, Calibration, Card, EnsembleRecord, Params, Thresholds
from space.models.files import sha256_of
from space.models.member import fold_norms
from space.models.registry import ARCHITECTURES, build_member
from space.models.weights import LoadedMember, load_member


def load_run(folder: Path) -> tuple[Contender, LoadedMember]:
    """A finished run's member, under its recipe's name.

    Its calibration and thresholds are fitted to half of its validation sources, as ``lab ship`` fits them, but to no
    other genuine faces. Weights that learned nothing are not calibrated and never raise an alarm; nor do those that
    were validated on too few faces to bound a rate of false alarms.

    Raises:
        FileNotFoundError: the run has not been finished.
    """
    recipe = read_sequence_recipe(folder)
    predictions = load_predictions(folder / PREDICTIONS_FILE)
    calibration, thresholds = _fit(predictions)
    if recipe is None:
        member = _load_frame_member(read_run(folder))
    else:
        member = load_member(folder / f"{recipe.name}.json")
        fold_norms(member.module)
    card = member.card
    record = EnsembleRecord(
        name=card.name,
        version=card.version,
        members=((card.name, 1.0),),
        calibration=UNCALIBRATED,
        thresholds=thresholds,
        heat_full_scale=1.0,
        heat_min=0.0,
        metrics=(),
    )
    combination = Combination((card.name,), (1.0,), (calibration,), record)
    contender = Contender(card.name, "member", combination, (card.sha256,), count_parameters(card))
    return contender, member


def _fit(predictions: Predictions) -> tuple[Calibration, Thresholds]:
    labels, fit = predictions.labels, calibration_half(predictions.sources)
    calibration, levels = UNCALIBRATED, (0.0, 1.0, 1.0)
    with suppress(ValueError):  # the logits fall where the label rises, or there are too few
        calibration = fit_calibration(labels[fit], predictions.logits[fit])
        p_fake = np.asarray(calibration.p_fake(predictions.logits), np.float64)
        levels = verdict_levels([p_fake[fit & (labels == 0)]], p_fake[fit & (labels == 1)])
    return calibration, Thresholds(*levels, 1.0, MIN_FACES, MAX_INTERVAL_WIDTH, MIN_WEIGHT, 0.0)


def _load_frame_member(run: FinishedRun) -> LoadedMember:
    path = run.folder / MEMBER_FILE
    card = _make_card(run, sha256_of(path))
    member = build_member(card.architecture, region_head=True, dropout=run.recipe.dropout)
    member.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    module = member.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    fold_norms(module)
    return LoadedMember(card, module)


def _make_card(run: FinishedRun, sha256: str) -> Card:
    recipe, entry = run.recipe, ARCHITECTURES[run.recipe.architecture]
    return Card(
        name=recipe.name,
        version="1",
        architecture=recipe.architecture,
        params=Params(region_head=True, dropout=recipe.dropout),
        input_px=recipe.input_px,
        mean=entry.mean,
        std=entry.std,
        margin=recipe.margin,
        calibration=UNCALIBRATED,  # the contender has its own
        metrics=(),
        recipe=recipe.name,
        data="",
        licence="",
        weights="member.safetensors",
        sha256=sha256,
        images_seen=None,
        training_cost="unknown",
        created="2000-01-01T00:00:00Z",
    )
