"""Calibration and thresholds, fitted to logits of held-out faces.

Probabilities assume that genuine and forged are equally likely: the share of forgeries a reader meets
is unknown, and the one in a data set is no guide to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from space.models.cards import Calibration

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# Class-conditional error rates that thresholds are set to on held-out faces (split conformal: Vovk 2012).
STRONG_FALSE_ALARMS = 0.0025  # genuine faces called "strong"
SOME_FALSE_ALARMS = 0.005  # genuine faces called "some" or "strong"; few, for other material shifts the scores
LITTLE_MISSES = 0.10  # forged faces called "little"


def fit_calibration(labels: I64, logits: F64 | NDArray[np.float32]) -> Calibration:
    """Temperature and bias by logistic regression with both classes weighted alike.

    Args:
        labels: (n,) 0 or 1.
        logits: (n,) raw.

    Raises:
        ValueError: the logits do not rise with the label, so that no positive temperature fits.
    """
    model = LogisticRegression(C=1e6, class_weight="balanced").fit(logits.reshape(-1, 1), labels)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise ValueError("the logits fall where the label rises: these weights have learned nothing")
    return Calibration(temperature=1 / slope, bias=-offset / slope)


def conformal_quantile(values: F64, alpha: float) -> float:
    """The value that a new one of the same kind exceeds with probability at most ``alpha``.

    Raises:
        ValueError: too few values for a bound this strict (n + 1 < 1 / alpha).
    """
    rank = int(np.ceil((len(values) + 1) * (1 - alpha)))
    if rank > len(values):
        raise ValueError(f"{len(values)} values cannot bound a rate of {alpha}")
    return float(np.sort(values)[rank - 1])


def verdict_levels(genuine: Sequence[F64], forged: F64) -> tuple[float, float, float]:
    """Where "little" ends, "some" begins and "strong" begins.

    Each genuine set keeps the false alarm rates by itself, so the strictest set decides.

    Args:
        genuine: p_fake of held-out genuine faces, one array per set.
        forged: p_fake of held-out forged faces.

    Returns:
        ``little_below <= some_from <= strong_from``.
    """
    some = max(conformal_quantile(p, SOME_FALSE_ALARMS) for p in genuine)
    strong = max(conformal_quantile(p, STRONG_FALSE_ALARMS) for p in genuine if len(p) + 1 >= 1 / STRONG_FALSE_ALARMS)
    little = min(-conformal_quantile(-forged, LITTLE_MISSES), some)
    return little, some, max(some, strong)
