"""What is left of a face that moves once it was filmed and encoded, once or twice, as clips on the web are.

A codec keeps what stands still and redraws what moves, so that in a genuine clip the face is often poorer than what is
around it. A picture encoded by itself shows nothing of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from space.contract import F32, U8
from space.lab.forge.compress import decode_clip, encode_clip

# Standard deviation of shift right and down, growth (shares of the face) and turn (radians).
MOTION = (0.04, 0.04, 0.03, 0.05)
PACE = (4.0, 12.0)  # frames over which motion changes
LIVELY = 3.0  # times ``MOTION``, at most
MEASURED = 0.01  # mean shift from frame to frame, share of the face, where robustness is measured
FPS = 25.0
FRAMES = (4, 9)  # a clip has so many, the last not among them
FILMED_PX = (96.0, 260.0)  # side of the face's box where it is filmed
CRF = (17, 30)
AGAIN_SHARE = 0.5  # are encoded twice
AGAIN_SCALE = (0.7, 1.3)  # of the picture in between
NOISE = 3.0  # at most, sigma in steps of 255
HEAD = 1.5  # of half the face's side: what moves with it; around it, the picture stands still
EDGE = 0.12  # of half the face's side: over which that changes


@dataclass(frozen=True)
class Film:
    """One draw of motion and codecs; apply it to both twins."""

    middle: tuple[float, float]  # of the face, pixels
    face_px: float
    scale: float  # of the picture where it is filmed
    path: F32  # (t, 4) what ``MOTION`` names, zero in the frame that is shown
    shown: int  # that frame
    noise: float  # sigma, in steps of 255; another draw in every frame
    seed: int  # of the noise
    passes: tuple[tuple[float, int], ...]  # scale of the picture before it and CRF of every encoding

    def apply(self, image: U8) -> U8:
        """(S, S, 3) uint8 -> the same shape and type: the shown frame, in the size it had."""
        height, width = image.shape[:2]
        small = _resize(image, self.scale)
        ratio = np.array([small.shape[1] / width, small.shape[0] / height], np.float32)
        frames = self._move(small, (np.array(self.middle, np.float32) + 0.5) * ratio - 0.5, self.face_px * ratio[1])
        for scale, crf in self.passes:
            if scale != 1:
                frames = [_resize(frame, scale) for frame in frames]
            frames = decode_clip(encode_clip(frames, crf=crf, fps=FPS))
        interpolation = cv2.INTER_AREA if frames[0].shape[0] > height else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(frames[self.shown], (width, height), interpolation=interpolation), np.uint8)

    def _move(self, image: U8, middle: F32, face_px: float) -> list[U8]:
        rng = np.random.default_rng(self.seed)
        half = face_px / 2
        y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
        x, y = x - middle[0], y - middle[1]
        moves = np.float32(1) / (1 + np.exp((np.hypot(x, y) / half - HEAD) / EDGE))
        frames = []
        for right, down, growth, turn in self.path:
            cosine, sine = (1 - growth) * np.cos(turn), (1 - growth) * np.sin(turn)
            from_x = x + moves * (cosine * x + sine * y - right * face_px - x) + middle[0]
            from_y = y + moves * (cosine * y - sine * x - down * face_px - y) + middle[1]
            frame = cv2.remap(
                image,
                from_x.astype(np.float32),
                from_y.astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            grain = np.float32(self.noise) * rng.standard_normal(frame.shape, np.float32)
            frames.append(np.asarray(cv2.add(frame, grain, dtype=cv2.CV_8U), np.uint8))
        return frames


def draw_film(middle: tuple[float, float], face_px: float, rng: np.random.Generator) -> Film:
    """Draw how a face is filmed.

    Args:
        middle: of the face, pixels of the picture it will be applied to.
        face_px: side of the square around the face.
    """
    n_frames = int(rng.integers(*FRAMES))
    shown = int(rng.integers(1, n_frames))
    path = smooth_path(rng, n_frames) * np.float32(rng.uniform(0, LIVELY))
    again = ((float(rng.uniform(*AGAIN_SCALE)), int(rng.integers(*CRF))),) if rng.random() < AGAIN_SHARE else ()
    return Film(
        middle=middle,
        face_px=face_px,
        scale=min(1.0, float(np.exp(rng.uniform(*np.log(FILMED_PX)))) / face_px),
        path=path - path[shown],
        shown=shown,
        noise=float(rng.uniform(0, NOISE)),
        seed=int(rng.integers(2**31)),
        passes=((1.0, int(rng.integers(*CRF))), *again),
    )


def film_at(crf: int, middle: tuple[float, float], face_px: float) -> Film:
    """The same lively motion for every face, filmed at the size it has and encoded once.

    Args:
        crf: constant rate factor.
        middle, face_px: as ``draw_film``.
    """
    rng = np.random.default_rng(0)
    path = smooth_path(rng, FRAMES[1] - 1)
    path *= MEASURED / np.abs(np.diff(path[:, :2], axis=0)).mean()
    shown = len(path) - 2
    return Film(middle, face_px, 1.0, path - path[shown], shown, noise=1.0, seed=0, passes=((1.0, crf),))


def smooth_path(rng: np.random.Generator, n_frames: int) -> F32:
    """(n, 4) what ``MOTION`` names, beginning at rest where it is."""
    pace = float(rng.uniform(*PACE))
    noise = rng.normal(size=(n_frames + 8 * int(pace) + 2, 4))
    smooth = gaussian_filter1d(noise, pace, axis=0)[4 * int(pace) :][:n_frames]
    scale = np.sqrt(2 * pace * np.sqrt(np.pi)) * np.array(MOTION) * rng.uniform(0, 1)
    return np.asarray((smooth - smooth[0]) * scale, np.float32)


def _resize(image: U8, scale: float) -> U8:
    """As near to the scale as even sides are."""
    height, width = (max(2, 2 * round(side * scale / 2)) for side in image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)
