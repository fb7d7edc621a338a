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


def judge_map(heat: F32, seen: Seen) -> Figures:
    """Figures of one map, each in [0, 1], larger is better.

    ``pointing/filled``, ``energy/filled``, ``iou/filled``, ``auprc/filled`` and so on for the band and the difference;
    a truth without a pixel has none. ``hit@1`` and ``hit@3``, where a part of the face was forged alone: whether one
    of the first parts by share x lift is a forged one.
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
        ranked = rank_parts(heat, seen.parts)
        figures["hit@1"] = float(bool(set(ranked[:1]) & seen.case.parts))
        figures["hit@3"] = float(bool(set(ranked[:3]) & seen.case.parts))
    return figures


def rank_parts(heat: F32, masks: Mapping[str, NDArray[np.bool_]]) -> tuple[str, ...]:
    """Parts of the face by share x lift, the strongest first, as the service ranks them; none without heat."""
    ranks = {name: _rank(heat, mask) for name, mask in masks.items() if name != OUTSIDE and mask.any()}
    return tuple(sorted((name for name, rank in ranks.items() if rank > 0), key=lambda name: -ranks[name]))


def _rank(heat: F32, mask: NDArray[np.bool_]) -> float:
    """Share x share / area: but for a factor of the whole map."""
    return float(heat[mask].sum()) ** 2 / float(mask.sum())
