"""A sequence member: one network sees a face in every frame, an LSTM reads them in order of time.

The ResNeXt50-LSTM of the field's public detectors: 2048 pooled features per frame, one LSTM layer of
2048 units without biases, dropout 0.4, mean over time. Their code hands batches to an LSTM that takes
time first, so that it runs across the clips of a batch; this one runs along time, which is what they
describe.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from space.models import resnet
from space.models.member import Backbone

BASES = {"resnext50_32x4d_lstm": "resnext50_32x4d"}
HIDDEN = 2048
DROPOUT = 0.4


class SequenceMember(nn.Module):
    """Scores a whole track at once.

    Args:
        backbone: trunk and tail are used as in a frame member; the head is not.
        hidden: LSTM units.
        dropout: before the logit.
    """

    def __init__(self, backbone: Backbone, *, hidden: int = HIDDEN, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.trunk = backbone.trunk
        self.tail = backbone.tail
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.lstm = nn.LSTM(backbone.tail_channels, hidden, bias=False, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, 1))

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
        # Present frames move to the front in their order. The LSTM looks only back, so what follows
        # them cannot reach them.
        order = torch.argsort((~present).to(torch.uint8), dim=1, stable=True)
        packed = features.gather(1, order[..., None].expand_as(features))
        states, _ = self.lstm(packed)
        counts = present.sum(dim=1, keepdim=True)
        kept = torch.arange(n_frames, device=features.device)[None] < counts
        mean = states.masked_fill(~kept[..., None], 0.0).sum(dim=1) / counts
        logits: Tensor = self.head(mean).flatten()
        return logits


def _full_mask(frames: Tensor) -> Tensor:
    return _check_mask(torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device), *frames.shape[:2])


def _check_mask(mask: Tensor, n_tracks: int, n_frames: int) -> Tensor:
    if mask.dtype != torch.bool or mask.shape != (n_tracks, n_frames):
        raise ValueError(f"the mask must be bool {(n_tracks, n_frames)}, not {mask.dtype} {tuple(mask.shape)}")
    if not mask.any(dim=1).all():
        raise ValueError("a track without a frame cannot be scored")
    return mask


def build(architecture: str, *, hidden: int | None = None, dropout: float | None = None) -> SequenceMember:
    """An untrained sequence member.

    Args:
        architecture: a key of ``BASES``.
        hidden: LSTM units; None: 2048, as published.
        dropout: before the logit; None: 0.4, as published.
    """
    backbone = resnet.build(BASES[architecture])
    return SequenceMember(
        backbone, hidden=HIDDEN if hidden is None else hidden, dropout=DROPOUT if dropout is None else dropout
    )
