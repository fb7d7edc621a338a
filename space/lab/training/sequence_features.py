"""What a frozen network makes of the frames of twin tracks, kept on disk chunk by chunk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from space.contract import U8
from space.lab.forge.sources import Source
from space.lab.training.pairs import TwinData
from space.lab.training.sequence_recipes import SequenceRecipe
from space.lab.training.tracks import draw_track
from space.models.member import normalise
from space.models.registry import ARCHITECTURES
from space.models.sequence import SequenceMember

log = logging.getLogger(__name__)

CHUNK = 16  # pairs
BATCH = 32  # frames


@dataclass(frozen=True)
class Amount:
    """Which tracks are drawn, and how many."""

    data: TwinData
    clips: Sequence[Source]  # that were filmed
    n_pairs: int
    n_frames: int  # of a track, at most
    seed: int  # keeps training and validation apart


@dataclass(frozen=True)
class Features:
    """Twin tracks as features, padded to the longest."""

    frames: torch.Tensor  # (n, 2, t, C) float16; genuine, forged
    counts: torch.Tensor  # (n,) frames that there are, at least 1
    families: list[str]
    sources: list[str]


def read_features(
    member: SequenceMember, recipe: SequenceRecipe, amount: Amount, folder: Path, device: torch.device
) -> Features:
    """Draw tracks and see them, or go on with what an earlier run has seen.

    A pair depends on the seeds and its number only, so that a run that was cut off draws the same.

    Args:
        folder: receives ``tracks-SEED-NNNN.npz``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for start in range(0, amount.n_pairs, CHUNK):
        path = folder / f"tracks-{amount.seed}-{start // CHUNK:04d}.npz"
        if not path.exists():
            numbers = range(start, min(start + CHUNK, amount.n_pairs))
            chances = (np.random.default_rng((recipe.seed, amount.seed, number)) for number in numbers)
            tracks = [
                draw_track(amount.data, amount.clips, recipe, n_frames=amount.n_frames, rng=rng) for rng in chances
            ]
            seen = [see_frames(member, recipe, np.concatenate([t.genuine, t.forged]), device) for t in tracks]
            partial = path.with_suffix(".partial.npz")
            np.savez(
                partial,
                frames=np.concatenate(seen),
                counts=[len(t.genuine) for t in tracks],
                families=[t.family for t in tracks],
                sources=[t.source for t in tracks],
            )
            partial.rename(path)
            log.info("saw %d of %d pairs of tracks", numbers.stop, amount.n_pairs)
        rows.append(_load(path))
    counts = [count for row in rows for count in row[1]]
    longest = max(counts)
    frames = torch.zeros(len(counts), 2, longest, rows[0][0].shape[1], dtype=torch.float16)
    position = 0
    for seen_frames, row_counts, _, _ in rows:
        ends = np.cumsum([0, *(2 * count for count in row_counts)])
        for begin, count in zip(ends, row_counts, strict=False):
            pair = seen_frames[begin : begin + 2 * count].reshape(2, count, -1)
            frames[position, :, :count] = torch.from_numpy(pair)
            position += 1
    return Features(
        frames,
        torch.tensor(counts),
        [family for row in rows for family in row[2]],
        [source for row in rows for source in row[3]],
    )


def _load(path: Path) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float16]], list[int], list[str], list[str]]:
    with np.load(path) as arrays:
        return arrays["frames"], arrays["counts"].tolist(), arrays["families"].tolist(), arrays["sources"].tolist()


def see_frames(
    member: SequenceMember, recipe: SequenceRecipe, crops: U8, device: torch.device
) -> np.ndarray[tuple[int, int], np.dtype[np.float16]]:
    """(n, S, S, 3) RGB -> (n, C) pooled features."""
    entry = ARCHITECTURES[recipe.architecture]
    rows = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.bf16):
        for start in range(0, len(crops), BATCH):
            images = normalise(torch.from_numpy(crops[start : start + BATCH]).to(device), entry.mean, entry.std)
            rows.append(member.extract_features(images).float().cpu().numpy().astype(np.float16))
    return np.concatenate(rows)
