"""Reenactment: mouth or eyes of a face brought into another expression by its landmarks.

The moved region is drawn anew, at its own resolution, and blended in, as reenacting tools do; on a track the mouth
talks and the eyes blink on their own time, not the genuine ones.
"""

from __future__ import annotations

import cv2
import numpy as np

from space.contract import F32, U8
from space.lab.forge import features
from space.lab.forge.blend import Forgery
from space.lab.forge.shot import Draws, Shot, fill_hull, soften_by
from space.lab.forge.swap import KEY_LANDMARKS, blend, change_sensor, warp_coordinates

REENACT_KINDS = ("mouth_opening", "smile", "eyes_closed", "eyes_wide")

GRID = 56  # nodes of the warp along the image: lids are finer than whole faces
SMOOTHING = 1e-5
MIN_GAP = 0.004  # between lips or lids, share of the face's height: lines that meet cannot be told apart
FRAME = np.array([(x, y) for x in (-0.3, 0.5, 1.3) for y in (-0.3, 0.5, 1.3) if (x, y) != (0.5, 0.5)], np.float32)
OPENED = 0.03  # share of the face's height: from here on a mouth shows its inside


def forge_reenactment(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    """Another expression of the same face."""
    rng = draws.once
    amount = _amount(rng, draws.time_s)
    moved, touched = _MOVES[kind](shot.landmarks, amount, rng)
    scale = float(rng.uniform(0.4, 1.0))
    foreign = _redraw(shot, moved, scale)
    if kind == "mouth_opening":
        foreign = _paint_inside(foreign, shot, moved)
    foreign = change_sensor(foreign, rng, draws.each)
    hard = np.max([fill_hull(points, shot.size_hw) for points in touched], axis=0)
    width_px = min(0.5 * shot.face_px, 1.2 * float(np.sqrt(hard.sum())))
    mask = soften_by(hard, float(rng.uniform(0.03, 0.09)) * width_px) * np.float32(strength)
    return Forgery(genuine=shot.image, forged=blend(shot.image, foreign, mask), mask=mask)


def _amount(rng: np.random.Generator, time_s: float) -> float:
    """How far the expression has gone at a time, [0, 1]: two slow sines of random phase, never quite at rest."""
    rates, phases = rng.uniform(0.4, 2.2, size=2), rng.uniform(0, 2 * np.pi, size=2)
    return float(0.55 + 0.3 * np.sin(2 * np.pi * rates * time_s + phases) @ (1.0, 0.5))


def _axes(landmarks: F32) -> tuple[F32, float]:
    """The face's own down, a unit vector, and its height in pixels from between the brows to the chin."""
    down = landmarks[152] - landmarks[9]
    height = float(np.hypot(*down))
    return np.asarray(down / max(height, 1e-6), np.float32), height


def _grow(points: F32, factor: float) -> F32:
    middle = points.mean(axis=0)
    return np.asarray((points - middle) * factor + middle, np.float32)


def _open_mouth(landmarks: F32, amount: float, rng: np.random.Generator) -> tuple[F32, list[F32]]:
    """Give the mouth a gap of its own, shut to wide; the chin goes along."""
    down, height = _axes(landmarks)
    lower, upper = list(features.LOWER_INNER_LIP), list(features.UPPER_INNER_LIP)
    gap = float(((landmarks[lower] - landmarks[upper]) @ down).max())
    wanted = max(MIN_GAP * height, float(rng.uniform(0.06, 0.16)) * height * (2 * amount - 0.7))
    change = wanted - gap
    moved = landmarks.copy()
    arch = np.sin(np.linspace(0, np.pi, len(lower) + 2)[1:-1])[:, None]
    moved[lower] += 0.85 * change * arch * down
    moved[upper] -= 0.15 * change * arch * down
    outer = list(features.OUTER_LIPS[1:10])
    moved[outer] += 0.8 * change * np.sin(np.linspace(0, np.pi, 11)[1:-1])[:, None] * down
    moved[list(features.CHIN)] += 0.65 * change * down
    outline = list(features.LOWER_OVAL)
    moved[outline] += 0.6 * change * np.sin(np.linspace(0, np.pi, len(outline)))[:, None] * down
    lips, jaw = list(features.OUTER_LIPS), [*features.OUTER_LIPS, *outline]
    both = np.concatenate([landmarks[jaw], moved[jaw]])
    return moved, [_grow(both, 1.12), _grow(landmarks[lips], 1.3)]


def _smile(landmarks: F32, amount: float, rng: np.random.Generator) -> tuple[F32, list[F32]]:
    """Pull the corners of the mouth up and apart, or down."""
    down, height = _axes(landmarks)
    ring = list(features.OUTER_LIPS + features.INNER_LIPS)
    lift = float(rng.choice([1.0, -0.8])) * amount * height * float(rng.uniform(0.07, 0.12))
    across = np.array([-down[1], down[0]], np.float32)
    middle = landmarks[[61, 291]].mean(axis=0)
    side = (landmarks[ring] - middle) @ across
    reach = float(np.abs(side).max()) or 1.0
    share = np.abs(side / reach)[:, None] ** 1.5
    moved = landmarks.copy()
    moved[ring] += share * (-lift * down) + share * np.sign(side)[:, None] * abs(lift) * 0.7 * across
    return moved, [_grow(np.concatenate([landmarks[ring], moved[ring]]), 1.5)]


def _set_lids(landmarks: F32, opening: float) -> tuple[F32, list[F32]]:
    """Bring the upper lids to a share of the eyes' opening."""
    moved = landmarks.copy()
    down, height = _axes(landmarks)
    touched = []
    for upper, lower, ring in (
        (features.RIGHT_UPPER_LID, features.RIGHT_LOWER_LID, features.RIGHT_LIDS),
        (features.LEFT_UPPER_LID, features.LEFT_LOWER_LID, features.LEFT_LIDS),
    ):
        bottom = landmarks[list(lower)]
        moved[list(upper)] = bottom + opening * (landmarks[list(upper)] - bottom) - MIN_GAP * height * down
        both = np.concatenate([landmarks[list(ring)], moved[list(ring)]])
        touched.append(_grow(both, 1.35) - np.float32(0.015 * height) * down)
    return moved, touched


def _close_eyes(landmarks: F32, amount: float, rng: np.random.Generator) -> tuple[F32, list[F32]]:
    return _set_lids(landmarks, float(np.clip(rng.uniform(0.5, 0.9) * (1.2 - 1.7 * amount), 0, 1)))


def _widen_eyes(landmarks: F32, amount: float, rng: np.random.Generator) -> tuple[F32, list[F32]]:
    return _set_lids(landmarks, 1 + float(rng.uniform(0.35, 0.7)) * (0.4 + 0.6 * amount))


_MOVES = {"mouth_opening": _open_mouth, "smile": _smile, "eyes_closed": _close_eyes, "eyes_wide": _widen_eyes}


def _redraw(shot: Shot, moved: F32, scale: float) -> U8:
    """The image with its landmarks moved, drawn at a share of its resolution."""
    low, high = shot.landmarks.min(axis=0), shot.landmarks.max(axis=0)
    frame = low + FRAME * (high - low)  # what surrounds the face stays
    keys = sorted(
        {*KEY_LANDMARKS, *features.OUTER_LIPS, *features.INNER_LIPS, *features.CHIN, *features.LOWER_OVAL}
        | {*features.RIGHT_LIDS, *features.LEFT_LIDS, *features.CHEEKS}
        | set(range(len(moved), len(moved) + len(frame)))
    )
    new, old = (np.concatenate([points, frame]).astype(np.float32) for points in (moved, shot.landmarks))
    xs, ys = warp_coordinates(new, old, shot.size_hw, keys=keys, grid=GRID, smoothing=SMOOTHING)
    drawn = cv2.remap(shot.image, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    height, width = shot.size_hw
    small = max(8, round(width * scale)), max(8, round(height * scale))
    reduced = cv2.resize(drawn, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _paint_inside(image: U8, shot: Shot, moved: F32) -> U8:
    """A mouth that was shut shows no inside when it is opened: paint one, dark, with a row of upper teeth."""
    down, height = _axes(moved)
    lower, upper = list(features.LOWER_INNER_LIP), list(features.UPPER_INNER_LIP)
    was, now = (float(((points[lower] - points[upper]) @ down).max()) / height for points in (shot.landmarks, moved))
    if was > OPENED or now < OPENED:
        return image
    ring = moved[list(features.INNER_LIPS)]
    teeth = np.concatenate([moved[upper[2:-2]], (0.75 * moved[upper] + 0.25 * moved[lower])[2:-2]])
    skin = np.median(image[fill_hull(moved[list(features.CHEEKS)], shot.size_hw) > 0], axis=0)
    sigma = max(0.6, 0.008 * shot.face_px)
    painted = image.astype(np.float32)
    for points, colour in ((ring, skin * (0.28, 0.18, 0.18)), (teeth, skin.mean() * np.array([0.72, 0.68, 0.62]))):
        soft = cv2.GaussianBlur(fill_hull(points, shot.size_hw), (0, 0), sigma)[:, :, None]
        painted = painted + soft * (colour.astype(np.float32) - painted)
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)
