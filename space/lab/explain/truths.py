"""Where a forgery truly is, in the picture its heat map lies over: three answers to one question."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from space.contract import F32, U8

BAND = 0.04  # half the width of the boundary band / side of the picture
DIFFERENCE_MIN = 6.0  # 8-bit steps: compression and resampling alone stay below
DIFFERENCE_SIGMA = 0.01  # / side of the picture: so that a difference is a place, not grain

TRUTHS = ("filled", "band", "difference")


@dataclass(frozen=True)
class Truth:
    """The manipulated region of one picture, each (S, S) bool."""

    filled: NDArray[np.bool_]  # everything inside the forged region's outline
    band: NDArray[np.bool_]  # along that outline, where blending leaves its traces
    difference: NDArray[np.bool_]  # pixels that differ from the genuine twin's

    def get(self, name: str) -> NDArray[np.bool_]:
        """One of ``TRUTHS``."""
        found: NDArray[np.bool_] = getattr(self, name)
        return found


def find_truth(mask: F32, forged: U8, genuine: U8) -> Truth:
    """The three regions of a picture.

    Args:
        mask: (S, S) in [0, 1], how much of each pixel was forged.
        forged, genuine: (S, S, 3) RGB twins, registered.
    """
    side = mask.shape[0]
    filled = fill_outline(mask >= 0.5 * float(mask.max())) if mask.max() > 0 else np.zeros(mask.shape, np.bool_)
    reach = max(1, round(BAND * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    solid = filled.astype(np.uint8)
    band = cv2.dilate(solid, kernel) - cv2.erode(solid, kernel, borderValue=(0,)) > 0
    sigma = DIFFERENCE_SIGMA * side
    smooth = [cv2.GaussianBlur(x, (0, 0), sigma).astype(np.float32) for x in (forged, genuine)]
    difference = np.abs(smooth[0] - smooth[1]).max(axis=2) > DIFFERENCE_MIN
    return Truth(filled=filled, band=np.asarray(band, np.bool_), difference=np.asarray(difference, np.bool_))


def fill_outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without holes, and without specks under a hundredth of its largest piece."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    largest = max((cv2.contourArea(c) for c in contours), default=0.0)
    cv2.drawContours(filled, [c for c in contours if cv2.contourArea(c) >= 0.01 * largest], -1, (1,), cv2.FILLED)
    return filled > 0
