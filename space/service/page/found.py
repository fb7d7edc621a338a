"""Forged parts that the models found: pictures of the astronaut's face in ``examples/found``, which the lab made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOUND = Path(__file__).parent / "examples" / "found"
ARCHIVE = "correct-interpretations.zip"


@dataclass(frozen=True)
class Example:
    """One part forged alone, and found."""

    stem: str  # of its pictures: STEM-genuine.jpg, -forged.jpg, -explained.jpg
    part: str  # id in shared/parts.json
    share: float  # of the heat on the forged region, [0, 1]


@dataclass(frozen=True)
class Found:
    """Examples of forged parts that were named, and how seldom that is."""

    examples: tuple[Example, ...]
    n_correct: int
    n_tried: int
    archive: str | None = ARCHIVE


def read_found(folder: Path = FOUND) -> Found | None:
    """What ``lab examples`` wrote into a folder; None where it wrote nothing, or found nothing.

    Raises:
        KeyError, TypeError, ValueError: the list is none of its.
    """
    path = folder / "examples.json"
    if not path.exists():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    examples = tuple(
        Example(f"{number}-{row['kind']}", str(row["named"]), float(row["share_on_forged"]))
        for number, row in enumerate(document["examples"], start=1)
    )
    if not examples:
        return None
    archive = ARCHIVE if (folder / ARCHIVE).exists() else None
    return Found(examples, int(document["n_correct"]), int(document["n_tried"]), archive)
