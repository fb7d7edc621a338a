"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from space.models import efficientnet, resnet, sequence
from space.models.cards import Padding, Params
from space.models.member import Backbone, FrameMember
from space.models.sequence import SequenceMember

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Kind = Literal["frame", "sequence"]
Member = FrameMember | SequenceMember


@dataclass(frozen=True)
class Architecture:
    """What a name in a card stands for."""

    name: str
    family: str  # "efficientnet", "resnet"
    input_px: int  # as published
    kind: Kind = "frame"  # scores one crop, or a track's crops in order of time


EFFICIENTNET_PX = (224, 240, 260, 300, 380, 456, 528, 600)
SEQUENCE_PX = 112

ARCHITECTURES: dict[str, Architecture] = {
    **{
        name: Architecture(name, "efficientnet", px)
        for name, px in zip(efficientnet.BUILDERS, EFFICIENTNET_PX, strict=True)
    },
    **{name: Architecture(name, "resnet", 224) for name in resnet.BUILDERS},
    **{name: Architecture(name, "resnet", SEQUENCE_PX, "sequence") for name in sequence.BASES},
}

BUILDERS: dict[str, Callable[..., Backbone]] = {"efficientnet": efficientnet.build, "resnet": resnet.build}


def build_member(
    architecture: str,
    *,
    region_head: bool = False,
    dropout: float | None = None,
    bn_eps: float | None = None,
    padding: Padding = "symmetric",
) -> FrameMember:
    """An untrained frame member.

    Args:
        region_head: also carry the convolution that predicts the manipulated region.
        dropout: before the logit; None: as published.
        bn_eps: of every batch norm; None: as published.
        padding: of strided convolutions; "same" is EfficientNet's in TensorFlow.

    Raises:
        KeyError: no such architecture.
        ValueError: it scores sequences, or cannot be told one of these parameters.
    """
    entry = ARCHITECTURES[architecture]
    if entry.kind != "frame":
        raise ValueError(f"{architecture} scores sequences")
    backbone = BUILDERS[entry.family](architecture, dropout=dropout, bn_eps=bn_eps, padding=padding)
    return FrameMember(backbone, region_head=region_head)


def build_network(architecture: str, params: Params) -> Member:
    """An untrained member of either kind, as a card describes it.

    Raises:
        KeyError: no such architecture.
        ValueError: it cannot be told one of these parameters.
    """
    if ARCHITECTURES[architecture].kind == "frame":
        if params.hidden is not None:
            raise ValueError(f"{architecture} has no hidden units to choose")
        return build_member(
            architecture,
            region_head=params.region_head,
            dropout=params.dropout,
            bn_eps=params.bn_eps,
            padding=params.padding,
        )
    if params != Params(hidden=params.hidden, dropout=params.dropout):
        raise ValueError(f"{architecture} can only be told hidden and dropout")
    return sequence.build(architecture, hidden=params.hidden, dropout=params.dropout)
