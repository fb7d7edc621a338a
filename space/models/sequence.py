"""Sequence members: one network sees a face in every frame, a recurrent one reads them in order of time.

Two readers of the field's public detectors. The ResNeXt50-LSTM: 2048 pooled features per frame, one LSTM layer of
2048 units without biases, dropout 0.4, mean over time. Their code hands batches to an LSTM that takes time first, so
that it runs across the clips of a batch; this one runs along time, which is what they describe. The Inception-GRU:
two GRU layers of 16 and 8 units, whose state after the last frame goes through dropout 0.4 and a layer of 8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from space.models.member import Backbone

Reader = Literal["lstm", "gru"]
HIDDEN = 2048  # LSTM units, as published
GRU_UNITS = (16, 8)
GRU_DENSE = 8
DROPOUT = 0.4


class SequenceMember(nn.Module, ABC):
    """Scores a whole track at once; ``read`` is what its kinds differ in.

    Args:
        backbone: trunk and tail are used as in a frame member; the head is not.
        head: from what was read (n, H) to (n, 1).
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.trunk = backbone.trunk
        self.tail = backbone.tail
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = head

    @abstractmethod
    def read(self, features: Tensor, counts: Tensor) -> Tensor:
        """What becomes of the frames' features in order of time.

        Args:
            features: (n, t, C) present frames first; what follows them must not count.
            counts: (n, 1) present frames, at least 1.

        Returns:
            (n, H) for the head.
        """

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of tracks.

        Args:
            images: (n, t, 3, S, S) float, normalised, in order of time.
            mask: (n, t) bool, true where a frame counts; None: all. What it leaves out is not computed.

        Returns:
            (n,) logits, positive = fake.

        Raises:
            ValueError: the mask has another shape, or leaves a track without a frame.
        """
        n_tracks, n_frames = images.shape[:2]
        present = _full_mask(images) if mask is None else _check_mask(mask, n_tracks, n_frames)
        found = self.extract_features(images[present])
        features = found.new_zeros(n_tracks, n_frames, found.shape[1])
        features[present] = found
        return self.score_features(features, present)

    def extract_features(self, images: Tensor) -> Tensor:
        """(n, 3, S, S) normalised images -> (n, C) pooled features, frame by frame."""
        features: Tensor = self.pool(self.tail(self.trunk(images)))
        return features

    def score_features(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of tracks whose frames' features are known.

        Args:
            features: (n, t, C) float, in order of time; anything where the mask is false.
            mask: (n, t) bool; None: all.

        Returns:
            (n,) logits.

        Raises:
            ValueError: as ``forward``.
        """
        n_tracks, n_frames = features.shape[:2]
        present = _full_mask(features) if mask is None else _check_mask(mask, n_tracks, n_frames)
        # Present frames move to the front in their order. Readers look only back, so what follows them cannot reach
        # them.
        order = torch.argsort((~present).to(torch.uint8), dim=1, stable=True)
        packed = features.gather(1, order[..., None].expand_as(features))
        logits: Tensor = self.head(self.read(packed, present.sum(dim=1, keepdim=True))).flatten()
        return logits


class LstmMember(SequenceMember):
    """The mean of one LSTM layer's states.

    Args:
        hidden: LSTM units.
        dropout: before the logit.
    """

    def __init__(self, backbone: Backbone, *, hidden: int = HIDDEN, dropout: float = DROPOUT) -> None:
        super().__init__(backbone, nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, 1)))
        self.lstm = nn.LSTM(backbone.tail_channels, hidden, bias=False, batch_first=True)

    def read(self, features: Tensor, counts: Tensor) -> Tensor:
        """See ``SequenceMember``."""
        states: Tensor = self.lstm(features)[0]
        kept = torch.arange(features.shape[1], device=features.device)[None] < counts
        return states.masked_fill(~kept[..., None], 0.0).sum(dim=1) / counts


class GruMember(SequenceMember):
    """The state of two GRU layers after the last frame.

    Args:
        dropout: after it.
    """

    def __init__(self, backbone: Backbone, *, dropout: float = DROPOUT) -> None:
        first, second = GRU_UNITS
        layers = (nn.Dropout(dropout), nn.Linear(second, GRU_DENSE), nn.ReLU(), nn.Linear(GRU_DENSE, 1))
        super().__init__(backbone, nn.Sequential(*layers))
        self.first = nn.GRU(backbone.tail_channels, first, batch_first=True)
        self.second = nn.GRU(first, second, batch_first=True)

    def read(self, features: Tensor, counts: Tensor) -> Tensor:
        """See ``SequenceMember``."""
        states, _ = self.second(self.first(features)[0])
        last: Tensor = states.gather(1, (counts - 1)[..., None].expand(-1, 1, states.shape[2]))[:, 0]
        return last


def _full_mask(frames: Tensor) -> Tensor:
    return _check_mask(torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device), *frames.shape[:2])


def _check_mask(mask: Tensor, n_tracks: int, n_frames: int) -> Tensor:
    if mask.dtype != torch.bool or mask.shape != (n_tracks, n_frames):
        raise ValueError(f"the mask must be bool {(n_tracks, n_frames)}, not {mask.dtype} {tuple(mask.shape)}")
    if not mask.any(dim=1).all():
        raise ValueError("a track without a frame cannot be scored")
    return mask


def build(
    backbone: Backbone, reader: Reader, *, hidden: int | None = None, dropout: float | None = None
) -> SequenceMember:
    """An untrained sequence member.

    Args:
        hidden: LSTM units; None: 2048, as published.
        dropout: before the logit; None: 0.4, as published.

    Raises:
        ValueError: a GRU's units cannot be chosen.
    """
    p = DROPOUT if dropout is None else dropout
    if reader == "lstm":
        return LstmMember(backbone, hidden=HIDDEN if hidden is None else hidden, dropout=p)
    if hidden is not None:
        raise ValueError("a GRU has no hidden units to choose")
    return GruMember(backbone, dropout=p)
