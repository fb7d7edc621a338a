"""The mean face: a drawing of no person, on which heat from many faces is shown.

``mean_face.csv`` holds the 478 landmarks of MediaPipe's mesh: the median of 8,199 frontal genuine faces of the DFDC
crops, made symmetrical; the origin lies between the eyes' centres, whose distance is the unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from space.analysis import render
from space.analysis.parts import FACE_OVAL, FACE_PARTS, OUTSIDE, part_masks
from space.contract import F32, U8

UNIT = 0.27  # distance between the eyes / side of the picture
ORIGIN = (0.5, 0.36)  # between the eyes, in the picture
SKIN, BACKGROUND, LINE, FEATURE = (206, 182, 163), (232, 229, 226), (172, 146, 128), (120, 92, 80)
FULL_DENSITY = 5.0  # share / share of area that gets the scale's last colour, as on the page
BLUR = 0.018  # sigma / side: parts have no sharp borders, and a cell is larger
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
NOSE = (98, 97, 2, 326, 327)


@cache
def _landmarks() -> F32:
    path = Path(__file__).with_name("mean_face.csv")
    return np.asarray(np.loadtxt(path, delimiter=",", dtype=np.float32), np.float32)


def place_mean_face(side: int) -> F32:
    """(478, 2) landmarks in the pixels of a square picture."""
    return np.asarray((_landmarks() * UNIT + np.array(ORIGIN)) * side, np.float32)


def draw_mean_face(side: int = 480) -> U8:
    """(side, side, 3) RGB: skin, eyes, nose and mouth in outline, and the borders of the parts."""
    points = np.round(place_mean_face(side) * 16).astype(np.int32)
    picture = np.full((side, side, 3), BACKGROUND, np.uint8)
    cv2.fillPoly(picture, [points[list(FACE_OVAL)]], SKIN, cv2.LINE_AA, 4)
    for ring in FACE_PARTS.values():
        cv2.polylines(picture, [points[list(ring)]], True, LINE, 1, cv2.LINE_AA, 4)
    for ring in (LIPS, *EYES):
        cv2.polylines(picture, [points[list(ring)]], True, FEATURE, max(1, side // 240), cv2.LINE_AA, 4)
    cv2.polylines(picture, [points[list(NOSE)]], False, FEATURE, max(1, side // 240), cv2.LINE_AA, 4)
    return picture


def draw_heat(lifts: Mapping[str, float], side: int = 480) -> U8:
    """Heat of parts laid over the mean face.

    Args:
        lifts: part -> share of heat / share of area; parts that are left out have none. The surroundings are not
            shown: there is no telling where in them it fell.
    """
    heat = np.zeros((side, side), np.float32)
    for name, mask in part_masks(place_mean_face(side), side).items():
        if name != OUTSIDE:
            heat[mask] = lifts.get(name, 0.0)
    smooth = cv2.GaussianBlur(heat, (0, 0), BLUR * side)
    return render.draw_overlay(draw_mean_face(side), np.asarray(smooth, np.float32), full_scale=FULL_DENSITY)
