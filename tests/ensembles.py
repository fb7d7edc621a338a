"""Small ensembles with random weights, for tests of everything around the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from space.models.cards import UNCALIBRATED, Calibration, Card, EnsembleRecord, Params, Thresholds, write_record
from space.models.member import FrameMember
from space.models.registry import IMAGENET_MEAN, IMAGENET_STD, build_member
from space.models.weights import ENSEMBLE_FILE, save_weights

PX = 96
CARD = Card(
    name="small",
    version="1",
    architecture="plain_cnn",
    params=Params(),
    input_px=PX,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    margin=1.1,
    calibration=UNCALIBRATED,
    metrics=(),
    recipe="untrained",
    data="none",
    licence="none",
    weights="small.safetensors",
    sha256="0" * 64,
    images_seen=0,
    training_cost="none",
    created="2025-01-01T00:00:00Z",
)
RECORD = EnsembleRecord(
    name="test",
    version="1",
    members=(("small", 1.0), ("other", 2.0)),
    calibration=UNCALIBRATED,
    thresholds=Thresholds(
        little_below=0.3,
        some_from=0.7,
        strong_from=0.9,
        max_disagreement=1.0,
        min_faces=2,
        max_interval_width=1.0,
        min_weight=0.0,
        min_bits_per_pixel=0.0,
    ),
    heat_full_scale=0.05,
    heat_min=0.0,
    metrics=(),
)


def find_linear(module: FrameMember) -> torch.nn.Linear:
    """The layer that gives the logit."""
    return next(layer for layer in reversed(list(module.head)) if isinstance(layer, torch.nn.Linear))


def make_network(architecture: str = "plain_cnn", *, seed: int = 0) -> FrameMember:
    """An untrained network that reacts to something: its norms know its activations, its head its features."""
    torch.manual_seed(seed)
    module = build_member(architecture)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.randn(8, 3, PX, PX))
        features = module.eval().tail(module.trunk(torch.randn(4, 3, PX, PX))).mean(dim=(0, 2, 3))
        noise = 0.1 * torch.randn_like(features) / features.norm()
        find_linear(module).weight.copy_(4 * features / features.square().sum() + noise)
    return module.requires_grad_(False)


def write_ensemble(folder: Path, *, bias: float = 0.0, record: EnsembleRecord = RECORD) -> Path:
    """Write two small members and their record.

    Args:
        bias: raw logit at which a member's p_fake is 0.5: far below 0 everything looks forged, far above genuine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, _) in enumerate(record.members):
        card = replace(CARD, name=name, weights=f"{name}.safetensors", calibration=Calibration(1.0, bias))
        sha = save_weights(make_network(seed=seed), folder / card.weights)
        write_record(replace(card, sha256=sha), folder / f"{name}.json")
    write_record(record, folder / ENSEMBLE_FILE)
    return folder
