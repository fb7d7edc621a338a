"""How sharp a face is along its outline, beside what surrounds it and what lies within.

A face that was put into a picture ends in a soft border, where it is mixed with what was there: fine detail is missing
along the outline, while the surroundings keep theirs. Networks that look at a whole crop hold that against clothes,
hair and light that they like or do not like; measured by itself it is one number, which a clip's frames repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_crop, invert, transform_points
from space.analysis.parts import FACE_OVAL
from space.contract import F32, U8, Face, Patch

FACE_PX = 115  # side of the landmarks' box where detail is measured
MARGIN = 1.6  # of the crop
FINE = (0.6, 1.2)  # standard deviations of the two Gaussians whose difference is the finest detail, pixels
WITHIN, BEYOND = 10.0, 6.0  # the band along the outline, pixels inside and outside of it
INSIDE = 14.0  # from here inwards lies what is within
AROUND = (5.0, 22.0)  # between them lie the surroundings
MIN_AROUND = 0.4  # share of the surroundings that the picture must show
FLOOR = 1e-2  # of the mean power: a flat wall has none


def measure_outlines(faces: Sequence[Face]) -> F32:
    """Fine detail along the outline and within, against the surroundings.

    Returns:
        (n, 2) float32, natural logarithms of power ratios: outline / surroundings, inside / surroundings. NaN for
        a face whose surroundings the picture does not show, as in tight crops.
    """
    rows = [_measure(face) for face in faces]
    return np.array(rows, np.float32).reshape(-1, 2)


def _measure(face: Face) -> tuple[float, float]:
    size = round(FACE_PX * MARGIN)
    crop = cut_crop(face.patch, face.box_xyxy, margin=MARGIN, input_px=size)
    landmarks = transform_points(invert(crop.frame_from_crop), face.landmarks[list(FACE_OVAL)])
    face_mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(face_mask, cv2.convexHull(landmarks).astype(np.int32), (1,))
    inwards = cv2.distanceTransform(face_mask, cv2.DIST_L2, 5)
    outwards = cv2.distanceTransform(1 - face_mask, cv2.DIST_L2, 5)
    around = (outwards > AROUND[0]) & (outwards <= AROUND[1])
    shown = _shown(face.patch, crop.frame_from_crop, size)
    if not around.any() or shown[around].mean() < MIN_AROUND:
        return float("nan"), float("nan")
    power = _fine_power(crop.image)
    outline = (inwards <= WITHIN) & (outwards <= BEYOND)
    inside = inwards > INSIDE
    level = [_log_mean(power[region & shown]) for region in (outline, inside, around)]
    return level[0] - level[2], level[1] - level[2]


def _fine_power(image: U8) -> F32:
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(luma, (0, 0), sigma) for sigma in FINE)
    return np.asarray((fine - coarse) ** 2, np.float32)


def _log_mean(power: F32) -> float:
    return float(np.log(power.mean() + FLOOR)) if power.size else float("nan")


def _shown(patch: Patch, frame_from_crop: F32, size: int) -> NDArray[np.bool_]:
    """(S, S) where the crop shows the picture, and not its border repeated, nor bars of one colour."""
    (top, bottom), (left, right) = (_extent(patch.image, axis) for axis in (0, 1))
    corners = np.array([[left, top], [right, bottom]], np.float32)
    in_frame = transform_points(patch.frame_from_patch, corners)
    (x0, y0), (x1, y1) = transform_points(invert(frame_from_crop), in_frame).tolist()
    rows, columns = np.mgrid[0:size, 0:size]
    return np.asarray((columns > x0 + 1) & (columns < x1 - 1) & (rows > y0 + 1) & (rows < y1 - 1))


def _extent(image: U8, axis: int) -> tuple[int, int]:
    """First and last row (axis 0) or column (axis 1) that is not the same as its neighbour towards the border."""
    other = (1, 2) if axis == 0 else (0, 2)
    changes = np.flatnonzero((np.diff(image.astype(np.int16), axis=axis) != 0).any(axis=other))
    last = image.shape[axis] - 1
    if not changes.size:
        return last, 0
    first = 0 if changes[0] == 0 else int(changes[0])
    end = last if changes[-1] == last - 1 else int(changes[-1]) + 1
    return first, end
