"""Names of the same tensors in other implementations: torchvision, timm and efficientnet_pytorch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from space.models.cards import Params
from space.models.efficientnet import TRUNK_STAGES

Layout = Literal["torchvision", "timm", "efficientnet_pytorch"]

STEMS: Mapping[str, Mapping[str, Layout]] = {  # family -> a tensor that gives the layout away
    "efficientnet": {
        "features.0.0.weight": "torchvision",
        "conv_stem.weight": "timm",
        "_conv_stem.weight": "efficientnet_pytorch",
    },
    "efficientnet_lite": {"conv_stem.weight": "timm", "_conv_stem.weight": "efficientnet_pytorch"},
    "resnet": {"conv1.weight": "torchvision"},  # timm's names are the same
}

TENSORFLOW = Params(bn_eps=1e-3, padding="same")
PYTORCH = Params(bn_eps=1e-5, padding="symmetric")

RESNET_NAMES = {"trunk.0": "conv1", "trunk.1": "bn1", "tail": "layer4"} | {
    f"trunk.{i}": f"layer{i - 3}" for i in (4, 5, 6)
}

ROLES = ("expand", "depthwise", "squeeze", "project")  # layers of a block; the first stage does not expand
MEMBER_KEY = re.compile(r"(trunk|tail)\.(\d+)\.(.+)")
BLOCK_KEY = re.compile(r"(\d+)\.block\.(\d+)\.(\w+)\.(.+)")


@dataclass(frozen=True)
class BlockNames:
    """How a layout calls the layers of a block: role -> (convolution, batch norm), and squeeze's two."""

    layers: Mapping[str, tuple[str, str]]
    squeeze: Mapping[str, str]  # "fc1", "fc2" in torchvision


TIMM_SQUEEZE = {"fc1": "se.conv_reduce", "fc2": "se.conv_expand"}
TIMM_EXPANDING = BlockNames(
    {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}, TIMM_SQUEEZE
)
TIMM_PLAIN = BlockNames({"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}, TIMM_SQUEEZE)
EFFICIENTNET_PYTORCH = BlockNames(
    {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    },
    {"fc1": "_se_reduce", "fc2": "_se_expand"},
)


def find_layout(family: str, keys: Collection[str]) -> Layout | None:
    """The layout in which a checkpoint's keys are written; None: in none we know."""
    found = {layout for stem, layout in STEMS[family].items() if stem in keys}
    return found.pop() if len(found) == 1 else None


def find_params(family: str, layout: Layout, *, tensorflow: bool) -> Params | None:
    """What the original implementation computes with its weights; None: there is no such network.

    Args:
        tensorflow: timm's ``tf_`` variants, whose keys do not differ from those of its own networks.
    """
    if family == "efficientnet_lite":
        return Params()  # theirs is always TensorFlow's way
    if family != "efficientnet":
        return None if tensorflow else Params()
    if layout == "torchvision":
        return None if tensorflow else Params()
    return TENSORFLOW if tensorflow or layout == "efficientnet_pytorch" else PYTORCH


def name_sources(family: str, layout: Layout, keys: Iterable[str]) -> dict[str, str]:
    """Where a member's tensors are found in another layout.

    Args:
        keys: the member's own, ``trunk.*`` and ``tail.*``.

    Returns:
        The member's key -> the layout's key.
    """
    if family == "resnet":
        return {key: _name_resnet(key) for key in keys}
    stages = {key: _to_torchvision(key) for key in keys}
    if layout == "torchvision":
        return {key: f"features.{stage}.{rest}" for key, (stage, rest) in stages.items()}
    return _name_efficientnet(layout, stages)


def _name_resnet(key: str) -> str:
    stem = next(stem for stem in RESNET_NAMES if key.startswith(f"{stem}."))
    return RESNET_NAMES[stem] + key.removeprefix(stem)


def _to_torchvision(key: str) -> tuple[int, str]:
    """``trunk.1.0.block…`` -> (1, ``0.block…``): the tail's stages count on from the trunk's."""
    match = MEMBER_KEY.fullmatch(key)
    assert match is not None, key
    piece, stage, rest = match.groups()
    return int(stage) + (TRUNK_STAGES if piece == "tail" else 0), rest


def _name_efficientnet(layout: Layout, stages: Mapping[str, tuple[int, str]]) -> dict[str, str]:
    last = max(stage for stage, _ in stages.values())
    blocks = [(stage, match) for stage, rest in stages.values() if (match := BLOCK_KEY.fullmatch(rest))]
    places = sorted({(stage, int(match[1])) for stage, match in blocks})
    n_layers = {place: 1 + max(int(m[2]) for s, m in blocks if (s, int(m[1])) == place) for place in places}
    names = {}
    for key, (stage, rest) in stages.items():
        match = BLOCK_KEY.fullmatch(rest)
        if match is None:
            names[key] = _name_ends(layout, rest, is_stem=stage != last)
            continue
        place = (stage, int(match[1]))
        role = ROLES[-n_layers[place] :][int(match[2])]
        prefix, block = _place_block(layout, place, places.index(place), expands=n_layers[place] == len(ROLES))
        names[key] = f"{prefix}.{_name_layer(block, role, match[3], match[4])}"
    return names


def _name_ends(layout: Layout, rest: str, *, is_stem: bool) -> str:
    """Stem and last convolution: ``0.weight``, ``1.running_mean``."""
    position, parameter = rest.split(".", 1)
    if layout == "timm":
        names = ("conv_stem", "bn1") if is_stem else ("conv_head", "bn2")
    else:
        names = ("_conv_stem", "_bn0") if is_stem else ("_conv_head", "_bn1")
    return f"{names[int(position)]}.{parameter}"


def _place_block(layout: Layout, place: tuple[int, int], count: int, *, expands: bool) -> tuple[str, BlockNames]:
    stage, block = place
    if layout == "timm":
        return f"blocks.{stage - 1}.{block}", TIMM_EXPANDING if expands else TIMM_PLAIN
    return f"_blocks.{count}", EFFICIENTNET_PYTORCH


def _name_layer(names: BlockNames, role: str, position: str, parameter: str) -> str:
    if role == "squeeze":
        return f"{names.squeeze[position]}.{parameter}"
    return f"{names.layers[role][int(position)]}.{parameter}"
