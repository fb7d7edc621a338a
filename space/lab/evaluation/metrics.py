"""Figures of merit with bootstrap intervals by source.

Log-loss, Brier score and expected calibration error weight both classes alike: p_fake takes genuine and
forged as equally likely, and the share of forgeries in a data set is no guide to anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Metric = Callable[[I64, F64], float]

Z_95 = 1.96
MIN_P = 1e-7  # log-loss sees no certainty beyond it


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def count_above(labels: I64, scores: F64) -> tuple[F64, F64]:
    """Rates of a threshold that falls from above all scores to below them, a step per distinct score.

    Returns:
        False alarm rates and detection rates, both (steps + 1,) from 0 to 1. Needs both labels.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan))  # the last of equal scores
    hits = np.cumsum(labels[order] == 1)[ends]
    alarms = ends + 1 - hits
    first = np.zeros(1)
    return np.concatenate([first, alarms / alarms[-1]]), np.concatenate([first, hits / hits[-1]])


def auc(labels: I64, scores: F64) -> float:
    """Area under the ROC curve; needs both labels."""
    alarms, hits = count_above(labels, scores)
    return float((np.diff(alarms) * (hits[1:] + hits[:-1]) / 2).sum())


def average_precision(labels: I64, scores: F64) -> float:
    """Mean precision over recall, for finding forged ones; its chance level is their share."""
    alarms, hits = count_above(labels, scores)
    n_forged = (labels == 1).sum()
    found, wrong = hits[1:] * n_forged, alarms[1:] * (len(labels) - n_forged)
    return float((np.diff(hits) * found / (found + wrong)).sum())


def equal_error_rate(labels: I64, scores: F64) -> float:
    """Where the false alarm rate equals the miss rate, between the points of the ROC curve."""
    alarms, hits = count_above(labels, scores)
    gap = alarms - (1 - hits)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(alarms[after - 1] + share * (alarms[after] - alarms[after - 1]))


def accuracy(labels: I64, p_fake: F64) -> float:
    """Share called right at p_fake 0.5."""
    return float(np.mean((p_fake >= 0.5) == (labels == 1)))


def balanced_accuracy(labels: I64, p_fake: F64) -> float:
    """Mean of the shares of genuine and of forged ones called right at p_fake 0.5."""
    right = (p_fake >= 0.5) == (labels == 1)
    return float(np.mean([right[labels == label].mean() for label in (0, 1)]))


def log_loss(labels: I64, p_fake: F64) -> float:
    """Mean negative logarithm of what was said about the true class; 0.693 for one who always says 0.5."""
    p = np.clip(p_fake, MIN_P, 1 - MIN_P)
    return float(-(balance(labels) * np.log(np.where(labels == 1, p, 1 - p))).sum())


def brier(labels: I64, p_fake: F64) -> float:
    """Mean squared error of p_fake (Brier 1950); 0.25 for one who always says 0.5."""
    return float((balance(labels) * (p_fake - labels) ** 2).sum())


def expected_calibration_error(labels: I64, p_fake: F64, *, n_bins: int = 10) -> float:
    """Mean |share of forged - p_fake| over bins of as many samples each."""
    weights = balance(labels)
    order = np.argsort(p_fake, kind="stable")
    parts = np.array_split(order, n_bins)
    return float(sum(abs((weights[part] * (labels[part] - p_fake[part])).sum()) for part in parts))


def balance(labels: I64) -> F64:
    """(n,) weights that give both classes one half."""
    counts = np.maximum(np.bincount(labels, minlength=2), 1)
    return np.asarray(0.5 / counts[labels], np.float64)


METRICS: Mapping[str, Metric] = {
    "auc": auc,
    "ap": average_precision,
    "eer": equal_error_rate,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_loss": log_loss,
    "brier": brier,
    "ece": expected_calibration_error,
}


def bootstrap_by_source(
    metric: Metric,
    labels: I64,
    scores: F64,
    sources: Sequence[str],
    *,
    rng: np.random.Generator,
    n_draws: int = 1000,
) -> Estimate:
    """A metric with its percentile interval, resampling whole sources; see ``bootstrap_metrics``."""
    return bootstrap_metrics({"": metric}, labels, scores, sources, rng=rng, n_draws=n_draws)[""]


def bootstrap_metrics(
    metrics: Mapping[str, Metric],
    labels: I64,
    scores: F64,
    sources: Sequence[str],
    *,
    rng: np.random.Generator,
    n_draws: int = 1000,
) -> dict[str, Estimate]:
    """Metrics with their percentile intervals, resampling whole sources.

    Faces of one source video (a genuine one and its forgeries) are not independent; drawing sources
    instead of faces keeps the interval honest. Draws with a single label are left out. Where draws are all on one
    side of the value (repeated samples raise the calibration error of few), the interval reaches to it.

    Args:
        labels: (n,) 0 or 1, both there.
        scores: (n,) higher = more fake; probabilities where a metric asks for them.
        sources: n names.
    """
    codes = np.unique(np.asarray(sources), return_inverse=True)[1]
    rows = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    values: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(n_draws):
        drawn = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        if 0 < labels[drawn].sum() < len(drawn):
            for name, metric in metrics.items():
                values[name].append(metric(labels[drawn], scores[drawn]))
    found = {}
    for name, metric in metrics.items():
        value = metric(labels, scores)
        low, high = np.percentile(values[name], [2.5, 97.5]) if values[name] else (value, value)
        found[name] = Estimate(value, min(float(low), value), max(float(high), value), len(labels))
    return found


def estimate_share(n_hits: int, n: int) -> Estimate:
    """A share of independent ones with its interval (Wilson 1927), which is none of width zero at 0 of n.

    Raises:
        ValueError: of nothing.
    """
    if n <= 0:
        raise ValueError("a share of nothing")
    share = n_hits / n
    centre = share + Z_95**2 / (2 * n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    scale = 1 + Z_95**2 / n
    return Estimate(share, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale), n)


def share_above_twin(fake_scores: F64, twin_scores: F64) -> float:
    """Share of forgeries that score above their genuine twin; ties count half."""
    return float(np.mean((fake_scores > twin_scores) + 0.5 * (fake_scores == twin_scores)))
