"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from space.models import classics, efficientnet, efficientnet_lite, resnet, sequence, small, xception
from space.models.cards import DetailReference, Padding, Params
from space.models.heads import with_gray_input, with_hidden_layers
from space.models.member import Backbone, FrameMember
from space.models.sequence import Reader, SequenceMember

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Kind = Literal["frame", "sequence"]
Member = FrameMember | SequenceMember


@dataclass(frozen=True)
class Architecture:
    """What a name in a card stands for."""

    name: str
    family: str  # a key of ``BUILDERS``
    input_px: int  # as published
    kind: Kind = "frame"  # scores one crop, or a track's crops in order of time
    base: str = ""  # the family's own name for what is below the head or the reader; "": this one's
    reader: Reader | None = None  # of a track's features; sequence members only
    hidden: tuple[int, ...] = ()  # widths of layers between pooling and output; none, as published
    n_outputs: int = 1  # with hidden layers: 2 become their difference
    hidden_dropout: float = 0.5  # with hidden layers: before the output, unless a card says otherwise
    gray: bool = False  # sees no colour
    mean: tuple[float, float, float] = IMAGENET_MEAN  # of the pixels, per channel on the [0, 1] scale
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def is_plain(self) -> bool:
        """Whether it is the family's network with its own head, as public checkpoints hold it."""
        return not (self.base or self.hidden or self.gray)


LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3
LITE_PX = (224, 240, 260, 280, 300)
EFFICIENTNET_PX = (224, 240, 260, 300, 380, 456, 528, 600)
SEQUENCE_PX = 112

CLASSICS_PX = {"vgg19": 224, "vgg19_bn": 224, "densenet121": 224, "inception_v3": 299}
SMALL_PX = {"meso4": 256, "mesoinception4": 256, "simplenet": 224, "plain_cnn": 224}

ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry
    for entry in (
        *(
            Architecture(name, "efficientnet", px)
            for name, px in zip(efficientnet.BUILDERS, EFFICIENTNET_PX, strict=True)
        ),
        *(
            Architecture(name, "efficientnet_lite", px, mean=LITE_MEAN, std=LITE_STD)
            for name, px in zip(efficientnet_lite.SIZES, LITE_PX, strict=True)
        ),
        *(Architecture(name, "resnet", 224) for name in resnet.BUILDERS),
        Architecture("resnet18_mlp", "resnet", 224, base="resnet18", hidden=(256,)),
        *(Architecture(name, "classics", px) for name, px in CLASSICS_PX.items()),
        Architecture("densenet121_gray", "classics", 224, base="densenet121", gray=True),
        Architecture("xception", "xception", 299),
        Architecture("xception_mlp", "xception", 299, base="xception", hidden=(1000, 256, 64), n_outputs=2),
        *(Architecture(name, "small", px) for name, px in SMALL_PX.items()),
        Architecture("resnext50_32x4d_lstm", "resnet", SEQUENCE_PX, "sequence", base="resnext50_32x4d", reader="lstm"),
        Architecture("inception_v3_gru", "classics", SEQUENCE_PX, "sequence", base="inception_v3", reader="gru"),
        Architecture(
            "efficientnet_lite0_lstm",
            "efficientnet_lite",
            192,
            "sequence",
            base="efficientnet_lite0",
            reader="lstm",
            mean=LITE_MEAN,
            std=LITE_STD,
        ),
    )
}

BUILDERS: dict[str, Callable[..., Backbone]] = {
    "efficientnet": efficientnet.build,
    "efficientnet_lite": efficientnet_lite.build,
    "resnet": resnet.build,
    "classics": classics.build,
    "xception": xception.build,
    "small": small.build,
}


def build_member(
    architecture: str,
    *,
    region_head: bool = False,
    dropout: float | None = None,
    bn_eps: float | None = None,
    padding: Padding = "symmetric",
    reference: DetailReference | None = None,
) -> FrameMember:
    """An untrained frame member.

    Args:
        region_head: also carry the convolution that predicts the manipulated region.
        dropout: before the logit; None: as published.
        bn_eps: of every batch norm; None: as published.
        padding: of strided convolutions; "same" is EfficientNet's in TensorFlow.
        reference: what the logit is held against.

    Raises:
        KeyError: no such architecture.
        ValueError: it scores sequences, or cannot be told one of these parameters.
    """
    entry = ARCHITECTURES[architecture]
    if entry.kind != "frame":
        raise ValueError(f"{architecture} scores sequences")
    backbone = _build_backbone(entry, dropout, bn_eps, padding)
    return FrameMember(backbone, region_head=region_head, reference=reference)


def _build_backbone(entry: Architecture, dropout: float | None, bn_eps: float | None, padding: Padding) -> Backbone:
    build = BUILDERS[entry.family]
    name = entry.base or entry.name
    if entry.family == "efficientnet":
        backbone = build(name, dropout=dropout, bn_eps=bn_eps, padding=padding)
    elif bn_eps is not None or padding != "symmetric":
        raise ValueError(f"{entry.name} knows one bn_eps and one padding")
    else:
        backbone = build(name, dropout=dropout)
    if entry.hidden:
        p = entry.hidden_dropout if dropout is None else dropout
        backbone = with_hidden_layers(backbone, entry.hidden, n_outputs=entry.n_outputs, dropout=p)
    return with_gray_input(backbone) if entry.gray else backbone


def build_network(architecture: str, params: Params) -> Member:
    """An untrained member of either kind, as a card describes it.

    Raises:
        KeyError: no such architecture.
        ValueError: it cannot be told one of these parameters.
    """
    entry = ARCHITECTURES[architecture]
    if entry.reader is None:
        if params.hidden is not None:
            raise ValueError(f"{architecture} has no hidden units to choose")
        return build_member(
            architecture,
            region_head=params.region_head,
            dropout=params.dropout,
            bn_eps=params.bn_eps,
            padding=params.padding,
            reference=params.reference,
        )
    if params != Params(hidden=params.hidden, dropout=params.dropout):
        raise ValueError(f"{architecture} can only be told hidden and dropout")
    backbone = BUILDERS[entry.family](entry.base)
    return sequence.build(backbone, entry.reader, hidden=params.hidden, dropout=params.dropout)
