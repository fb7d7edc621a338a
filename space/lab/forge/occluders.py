"""Glasses, strands of hair and fingers before a face. They are drawn, and lie before the genuine twin as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from space.contract import F32, U8
from space.lab.forge.blend import to_uint8
from space.lab.forge.features import CHEEKS
from space.lab.forge.shot import fill_hull

F64 = NDArray[np.float64]

HAIR_COLOURS = ((24, 20, 18), (58, 40, 28), (96, 66, 42), (150, 118, 78), (128, 124, 118))  # RGB in even light
OCCLUDER_KINDS = ("glasses", "hair", "fingers")
SHIFT = 3  # bits of sub-pixel places when drawing


@dataclass(frozen=True)
class Occluder:
    """Something before a face: the same in all frames of a track, following the face."""

    kind: str
    seed: int
    sway: float = field(default=0.01)  # share of the face, for what does not follow exactly

    def paint(self, image: U8, landmarks: F32, *, time_s: float) -> U8:
        """The image with this before its face.

        Args:
            image: (H, W, 3) RGB.
            landmarks: (478, 2) in its pixels.
            time_s: hair and hands move.
        """
        layer = np.zeros((*image.shape[:2], 4), np.float32)  # RGB times opacity, opacity
        self.cover(layer, image, landmarks, time_s=time_s)
        return to_uint8(image * (1 - layer[:, :, 3:]) + layer[:, :, :3])

    def cover(self, layer: F32, image: U8, landmarks: F32, *, time_s: float = 0.0) -> None:
        """Lay this over what a (H, W, 4) layer of RGB times opacity and opacity holds already."""
        rng = np.random.default_rng(self.seed)
        drawn = np.zeros_like(layer)
        phase = float(rng.uniform(0, 2 * np.pi))
        offset = self.sway * np.array([np.sin(2.1 * time_s + phase), np.cos(1.3 * time_s + phase)])
        _PAINTERS[self.kind](drawn, image, landmarks, offset, rng)
        soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.7), np.float32)
        layer *= 1 - soft[:, :, 3:]
        layer += soft


def draw_occluder(rng: np.random.Generator) -> Occluder:
    """Draw what lies before a face."""
    return Occluder(
        kind=str(rng.choice(OCCLUDER_KINDS)), seed=int(rng.integers(2**63)), sway=float(rng.uniform(0.002, 0.03))
    )


def _axes(landmarks: F32) -> tuple[F32, F32, float]:
    """The face's own right on the screen and down, unit vectors, and its height in pixels."""
    down = landmarks[152] - landmarks[10]
    height = float(np.hypot(*down)) or 1.0
    down = (down / height).astype(np.float32)
    return np.array([down[1], -down[0]], np.float32), down, height


def _stroke(layer: F32, points: F32 | F64, colour: F32 | F64, width_px: float) -> None:
    fixed = np.round(points * (1 << SHIFT)).astype(np.int32)
    thickness = max(1, round(width_px))
    value = (*(float(c) for c in colour), 1.0)
    cv2.polylines(layer, [fixed], False, value, thickness, cv2.LINE_AA, SHIFT)


def _paint_glasses(layer: F32, image: U8, landmarks: F32, offset: F32, rng: np.random.Generator) -> None:
    del image, offset  # glasses sit
    right, down, height = _axes(landmarks)
    colour = rng.uniform(10, 60, size=3) if rng.random() < 0.7 else rng.uniform((120, 90, 60), (200, 170, 140))
    colour = np.asarray(colour, np.float32)
    width = float(rng.uniform(0.012, 0.028)) * height
    half_width, half_height = rng.uniform(0.15, 0.19) * height, rng.uniform(0.10, 0.15) * height
    squareness = float(rng.uniform(2.0, 4.5))
    eyes = [landmarks[[33, 133]].mean(axis=0), landmarks[[263, 362]].mean(axis=0)]
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    half_width = min(half_width, 0.46 * apart)  # seen from aside both are narrower
    angles = np.linspace(0, 2 * np.pi, 49)
    wave = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rounded = np.sign(wave) * np.abs(wave) ** (2 / squareness)
    for eye in eyes:
        ring = eye + 0.02 * height * down + rounded @ np.stack([half_width * right, half_height * down])
        _stroke(layer, ring, colour, width)
    inner = np.stack([eyes[0] + half_width * right, eyes[1] - half_width * right])
    _stroke(layer, inner, colour, width)
    for eye, temple, sign in ((eyes[0], 127, -1), (eyes[1], 356, 1)):
        arm = np.stack([eye + sign * half_width * right, landmarks[temple]])
        _stroke(layer, arm, colour, width)


def _paint_hair(layer: F32, image: U8, landmarks: F32, offset: F32, rng: np.random.Generator) -> None:
    right, down, height = _axes(landmarks)
    light = float(image.mean()) / 110
    colour = np.array(HAIR_COLOURS[int(rng.integers(len(HAIR_COLOURS)))], np.float64) * light * rng.uniform(0.6, 1.2)
    side = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.1, 0.4))
    length, bend, curl = rng.uniform(0.3, 0.8), side * rng.uniform(0.3, 0.9), rng.uniform(-0.12, 0.12)
    steps = np.linspace(0, 1, 16)[:, None]
    for _ in range(int(rng.integers(20, 60))):  # a lock: apart at the roots, together at the tips
        root = landmarks[10] - 0.05 * height * down + (side * 0.4 + rng.normal(0, 0.05)) * height * right
        own = bend + rng.normal(0, 0.08) - rng.normal(0, 0.05) * steps
        aside = steps**1.5 * own + curl * np.sin(2 * np.pi * steps)
        hair = root + height * (steps * length * rng.uniform(0.7, 1.05) * down + aside * right + steps * offset)
        _stroke(layer, hair.astype(np.float32), (colour * rng.uniform(0.7, 1.3)).astype(np.float32), 1)


def _paint_fingers(layer: F32, image: U8, landmarks: F32, offset: F32, rng: np.random.Generator) -> None:
    right, down, height = _axes(landmarks)
    skin = np.median(
        image[fill_hull(landmarks[list(CHEEKS)], (layer.shape[0], layer.shape[1])) > 0].reshape(-1, 3), axis=0
    )
    skin = (skin * rng.uniform(0.8, 1.05)).astype(np.float32)
    side = float(rng.choice([-1.0, 1.0]))
    tip = landmarks[152] + (side * rng.uniform(0.0, 0.3) * right - rng.uniform(0.12, 0.38) * down + offset) * height
    width = float(rng.uniform(0.075, 0.1)) * height
    lean = float(rng.uniform(-0.5, 0.5))
    for finger in range(int(rng.integers(2, 5))):
        start = tip + finger * side * 1.05 * width * right + (0.3 * finger) * width * down * (1 if finger != 1 else -1)
        end = start + height * (0.9 * down + (lean + 0.05 * finger) * right)
        for share, shade in ((1.0, 0.72), (0.8, 0.93), (0.5, 1.03)):  # darker towards its edges
            _stroke(layer, np.stack([start, end]).astype(np.float32), skin * np.float32(shade), share * width)
        nail = np.stack([start + 0.15 * width * down, start + 0.35 * width * down])
        _stroke(layer, nail, skin * np.float32(1.1), 0.45 * width)


_PAINTERS: dict[str, Callable[[F32, U8, F32, F32, np.random.Generator], None]] = {
    "glasses": _paint_glasses,
    "hair": _paint_hair,
    "fingers": _paint_fingers,
}
