"""Every method on every case: figures, magnitudes on genuine faces, and what the best map names."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from space.contract import F32, U8, Crop
from space.lab.explain.baselines import BASELINES, MeanMask, draw_centre, draw_random, draw_sobel
from space.lab.explain.faces import (
    PICTURE_PX,
    Seen,
    combine,
    draw_cells,
    lay_cells,
    score_crops_of,
    view_crops,
)
from space.lab.explain.intervals import F64
from space.lab.explain.judge import Figures, judge_map, rank_parts
from space.lab.explain.methods import METHODS, Method
from space.lab.explain.views import FaceView
from space.models.weights import Ensemble

log = logging.getLogger(__name__)

BATCH = 16
MAGNITUDES = ("layered", "layered-gate", "grad-cam", "region")  # whose raw heat on genuine faces is compared
Views = Mapping[str, Sequence[tuple[FaceView, U8]]]  # member -> views of its crops

FIRST = "layered"  # the service's own, whose named part counts
ALL_OF_TRUNK = ("layered-3", "layered-4", "layered-gate-3", "saliency", "saliency-mean")  # each costs three forwards
SELDOM = tuple(f"{name}-penultimate" for name in ("grad-cam++", "eigencam", "xgradcam"))
QUICK = tuple(name for name, m in METHODS.items() if not m.costly and name not in (*ALL_OF_TRUNK, *SELDOM))


@dataclass
class Outcome:
    """What came of one case."""

    name: str
    group: str
    source: str
    logit: float  # the ensemble's, of the forged face
    genuine_logit: float
    native: Mapping[str, float]  # method in logit units -> total raw heat of the forged face
    native_genuine: Mapping[str, float]  # of its twin
    figures: dict[str, Figures] = field(default_factory=dict)  # method -> figure -> value
    named: dict[str, str] = field(default_factory=dict)  # method -> the first part, "" without heat
    forged_parts: tuple[str, ...] = ()


class Harness:
    """Draws maps of the cases given and judges them.

    Args:
        names: of ``METHODS``.
        seed: of the baseline that knows nothing.
    """

    def __init__(self, ensemble: Ensemble, names: Sequence[str], *, seed: int = 0) -> None:
        self.ensemble = ensemble
        self.combination = combine(ensemble)
        self.usual = ensemble.record.usual  # of the service's own map
        self.methods = [METHODS[name] for name in names]
        self._rng = np.random.default_rng(seed)
        self._priors: dict[str, MeanMask] = {}

    def run(self, cases: Sequence[Seen]) -> list[Outcome]:
        """Outcomes in the cases' order."""
        self._priors = _learn_priors(cases)
        outcomes: list[Outcome] = []
        for start in range(0, len(cases), BATCH):
            outcomes += self._run_batch(cases[start : start + BATCH])
            if start // BATCH % 4 == 0 or start + BATCH >= len(cases):
                log.info("%d of %d cases", min(start + BATCH, len(cases)), len(cases))
        return outcomes

    def maps(self, cases: Sequence[Seen], methods: Sequence[Method], *, genuine: bool = False) -> dict[str, list[F32]]:
        """Method -> the ensemble's map of each case, (112, 112); methods that fit no member are left out."""
        return self._draw(cases, self._view(cases, genuine=genuine), methods, genuine=genuine)

    def logits(self, cases: Sequence[Seen], *, genuine: bool = False) -> F64:
        """(n,) the ensemble's calibrated logits."""
        return self._score(self._view(cases, genuine=genuine))

    def _view(self, cases: Sequence[Seen], *, genuine: bool) -> Views:
        return {
            member.card.name: view_crops(member, [_crops(seen, genuine=genuine)[member.card.name] for seen in cases])
            for member in self.ensemble.members
        }

    def _score(self, views: Views) -> F64:
        return self.combination.logits({name: score_crops_of(of_member) for name, of_member in views.items()})

    def _draw(
        self, cases: Sequence[Seen], views: Views, methods: Sequence[Method], *, genuine: bool
    ) -> dict[str, list[F32]]:
        cells: dict[str, dict[str, F32]] = defaultdict(dict)  # method -> member -> (n, h, w)
        for member, of_member in views.items():
            for method in methods:
                drawn = draw_cells(of_member, method)
                if drawn is not None:
                    cells[method.name][member] = drawn
        return {
            name: [
                lay_cells(
                    {member: heat[i] for member, heat in by_member.items()},
                    _crops(seen, genuine=genuine),
                    seen.picture,
                    self._scales(METHODS[name]),
                )
                for i, seen in enumerate(cases)
            ]
            for name, by_member in cells.items()
        }

    def _scales(self, method: Method) -> Mapping[str, float]:
        if method.unit == "logit":
            return self.combination.map_scales
        return dict(zip(self.combination.members, self.combination.weights, strict=True))

    def draw_baselines(self, cases: Sequence[Seen], names: Sequence[str] = BASELINES) -> dict[str, list[F32]]:
        """Baseline -> its map of each of the cases that were run, (112, 112)."""
        rows = [self._baselines(seen) for seen in cases]
        return {name: [row[name] for row in rows] for name in names}

    def _run_batch(self, cases: Sequence[Seen]) -> list[Outcome]:
        views, of_twins = self._view(cases, genuine=False), self._view(cases, genuine=True)
        maps = self._draw(cases, views, self.methods, genuine=False)
        magnitudes = [method for method in self.methods if method.name in MAGNITUDES]
        genuine = self._draw(cases, of_twins, magnitudes, genuine=True)
        logits, genuine_logits = self._score(views), self._score(of_twins)
        outcomes = []
        for i, seen in enumerate(cases):
            outcome = Outcome(
                name=seen.case.name,
                group=seen.case.group,
                source=seen.case.source,
                logit=float(logits[i]),
                genuine_logit=float(genuine_logits[i]),
                native={name: float(heats[i].sum()) for name, heats in maps.items() if name in genuine},
                native_genuine={name: float(heats[i].sum()) for name, heats in genuine.items()},
                forged_parts=tuple(sorted(seen.case.parts)),
            )
            drawn = {name: heats[i] for name, heats in maps.items()} | self._baselines(seen)
            for name, heat in drawn.items():
                usual = self.usual if name == FIRST else None
                outcome.figures[name] = judge_map(heat, seen, usual)
                outcome.named[name] = next(iter(rank_parts(np.maximum(heat, 0), seen.parts, usual)), "")
            outcomes.append(outcome)
        return outcomes

    def _baselines(self, seen: Seen) -> dict[str, F32]:
        drawn = (
            self._priors[_kind(seen)].draw(seen.case.source),
            draw_centre(PICTURE_PX),
            draw_sobel(seen.picture.image),
            draw_random(PICTURE_PX, self._rng),
        )
        return dict(zip(BASELINES, drawn, strict=True))


def _crops(seen: Seen, *, genuine: bool) -> Mapping[str, Crop]:
    return seen.genuine if genuine else seen.forged


def _kind(seen: Seen) -> str:
    """Twins, part, blend or clips: what a prior may know of a case."""
    return seen.case.group.partition("/")[0]


def _learn_priors(cases: Sequence[Seen]) -> dict[str, MeanMask]:
    kinds = {_kind(seen) for seen in cases}
    return {
        kind: MeanMask(
            [seen.mask for seen in cases if _kind(seen) == kind],
            [seen.case.source for seen in cases if _kind(seen) == kind],
        )
        for kind in kinds
    }
