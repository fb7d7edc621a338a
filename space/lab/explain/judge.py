"""One map held against one truth: every figure of merit, and which part it would name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from space.analysis.parts import OUTSIDE
from space.contract import F32
from space.lab.explain.faces import Seen
from space.lab.explain.measures import average_precision, overlap_at_equal_area, point, share_inside
from space.lab.explain.truths import TRUTHS

Figures = dict[str, float]


def judge_map(heat: F32, seen: Seen, usual: Mapping[str, float] | None = None) -> Figures:
    """Figures of one map, each in [0, 1], larger is better.

    ``pointing/filled``, ``energy/filled``, ``iou/filled``, ``auprc/filled`` and so on for the band and the difference;
    a truth without a pixel has none. ``hit@1`` and ``hit@3``, where a part of the face was forged alone: whether one
    of the first parts by share x lift is a forged one; ``named@1`` and ``named@3``: by what the service names by, the
    share over the usual one.
    """
    figures: Figures = {}
    heat = np.maximum(heat, 0)
    for name in TRUTHS:
        region = seen.truth.get(name)
        if region.any() and not region.all():
            figures[f"pointing/{name}"] = point(heat, region)
            figures[f"energy/{name}"] = share_inside(heat, region)
            figures[f"iou/{name}"] = overlap_at_equal_area(heat, region)
            figures[f"auprc/{name}"] = average_precision(heat, region)
    if seen.case.parts:
        for name, shares in (("hit", None), ("named", usual)):
            if shares is not None or name == "hit":
                ranked = rank_parts(heat, seen.parts, shares)
                figures |= {f"{name}@{n}": float(bool(set(ranked[:n]) & seen.case.parts)) for n in (1, 3)}
    return figures


def rank_parts(
    heat: F32, masks: Mapping[str, NDArray[np.bool_]], usual: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """Parts of the face as the service ranks them, the strongest first; none without heat.

    Args:
        heat: (112, 112) >= 0.
        masks: part -> (112, 112).
        usual: part -> its usual share of the face's heat; None: ranked by share x lift.
    """
    ranks = {
        name: _rank(heat, mask, usual[name] if usual else None)
        for name, mask in masks.items()
        if name != OUTSIDE and mask.any()
    }
    return tuple(sorted((name for name, rank in ranks.items() if rank > 0), key=lambda name: -ranks[name]))


def _rank(heat: F32, mask: NDArray[np.bool_], usual: float | None) -> float:
    """Share / usual share, or share x share / area: but for a factor of the whole map."""
    mass = float(heat[mask].sum())
    return mass**2 / float(mask.sum()) if usual is None else mass / usual
