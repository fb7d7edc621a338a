"""Members small enough to be explained by every method in a moment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from space.models.member import Backbone, FrameMember
from space.models.sequence import LstmMember, SequenceMember
from space.models.weights import LoadedMember
from tests.ensembles import CARD

SIDE = 64


def _block(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1), nn.ReLU())


def _backbone() -> Backbone:
    return Backbone(
        trunk=nn.Sequential(_block(3, 6, 4), _block(6, 6, 2), _block(6, 8, 2)),
        tail=_block(8, 10, 2),
        head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(10, 1)),
        trunk_channels=8,
        tail_channels=10,
    )


def tiny_member(*, sequence: bool = False, region_head: bool = True, seed: int = 0, name: str = "tiny") -> LoadedMember:
    """An untrained member of a few channels, 64 px, that reacts to whatever it sees."""
    torch.manual_seed(seed)
    module: FrameMember | SequenceMember
    if sequence:
        module = LstmMember(_backbone(), hidden=7)
        architecture = "resnext50_32x4d_lstm"
    else:
        module = FrameMember(_backbone(), region_head=region_head)
        architecture = "efficientnet_b0"
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(layer.weight.abs())  # so that most maps are not empty
    card = replace(CARD, name=name, architecture=architecture, input_px=SIDE)
    return LoadedMember(card=card, module=module.eval().requires_grad_(False))


def make_faces(n: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(n, SIDE, SIDE, 3), dtype=np.uint8)
