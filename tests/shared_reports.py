"""Shared reports to test with: the example report with pictures that can be decoded, a clock that can be set."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from space.analysis.render import encode_jpeg
from space.contract import Analysis, Report
from space.service.share import Shares, SigningKey
from space.service.share.shares import picture_names
from tests.analyses import example_report

KEY = SigningKey(bytes(range(32)))
OTHER_KEY = SigningKey(bytes(32))
BASE_URL = "https://telltale.example"
START_S = 1_773_480_413.0  # when the example report was made: 2026-03-14T09:26:53Z
DAY_S = 24 * 60 * 60


@dataclass
class Clock:
    """Seconds since the epoch, as told."""

    now: float = START_S

    def __call__(self) -> float:
        return self.now


@dataclass
class Sharing:
    """A service's shared reports in a folder."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    persistent: bool = True
    contact: str | None = None
    key: SigningKey = KEY
    base_url: str = BASE_URL

    def open(self) -> Shares:
        """As after a start."""
        return Shares(
            self.folder,
            key=self.key,
            base_url=self.base_url,
            persistent=self.persistent,
            contact=self.contact,
            clock=self.clock,
        )

    def files(self) -> dict[str, bytes]:
        """All that lies in the folder, by path."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}


@cache
def a_picture(seed: int = 0) -> bytes:
    """A small JPEG."""
    return encode_jpeg(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def with_decodable_pictures(report: Report | None = None) -> Analysis:
    """The example report, or another, with a JPEG for every name in it."""
    report = report or example_report()
    return Analysis(report, {name: a_picture(number) for number, name in enumerate(picture_names(report))})
