"""Crops to logits, member by member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from space.contract import Crop, MemberScores
from space.models.member import normalise
from space.models.sequence import SequenceMember
from space.models.weights import LoadedMember


def score_crops(member: LoadedMember, crops: Iterable[list[Crop]]) -> MemberScores:
    """One member's logits, without maps.

    Args:
        member: frozen, in evaluation mode.
        crops: batches of the member's margin and input size. One that scores sequences takes each crop for a track
            of one frame; ``sequences.py`` scores whole ones.

    Returns:
        (n,) float32 logits, positive = fake, in the crops' order.
    """
    rows = [member_logits(member, batch) for batch in crops]
    logits = np.concatenate(rows) if rows else np.zeros(0, np.float32)
    return MemberScores(member=member.card.name, logits=logits)


def member_logits(member: LoadedMember, crops: list[Crop]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Logits (n,) of one batch."""
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(member.device)
        images = normalise(pixels, member.card.mean, member.card.std)
        if isinstance(member.module, SequenceMember):
            images = images[:, None]
        return np.asarray(member.module(images).cpu().numpy(), np.float32)


def batched(crops: Iterable[Crop], size: int) -> Iterator[list[Crop]]:
    """Lists of at most ``size`` crops."""
    batch: list[Crop] = []
    for crop in crops:
        batch.append(crop)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
