"""What every forgery works on: one frame of one face, and the chances drawn for it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from space.contract import F32, U8


class NotForgeableError(ValueError):
    """This face cannot be forged in this way: the part is hidden, or nothing would change."""


@dataclass(frozen=True)
class Shot:
    """One frame of one face."""

    image: U8  # (H, W, 3) RGB
    landmarks: F32  # (478, 2) in its pixels, finite; may lie beyond it

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def face_px(self) -> float:
        """The longer side of the landmarks' bounding box in pixels."""
        return float((self.landmarks.max(axis=0) - self.landmarks.min(axis=0)).max())


@dataclass(frozen=True)
class Draws:
    """The chances of one frame of a track.

    ``once`` starts at the same place in every frame of a track, so that whatever is drawn from it, in the same order,
    is the same in all of them. ``each`` differs from frame to frame: sensor noise.
    """

    once: np.random.Generator
    each: np.random.Generator
    time_s: float = 0.0  # in the track; what moves, moves by it
    donor: Shot | None = None  # another face, drawn at random; the same in all frames of a track


def fill_hull(points: F32, size_hw: tuple[int, int]) -> F32:
    """The convex hull of points (n, 2) as a float mask (H, W) of 0 and 1."""
    mask = np.zeros(size_hw, np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).astype(np.int32), (1.0,))
    return mask


def soften_by(mask: F32, sigma_px: float) -> F32:
    """A float mask in [0, 1] with its border blurred inwards: what was 0 stays 0."""
    sigma = max(0.6, sigma_px)
    soft = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(np.clip(2 * soft - 1, 0, 1) * (mask > 0), np.float32)
