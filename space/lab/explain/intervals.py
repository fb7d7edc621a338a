"""Means with 95 % bootstrap intervals that draw whole sources: forgeries of one video are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from space.lab.evaluation.metrics import Estimate

N_DRAWS = 1000

F64 = NDArray[np.float64]


def mean_by_source(values: Sequence[float], sources: Sequence[str], *, n_draws: int = N_DRAWS) -> Estimate:
    """The mean of values as ``estimate_by_source`` gives it, from the sources' sums: all draws at once."""
    table, codes = np.asarray(values, np.float64), _number(sources)
    sums, counts = np.bincount(codes, weights=table), np.bincount(codes)
    picks = np.random.default_rng(0).integers(len(sums), size=(n_draws, len(sums)))
    low, high = np.percentile(sums[picks].sum(axis=1) / counts[picks].sum(axis=1), [2.5, 97.5])
    return Estimate(float(table.mean()), float(low), float(high), len(table))


def estimate_by_source(
    statistic: Callable[[F64], float], values: Sequence[float] | F64, sources: Sequence[str], *, n_draws: int = N_DRAWS
) -> Estimate:
    """A statistic of values with its percentile interval over draws of sources, with replacement.

    Args:
        statistic: of (m,) or (m, k) values.
        values: n >= 1 of them, or (n, k).
        sources: n names.
    """
    table = np.asarray(values, np.float64)
    codes = _number(sources)
    rows = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    rng = np.random.default_rng(0)  # the same values give the same interval
    drawn = (np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))]) for _ in range(n_draws))
    low, high = np.percentile([statistic(table[pick]) for pick in drawn], [2.5, 97.5])
    return Estimate(statistic(table), float(low), float(high), len(table))


def _number(sources: Sequence[str]) -> NDArray[np.intp]:
    """Each value's source as a number from 0."""
    return np.asarray(np.unique(np.asarray(sources), return_inverse=True)[1], np.intp)


def as_json(estimate: Estimate, digits: int = 4) -> dict[str, Any]:
    """Value, interval and n."""
    interval = [round(estimate.low, digits), round(estimate.high, digits)]
    return {"value": round(estimate.value, digits), "interval": interval, "n": estimate.n}
