"""Maps that know nothing of the model: what an explanation has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from space.contract import F32, U8

CENTRE_SIGMA = 0.25  # / side of the picture

BASELINES = ("mean-mask", "centre", "sobel", "random")


class MeanMask:
    """The mean-mask prior: where forgeries of a kind are on average, learned from all sources but a face's own.

    Args:
        masks: (S, S) of every case, cut alike.
        sources: of every case.
    """

    def __init__(self, masks: Sequence[F32], sources: Sequence[str]) -> None:
        self._sum = np.sum(masks, axis=0, dtype=np.float64)
        self._n = len(masks)
        self._own: dict[str, tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], int]] = {}
        for mask, source in zip(masks, sources, strict=True):
            total, n = self._own.get(source, (np.zeros(self._sum.shape), 0))
            self._own[source] = total + mask, n + 1

    def draw(self, source: str) -> F32:
        """(S, S) in [0, 1] for a face of a source; empty where there is no other source."""
        own, n = self._own[source]
        return np.asarray(np.clip((self._sum - own) / max(1, self._n - n), 0, None), np.float32)


def draw_centre(side: int) -> F32:
    """A Gaussian about the picture's centre."""
    x = (np.arange(side) - (side - 1) / 2) / (CENTRE_SIGMA * side)
    return np.asarray(np.exp(-0.5 * (x[:, None] ** 2 + x[None] ** 2)), np.float32)


def draw_sobel(image: U8) -> F32:
    """Strength of the picture's edges."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)), np.float32)


def draw_random(side: int, rng: np.random.Generator) -> F32:
    """Noise with the grain of a 14 x 14 map."""
    cells = rng.random((14, 14), dtype=np.float32)
    return np.asarray(cv2.resize(cells, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
