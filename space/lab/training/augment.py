"""Changes that are no forgery, the same for both twins, so that none of them can be the label."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from space.contract import U8
from space.lab.forge.compress import decode_clip, encode_clip
from space.lab.training.film import FPS, Film

CRF = (18, 37)  # of H.264: from good to poor


@dataclass(frozen=True)
class Camera:
    """How another camera would have seen the scene."""

    balance: tuple[float, float, float]  # gain per channel
    saturation: float  # 0 = gray, 1 = as it is
    gamma: float
    sharpening: float  # of an unsharp mask; 0 = none
    noise: float  # sigma, in steps of 255
    seed: int  # of the noise

    def apply(self, image: U8) -> U8:
        """(S, S, 3) uint8 -> the same shape and type."""
        curves = np.arange(256, dtype=np.float32)[:, None] / 255
        curves = 255 * np.clip(curves * np.array(self.balance, np.float32), 0, 1) ** self.gamma
        out = cv2.LUT(image, np.rint(curves).astype(np.uint8).reshape(1, 256, 3))
        gray = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        out = cv2.addWeighted(out, self.saturation, gray, 1 - self.saturation, 0)
        if self.sharpening:
            out = cv2.addWeighted(out, 1 + self.sharpening, cv2.GaussianBlur(out, (0, 0), 1.2), -self.sharpening, 0)
        if self.noise:
            grain = np.random.default_rng(self.seed).standard_normal(image.shape, np.float32)
            out = cv2.add(out, np.float32(self.noise) * grain, dtype=cv2.CV_8U)
        return np.asarray(out, np.uint8)


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
    camera: Camera | None = None  # what the camera made of it, before all else but the flip
    film: Film | None = None  # then it was filmed, and encoded as a clip; in the flipped picture's pixels

    def apply(self, image: U8) -> U8:
        """(S, S, 3) uint8 -> the same shape and type."""
        out = np.ascontiguousarray(image[:, ::-1]) if self.flip else image
        if self.camera is not None:
            out = self.camera.apply(out)
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
        return self._encode(np.asarray(out, np.uint8))

    def _encode(self, image: U8) -> U8:
        out = image
        if self.crf is not None:
            out = decode_clip(encode_clip([out], crf=self.crf, fps=FPS))[0]
        if self.film is not None:
            out = self.film.apply(out)
        for quality in self.jpeg:
            encoded = cv2.imencode(".jpg", out[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            out = np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1])
        return np.asarray(out, np.uint8)


UNCHANGED = Photometry(flip=False, scale=1.0, blur_px=0.0, jpeg=(), gain=1.0, offset=0.0, gray=False)


def draw_photometry(rng: np.random.Generator, h264_share: float = 0.0, camera_share: float = 0.0) -> Photometry:
    """Draw what happens to a pair of twins: compression, scale, blur and light as in the wild.

    Args:
        h264_share: of the pairs that are encoded as a frame of a video.
        camera_share: of the pairs that are seen by another camera.
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
    if h264_share and rng.random() < h264_share:
        drawn = replace(drawn, crf=int(rng.integers(*CRF)), jpeg=())
    if camera_share and rng.random() < camera_share:
        drawn = replace(drawn, camera=_draw_camera(rng))
    return drawn


def _draw_camera(rng: np.random.Generator) -> Camera:
    red, green, blue = (float(x) for x in rng.uniform(0.88, 1.12, size=3))
    return Camera(
        balance=(red, green, blue),
        saturation=float(rng.uniform(0.4, 1.4)),
        gamma=float(np.exp(rng.uniform(-0.4, 0.4))),
        sharpening=float(rng.uniform(0.2, 1.2)) if rng.random() < 0.3 else 0.0,
        noise=float(rng.uniform(1, 7)) if rng.random() < 0.4 else 0.0,
        seed=int(rng.integers(2**31)),
    )
