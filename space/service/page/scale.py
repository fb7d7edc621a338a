"""The scale of estimates as the page draws it: every verdict has room to be read, however narrow its range is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from space.contract import VerdictCode
from space.models.cards import Thresholds

# Of the drawing. `some` and `strong` may both begin above 0.99, where a scale in proportion would hide them.
ROOM: Mapping[VerdictCode, float] = {"strong": 0.22, "some": 0.18, "inconclusive": 0.35, "little": 0.25}


@dataclass(frozen=True)
class Zone:
    """What a range of estimates speaks for, as far as the thresholds alone decide."""

    code: VerdictCode
    low: float  # estimate
    high: float
    y: float  # percent from the top
    height: float


@dataclass(frozen=True)
class Scale:
    """Where estimates lie: in proportion within a zone, and all over where the thresholds are not known."""

    zones: tuple[Zone, ...]  # from the top; empty where the thresholds are not known

    def place(self, p_fake: float) -> float:
        """Percent from the top, 0 at an estimate of 1."""
        for zone in self.zones:
            if p_fake >= zone.low:
                return zone.y + zone.height * ((zone.high - p_fake) / (zone.high - zone.low))
        return 100 * (1 - p_fake)


def draw_scale(thresholds: Thresholds | None) -> Scale:
    """The scale with the zones of an ensemble's thresholds, the strongest at the top; none for an empty range."""
    if thresholds is None:
        return Scale(())
    edges = (1.0, thresholds.strong_from, thresholds.some_from, thresholds.little_below, 0.0)
    ranges = [(*room, *edge) for room, edge in zip(ROOM.items(), pairwise(edges), strict=True) if edge[0] > edge[1]]
    total = sum(share for _, share, _, _ in ranges)
    zones: list[Zone] = []
    for code, share, high, low in ranges:
        top = zones[-1].y + zones[-1].height if zones else 0.0
        zones.append(Zone(code=code, low=low, high=high, y=top, height=100 * share / total))
    return Scale(tuple(zones))
