"""Facial parts: where they lie in a picture, how much of a heat map falls on each, which may be named.

Parts are polygons of MediaPipe's 478-point mesh. The rings below tile the mesh's face oval: every edge of
a ring is an edge of exactly one neighbour, run the other way, or of the oval. So the union of the filled
parts is the filled oval whatever the pose, and what is left is ``outside``. Left and right are the person's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import invert, transform_points
from space.contract import F32, Evidence, FaceMap, PartHeat, PartsReport, PartSummary, Text
from space.texts import make_text

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

MAX_NAMED = 3
MIN_SHARE = 0.1  # of the heat on the face, for a part to be named
MIN_CONTRAST = 2.0  # its excess; where that is not known, its lift / the median lift of the face's parts
MIN_TOGETHER = 0.3  # of the heat on the face
MIN_TOGETHER_BY_SIZE = 0.4  # the same where only size tells what is much for a part
MIN_OF_FIRST = 0.2  # its rank / that of the first part named: less is spill
MIN_OUTSIDE_SHARE = 0.5  # of all heat, for the surroundings to be named
MIN_OUTSIDE_LIFT = 1.1  # and more than their area explains


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


# --- which parts may be named -----------------------------------------------------------------


def compromising_parts(parts: Sequence[PartHeat]) -> tuple[str, ...]:
    """The parts that deserve to be named, the strongest first.

    A part of the face does when it holds at least ``MIN_SHARE`` of the face's heat and at least ``MIN_CONTRAST``
    times what it usually holds on genuine faces: some parts draw the models' attention whether anything is wrong with
    them or not. They are ranked by that excess. Where it is not known, the part's lift must be ``MIN_CONTRAST`` times
    the median lift of the face's parts, and share x lift ranks (mass x density: a small part with all the heat comes
    before the large neighbour it spills into). Unless the first ``MAX_NAMED`` of them hold ``MIN_TOGETHER``
    (``MIN_TOGETHER_BY_SIZE``) of the face's heat, the map is diffuse and none is returned; of these, what falls short
    of ``MIN_OF_FIRST`` times the first one's rank is taken for spill and left out. ``outside`` is returned alone, when
    it holds at least ``MIN_OUTSIDE_SHARE`` of all heat and more than its area explains.
    """
    outside = [part for part in parts if part.name == OUTSIDE]
    if any(part.share >= MIN_OUTSIDE_SHARE and part.lift >= MIN_OUTSIDE_LIFT for part in outside):
        return (OUTSIDE,)
    face = [part for part in parts if part.name != OUTSIDE]
    face_share = sum(part.share for part in face)
    if face_share == 0:
        return ()
    rank, contrast, together = _compare(face)
    hot = [p for p in face if p.share >= MIN_SHARE * face_share and contrast[p.name] >= MIN_CONTRAST]
    hot = sorted(hot, key=lambda part: rank[part.name], reverse=True)[:MAX_NAMED]
    if sum(part.share for part in hot) < together * face_share:
        return ()
    return tuple(part.name for part in hot if rank[part.name] >= MIN_OF_FIRST * rank[hot[0].name])


def _compare(face: Sequence[PartHeat]) -> tuple[dict[str, float], dict[str, float], float]:
    """What ranks the face's parts, how far each stands out, and how much of the heat those that do must hold."""
    excess = {part.name: part.excess for part in face if part.excess is not None}
    if len(excess) == len(face):
        return excess, excess, MIN_TOGETHER
    typical_lift = float(np.median([part.lift for part in face]))
    rank = {part.name: part.share * part.lift for part in face}
    contrast = {part.name: part.lift / typical_lift if typical_lift > 0 else np.inf for part in face}
    return rank, contrast, MIN_TOGETHER_BY_SIZE


def describe_moment(
    parts: Sequence[PartHeat], *, time_s: float | None, name_compromising: bool, is_too_weak: bool = False
) -> Text:
    """The sentence of one moment.

    Args:
        time_s: None for a still picture.
        name_compromising: whether the verdict allows to name parts ("some" or "strong").
        is_too_weak: the map's heat is next to nothing on the ensemble's scale, so that no part is named.
    """
    suffix, when = (".single", {}) if time_s is None else ("", {"time_s": time_s})
    names = compromising_parts(parts)
    if is_too_weak or not name_compromising or not any(part.share for part in parts):
        return make_text(f"evidence.withheld{suffix}", **when)
    if not names:
        return make_text(f"evidence.diffuse{suffix}", **when)
    if names == (OUTSIDE,):
        return make_text(f"evidence.outside{suffix}", **when)
    return make_text(f"evidence.localised{suffix}", **when, parts=_text_ids(names))


# --- the parts over all moments ---------------------------------------------------------------


def summarise_parts(
    evidence: Sequence[Evidence],
    *,
    name_compromising: bool,
    min_heat: float = 0.0,
    frames: Sequence[Sequence[str]] | None = None,
    drops: Mapping[str, float] | None = None,
) -> PartsReport:
    """The parts over all moments, and the sentence about them.

    Shares, lifts and distances are means weighted by the moments' heat. A part is compromising when the
    means make it so (``compromising_parts``) and at least one moment does.

    Args:
        evidence: one or more moments, each with every part.
        name_compromising: whether the verdict allows to name parts ("some" or "strong").
        min_heat: a moment with less total heat, in the maps' unit, counts as without: its parts are not named.
        frames: of every usable frame, the parts that its map alone names; None: only moments are counted.
        drops: part -> how much the strongest moment's logit falls when it is blurred; None: not tried.

    Raises:
        ValueError: no moments.
    """
    if not evidence:
        raise ValueError("there is no moment to summarise")
    strong = [moment for moment in evidence if moment.heat > 0 and moment.heat >= min_heat]
    means = [_average_part(name, strong) for name in PART_NAMES]
    per_moment = [compromising_parts(moment.parts) for moment in strong]
    n_moments = {name: sum(name in names for names in per_moment) for name in PART_NAMES}
    named = tuple(name for name in compromising_parts(means) if n_moments[name]) if name_compromising else ()
    sentence = _summary_sentence(
        named,
        is_withheld=not (name_compromising and strong),
        counts=("moments", len(evidence), per_moment) if frames is None else ("frames", len(frames), frames),
    )
    verified = _verify(named, drops or {})
    parts = tuple(
        PartSummary(
            name=part.name,
            share=part.share,
            lift=part.lift,
            distance=part.distance,
            n_moments=n_moments[part.name],
            compromising=part.name in named,
            n_frames=None if frames is None else sum(part.name in names for names in frames),
            drop=(drops or {}).get(part.name),
            verified=verified.get(part.name),
            excess=part.excess,
        )
        for part in sorted(means, key=lambda part: -part.share)
    )
    n_frames = None if frames is None else len(frames)
    return PartsReport(sentence=sentence, parts=parts, n_frames=n_frames, verification=_describe_check(verified))


def _verify(named: Sequence[str], drops: Mapping[str, float]) -> dict[str, bool]:
    """Named part -> whether blurring it takes anything, and more than blurring the parts that are not named does."""
    others = [drop for name, drop in drops.items() if name not in named]
    bar = max(0.0, float(np.median(others))) if others else 0.0
    return {name: drops[name] > bar for name in named if name in drops}


def _describe_check(verified: Mapping[str, bool]) -> Text | None:
    if not verified:
        return None
    held = [name for name, is_verified in verified.items() if is_verified]
    if held:
        return make_text("parts.verified", parts=_text_ids(held))
    return make_text("parts.unverified", parts=_text_ids(list(verified)))


def _average_part(name: str, moments: Sequence[Evidence]) -> PartHeat:
    found = [(moment.heat, part) for moment in moments for part in moment.parts if part.name == name]
    return PartHeat(
        name=name,
        share=_weighted_mean((heat, part.share) for heat, part in found) or 0.0,
        lift=_weighted_mean((heat, part.lift) for heat, part in found) or 0.0,
        distance=_weighted_mean((heat, part.distance) for heat, part in found if part.distance is not None),
        excess=_weighted_mean((heat, part.excess) for heat, part in found if part.excess is not None),
    )


def _weighted_mean(pairs: Iterable[tuple[float, float]]) -> float | None:
    weighted = list(pairs)
    total = math.fsum(weight for weight, _ in weighted)
    return math.fsum(weight / total * value for weight, value in weighted) if total > 0 else None


def _summary_sentence(
    named: tuple[str, ...], *, is_withheld: bool, counts: tuple[str, int, Sequence[Sequence[str]]]
) -> Text:
    """Counts: of what, how many there are, and the parts that each one names."""
    if is_withheld:
        return make_text("parts.withheld")
    if not named:
        return make_text("parts.diffuse")
    if named == (OUTSIDE,):
        return make_text("parts.outside")
    kind, n_total, names_of = counts
    n_with = sum(not set(named).isdisjoint(names) for names in names_of)
    if n_total == 1 or not n_with:
        return make_text("parts.localised.single", parts=_text_ids(named))
    if kind == "frames":
        return make_text("parts.localised.frames", parts=_text_ids(named), n_frames=n_with, n_total=n_total)
    return make_text("parts.localised", parts=_text_ids(named), n_moments=n_with, n_total=n_total)


def _text_ids(names: Sequence[str]) -> list[str]:
    return [f"part.{name}" for name in names]
