"""What lies around and before a face and is no forgery: things, backdrops and coloured light, on both twins alike.

Headphones, microphones and caps have edges, a virtual background is blended around the head, and a screen lights one
side of a face. A detector that learned forgeries from blended pictures takes all of these for traces of blending
unless it has seen them on genuine faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from space.analysis.parts import FACE_OVAL
from space.contract import F32, U8
from space.lab.forge.occluders import draw_occluder
from space.lab.forge.shot import fill_hull

EARS = (234, 454)  # landmarks beside the right and the left ear
FOREHEAD, CHIN = 10, 152
SHIFT = 3  # bits of sub-pixel places when drawing


@dataclass(frozen=True)
class Scene:
    """One draw of surroundings for a crop of S x S pixels; apply it to both twins."""

    light: F32 | None  # (S, S, 3) gains
    head: F32 | None  # (S, S, 1) in [0, 1]: what the backdrop leaves as it was
    backdrop: U8 | None  # (S, S, 3); None: the blurred picture itself
    backdrop_blur_px: float
    things: F32 | None  # (S, S, 4): RGB times opacity, opacity

    def apply(self, image: U8) -> U8:
        """(S, S, 3) uint8 -> the same shape and type."""
        out = image.astype(np.float32)
        if self.head is not None:
            behind = cv2.GaussianBlur(out, (0, 0), self.backdrop_blur_px) if self.backdrop is None else self.backdrop
            out = out * self.head + behind * (1 - self.head)
        if self.things is not None:
            out = out * (1 - self.things[:, :, 3:]) + self.things[:, :, :3]
        if self.light is not None:
            out = out * self.light
        return np.rint(np.clip(out, 0, 255)).astype(np.uint8)

    def uncover(self, region: F32) -> F32:
        """The part of a (R, R) region that nothing lies over."""
        if self.things is None:
            return region
        return region * (1 - cv2.resize(self.things[:, :, 3], region.shape[::-1], interpolation=cv2.INTER_AREA))


def draw_scene(crop: U8, landmarks: F32, rng: np.random.Generator) -> Scene:
    """Draw what surrounds a face.

    Args:
        crop: (S, S, 3), the genuine twin.
        landmarks: (478, 2) in its pixels.
    """
    size = crop.shape[0]
    light = _draw_light(size, rng) if rng.random() < 0.5 else None
    head = _draw_head(landmarks, size, rng) if rng.random() < 0.35 else None
    blurs = rng.random() < 0.5
    backdrop = None if head is None or blurs else _draw_backdrop(crop, rng)
    things = np.zeros((size, size, 4), np.float32)
    if rng.random() < 0.45:
        _draw_things(things, landmarks, rng)
    if rng.random() < 0.2:
        draw_occluder(rng).cover(things, crop, landmarks)
    return Scene(light, head, backdrop, float(rng.uniform(1.5, 8.0)), things if things[:, :, 3].any() else None)


def _draw_light(size: int, rng: np.random.Generator) -> F32:
    """Two lamps of different colours on two sides."""
    angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.8)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    across = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-0.2, 0.2)
    share = (1 / (1 + np.exp(-across / (width / 4))))[:, :, None]
    strength = rng.uniform(0.1, 0.45)
    lamps = 1 + strength * rng.uniform(-1, 1, size=(2, 3)) + rng.uniform(-0.15, 0.25)
    return np.asarray(share * lamps[0] + (1 - share) * lamps[1], np.float32)


def _draw_head(landmarks: F32, size: int, rng: np.random.Generator) -> F32:
    """Head and shoulders as a poor segmentation sees them."""
    oval = landmarks[list(FACE_OVAL)]
    middle, height = oval.mean(axis=0), float(np.hypot(*(landmarks[CHIN] - landmarks[FOREHEAD])))
    up = (landmarks[FOREHEAD] - landmarks[CHIN]) / max(height, 1.0)
    grown = middle + (oval - middle) * rng.uniform(1.15, 1.45) + up * height * rng.uniform(0.05, 0.2)
    grown = grown + rng.normal(0, 0.02 * height, size=grown.shape)
    hull = fill_hull(grown.astype(np.float32), (size, size)).astype(np.float32)
    neck = landmarks[CHIN] - up * height * 0.1
    right = np.array([-up[1], up[0]])
    width = height * rng.uniform(0.3, 0.5)
    body = np.stack([neck + right * width, neck - right * width, neck - right * 4 * width - up * 3 * height])
    body = np.concatenate([body, [neck + right * 4 * width - up * 3 * height]])
    hull = np.maximum(hull, fill_hull(body.astype(np.float32), (size, size)))
    soft = cv2.GaussianBlur(np.minimum(hull, 1.0), (0, 0), float(rng.uniform(0.6, 4.0)))
    return np.asarray(soft, np.float32)[:, :, None]


def _draw_backdrop(crop: U8, rng: np.random.Generator) -> U8:
    """A virtual background: coarse shapes of random colours, from blurred to sharp."""
    size = crop.shape[0]
    cells = int(rng.integers(2, 9))
    coarse = rng.uniform(0, 255, size=(cells, cells, 3)) * rng.uniform(0.3, 1.0)
    how = cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_NEAREST
    picture = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=how)
    picture = picture + rng.normal(0, rng.uniform(0, 6), size=picture.shape)
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def _draw_things(layer: F32, landmarks: F32, rng: np.random.Generator) -> None:
    """Headphones, a microphone, a cap, or any flat thing that reaches into the picture."""
    ears = landmarks[list(EARS)]
    height = float(np.hypot(*(landmarks[CHIN] - landmarks[FOREHEAD])))
    up = (landmarks[FOREHEAD] - landmarks[CHIN]) / max(height, 1.0)
    right = np.array([-up[1], up[0]])
    colour = _draw_colour(rng)
    drawn = np.zeros_like(layer)
    kind = str(rng.choice(("headphones", "microphone", "cap", "patch"), p=(0.4, 0.2, 0.15, 0.25)))
    tilt = float(np.degrees(np.arctan2(right[1], right[0])))
    if kind == "headphones":
        _draw_headphones(drawn, ears, up * height, tilt, colour, rng)
    elif kind == "microphone":
        _draw_microphone(drawn, landmarks[CHIN], up * height, right * height * rng.choice((-1, 1)), colour, rng)
    elif kind == "cap":
        middle = landmarks[FOREHEAD] + up * height * rng.uniform(0.0, 0.25)
        axes = (rng.uniform(0.45, 0.7) * height, rng.uniform(0.3, 0.6) * height)
        _ellipse(drawn, middle, axes, tilt, (180, 360), colour)
        brim = np.stack([middle - right * axes[0] * 1.1, middle + right * axes[0] * rng.uniform(0.8, 1.4)])
        _line(drawn, brim, colour * rng.uniform(0.5, 1.2), rng.uniform(0.03, 0.1) * height)
    else:
        _draw_patch(drawn, landmarks, height, colour, rng)
    grain = rng.normal(0, rng.uniform(0, 8), size=drawn.shape[:2]).astype(np.float32)
    drawn[:, :, :3] += grain[:, :, None] * drawn[:, :, 3:]
    soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), float(rng.uniform(0.4, 1.5))), np.float32)
    layer *= 1 - soft[:, :, 3:]
    layer += soft


def _draw_headphones(layer: F32, ears: F32, up: F32, tilt: float, colour: F32, rng: np.random.Generator) -> None:
    height = float(np.hypot(*up))
    outward = (ears - ears.mean(axis=0)) * rng.uniform(1.02, 1.25)
    cups = ears.mean(axis=0) + outward + up * rng.uniform(-0.1, 0.15)
    span = float(np.hypot(*(cups[1] - cups[0]))) / 2
    width = rng.uniform(0.04, 0.12) * height
    _ellipse(layer, cups.mean(axis=0), (span, height * rng.uniform(0.75, 1.0)), tilt, (180, 360), colour, width)
    cup = (rng.uniform(0.08, 0.16) * height, rng.uniform(0.16, 0.28) * height)
    shade = rng.uniform(0.6, 1.3)
    for place in cups:
        _ellipse(layer, place, cup, tilt, (0, 360), colour)
        _ellipse(layer, place, (cup[0] * 0.6, cup[1] * 0.6), tilt, (0, 360), np.clip(colour * shade, 0, 255))


def _draw_microphone(layer: F32, chin: F32, up: F32, aside: F32, colour: F32, rng: np.random.Generator) -> None:
    height = float(np.hypot(*up))
    tip = chin + up * rng.uniform(-0.15, 0.2) + aside * rng.uniform(0.15, 0.6)
    _line(layer, np.stack([tip, tip - up * 1.5 + aside * rng.uniform(-0.3, 0.9)]), colour, 0.05 * height)
    _ellipse(layer, tip, (rng.uniform(0.06, 0.18) * height,) * 2, 0.0, (0, 360), colour * rng.uniform(0.5, 1.2))


def _draw_patch(layer: F32, landmarks: F32, height: float, colour: F32, rng: np.random.Generator) -> None:
    """A corner of anything; its middle lies outside the face's oval."""
    oval = landmarks[list(FACE_OVAL)]
    start = oval[int(rng.integers(len(oval)))]
    middle = start + (start - oval.mean(axis=0)) * rng.uniform(0.25, 0.8)
    angles = np.sort(rng.uniform(0, 2 * np.pi, size=int(rng.integers(3, 8))))
    radii = rng.uniform(0.1, 0.4, size=len(angles)) * height
    corners = middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    fixed = np.round(corners * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(layer, [fixed], _value(colour), cv2.LINE_AA, SHIFT)


def _draw_colour(rng: np.random.Generator) -> F32:
    """Dark, light or vivid."""
    low, high = ((5, 60), (150, 250), (0, 255))[int(rng.choice(3, p=(0.5, 0.2, 0.3)))]
    return np.asarray(
        rng.uniform(low, high, size=3) if rng.random() < 0.5 else [rng.uniform(low, high)] * 3, np.float32
    )


def _value(colour: F32) -> tuple[float, float, float, float]:
    red, green, blue = (float(c) for c in np.clip(colour, 0, 255))
    return red, green, blue, 1.0


def _ellipse(
    layer: F32,
    middle: F32,
    axes_px: tuple[float, float],
    tilt_deg: float,
    arc_deg: tuple[int, int],
    colour: F32,
    width_px: float | None = None,
) -> None:
    """Filled, or its outline where a width is given."""
    scale = 1 << SHIFT
    place = (round(float(middle[0]) * scale), round(float(middle[1]) * scale))
    axes = (max(1, round(axes_px[0] * scale)), max(1, round(axes_px[1] * scale)))
    thickness = -1 if width_px is None else max(1, round(width_px))
    cv2.ellipse(layer, place, axes, tilt_deg, *arc_deg, _value(colour), thickness, cv2.LINE_AA, SHIFT)


def _line(layer: F32, points: F32, colour: F32, width_px: float) -> None:
    fixed = np.round(points * (1 << SHIFT)).astype(np.int32)
    cv2.polylines(layer, [fixed], False, _value(colour), max(1, round(width_px)), cv2.LINE_AA, SHIFT)
