"""Facial parts: where they lie in a picture, and how much of a heat map falls on each.

Parts are polygons of MediaPipe's 478-point mesh. The rings below tile the mesh's face oval: every edge of
a ring is an edge of exactly one neighbour, run the other way, or of the oval. So the union of the filled
parts is the filled oval whatever the pose, and what is left is ``outside``. Left and right are the person's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import invert, transform_points
from space.contract import F32, FaceMap, PartHeat

N_LANDMARKS = 478
OUTSIDE = "outside"

# Clockwise on the screen. The eye reaches from the crease above the lid to the fold below the bag; the brow
# from there up; the forehead takes the temples, down to the eyes' outer corners; the mouth takes the skin of
# the upper lip and a margin of the lower; the jaw line is a band along the oval from the ear lobe to the chin.
FACE_PARTS: Mapping[str, tuple[int, ...]] = {
    "left_eye": (261, 448, 449, 450, 451, 452, 453, 464, 417, 285, 442, 443, 444, 445, 276, 353, 265),
    "right_eye": (35, 124, 46, 225, 224, 223, 222, 55, 193, 244, 233, 232, 231, 230, 229, 228, 31),
    "left_brow": (445, 444, 443, 442, 285, 336, 296, 334, 293, 300, 276),
    "right_brow": (46, 70, 63, 105, 66, 107, 55, 222, 223, 224, 225),
    "nose": (
        *(417, 464, 357, 343, 437, 420, 429, 279, 358, 294, 327, 326, 2),
        *(97, 98, 64, 129, 49, 209, 198, 217, 114, 128, 244, 193, 168),
    ),
    "mouth": (
        *(326, 327, 391, 322, 410, 287, 273, 335, 406, 313, 18),
        *(83, 182, 106, 43, 57, 186, 92, 165, 98, 97, 2),
    ),
    "left_cheek": (
        *(454, 323, 361, 401, 433, 416, 434, 430, 431, 424, 335, 273, 287, 410, 322, 391, 327, 294, 358, 279),
        *(429, 420, 437, 343, 357, 464, 453, 452, 451, 450, 449, 448, 261, 265, 372, 264, 356),
    ),
    "right_cheek": (
        *(127, 34, 143, 35, 31, 228, 229, 230, 231, 232, 233, 244, 128, 114, 217, 198, 209),
        *(49, 129, 64, 98, 165, 92, 186, 57, 43, 106, 204, 211, 210, 214, 192, 213, 177, 132, 93, 234),
    ),
    "forehead": (
        *(338, 297, 332, 284, 251, 389, 356, 264, 372, 265, 353, 276, 300, 293, 334, 296, 336, 285, 417, 168),
        *(193, 55, 107, 66, 105, 63, 70, 46, 124, 35, 143, 34, 127, 162, 21, 54, 103, 67, 109, 10),
    ),
    "chin": (313, 406, 335, 424, 431, 262, 369, 400, 377, 152, 148, 176, 140, 32, 211, 204, 106, 182, 83, 18),
    "left_jaw": (288, 397, 365, 379, 378, 400, 369, 262, 431, 430, 434, 416, 433, 401, 361),
    "right_jaw": (132, 177, 213, 192, 214, 210, 211, 32, 140, 176, 149, 150, 136, 172, 58),
}
FACE_OVAL: tuple[int, ...] = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
PART_NAMES: tuple[str, ...] = (*FACE_PARTS, OUTSIDE)  # the order of shared/parts.json

# Where a turned head makes parts overlap, what stands out of the face hides what lies behind it.
_BACK_TO_FRONT = ("forehead", "cheek", "jaw", "chin", "brow", "eye", "mouth", "nose")
_EYE_CORNERS = ((263, 362), (33, 133))  # left, right: outer and inner corner

CELLS = 14  # cells along the side of the finest heat map: what is smaller is not a peak
PEAK_FRACTION = 0.6  # of the highest peak: lower local maxima do not count


# --- where the parts lie ----------------------------------------------------------------------


def part_masks(landmarks_crop: F32, size: int) -> dict[str, NDArray[np.bool_]]:
    """Where each part lies in a square picture.

    Args:
        landmarks_crop: (478, 2) in the picture's pixels; may lie beyond it.
        size: side S of the picture in pixels.

    Returns:
        Part -> (S, S) mask, in the order of ``PART_NAMES``. The masks are disjoint and cover the picture.
        A part hidden by the pose or beyond the picture has an empty mask.

    Raises:
        ValueError: landmarks of another shape, or not finite.
    """
    if landmarks_crop.shape != (N_LANDMARKS, 2) or not np.isfinite(landmarks_crop).all():
        raise ValueError(f"landmarks must be finite and ({N_LANDMARKS}, 2), not {landmarks_crop.shape}")
    labels = np.full((size, size), PART_NAMES.index(OUTSIDE), np.uint8)
    for name in _painting_order(landmarks_crop):
        points = np.round(landmarks_crop[list(FACE_PARTS[name])] * 16).astype(np.int32)
        cv2.fillPoly(labels, [points], (PART_NAMES.index(name),), shift=4)  # in sixteenths of a pixel
    return {name: labels == label for label, name in enumerate(PART_NAMES)}


def _painting_order(landmarks: F32) -> list[str]:
    """Parts turned away from the camera first, then from back to front."""

    def depth(name: str) -> tuple[bool, int]:
        faces_camera = _signed_area(landmarks[list(FACE_PARTS[name])]) > 0
        return faces_camera, _BACK_TO_FRONT.index(name.rsplit("_", maxsplit=1)[-1])

    return sorted(FACE_PARTS, key=depth)


def _signed_area(polygon: F32) -> float:
    """Area in square pixels; negative where the polygon shows its back."""
    x, y = polygon.astype(np.float64).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


# --- how much heat falls on them --------------------------------------------------------------


def measure_parts(
    face_map: FaceMap, landmarks_frame: F32, usual: Mapping[str, float] | None = None
) -> tuple[PartHeat, ...]:
    """How much of a face's heat map falls on each part.

    A part's distance is that of the nearest of the hottest peaks to the nearest landmark of the part's
    outline (of the face oval for ``outside``), in units of the distance between the eyes' centres as seen
    in the picture; 0 where a peak lies on the part.

    Args:
        face_map: raw magnitudes, finite and >= 0.
        landmarks_frame: (478, 2) of the same face, in the frame's pixels.
        usual: part of the face -> its mean share of the face's heat on genuine faces; None: unknown, like its excess.

    Returns:
        Every part, by share, largest first. Shares add up to 1; where the map holds no heat, every share
        and lift is 0 and there is no distance.

    Raises:
        ValueError: a map that is not square, negative or not finite; landmarks of another shape, not
            finite, or with both eyes in one place.
    """
    heat = np.asarray(face_map.layered, np.float64)
    if heat.ndim != 2 or heat.shape[0] != heat.shape[1] or not np.isfinite(heat).all() or heat.min() < 0:
        raise ValueError("a heat map is square, finite and not negative")
    landmarks = transform_points(invert(face_map.crop.frame_from_crop), landmarks_frame)
    masks = part_masks(landmarks, heat.shape[0])
    unit_px = _eye_distance(landmarks)
    peaks = _find_peaks(heat)
    total = float(heat.sum())
    parts = [_measure_part(name, mask, heat, total, peaks, landmarks, unit_px) for name, mask in masks.items()]
    return tuple(sorted(_add_excess(parts, usual or {}), key=lambda part: -part.share))


def _add_excess(parts: Sequence[PartHeat], usual: Mapping[str, float]) -> Iterator[PartHeat]:
    on_face = sum(part.share for part in parts if part.name != OUTSIDE)
    is_known = on_face > 0 and usual.keys() >= FACE_PARTS.keys()
    for part in parts:
        is_on_face = part.name != OUTSIDE
        yield replace(part, excess=part.share / on_face / usual[part.name]) if is_known and is_on_face else part


def _measure_part(
    name: str,
    mask: NDArray[np.bool_],
    heat: NDArray[np.float64],
    total: float,
    peaks: NDArray[np.intp],
    landmarks: F32,
    unit_px: float,
) -> PartHeat:
    share = float(heat[mask].sum()) / total if total > 0 else 0.0
    area = float(mask.mean())
    distance = None
    if len(peaks):
        is_on_part = mask[peaks[:, 1], peaks[:, 0]].any()
        outline = landmarks[list(FACE_PARTS.get(name, FACE_OVAL))]
        gaps = np.linalg.norm(peaks[:, None] - outline[None], axis=2)
        distance = 0.0 if is_on_part else float(gaps.min()) / unit_px
    return PartHeat(name=name, share=share, lift=share / area if area > 0 else 0.0, distance=distance)


def _eye_distance(landmarks: F32) -> float:
    left, right = (landmarks[list(corners)].mean(axis=0) for corners in _EYE_CORNERS)
    distance = float(np.linalg.norm(left - right))
    if distance == 0:
        raise ValueError("the eyes lie in one place")
    return distance


def _find_peaks(heat: NDArray[np.float64]) -> NDArray[np.intp]:
    """The hottest local maxima as (n, 2) pixels x, y; none in a map without contrast.

    The map is smoothed by half a cell first, and a peak is the highest of its surroundings of one cell, so
    that a noisy pixel or a ripple of upsampling is none.
    """
    cell = heat.shape[0] / CELLS
    relative = (heat / max(heat.max(), np.finfo(np.float64).tiny)).astype(np.float32)  # so that float32 does
    smooth = cv2.GaussianBlur(relative, (0, 0), cell / 2, borderType=cv2.BORDER_REPLICATE)
    highest = float(smooth.max())
    if highest - float(smooth.min()) <= 1e-5 * highest:
        return np.empty((0, 2), np.intp)
    reach = max(1, round(cell))
    surroundings = cv2.dilate(smooth, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))  # a square one is separable
    is_top = (smooth >= surroundings) & (smooth >= PEAK_FRACTION * highest)
    n_labels, labels = cv2.connectedComponents(is_top.astype(np.uint8))
    return np.array([_middle(labels == label) for label in range(1, n_labels)], np.intp).reshape(-1, 2)


def _middle(area: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The pixel x, y of an area that is nearest to its centre of mass."""
    pixels = np.argwhere(area)[:, ::-1]
    middle: NDArray[np.intp] = pixels[np.linalg.norm(pixels - pixels.mean(axis=0), axis=1).argmin()]
    return middle
