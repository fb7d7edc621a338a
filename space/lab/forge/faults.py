"""What goes wrong when real tools forge a face: they see it a little beside its place, too late, or not at all.

All of it is drawn once for a track. Landmarks that wobble make whatever is hung on them wobble; a mask that knows
nothing of glasses, hair and hands lies over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from space.contract import F32
from space.lab.forge.blend import Forgery, to_uint8
from space.lab.forge.occluders import Occluder, draw_occluder
from space.lab.forge.shot import Shot

MAX_LAG = 2  # frames
MIN_FRAMES_TO_MISS = 12  # a shorter track is not interrupted


@dataclass(frozen=True)
class Faults:
    """The faults of one track of n frames."""

    wobble: F32  # (n, 4) shares of the face: shift right, shift down, growth, turn in radians
    lag_frames: int = 0  # the landmarks are those of so many frames ago
    missed: frozenset[int] = frozenset()  # frames in which the tool found no face and left the genuine one
    occluder: Occluder | None = None  # lies before the genuine face; the forged one lies over it

    def mislead(self, shots: Sequence[Shot], index: int) -> Shot:
        """A frame with the landmarks that the forger takes for its."""
        points = shots[max(0, index - self.lag_frames)].landmarks
        right, down, growth, turn = self.wobble[index]
        middle, face_px = points.mean(axis=0), shots[index].face_px
        linear = (1 + growth) * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        moved = (points - middle) @ linear + middle + np.array([right, down]) * face_px
        return Shot(image=shots[index].image, landmarks=moved.astype(np.float32))

    def finish(self, forgery: Forgery, shot: Shot, index: int, fps: float) -> Forgery:
        """Put the occluder before the genuine face and behind the forged one; leave missed frames genuine."""
        if self.occluder is not None:
            painted = self.occluder.paint(shot.image, shot.landmarks, time_s=index / fps)
            before = painted.astype(np.float32) - shot.image
            uncovered = before * (1 - forgery.mask[:, :, None])
            forgery = Forgery(
                genuine=to_uint8(forgery.genuine.astype(np.float32) + before),
                forged=to_uint8(forgery.forged.astype(np.float32) + uncovered),
                mask=forgery.mask,
            )
        if index in self.missed:
            return Forgery(forgery.genuine, forgery.genuine, np.zeros_like(forgery.mask))
        return forgery


def draw_faults(rng: np.random.Generator, n_frames: int) -> Faults:
    """Draw what goes wrong with a track of so many frames."""
    constant = rng.normal(0, 0.006, size=4) if rng.random() < 0.6 else np.zeros(4)
    if rng.random() < 0.12:  # slips off, over hair, brows or neck
        constant[:2] += rng.choice([-1, 1], size=2) * rng.uniform(0.02, 0.07, size=2)
    amplitude = float(rng.choice([0.0, 0.002, 0.006], p=(0.2, 0.5, 0.3)))
    smooth = _smooth_noise(rng, n_frames, float(rng.uniform(0.5, 3.0)))
    missed: frozenset[int] = frozenset()
    if n_frames >= MIN_FRAMES_TO_MISS and rng.random() < 0.15:
        starts = rng.integers(n_frames, size=int(rng.integers(1, 3)))
        lengths = rng.integers(1, 4, size=len(starts))
        missed = frozenset(int(f) for s, k in zip(starts, lengths, strict=True) for f in range(s, min(s + k, n_frames)))
    return Faults(
        wobble=(constant + amplitude * smooth).astype(np.float32),
        lag_frames=int(rng.integers(0, MAX_LAG + 1)) if rng.random() < 0.25 else 0,
        missed=missed,
        occluder=draw_occluder(rng) if rng.random() < 0.25 else None,
    )


def _smooth_noise(rng: np.random.Generator, n_frames: int, sigma_frames: float) -> F32:
    """(n, 4) noise of standard deviation 1 that changes smoothly from frame to frame."""
    pad = int(4 * sigma_frames) + 1
    white = rng.normal(0, 1, size=(n_frames + 2 * pad, 4))
    smooth = gaussian_filter1d(white, sigma_frames, axis=0)[pad : pad + n_frames]
    return np.asarray(smooth * np.sqrt(2 * np.sqrt(np.pi) * sigma_frames), np.float32)
