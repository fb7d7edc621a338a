"""Self-blended images: a genuine face blended with an altered copy of itself.

After the description of Shiohara & Yamasaki 2022 (arXiv 2204.08376): the blending, not the content,
is what gives the forgery away, so a detector trained on it does not learn one tool's faces. The mask
is float from the start: eroding a 0/1 integer mask silently does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from space.contract import F32, U8

BLEND_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Forgery:
    """A forged image, its genuine twin and where they differ."""

    genuine: U8  # (H, W, 3) RGB
    forged: U8  # (H, W, 3) RGB
    mask: F32  # (H, W) in [0, 1]: the share of foreign pixels


def blend_with_self(
    image: U8,
    landmarks: F32,
    *,
    rng: np.random.Generator,
    strength: float = 1.0,
    noise_rng: np.random.Generator | None = None,
) -> Forgery:
    """Forge a face out of itself.

    Args:
        image: (H, W, 3) RGB uint8, a genuine face.
        landmarks: (478, 2) in its pixels.
        strength: 0 is the identity, 1 the full forgery.
        noise_rng: for the sensor's noise alone, which differs between the frames of a clip; ``rng`` unless given.

    Returns:
        The forgery. Its genuine twin is the image itself or, where the surroundings are what is altered,
        the altered image: twins differ inside the mask only.
    """
    height, width = image.shape[:2]
    face_px = float((landmarks.max(axis=0) - landmarks.min(axis=0)).max())
    mask = face_mask(landmarks, (height, width), rng=rng)
    target, source = image.astype(np.float32), image.astype(np.float32)
    if rng.random() < 0.5:
        source = change_statistics(source, face_px, rng, noise_rng)
    else:
        target = change_statistics(target, face_px, rng, noise_rng)
    if rng.random() < 0.75:
        source = lower_resolution(source, rng)
    source, mask = slip(source, face_px, rng), bend_mask(mask, face_px, rng)
    mask = soften_mask(mask, face_px, rng) * float(rng.choice(BLEND_RATIOS))
    mask = (mask * strength).astype(np.float32)
    target = image + strength * (target - image)
    forged = target + mask[:, :, None] * (source - target)
    return Forgery(genuine=to_uint8(target), forged=to_uint8(forged), mask=mask)


def to_uint8(image: F32) -> U8:
    """Rounded and clipped to 0 to 255."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def face_mask(landmarks: F32, size_hw: tuple[int, int], *, rng: np.random.Generator) -> F32:
    """A random binary-valued float mask over the face or one region of it.

    Kinds: the whole hull, the hull without the forehead, a part of the hull (half-plane cut), and an
    ellipse about a random landmark (one eye, the mouth, a cheek, …).

    Returns:
        (H, W) float32 of 0 and 1.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    centre, side = (low + high) / 2, float((high - low).max())
    kind = rng.random()
    if kind < 0.20:  # a region about one landmark
        mask = np.zeros(size_hw, np.float32)
        middle = landmarks[rng.integers(len(landmarks))] * 0.8 + centre * 0.2
        axes = rng.uniform(0.10, 0.28, size=2) * side
        box = (
            (float(middle[0]), float(middle[1])),
            (float(axes[0] * 2), float(axes[1] * 2)),
            float(rng.uniform(0, 180)),
        )
        cv2.ellipse(mask, box, (1.0,), thickness=-1)
        return mask
    points = landmarks
    if kind < 0.55:  # without the forehead: below a line through or above the brows
        points = landmarks[landmarks[:, 1] > low[1] + rng.uniform(0.08, 0.30) * side]
    elif kind < 0.75:  # one side of a random line through the face
        angle = rng.uniform(0, 2 * np.pi)
        along = (landmarks - centre) @ np.array([np.cos(angle), np.sin(angle)])
        points = landmarks[along > rng.uniform(-0.25, 0.15) * side]
    shrink = rng.uniform(0.88, 1.04)
    points = (points - points.mean(axis=0)) * shrink + points.mean(axis=0)
    mask = np.zeros(size_hw, np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).astype(np.int32), (1.0,))
    return mask


def soften_mask(mask: F32, face_px: float, rng: np.random.Generator) -> F32:
    """Blur, erode, blur: the soft borders that swapping tools leave. Float in, float out, in [0, 1]."""
    first, second = rng.uniform(0.01, 0.06, size=2) * face_px
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.5, first))
    gain, shift = (2.0, -1.0) if rng.random() < 0.5 else (1.6, 0.0)  # erosion: the inner half; or dilation
    soft = np.clip(gain * soft + shift, 0, 1)
    return np.clip(cv2.GaussianBlur(soft, (0, 0), max(0.5, second)), 0, 1).astype(np.float32)


def change_statistics(
    image: F32, face_px: float, rng: np.random.Generator, noise_rng: np.random.Generator | None = None
) -> F32:
    """Other colour, sharpness and noise, each at random, at least one of them.

    Args:
        image: (H, W, 3) RGB float32, 0 to 255.
        face_px: the face's longer side, which blur is drawn in relation to.
        noise_rng: for the noise alone; ``rng`` unless given.
    """
    chosen = rng.random(4) < (0.6, 0.35, 0.35, 0.25)
    if not chosen.any():
        chosen[0] = True
    colour, blur, sharpen, noise = chosen
    out: F32 = image
    if colour:
        gain = rng.uniform(0.88, 1.12, size=3) * rng.uniform(0.9, 1.1)
        out = (out - 128) * gain.astype(np.float32) + 128 + rng.uniform(-14, 14, size=3).astype(np.float32)
    if blur:
        out = _blur(out, float(rng.uniform(0.4, 0.012 * face_px + 0.5)))
    elif sharpen:
        soft = _blur(out, 1.5)
        out = out + rng.uniform(0.3, 1.2) * (out - soft)
    if noise:
        out = out + (noise_rng or rng).normal(0, rng.uniform(1, 5), size=out.shape).astype(np.float32)
    return np.clip(out, 0, 255).astype(np.float32)


def _blur(image: F32, sigma: float) -> F32:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def lower_resolution(image: F32, rng: np.random.Generator) -> F32:
    """Down and up again: a swapped face is made at a lower resolution than its surroundings."""
    height, width = image.shape[:2]
    scale = rng.uniform(0.3, 0.85)
    small = cv2.resize(image, (max(8, int(width * scale)), max(8, int(height * scale))), interpolation=cv2.INTER_AREA)
    how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
    return np.clip(cv2.resize(small, (width, height), interpolation=how), 0, 255).astype(np.float32)


def slip(source: F32, face_px: float, rng: np.random.Generator) -> F32:
    """Shift, scale and turn an image a little."""
    height, width = source.shape[:2]
    scale, angle = rng.uniform(0.95, 1.05), rng.uniform(-2, 2)
    affine = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale), np.float64)
    affine[:, 2] += rng.uniform(-1, 1, size=2) * (0.03 * face_px, 0.015 * face_px)
    moved = cv2.warpAffine(source, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.float32)


def bend_mask(mask: F32, face_px: float, rng: np.random.Generator) -> F32:
    """Bend a mask elastically: nobody's mask follows the landmarks exactly."""
    height, width = mask.shape
    coarse = rng.normal(0, 0.02 * face_px, size=(2, 6, 6)).astype(np.float32)
    dx, dy = (cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse)
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bent = cv2.remap(mask, xs + dx, ys + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(bent, np.float32)
