"""A whole track's crops to one logit and a heat map per frame, for members that read frames in order of time.

Grad-CAM per frame as in ``maps.py``: trunk without gradients, then one backward pass from the track's logit through
reader and last block to every frame at once. A frame is one of t that the logit rests on, so that its gradient is
about a t-th of that of a face judged alone; maps are multiplied by t, and their mean over the frames speaks of the
track's logit as a frame member's maps speak of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from space.analysis.maps import filter_by_last, grad_cam
from space.contract import Crop, MemberMaps, MemberScores
from space.models.member import normalise
from space.models.sequence import SequenceMember
from space.models.weights import LoadedMember


def score_track(
    member: LoadedMember, crops: Sequence[Crop], *, maps: bool, batch_size: int
) -> tuple[MemberScores, tuple[MemberMaps, ...]]:
    """One member on one track.

    Args:
        member: frozen, in evaluation mode; scores sequences.
        crops: of the member's margin and input size, in order of time; at least one.
        maps: whether to make heat maps.
        batch_size: frames at a time, for all but the reader.

    Returns:
        The track's logit, once for every frame, and no maps or one.

    Raises:
        TypeError: the member scores single faces.
    """
    module = member.module
    if not isinstance(module, SequenceMember):
        raise TypeError(f"{member.card.name} scores single faces")
    with torch.no_grad():
        penultimate = torch.cat(
            [module.trunk(_images(member, crops[i : i + batch_size])) for i in range(0, len(crops), batch_size)]
        )
    if not maps:
        with torch.no_grad():
            return _scores(member, _read(module, module.tail(penultimate)), len(crops)), ()
    penultimate.requires_grad_(True)
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN's readers have no gradient here
        last = module.tail(penultimate)
        logit = _read(module, last)
        gradients = torch.autograd.grad(logit.sum(), [penultimate, last])
    with torch.no_grad():
        n = len(crops)
        fine, coarse = (n * grad_cam(a, g, n) for a, g in zip((penultimate, last), gradients, strict=True))
        layered = filter_by_last(fine, coarse)
        maps_found = MemberMaps(member.card.name, fine.cpu().numpy(), coarse.cpu().numpy(), layered.cpu().numpy())
    return _scores(member, logit.detach(), n), (maps_found,)


def _images(member: LoadedMember, crops: Sequence[Crop]) -> Tensor:
    pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(member.device)
    return normalise(pixels, member.card.mean, member.card.std)


def _read(module: SequenceMember, last: Tensor) -> Tensor:
    """(t, C, h, w) last blocks -> (1,) the track's logit."""
    return module.score_features(module.pool(last)[None])


def _scores(member: LoadedMember, logit: Tensor, n_frames: int) -> MemberScores:
    return MemberScores(member.card.name, np.full(n_frames, float(logit[0]), np.float32))
