"""How well a heat map finds a region. Every measure is the same for c x map: only the order or the shares count."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from space.contract import F32

TOLERANCE = 15 / 224  # of the pointing game / side of the picture: 15 px, Zhang et al. 2018 (arXiv 1608.00507)

Mask = NDArray[np.bool_]


def _is_flat(heat: F32) -> bool:
    return float(heat.max()) <= float(heat.min())


def point(heat: F32, region: Mask, *, tolerance: float = TOLERANCE) -> float:
    """Pointing game: 1 where the hottest pixel lies on the region or within ``tolerance`` of it; a flat map misses.

    Args:
        heat: (S, S).
        region: (S, S), not empty.
        tolerance: share of the picture's side.
    """
    if _is_flat(heat):
        return 0.0
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    away = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, 5)
    return float(away[y, x] <= tolerance * heat.shape[0])


def share_inside(heat: F32, region: Mask) -> float:
    """Energy pointing game (Wang et al. 2020, arXiv 1910.01279): share of the heat on the region; 0 without heat."""
    total = float(heat.sum())
    return float(heat[region].sum()) / total if total > 0 else 0.0


def overlap_at_equal_area(heat: F32, region: Mask) -> float:
    """IoU of the region and as many of the hottest pixels as it has; a flat map overlaps as chance would."""
    n, size = int(region.sum()), region.size
    if _is_flat(heat):
        expected = n * n / size
        return float(expected / (2 * n - expected))
    hottest = np.zeros(size, np.bool_)
    hottest[np.argsort(-heat.ravel(), kind="stable")[:n]] = True
    flat = region.ravel()
    return float((hottest & flat).sum() / (hottest | flat).sum())


def average_precision(heat: F32, region: Mask) -> float:
    """AUPRC of the heat as a score for each pixel, ties taken together; a flat map has the region's share of area."""
    order = np.argsort(-heat.ravel(), kind="stable")
    scores, hits = heat.ravel()[order], region.ravel()[order]
    found = np.cumsum(hits)
    ends = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)  # the last pixel of every level
    precision = found[ends] / (ends + 1)
    gained = np.diff(found[ends], prepend=0)
    return float((precision * gained).sum() / found[-1])


def rank_correlation(first: F32, second: F32) -> float:
    """Spearman's, in [-1, 1]; 0 where either map is flat."""
    if _is_flat(first) or _is_flat(second):
        return 0.0
    ranks = [_rank(values) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _rank(values: F32) -> NDArray[np.float64]:
    """Mean ranks, ties alike."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse.ravel()], np.float64)
