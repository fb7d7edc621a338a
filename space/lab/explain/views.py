"""A member seen one face at a time: what every map method explains, whatever the member's kind.

A frame member is one already. Of a sequence member there is one view per frame of the track: the other frames'
features stand still, and the logit of the whole track is a function of this frame's picture alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from space.contract import U8
from space.models.cards import DetailReference
from space.models.member import FrameMember, drop_detail, normalise
from space.models.sequence import SequenceMember
from space.models.weights import LoadedMember

BATCH = 32  # faces per forward pass


class FaceView(nn.Module):
    """Trunk, tail and head of a network that gives one logit for one face.

    Args:
        region: the dense region head on the trunk's output; None: the member has none.
        reference: what the score of a face is held against, and the layered map; other maps are of the face as it is.
        mean, std: per channel, on the [0, 1] scale.
    """

    def __init__(
        self,
        trunk: nn.Module,
        tail: nn.Module,
        head: nn.Module,
        *,
        region: nn.Module | None,
        reference: DetailReference | None = None,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.trunk, self.tail, self.head, self.region = trunk, tail, head, region
        self.reference = reference
        self._mean, self._std = mean, std
        self._trunk_seen: tuple[U8, Tensor] | None = None
        self._tail_seen: tuple[U8, Tensor] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, S, S) normalised -> (n, 1) logits, positive = fake."""
        logits: Tensor = self.head(self.tail(self.trunk(images))).reshape(-1, 1)
        return logits

    def prepare(self, pixels: U8) -> Tensor:
        """(n, S, S, 3) RGB uint8 -> (n, 3, S, S) normalised, where the network is."""
        device = next(self.parameters()).device
        return normalise(torch.from_numpy(pixels).to(device), self._mean, self._std)

    def read_penultimate(self, pixels: U8) -> Tensor:
        """(n, C, S/16, S/16) the trunk's output for (n, S, S, 3) faces, without gradients.

        Most of the cost of a map; so it is kept until other faces (another array) are asked for.
        """
        if self._trunk_seen is None or self._trunk_seen[0] is not pixels:
            with torch.no_grad():
                self._trunk_seen = pixels, self.trunk(self.prepare(pixels))
        return self._trunk_seen[1].detach()

    def read_last(self, pixels: U8) -> Tensor:
        """(n, C, S/32, S/32) the tail's output for the same faces, without gradients; kept likewise."""
        if self._tail_seen is None or self._tail_seen[0] is not pixels:
            with torch.no_grad():
                self._tail_seen = pixels, self.tail(self.read_penultimate(pixels))
        return self._tail_seen[1].detach()

    def score(self, pixels: U8) -> Tensor:
        """(n, S, S, 3) RGB uint8 -> (n,) logits, without gradients, batch by batch."""
        with torch.no_grad():
            return torch.cat([self._score_batch(batch) for batch in split_faces(pixels)])

    def _score_batch(self, pixels: U8) -> Tensor:
        logits: Tensor = self.head(self.read_last(pixels)).reshape(-1)
        if self.reference is None:
            return logits
        plain = drop_detail(self.prepare(pixels), self.reference.detail_px)
        return logits - self.reference.share * self.forward(plain).reshape(-1)


class FrameHead(nn.Module):
    """The rest of a sequence member for one frame of a track.

    Args:
        features: (t, C) of the track's frames.
        index: of the frame that is looked at.
    """

    def __init__(self, member: SequenceMember, features: Tensor, index: int) -> None:
        super().__init__()
        self.member = member
        self._features, self._index = features, index

    def forward(self, last: Tensor) -> Tensor:
        """(n, C, h, w) last blocks of n versions of the frame -> (n, 1) logits of the track."""
        seen = self.member.pool(last)[:, None]
        before, after = self._features[: self._index], self._features[self._index + 1 :]
        track = torch.cat([before.expand(len(last), -1, -1), seen, after.expand(len(last), -1, -1)], dim=1)
        return self.member.score_features(track)[:, None]


def split_faces(pixels: U8) -> list[U8]:
    """At most ``BATCH`` faces at a time; so few are handed on as the array they came in."""
    if len(pixels) <= BATCH:
        return [pixels]
    return [pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)]


def view_faces(member: LoadedMember, crops: U8) -> Iterator[tuple[FaceView, U8]]:
    """Views of a member, and the faces that each of them explains, in order.

    Args:
        crops: (n, S, S, 3) RGB of the member's margin and input size; of one track in order of time, where the
            member scores sequences.
    """
    module, card = member.module, member.card
    if isinstance(module, SequenceMember):
        with torch.no_grad():
            images = normalise(torch.from_numpy(crops).to(member.device), card.mean, card.std)
            features = module.extract_features(images)
        for index in range(len(crops)):
            head = FrameHead(module, features, index)
            view = FaceView(module.trunk, module.tail, head, region=None, mean=card.mean, std=card.std)
            yield view.eval(), crops[index : index + 1]
        return
    if not isinstance(module, FrameMember):
        raise TypeError(f"{type(module).__name__} is no member that can be looked at")
    parts = module.trunk, module.tail, module.head
    seen = FaceView(*parts, region=module.region, reference=module.reference, mean=card.mean, std=card.std)
    yield seen.eval(), crops
