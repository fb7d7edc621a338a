"""Figures of merit with bootstrap intervals by source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def auc(labels: NDArray[np.int64], scores: F64) -> float:
    """Area under the ROC curve; needs both labels."""
    return float(roc_auc_score(labels, scores))


def bootstrap_by_source(
    metric: Callable[[NDArray[np.int64], F64], float],
    labels: NDArray[np.int64],
    scores: F64,
    sources: list[str],
    *,
    rng: np.random.Generator,
    n_draws: int = 1000,
) -> Estimate:
    """A metric with its percentile interval, resampling whole sources.

    Faces of one source video (a genuine one and its forgeries) are not independent; drawing sources
    instead of faces keeps the interval honest. Draws with a single label are left out.

    Args:
        labels: (n,) 0 or 1.
        scores: (n,) higher = more fake.
        sources: n names.
    """
    codes = np.unique(np.asarray(sources), return_inverse=True)[1]
    rows = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    values = []
    for _ in range(n_draws):
        drawn = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        if 0 < labels[drawn].sum() < len(drawn):
            values.append(metric(labels[drawn], scores[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(metric(labels, scores), float(low), float(high), len(labels))


def share_above_twin(fake_scores: F64, twin_scores: F64) -> float:
    """Share of forgeries that score above their genuine twin; ties count half."""
    return float(np.mean((fake_scores > twin_scores) + 0.5 * (fake_scores == twin_scores)))
