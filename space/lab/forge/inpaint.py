"""Local edits: a spot filled from its border, skin smoothed, texture copied from elsewhere in the face."""

from __future__ import annotations

import cv2
import numpy as np

from space.contract import F32, U8
from space.lab.forge.blend import Forgery
from space.lab.forge.shot import Draws, NotForgeableError, Shot, soften_by
from space.lab.forge.swap import blend, match_colours

INPAINT_KINDS = ("fill", "smooth", "copy")
MIN_PX2 = 60.0  # a spot of fewer pixels inside the image is no forgery


def forge_local_edit(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    """Change one spot of the face."""
    rng = draws.once
    spot = _draw_spot(shot, rng, radii=(0.14, 0.34) if kind == "smooth" else (0.06, 0.17))
    foreign = _smooth(shot, rng) if kind == "smooth" else {"fill": _fill, "copy": _copy}[kind](shot, spot, rng)
    mask = soften_by(spot, float(rng.uniform(0.004, 0.02)) * shot.face_px) * np.float32(strength)
    return Forgery(genuine=shot.image, forged=blend(shot.image, foreign, mask), mask=mask)


def _draw_spot(shot: Shot, rng: np.random.Generator, *, radii: tuple[float, float]) -> F32:
    """An uneven blob about a landmark: a few ellipses side by side."""
    middle = 0.75 * shot.landmarks[rng.integers(468)] + 0.25 * shot.landmarks[:468].mean(axis=0)
    spot = np.zeros(shot.size_hw, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        axes = rng.uniform(*radii, size=2) * shot.face_px
        at = middle + rng.uniform(-0.06, 0.06, size=2) * shot.face_px
        box = (float(at[0]), float(at[1])), (float(axes[0] * 2), float(axes[1] * 1.4)), float(rng.uniform(0, 180))
        cv2.ellipse(spot, box, (1.0,), thickness=-1)
    if spot.sum() < MIN_PX2:
        raise NotForgeableError("the spot lies beyond the image")
    return spot


def _fill(shot: Shot, spot: F32, rng: np.random.Generator) -> U8:
    """Telea's or Navier-Stokes inpainting on a cut around the spot, at a share of the resolution."""
    ys, xs = np.nonzero(spot)
    pad = 12
    area = np.s_[max(0, ys.min() - pad) : ys.max() + pad + 1, max(0, xs.min() - pad) : xs.max() + pad + 1]
    how = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    filled = shot.image.copy()
    filled[area] = cv2.inpaint(shot.image[area], (spot[area] > 0).astype(np.uint8), float(rng.uniform(2, 6)), how)
    return filled


def _smooth(shot: Shot, rng: np.random.Generator) -> U8:
    """What is left of skin when its texture is taken away: edges stay, pores go."""
    if rng.random() < 0.5:
        tones = float(rng.uniform(30, 70))
        return np.asarray(cv2.bilateralFilter(shot.image, 9, tones, 0.03 * shot.face_px), np.uint8)
    side = 2 * max(1, round(float(rng.uniform(0.012, 0.03)) * shot.face_px)) + 1
    return np.asarray(cv2.medianBlur(shot.image, side), np.uint8)


def _copy(shot: Shot, spot: F32, rng: np.random.Generator) -> U8:
    """Another place of the same face over the spot, turned and mirrored at random, its colours matched."""
    ys, xs = np.nonzero(spot)
    here = np.array([xs.mean(), ys.mean()])
    there = 0.6 * shot.landmarks[rng.integers(468)] + 0.4 * shot.landmarks[:468].mean(axis=0)
    apart = np.hypot(*(there - here))
    if apart < 0.15 * shot.face_px:  # too near: it would hardly change anything
        there = 2 * shot.landmarks[:468].mean(axis=0) - there
    turn = np.radians(rng.uniform(-25, 25))
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * rng.uniform(0.85, 1.2)
    if rng.random() < 0.5:
        linear[:, 0] *= -1
    affine = np.column_stack([linear, there - linear @ here])  # from the spot to where its texture comes from
    size = shot.image.shape[1], shot.image.shape[0]
    moved = cv2.warpAffine(
        shot.image, affine, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101
    )
    return match_colours(np.asarray(moved, np.uint8), shot.image, spot, rng)
