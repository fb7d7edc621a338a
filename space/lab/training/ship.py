"""From finished runs to shipped files: weights, cards, and the ensemble's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.maps import map_crops
from space.analysis.scores import batched
from space.analysis.verdict import Combination, sigmoid
from space.contract import Crop
from space.lab.evaluation.metrics import Estimate, auc, bootstrap_by_source, expected_calibration_error
from space.lab.training.calibration import fit_calibration, verdict_levels
from space.lab.training.genuine import CALIBRATION_SEED, GenuineFile, fit_outline, read_genuine, score_genuine
from space.lab.training.pairs import TwinData, frame_crops
from space.lab.training.result import (
    Predictions,
    estimate_auc,
)
from space.lab.training.trained import Trained, read_trained
from space.lab.training.twins import IDENTITY
from space.lab.training.usual import Usual, drop_crops, drop_faces, share_crops, share_faces, usual_drops, usual_shares
from space.models.cards import (
    UNCALIBRATED,
    Card,
    DetailReference,
    EnsembleRecord,
    Level,
    Metric,
    Thresholds,
    write_record,
)
from space.models.registry import ARCHITECTURES
from space.models.weights import ENSEMBLE_FILE, Ensemble, load_ensemble, save_weights

VERSION = "0.11"
LICENCE = "Research use, as the terms of the DFDC data ask"
DATASET = "DFDC face crops, val split by source video"
N_HEAT = 200  # faces of either kind
N_USUAL = 400  # genuine faces of the data set whose heat tells what is usual
N_BLURRED = 48  # genuine faces of the data set, and as many found elsewhere, that tell what blurring a part takes
HIGHEST = 0.1  # share of forged faces that are looked at where fewer are called "some"
CELLS = 14  # side of the grid on which maps of members with other input sizes are added
MOST_AGREE = 0.98  # share of held-out faces on which the members' spread does not count as disagreement
MIN_FACES = 3
MAX_INTERVAL_WIDTH = 0.6
MIN_WEIGHT = 0.2


@dataclass(frozen=True)
class Serving:
    """How members are used in service, by name, where that is not how they were trained, or not alike."""

    # Side of the crops: networks often see best somewhat larger than they were trained (Touvron et al. 2019, arXiv
    # 1906.06423).
    input_px: Mapping[str, int] = field(default_factory=dict)
    # What the logit is held against; a card's member keeps its own unless given another.
    references: Mapping[str, DetailReference] = field(default_factory=dict)
    # How much a member counts beside the others; 1 unless given.
    weights: Mapping[str, float] = field(default_factory=dict)
    # What a soft outline of the face adds to the ensemble's calibrated logit in clips, for each deviation; 0: nothing.
    outline: float = 0.0


AS_TRAINED = Serving()


def ship_members(
    paths: Sequence[Path],
    data: Path,
    twins: Path,
    genuine: Sequence[Path],
    out: Path,
    *,
    min_bits_per_pixel: float,
    serving: Serving = AS_TRAINED,
) -> list[Path]:
    """Write weights, cards and the ensemble's record.

    Members count alike unless told otherwise: shares that fit one data set best are not best on others, where equal
    ones are hard to beat (the "forecast combination puzzle": Smith and Wallis 2009).
    Half of the validation sources fit calibrations and thresholds; the figures in the cards are the other
    half's where a fit could flatter them (ECE), and the whole split's where it cannot (AUC).

    Args:
        paths: a finished run's folder, or a card with its weights beside it, for every member.
        data, twins: what they were trained on.
        genuine: folders of genuine photos or clips, of which the calibration half is used.
        out: receives ``<member>.safetensors``, ``<member>.json`` and ``ensemble.json``.
        min_bits_per_pixel: below it a video counts as heavily compressed.
    """
    validation = TwinData(data, twins, split="val")
    members = [read_trained(path, validation, serving.input_px, serving.references) for path in paths]
    if any(member.predictions.names != members[0].predictions.names for member in members):
        raise ValueError("the runs were validated on different faces")
    told = {*serving.input_px, *serving.references, *serving.weights}
    if unknown := told - {member.name for member in members}:
        raise ValueError(f"no such member: {', '.join(sorted(unknown))}")
    if len({member.name for member in members}) < len(members):
        raise ValueError("two members have the same name")
    out.mkdir(parents=True, exist_ok=True)
    fit = calibration_half(members[0].predictions.sources)
    cards = [_ship_member(member, fit, out) for member in members]
    logits = {member.name: member.predictions.logits for member in members}
    shares = [serving.weights.get(member.name, 1.0) for member in members]
    weights = tuple(round(share / sum(shares), 3) for share in shares)
    draft = _draft_record(cards, weights, min_bits_per_pixel)
    combination = Combination(
        tuple(card.name for card in cards), weights, tuple(card.calibration for card in cards), draft
    )
    predictions = members[0].predictions
    mean = combination.logits(logits)
    calibration = fit_calibration(predictions.labels[fit], mean[fit])
    p_fake = calibration.p_fake(mean)
    write_record(draft, out / ENSEMBLE_FILE)
    ensemble = load_ensemble(folder=out)
    files = read_genuine(genuine)
    outline = fit_outline(files, serving.outline) if serving.outline else None
    record_so_far = replace(draft, calibration=calibration, outline=outline)
    outside = sigmoid(score_genuine(files, ensemble, replace(combination, record=record_so_far)))
    labels = predictions.labels
    sets = [p_fake[fit & (labels == 0)], outside[:, 0], outside[:, 1:].ravel()]
    little, some, strong = verdict_levels(sets, p_fake[fit & (labels == 1)])
    spread = np.ptp(sigmoid(combination.member_logits(logits)), axis=0)
    full_scale, heat_min = _heat_levels(validation, ensemble, combination, p_fake, predictions, some)
    names = _draw_names(predictions, fit & (labels == 0))
    usual_heat, usual_fall = _measure_usual(
        validation, names, files, ensemble, replace(combination, record=record_so_far)
    )
    thresholds = Thresholds(
        little_below=little,
        some_from=some,
        strong_from=strong,
        max_disagreement=float(np.quantile(spread[fit], MOST_AGREE)),
        min_faces=MIN_FACES,
        max_interval_width=MAX_INTERVAL_WIDTH,
        min_weight=MIN_WEIGHT,
        min_bits_per_pixel=min_bits_per_pixel,
    )
    record = EnsembleRecord(
        name=draft.name,
        version=VERSION,
        members=draft.members,
        calibration=calibration,
        thresholds=thresholds,
        heat_full_scale=full_scale / calibration.temperature,
        heat_min=heat_min / calibration.temperature,
        metrics=_ensemble_metrics(predictions, p_fake, fit, thresholds),
        usual_shares=usual_heat,
        outline=outline,
        usual_drops=usual_fall,
    )
    write_record(record, out / ENSEMBLE_FILE)
    return sorted(out.iterdir())


def calibration_half(names: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the names (sources, files) belong to the half that fits; the other half only tests."""
    return np.array([int(sha256(name.encode()).hexdigest()[:8], 16) % 2 == 0 for name in names])


def _ship_member(trained: Trained, fit: NDArray[np.bool_], out: Path) -> Card:
    predictions, entry = trained.predictions, ARCHITECTURES[trained.architecture]
    file = f"{trained.name}.safetensors"
    sha = save_weights(trained.member, out / file)
    card = Card(
        name=trained.name,
        version=VERSION,
        architecture=trained.architecture,
        params=trained.params,
        input_px=trained.input_px,
        mean=entry.mean,
        std=entry.std,
        margin=trained.margin,
        calibration=fit_calibration(predictions.labels[fit], predictions.logits[fit]),
        metrics=(auc_metric(estimate_auc(predictions)),),
        recipe=trained.story.recipe,
        data=trained.data,
        licence=LICENCE,
        weights=file,
        sha256=sha,
        images_seen=trained.story.images_seen,
        training_cost=trained.story.training_cost,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    write_record(card, out / f"{card.name}.json")
    return card


def _draft_record(cards: Sequence[Card], weights: Sequence[float], min_bits_per_pixel: float) -> EnsembleRecord:
    """The record before its own calibration is known: enough to load and run the members."""
    return EnsembleRecord(
        name="telltale",
        version=VERSION,
        members=tuple((card.name, weight) for card, weight in zip(cards, weights, strict=True)),
        calibration=UNCALIBRATED,
        thresholds=Thresholds(0.0, 1.0, 1.0, 1.0, MIN_FACES, 1.0, 0.0, min_bits_per_pixel),
        heat_full_scale=1.0,
        heat_min=0.0,
        metrics=(),
    )


def _draw_names(predictions: Predictions, among: NDArray[np.bool_]) -> list[str]:
    """Up to ``N_USUAL`` faces."""
    rows = np.random.default_rng(CALIBRATION_SEED).permutation(np.flatnonzero(among))[:N_USUAL]
    return [predictions.names[i] for i in rows]


def _measure_usual(
    validation: TwinData,
    names: Sequence[str],
    files: Sequence[GenuineFile],
    ensemble: Ensemble,
    combination: Combination,
) -> tuple[Usual, Usual]:
    """What parts draw of the heat, and what blurring them takes, on faces of the data set and on those found elsewhere.

    Args:
        names: of genuine faces of the data set.
    """
    faces = [file.faces[0] for file in files if file.faces]
    picked = np.random.default_rng(CALIBRATION_SEED).permutation(len(faces))[:N_BLURRED]
    drops = [
        drop_crops(validation, names[:N_BLURRED], ensemble, combination),
        drop_faces([faces[i] for i in picked], ensemble, combination),
    ]
    shares = [
        share_crops(validation, names, ensemble, combination.map_scales),
        share_faces([face for file in files for face in file.faces], ensemble, combination.map_scales),
    ]
    return usual_shares(shares), usual_drops(drops)


def _heat_levels(
    validation: TwinData,
    ensemble: Ensemble,
    combination: Combination,
    p_fake: NDArray[np.float64],
    predictions: Predictions,
    some_from: float,
) -> tuple[float, float]:
    """What is drawn at full colour, and what counts as no reaction, from the maps' hottest cells.

    Full colour: what nine in ten forged faces called "some", or at least those scored highest, stay below. No
    reaction: the median of genuine faces. In uncalibrated logit units of the ensemble.
    """
    rng = np.random.default_rng(CALIBRATION_SEED)
    is_forged = predictions.labels == 1
    called = np.flatnonzero(is_forged & (p_fake >= min(some_from, np.quantile(p_fake[is_forged], 1 - HIGHEST))))
    genuine = np.flatnonzero(predictions.labels == 0)
    picked = [rng.permutation(rows)[:N_HEAT] for rows in (called, genuine)]
    hottest = []
    for rows in picked:
        names = [predictions.names[i] for i in rows]
        total = np.zeros(0)
        for member in ensemble.members:
            card = member.card
            images = frame_crops(validation, names, margin=card.margin, input_px=card.input_px)
            crops = (Crop(image=image, frame_from_crop=IDENTITY) for image in images)
            _, maps = map_crops(member, batched(crops, 8))
            scaled = maps.layered * combination.map_scales[card.name]
            layered = np.stack([cv2.resize(cells, (CELLS, CELLS), interpolation=cv2.INTER_CUBIC) for cells in scaled])
            total = layered if not total.size else total + layered
        hottest.append(total.reshape(len(names), -1).max(axis=1))
    return float(np.quantile(hottest[0], 0.9)), float(np.median(hottest[1]))


def auc_metric(estimate: Estimate, *, level: Level = "frame", dataset: str = DATASET) -> Metric:
    """An AUC within the data set trained on, for a card."""
    return Metric(
        name="auc",
        value=round(estimate.value, 4),
        interval=(round(estimate.low, 4), round(estimate.high, 4)),
        level=level,
        protocol="within",
        dataset=dataset,
        n=estimate.n,
        note="bootstrap by source video, 1000 draws",
    )


def _ensemble_metrics(
    predictions: Predictions,
    p_fake: NDArray[np.float64],
    fit: NDArray[np.bool_],
    thresholds: Thresholds,
) -> tuple[Metric, ...]:
    labels, test = predictions.labels, ~fit
    estimate = bootstrap_by_source(auc, labels, p_fake, predictions.sources, rng=np.random.default_rng(0))
    rates = {
        "false_alarm_rate": (p_fake[test & (labels == 0)] >= thresholds.some_from, "genuine called some or strong"),
        "detection_rate": (p_fake[test & (labels == 1)] >= thresholds.some_from, "forged called some or strong"),
        "miss_rate": (p_fake[test & (labels == 1)] < thresholds.little_below, "forged called little"),
    }
    note = "half of the sources that did not fit calibration and thresholds"
    return (
        auc_metric(estimate),
        Metric(
            "ece",
            round(expected_calibration_error(labels[test], p_fake[test]), 4),
            None,
            "frame",
            "within",
            DATASET,
            int(test.sum()),
            f"10 bins of equal size, both classes weighted alike; {note}",
        ),
        *(
            Metric(name, round(float(hits.mean()), 4), None, "frame", "within", DATASET, len(hits), f"{what}; {note}")
            for name, (hits, what) in rates.items()
        ),
    )
