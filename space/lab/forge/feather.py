"""Feathered swaps: a face as sharp as its surroundings, of another shape, under a wide soft border over the contour.

Where the face in the picture is smaller than the face a swapping network draws, nothing inside gives it away by its
resolution. What is left lies along the contour: the network knows little of hair, neck and backdrop and draws them
softly, the other face's outline runs beside the genuine one, and the border mixes both.
"""

from __future__ import annotations

import cv2
import numpy as np

from space.analysis.parts import FACE_OVAL
from space.contract import F32, U8
from space.lab.forge.blend import Forgery, to_uint8
from space.lab.forge.shot import Draws, NotForgeableError, Shot, fill_hull
from space.lab.forge.swap import blend, change_sensor, find_seen, match_colours, warp_coordinates

FEATHER_KINDS = ("reshaped", "other")  # the face itself in another shape; another person's face

N_WAVES = 3  # of the outline: a random mix of that many waves around the face
SHARP_OVER_PX = 1.2  # sigma of the blur against which sharpness is measured
MAX_SHARPENING = 2.5


def forge_feathered_swap(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    """A face of another shape with a border as wide as swapping tools offer."""
    rng = draws.once
    moved = reshape_landmarks(shot.landmarks, rng)
    source = shot
    if kind == "other":
        if draws.donor is None:
            raise NotForgeableError("another person's face needs a donor")
        source = draws.donor
    xs, ys = warp_coordinates(moved, source.landmarks, shot.size_hw)
    foreign = np.asarray(cv2.remap(source.image, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    mask = feathered_mask(shot, rng) * find_seen(xs, ys, source.size_hw)
    inside = fill_hull(shot.landmarks, shot.size_hw)
    foreign = match_sharpness(foreign, shot.image, inside, factor=float(rng.uniform(0.8, 1.25)))
    if rng.random() < 0.7:
        foreign = soften_outline(foreign, moved, rng)
    if rng.random() < 0.25:
        foreign = change_sensor(foreign, rng, draws.each)
    foreign = match_colours(foreign, shot.image, mask, rng)
    mask = np.asarray(mask * np.float32(strength), np.float32)
    return Forgery(genuine=shot.image, forged=blend(shot.image, foreign, mask), mask=mask)


def reshape_landmarks(landmarks: F32, rng: np.random.Generator) -> F32:
    """The landmarks of a face with another outline, and features a little elsewhere: (478, 2)."""
    side = float((landmarks.max(axis=0) - landmarks.min(axis=0)).max())
    middle = landmarks[list(FACE_OVAL)].mean(axis=0)
    away = landmarks - middle
    radius = np.maximum(np.hypot(*away.T), 1e-6)[:, None]
    angle = np.arctan2(away[:, 1], away[:, 0])
    outward = np.zeros(len(landmarks))
    for wave in range(N_WAVES + 1):
        outward += rng.normal(0, 0.014) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    outline = (radius / radius[list(FACE_OVAL)].mean()) ** 2  # grows towards the outline
    moved = landmarks + outline * outward[:, None] * side * away / radius
    features = np.eye(2) + rng.normal(0, 0.012, size=(2, 2))  # turned, stretched and sheared
    moved = middle + (moved - middle) @ features + rng.normal(0, 0.006, size=2) * side
    return np.asarray(moved, np.float32)


def feathered_mask(shot: Shot, rng: np.random.Generator) -> F32:
    """The face's hull, with or without the forehead, its border soft to both sides: (H, W) in [0, 1]."""
    points = shot.landmarks
    if rng.random() < 0.4:  # from above the brows down
        low = points[:, 1].min()
        points = points[points[:, 1] > low + rng.uniform(0.05, 0.25) * shot.face_px]
    middle = points.mean(axis=0)
    grown = (points - middle) * rng.uniform(0.95, 1.08) + middle
    hull = fill_hull(np.asarray(grown, np.float32), shot.size_hw)
    sigma = max(0.8, float(rng.uniform(0.01, 0.045)) * shot.face_px)
    return np.asarray(cv2.GaussianBlur(hull, (0, 0), sigma), np.float32)


def match_sharpness(foreign: U8, image: U8, inside: F32, *, factor: float) -> U8:
    """Sharpen or soften an image until its fine detail inside a mask is ``factor`` times another one's.

    Sharpening stops at ``MAX_SHARPENING``: what is not there cannot be brought back.
    """
    within = inside > 0.5
    if not within.any():
        return foreign
    soft = cv2.GaussianBlur(foreign, (0, 0), SHARP_OVER_PX)
    detail = foreign.astype(np.float32) - soft
    wanted = image.astype(np.float32) - cv2.GaussianBlur(image, (0, 0), SHARP_OVER_PX)
    has, wants = (float(x[within].std()) for x in (detail, wanted))
    gain = min(MAX_SHARPENING, factor * wants / max(has, 1e-3))
    return to_uint8(np.asarray(soft + gain * detail, np.float32))


def soften_outline(foreign: U8, landmarks: F32, rng: np.random.Generator) -> U8:
    """Draw the surroundings softly, and the face's rim the more so the further out it lies."""
    side = float((landmarks.max(axis=0) - landmarks.min(axis=0)).max())
    middle = landmarks.mean(axis=0)
    core = fill_hull(
        middle + (landmarks - middle) * np.float32(rng.uniform(0.8, 1.0)), (foreign.shape[0], foreign.shape[1])
    )
    outside = 1 - cv2.GaussianBlur(core, (0, 0), max(0.8, float(rng.uniform(0.02, 0.06)) * side))
    soft = cv2.GaussianBlur(foreign, (0, 0), max(0.8, float(rng.uniform(0.006, 0.02)) * side))
    share = np.clip(1.4 * outside, 0, 1)[..., None]
    return to_uint8(np.asarray(foreign + share * (soft.astype(np.float32) - foreign), np.float32))
