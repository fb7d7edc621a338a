"""Changes that are no forgery, the same for both twins, so that none of them can be the label."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from space.contract import U8
from space.lab.forge.compress import decode_clip, encode_clip

CRF = (18, 37)  # of H.264: from good to poor


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
    crf: int | None = None  # of one H.264 frame, before any JPEG

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
        if self.crf is not None:
            out = decode_clip(encode_clip([out], crf=self.crf, fps=25.0))[0]
        for quality in self.jpeg:
            encoded = cv2.imencode(".jpg", out[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            out = np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1])
        return np.asarray(out, np.uint8)


def draw_photometry(rng: np.random.Generator, h264_share: float = 0.0) -> Photometry:
    """Draw what happens to a pair of twins: compression, scale, blur and light as in the wild.

    Args:
        h264_share: of the pairs that are encoded as a frame of a video.
    """
    drawn = Photometry(
        flip=bool(rng.random() < 0.5),
        scale=float(rng.uniform(0.4, 0.95)) if rng.random() < 0.3 else 1.0,
        blur_px=float(rng.uniform(0.4, 1.4)) if rng.random() < 0.2 else 0.0,
        jpeg=tuple(int(q) for q in rng.integers(40, 96, size=int(rng.choice(3, p=(0.35, 0.5, 0.15))))),
        gain=float(rng.uniform(0.8, 1.2)) if rng.random() < 0.5 else 1.0,
        offset=float(rng.uniform(-20, 20)) if rng.random() < 0.5 else 0.0,
        gray=bool(rng.random() < 0.05),
    )
    if not h264_share or rng.random() >= h264_share:
        return drawn
    return replace(drawn, crf=int(rng.integers(*CRF)), jpeg=())
