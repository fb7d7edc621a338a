"""What gives deepfakes away, as far as it was measured: statistics of compromising parts by manipulation method."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.service.page.palette import lift_colour
from space.settings import SHARED

ATLAS = SHARED / "atlas.json"


@dataclass(frozen=True)
class PartShare:
    """How much of the heat maps fell on a part, over all videos of a method."""

    name: str  # id in shared/parts.json
    share: float  # [0, 1]
    lift: float  # share / share of area


@dataclass(frozen=True)
class Method:
    """A manipulation method."""

    name: str
    n_videos: int
    parts: tuple[PartShare, ...]  # by share, largest first

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
    parts = (PartShare(part["name"], float(part["share"]), float(part["lift"])) for part in row["parts"])
    return Method(row["name"], int(row["n_videos"]), tuple(sorted(parts, key=lambda part: -part.share)))
