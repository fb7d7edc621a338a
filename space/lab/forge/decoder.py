"""Traces of the networks that draw faces: what up-sampling, quantised codes and narrow bottlenecks leave.

All are made in an upright square about the face, as a decoder's output is, and turned back into the image with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from space.contract import F32
from space.lab.forge.blend import Forgery, to_uint8
from space.lab.forge.shot import Draws, Shot
from space.lab.forge.swap import blend, soft_swap_mask

SIDES_PX = (80, 96, 112, 128, 160)  # of a decoder's output
MARGIN = 1.25  # its square / the face
BLOCK = 8


def forge_decoder_traces(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    """The same face, as if a network had drawn it."""
    rng = draws.once
    side = int(rng.choice(SIDES_PX))
    affine = _upright(shot.landmarks, side)
    square = cv2.warpAffine(shot.image, affine, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    drawn = DECODER_KINDS[kind](square.astype(np.float32), rng)
    height, width = shot.size_hw
    back = cv2.warpAffine(
        drawn, affine, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    foreign = to_uint8(np.asarray(back, np.float32))
    mask = soft_swap_mask(shot.landmarks, shot.size_hw, rng) * np.float32(strength)
    return Forgery(genuine=shot.image, forged=blend(shot.image, foreign, mask), mask=mask)


def _upright(landmarks: F32, side: int) -> F32:
    """(2, 3) affine from the image to a square in which the eyes are level."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    across = landmarks[263] - landmarks[33]
    turn = float(np.degrees(np.arctan2(across[1], across[0]))) if np.hypot(*across) > 1 else 0.0
    scale = side / (MARGIN * float((high - low).max()))
    middle = (low + high) / 2
    affine = np.asarray(cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), turn, scale), np.float64)
    affine[:, 2] += (side - 1) / 2 - middle
    return affine.astype(np.float32)


def _checkerboard(square: F32, rng: np.random.Generator) -> F32:
    """Transposed convolutions overlap unevenly: every second (and fourth) row and column is stronger (Odena 2016)."""
    side = square.shape[0]
    small = cv2.resize(square, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    out = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    for period, share in ((2, 1.0), (4, 0.6)):
        depth = rng.uniform(0.015, 0.05, size=3).astype(np.float32) * np.float32(share)
        wave = np.where(np.arange(side) % period < period // 2, 1.0, -1.0).astype(np.float32)
        pattern = (wave[:, None] + wave[None, :]) / 2
        out = out * (1 + pattern[:, :, None] * depth)
    return np.asarray(out, np.float32)


def _codes(square: F32, rng: np.random.Generator) -> F32:
    """Coarsely quantised codes of blocks: a cosine transform of each, its fine waves rounded more than its coarse."""
    k = np.arange(BLOCK)
    basis = np.sqrt(2 / BLOCK) * np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / (2 * BLOCK))
    basis[0] /= np.sqrt(2)
    step = float(rng.uniform(8, 24)) * (1 + (k[:, None] + k[None, :]) * float(rng.uniform(0.3, 0.9)))
    codes = basis @ np.moveaxis(_to_blocks(square - 128), -1, 2) @ basis.T  # (n, n, 3, 8, 8)
    rounded = np.rint(codes / step) * step
    return _from_blocks(np.moveaxis(basis.T @ rounded @ basis, 2, -1)) + np.float32(128)


def _bottleneck(square: F32, rng: np.random.Generator) -> F32:
    """Only so many patterns of blocks: the leading principal components of the face's own, on two shifted grids."""
    n_kept = int(rng.integers(5, 14))
    passes = []
    for shift in (0, BLOCK // 2):
        rolled = np.roll(square, (shift, shift), axis=(0, 1))
        blocks = _to_blocks(rolled)
        flat = blocks.reshape(-1, BLOCK * BLOCK * 3)
        mean = flat.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov((flat - mean).T))
        leading = vectors[:, -n_kept:]
        kept = (flat - mean) @ leading @ leading.T + mean
        passes.append(np.roll(_from_blocks(kept.reshape(blocks.shape)), (-shift, -shift), axis=(0, 1)))
    return np.asarray((passes[0] + passes[1]) / 2, np.float32)


def _resampling(square: F32, rng: np.random.Generator) -> F32:
    """Drawn small, enlarged in steps and sharpened: soft skin with rings along its edges."""
    side = square.shape[0]
    small = max(24, round(side * float(rng.uniform(0.28, 0.55))))
    out = cv2.resize(square, (small, small), interpolation=cv2.INTER_AREA)
    how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
    out = cv2.resize(out, (side, side), interpolation=how)
    more = float(rng.uniform(0.5, 1.5))
    return np.asarray(out + more * (out - cv2.GaussianBlur(out, (0, 0), 1.2)), np.float32)


def _to_blocks(square: F32) -> F32:
    """(S, S, 3) -> (S/8, S/8, 8, 8, 3)."""
    n = square.shape[0] // BLOCK
    return square.reshape(n, BLOCK, n, BLOCK, 3).transpose(0, 2, 1, 3, 4)


def _from_blocks(blocks: F32) -> F32:
    n = blocks.shape[0]
    return np.asarray(blocks.transpose(0, 2, 1, 3, 4).reshape(n * BLOCK, n * BLOCK, 3), np.float32)


DECODER_KINDS: Mapping[str, Callable[[F32, np.random.Generator], F32]] = {
    "checkerboard": _checkerboard,
    "codes": _codes,
    "bottleneck": _bottleneck,
    "resampling": _resampling,
}
