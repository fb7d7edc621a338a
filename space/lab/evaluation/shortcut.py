"""The shortcut baseline: what sharpness, size and compression alone tell about the label.

A detector is worth what it adds to this. It is fitted to the other sources of the same set (cross-validation by
source), so it knows the set better than any detector that has never seen it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from space.analysis.crops import cut_square
from space.contract import U8, Face
from space.lab.evaluation.metrics import F64, I64

FEATURES = ("log sharpness", "log size", "log noise", "blockiness")
BLOCK_PX = 8  # of JPEG, and of H.264's transform
MAX_FOLDS = 5


def measure_shortcuts(face: Face) -> F64:
    """(4,) what a picture is like, whoever it shows; see ``FEATURES``."""
    box = face.box_xyxy - np.tile(face.patch.frame_from_patch[:, 2], 2)
    scale = float(face.patch.frame_from_patch[0, 0])
    side = max(BLOCK_PX * 3, round(float(box[2] - box[0]) / scale))
    image, _ = cut_square(face.patch.image, np.asarray(box / scale, np.float32), side)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    smooth = cv2.medianBlur(gray, 3)
    noise = float(cv2.absdiff(gray, smooth).mean())
    quality = face.quality
    return np.array(
        [np.log1p(quality.sharpness), np.log(max(quality.native_px, 1.0)), np.log1p(noise), measure_blockiness(gray)]
    )


def measure_blockiness(gray: U8) -> float:
    """How much larger the steps between columns and rows are on the 8 px grid that has them largest, as a logarithm.

    After Wang, Sheikh & Bovik 2002 (no-reference quality of JPEG images), with the grid's place unknown: 0 without
    blocks.

    Args:
        gray: (H, W) uint8, both at least 3 * 8.
    """
    pixels = gray.astype(np.float32)
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(pixels, axis=axis)).mean(axis=1 - axis)
        phases = np.array([steps[phase::BLOCK_PX].mean() for phase in range(BLOCK_PX)])
        ratios.append((phases.max() + 0.1) / (np.median(phases) + 0.1))
    return float(np.log(np.mean(ratios)))


def fit_shortcut(features: F64, labels: I64, sources: Sequence[str]) -> F64 | None:
    """p_fake of every sample by a logistic regression on the other sources' samples.

    Args:
        features: (n, 4).
        labels: (n,) 0 or 1.
        sources: n names.

    Returns:
        (n,) probabilities with both classes weighted alike; None where the set has one label, or fewer than two
        sources to fit to in every fold.
    """
    n_folds = min(MAX_FOLDS, len(set(sources)))
    if n_folds < 2 or len(set(labels.tolist())) < 2:
        return None
    p: NDArray[np.float64] = np.zeros(len(labels))
    for fit, test in GroupKFold(n_folds).split(features, labels, groups=list(sources)):
        if len(set(labels[fit].tolist())) < 2:
            return None
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        p[test] = model.fit(features[fit], labels[fit]).predict_proba(features[test])[:, 1]
    return p
