"""What gives deepfakes away, as far as it was measured: statistics of compromising parts by manipulation method."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.service.page.palette import lift_colour
from space.settings import SHARED

ATLAS = SHARED / "atlas.json"
# The lab's, named in words.
FAMILIES = ("self_blend", "swap", "mesh_swap", "feathered", "part", "reenact", "inpaint", "decoder")
LAYERS = ("penultimate", "last", "layered")


@dataclass(frozen=True)
class PartShare:
    """How much of the heat maps fell on a part, over all videos of a method."""

    name: str  # id in shared/parts.json
    share: float  # [0, 1]
    lift: float  # share / share of area
    interval: tuple[float, float] | None = None  # of the share, 95 % by source; None where there are too few sources


@dataclass(frozen=True)
class Layer:
    """The same for one model's layer."""

    model: str
    layer: str  # "penultimate", "last" or "layered"
    shares: dict[str, float]  # part -> share


@dataclass(frozen=True)
class Method:
    """A manipulation method."""

    name: str
    n_videos: int
    n_with_signs: int  # of them, that were called "some" or "strong"
    parts: tuple[PartShare, ...]  # by share, largest first
    layers: tuple[Layer, ...] = ()  # by model, then from fine to coarse to both

    @property
    def text_id(self) -> str | None:
        """Of its name in words; None: it has a proper name."""
        return f"family.{self.name}" if self.name in FAMILIES else None

    @property
    def tints(self) -> dict[str, str]:
        """Part -> colour of the heat scale."""
        return {part.name: lift_colour(part.lift) for part in self.parts}


@dataclass(frozen=True)
class Atlas:
    """Methods side by side."""

    dataset: str
    n_videos: int
    methods: tuple[Method, ...]


def read_atlas(path: Path = ATLAS) -> Atlas | None:
    """The atlas in a JSON file; None where nothing has been measured yet, which the page says.

    Raises:
        KeyError, TypeError, ValueError: the file is no atlas.
    """
    if not path.exists():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    methods = tuple(_method(row) for row in document["methods"])
    return Atlas(document["dataset"], sum(method.n_videos for method in methods), methods)


def _method(row: dict[str, Any]) -> Method:
    parts = sorted(map(_part, row["parts"]), key=lambda part: -part.share)
    layers = (
        Layer(model, layer, {part["name"]: float(part["share"]) for part in rows[layer]})
        for model, rows in row.get("models", {}).items()
        for layer in LAYERS
        if layer in rows
    )
    return Method(row["name"], int(row["n_videos"]), int(row["n_with_signs"]), tuple(parts), tuple(layers))


def _part(row: dict[str, Any]) -> PartShare:
    interval = row.get("share_interval")
    bounds = None if interval is None else (float(interval[0]), float(interval[1]))
    return PartShare(row["name"], float(row["share"]), float(row["lift"]), bounds)
