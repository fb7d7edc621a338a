"""Changes that are no forgery, the same for both twins, so that none of them can be the label."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from space.contract import U8


@dataclass(frozen=True)
class Photometry:
    """One draw of photometric changes; apply it to both twins."""

    flip: bool
    scale: float  # of the down-up resampling; 1 = none
    blur_px: float  # sigma; 0 = none
    jpeg: tuple[int, ...]  # qualities, one encoding each
    gain: float
    offset: float
    gray: bool

    def apply(self, image: U8) -> U8:
        """(S, S, 3) uint8 -> the same shape and type."""
        out = np.ascontiguousarray(image[:, ::-1]) if self.flip else image
        height, width = out.shape[:2]
        if self.scale < 1:
            small = cv2.resize(out, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA)
            out = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.blur_px > 0:
            out = cv2.GaussianBlur(out, (0, 0), self.blur_px)
        if self.gain != 1 or self.offset != 0:
            out = cv2.convertScaleAbs(out, alpha=self.gain, beta=self.offset)
        if self.gray:
            out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        for quality in self.jpeg:
            encoded = cv2.imencode(".jpg", out[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            out = np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1])
        return np.asarray(out, np.uint8)


def draw_photometry(rng: np.random.Generator) -> Photometry:
    """Draw what happens to a pair of twins: compression, scale, blur and light as in the wild."""
    return Photometry(
        flip=bool(rng.random() < 0.5),
        scale=float(rng.uniform(0.4, 0.95)) if rng.random() < 0.3 else 1.0,
        blur_px=float(rng.uniform(0.4, 1.4)) if rng.random() < 0.2 else 0.0,
        jpeg=tuple(int(q) for q in rng.integers(40, 96, size=int(rng.choice(3, p=(0.35, 0.5, 0.15))))),
        gain=float(rng.uniform(0.8, 1.2)) if rng.random() < 0.5 else 1.0,
        offset=float(rng.uniform(-20, 20)) if rng.random() < 0.5 else 0.0,
        gray=bool(rng.random() < 0.05),
    )
