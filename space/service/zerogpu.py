"""Hugging Face's ZeroGPU: a graphics processor that is lent for one call at a time. Only this file knows it.

The platform's package ``spaces`` is there on such a Space only. A call is refused when the seconds it asks for
exceed what is left to the caller, so each asks for what its faces need, and a video is one call.
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from space.analysis.scoring import Compute, ComputeRefusedError, Scored, join_scored, score_batch
from space.contract import Crop
from space.models.weights import Ensemble, LoadedMember
from space.service.faults import log_fault

VARIABLE = "SPACES_ZERO_GPU"  # environment: set by the platform
SECONDS_PER_CALL = 6.0
SECONDS_PER_CROP = 0.25
MAX_SECONDS = 25.0
BATCH_SIZE = 32


def is_lent(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process runs on a Space with ZeroGPU."""
    value = (os.environ if environment is None else environment).get(VARIABLE, "")
    return value.lower() in {"1", "t", "true"}


def seconds_needed(n_crops: int) -> int:
    """What a call with so many crops, over all members, asks for."""
    return round(min(MAX_SECONDS, SECONDS_PER_CALL + SECONDS_PER_CROP * n_crops))


def compute_on_gpu(ensemble: Ensemble, *, device: str = "cuda") -> Compute:
    """A way to score a video's faces in one call on the lent processor.

    Call it before the page is launched: the platform looks for such functions then.

    Args:
        ensemble: stays where it is; copies of its members that score single faces move.
        device: of the copies.

    Returns:
        A function that raises ``ComputeRefusedError`` when the call is refused or fails.
    """
    spaces: Any = importlib.import_module("spaces")
    members = tuple(
        LoadedMember(card=member.card, module=copy.deepcopy(member.module).to(device))
        for member in ensemble.members
        if member.kind == "frame"
    )

    def duration(crops: Mapping[str, Sequence[Crop]], maps: bool) -> int:
        del maps  # they cost a fifth more, which the seconds per crop include
        return seconds_needed(sum(len(batch) for batch in crops.values()))

    @spaces.GPU(duration=duration)  # type: ignore[untyped-decorator]
    def score(crops: Mapping[str, Sequence[Crop]], maps: bool) -> Scored:
        n_faces = min(len(batch) for batch in crops.values())
        return join_scored(
            [_score_part(members, crops, slice(i, i + BATCH_SIZE), maps) for i in range(0, n_faces, BATCH_SIZE)]
        )

    def compute(crops: Mapping[str, Sequence[Crop]], maps: bool) -> Scored:
        try:
            scored: Scored = score(crops, maps)
        except Exception as error:
            log_fault("the lent processor refused a call", error)
            raise ComputeRefusedError from error
        return scored

    return compute


def _score_part(
    members: Sequence[LoadedMember], crops: Mapping[str, Sequence[Crop]], part: slice, maps: bool
) -> Scored:
    pairs = [score_batch(member, crops[member.card.name][part], maps=maps) for member in members]
    return Scored(tuple(scores for scores, _ in pairs), tuple(found for _, all_maps in pairs for found in all_maps))
