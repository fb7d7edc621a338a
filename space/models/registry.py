"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from space.models import efficientnet, resnext
from space.models.member import Backbone, FrameMember

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """What a name in a card stands for."""

    name: str
    family: str
    input_px: int  # as published
    build: Callable[..., Backbone]  # (name, *, dropout) -> Backbone


EFFICIENTNET_PX = (224, 240, 260, 300, 380, 456, 528, 600)

ARCHITECTURES: dict[str, Architecture] = {
    **{
        name: Architecture(name, "efficientnet", px, efficientnet.build)
        for name, px in zip(efficientnet.BUILDERS, EFFICIENTNET_PX, strict=True)
    },
    **{name: Architecture(name, "resnext", 224, resnext.build) for name in resnext.BUILDERS},
}


def build_member(architecture: str, *, region_head: bool = False, dropout: float | None = None) -> FrameMember:
    """An untrained frame member.

    Raises:
        KeyError: no such architecture.
    """
    backbone = ARCHITECTURES[architecture].build(architecture, dropout=dropout)
    return FrameMember(backbone, region_head=region_head)
