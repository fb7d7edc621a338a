"""Public checkpoints as members: EfficientNets and ResNeXts from torchvision, timm and efficientnet_pytorch.

The imported network gives the logits of the original one; a checkpoint that holds anything beyond
such a network and one linear head is refused, because it would compute something else.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from space.errors import RequestError, WeightsError
from space.models.cards import UNCALIBRATED, WEIGHTS_SUFFIX, Card, Params, write_record
from space.models.layouts import STEMS, Layout, find_layout, find_params, name_sources
from space.models.registry import ARCHITECTURES, IMAGENET_MEAN, IMAGENET_STD, build_network
from space.models.stored import COUNTERS, compare_keys, compare_shapes, save_state
from space.models.weights import check_new_name, installed_folder

PREFIXES = ("module.", "encoder.", "net.", "efficientnet.", "model.", "backbone.")
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
TENSORFLOW_PREFIX = "tf_"  # timm's name for weights that came from TensorFlow
MAX_OUTPUTS = 2  # of a head that can become one logit
HEAD = "head.3"  # the linear layer of every frame member
UNREADABLE = (  # what torch.load raises on bytes that are no checkpoint, or one that needs code to run
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SafetensorError,
)


@dataclass(frozen=True)
class ImportReport:
    """What was found in a checkpoint and what was made of it."""

    layout: Layout
    params: Params  # what the original implementation computes beyond its weights
    prefixes: tuple[str, ...]  # found before keys and taken off
    head: str  # key of the head's weight
    n_outputs: int  # 1, or 2 that became their difference
    ignored: tuple[str, ...]  # keys of an unused ImageNet classifier


@dataclass(frozen=True, eq=False)
class Imported:
    """A checkpoint in this project's layout."""

    architecture: str  # a name in the registry
    state: dict[str, Tensor]  # for ``registry.build_network(architecture, report.params)``; float32
    report: ImportReport


def import_checkpoint(path: Path, architecture: str, *, fake_index: Literal[0, 1] = 1) -> Imported:
    """Read a public checkpoint.

    Args:
        path: ``.pth`` (only tensors are read, never code) or safetensors.
        architecture: an EfficientNet, ResNet or ResNeXt of the registry; with ``tf_`` before it for timm's networks
            with TensorFlow's padding and epsilon, which their keys do not tell apart.
        fake_index: which of two outputs is fake; for one output, the label that a positive logit stands for
            fake under: 1, or 0 where positive means real.

    Raises:
        RequestError: ``bad_members``: no such architecture.
        WeightsError: ``weights_missing``; ``weights_layout``: no layout we know, or a head of neither one
            nor two outputs; ``weights_mismatch``: not this architecture, or more than it and a head.
    """
    found = _open_checkpoint(path, architecture)
    state, rest = _convert_body(found)
    return _convert(path, found, state, rest, fake_index)


def import_start(path: Path, architecture: str) -> tuple[Params, dict[str, Tensor]]:
    """Read a public checkpoint to train on from: as ``import_checkpoint``, but its head may answer another question.

    Args:
        path, architecture: as in ``import_checkpoint``.

    Returns:
        What the original computes beyond its weights, and float32 tensors by this project's names: the whole member's
        where the checkpoint's head has one or two outputs, else without ``head.*`` (ImageNet's thousand classes).

    Raises:
        RequestError, WeightsError: as ``import_checkpoint``.
    """
    found = _open_checkpoint(path, architecture)
    state, rest = _convert_body(found)
    matrices = [len(value) for key, value in rest.items() if value.ndim == 2 and key.endswith("weight")]
    if len(matrices) == 1 and matrices[0] > MAX_OUTPUTS:
        return found.params, state
    return found.params, _convert(path, found, state, rest, 1).state


@dataclass(frozen=True, eq=False)
class _Checkpoint:
    """What a file holds, before anything is made of it."""

    architecture: str  # a name in the registry
    layout: Layout
    params: Params
    tensors: Mapping[str, Tensor]
    stripped: Mapping[str, str]  # key -> the same without prefixes
    expected: Mapping[str, Tensor]  # of the member, without values


def _open_checkpoint(path: Path, architecture: str) -> _Checkpoint:
    name, tensorflow = architecture.removeprefix(TENSORFLOW_PREFIX), architecture.startswith(TENSORFLOW_PREFIX)
    plain = {key: item for key, item in ARCHITECTURES.items() if item.kind == "frame" and item.is_plain}
    importable = {key: item for key, item in plain.items() if item.family in STEMS}
    entry = importable.get(name)
    if entry is None:
        known = ", ".join(sorted(importable))
        raise RequestError("bad_members", name=architecture, known=known)
    tensors = _read_tensors(path)
    stripped = {key: _strip(key) for key in tensors}
    layout = find_layout(entry.family, set(stripped.values()))
    params = layout and find_params(entry.family, layout, tensorflow=tensorflow)
    if layout is None or params is None:
        raise WeightsError("weights_layout", name=path.name)
    with torch.device("meta"):
        expected = build_network(name, params).state_dict()
    return _Checkpoint(name, layout, params, tensors, stripped, expected)


def _convert_body(found: _Checkpoint) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The member's tensors below its head, and what else the file holds, by its own names."""
    expected, tensors = found.expected, found.tensors
    body = {key for key in expected if not key.startswith("head.") and not key.endswith(COUNTERS)}
    sources = name_sources(ARCHITECTURES[found.architecture].family, found.layout, body)
    originals = _find_originals(found.architecture, set(sources.values()), found.stripped)
    rest = {key: tensors[key] for key in tensors.keys() - originals.values() if not key.endswith(COUNTERS)}
    state = {key: tensors[originals[sources[key]]].float() for key in sorted(body)}
    compare_shapes(found.architecture, {key: tuple(value.shape) for key, value in state.items()}, expected)
    return state | {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(COUNTERS)}, rest


def _convert(
    path: Path, found: _Checkpoint, body: Mapping[str, Tensor], rest: Mapping[str, Tensor], fake_index: int
) -> Imported:
    architecture = found.architecture
    width = found.expected[f"{HEAD}.weight"].shape[1]
    head = _find_head(path, rest, width)
    ignored = _find_ignored(architecture, rest, head, width)
    converted = _convert_head(rest, head, fake_index)
    shapes = {key: tuple(value.shape) for key, value in converted.items()}
    compare_shapes(architecture, shapes, found.expected)
    state = dict(body) | converted
    prefixes = {key.removesuffix(short) for key, short in found.stripped.items()} - {""}
    report = ImportReport(
        layout=found.layout,
        params=found.params,
        prefixes=tuple(sorted(prefixes)),
        head=head,
        n_outputs=len(rest[head]),
        ignored=ignored,
    )
    return Imported(architecture=architecture, state=state, report=report)


# --- reading ----------------------------------------------------------------------------------


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError("weights_missing", name=path.name)
    try:
        content = load_file(path) if _is_safetensors(path) else _load_pickled(path)
    except UNREADABLE as error:
        raise WeightsError("weights_layout", name=path.name) from error
    state = _unwrap(content)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("weights_layout", name=path.name)
    return state


def _load_pickled(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_safetensors(path: Path) -> bool:
    """Eight bytes of length, then a JSON object; neither a zip nor a pickle has that."""
    with path.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def _unwrap(content: Any) -> Any:
    while isinstance(content, dict):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            return content
        content = inner
    return content


def _strip(key: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), None):
        key = key.removeprefix(prefix)
    return key


# --- body and head ----------------------------------------------------------------------------


def _find_originals(architecture: str, wanted: set[str], stripped: Mapping[str, str]) -> dict[str, str]:
    """The layout's keys -> the checkpoint's."""
    found: dict[str, str] = {}
    for key, short in stripped.items():
        if short in wanted and found.setdefault(short, key) != key:
            raise WeightsError("weights_mismatch", name=architecture, details=f"{short} is there twice")
    compare_keys(architecture, wanted, found.keys())
    return found


def _find_head(path: Path, rest: Mapping[str, Tensor], width: int) -> str:
    """The only matrix from pooled features to one or two outputs, whatever it is called."""
    heads = [
        key for key, value in rest.items() if value.ndim == 2 and value.shape[1] == width and len(value) <= MAX_OUTPUTS
    ]
    if len(heads) != 1 or not heads[0].endswith("weight"):
        raise WeightsError("weights_layout", name=path.name)
    return heads[0]


def _find_ignored(architecture: str, rest: Mapping[str, Tensor], head: str, width: int) -> tuple[str, ...]:
    """The base network's own classifier may still be there beside the head; nothing else may."""
    spare = [key for key, value in rest.items() if key != head and value.ndim == 2 and value.shape[1] == width]
    allowed = {head, _bias_of(head), *spare, *(_bias_of(key) for key in spare)}
    compare_keys(architecture, set(), rest.keys() - allowed)
    return tuple(sorted(rest.keys() - {head, _bias_of(head)}))


def _bias_of(key: str) -> str:
    return key.removesuffix("weight") + "bias"


def _convert_head(rest: Mapping[str, Tensor], head: str, fake_index: int) -> dict[str, Tensor]:
    """One logit, positive = fake. A softmax over two outputs is the sigmoid of their difference."""
    weight = rest[head].float()
    bias = rest[_bias_of(head)].float() if _bias_of(head) in rest else torch.zeros(len(weight))
    if len(weight) == 2:
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    sign = 1 if fake_index == 1 else -1
    return {f"{HEAD}.weight": sign * weight, f"{HEAD}.bias": sign * bias}


# --- writing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """What a checkpoint does not say about itself, but its card must."""

    input_px: int | None = None  # side of the crops it was trained on; None: the architecture's
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    margin: float = 1.3  # side of those crops / side of the landmarks' square box
    version: str = "1"
    data: str = "unknown"
    licence: str = "unknown"


def import_member(
    path: Path,
    architecture: str,
    *,
    name: str,
    fake_index: Literal[0, 1] = 1,
    origin: Origin | None = None,
    folder: Path | None = None,
) -> tuple[Card, ImportReport]:
    """Import a public checkpoint and write its weights and card, uncalibrated and without metrics.

    Args:
        path, architecture, fake_index: as in ``import_checkpoint``.
        name: of the new member; replaces an installed one of that name.
        origin: None: ``Origin()``.
        folder: None: ``weights.installed_folder()``.

    Raises:
        RequestError: ``bad_members``: the name cannot be used, or no such architecture.
        WeightsError: as ``import_checkpoint``; ``weights_mismatch`` also for weights beyond float16.
    """
    check_new_name(name)
    imported = import_checkpoint(path, architecture, fake_index=fake_index)
    place = installed_folder() if folder is None else folder
    try:
        sha256 = save_state(imported.state, place / f"{name}{WEIGHTS_SUFFIX}")
    except ValueError as error:
        raise WeightsError("weights_mismatch", name=name, details=str(error)) from error
    card = _make_card(path, imported, origin or Origin(), name=name, sha256=sha256)
    write_record(card, place / f"{name}.json")
    return card, imported.report


def _make_card(path: Path, imported: Imported, origin: Origin, *, name: str, sha256: str) -> Card:
    return Card(
        name=name,
        version=origin.version,
        architecture=imported.architecture,
        params=imported.report.params,
        input_px=origin.input_px or ARCHITECTURES[imported.architecture].input_px,
        mean=origin.mean,
        std=origin.std,
        margin=origin.margin,
        calibration=UNCALIBRATED,
        metrics=(),
        recipe=f"imported from {path.name} ({imported.report.layout} layout)",
        data=origin.data,
        licence=origin.licence,
        weights=f"{name}{WEIGHTS_SUFFIX}",
        sha256=sha256,
        images_seen=None,
        training_cost="unknown",
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
