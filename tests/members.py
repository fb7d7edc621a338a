"""Small untrained members on disk, for tests that need an ensemble and not its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from space.models.cards import Calibration, Card, EnsembleRecord, Metric, Params, Thresholds, write_record
from space.models.registry import Member, build_network
from space.models.weights import ENSEMBLE_FILE, save_weights

METRIC = Metric("auc", 0.91, (0.88, 0.93), "frame", "within", "made for the test", 200, "")
CARD = Card(
    name="small",
    version="1",
    architecture="efficientnet_b0",
    params=Params(region_head=True),
    input_px=64,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    margin=1.3,
    calibration=Calibration(temperature=1.5, bias=-0.25),
    metrics=(METRIC,),
    recipe="untrained",
    data="none",
    licence="Apache-2.0",
    weights="small.safetensors",
    sha256="0" * 64,
    images_seen=0,
    training_cost="none",
    created="2025-01-31T12:00:00Z",
)
THRESHOLDS = Thresholds(
    little_below=0.3,
    some_from=0.6,
    strong_from=0.9,
    max_disagreement=0.5,
    min_faces=4,
    max_interval_width=0.4,
    min_weight=0.3,
    min_bits_per_pixel=0.02,
)
RECORD = EnsembleRecord(
    name="pair",
    version="2",
    members=(("small", 1.0), ("other", 3.0)),
    calibration=Calibration(temperature=0.8, bias=0.1),
    thresholds=THRESHOLDS,
    heat_full_scale=0.5,
    heat_min=0.05,
    metrics=(METRIC,),
)


def build_seeded(architecture: str, params: Params, *, seed: int = 0) -> Member:
    """An untrained member that is the same every time, with batch statistics that are not the defaults."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        member = build_network(architecture, params)
        for name, values in member.named_buffers():
            if name.endswith("running_mean"):
                values.normal_(std=0.1)
            elif name.endswith("running_var"):
                values.uniform_(0.2, 1.2)
    return member.eval()


def write_member(folder: Path, name: str, *, seed: int = 0, **changes: Any) -> Card:
    """Weights and card of an untrained member."""
    card = replace(CARD, name=name, weights=f"{name}.safetensors", **changes)
    member = build_seeded(card.architecture, card.params, seed=seed)
    card = replace(card, sha256=save_weights(member, folder / card.weights))
    write_record(card, folder / f"{name}.json")
    return card


def write_ensemble(folder: Path, record: EnsembleRecord = RECORD) -> EnsembleRecord:
    """A record and its members, which differ by their seeds."""
    for seed, (name, _) in enumerate(record.members):
        write_member(folder, name, seed=seed)
    write_record(record, folder / ENSEMBLE_FILE)
    return record
