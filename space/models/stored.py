"""Tensors on disk: one safetensors file per member, written whole and compared before it is used.

Weights are stored in float16 (half the download, and no visible difference in the logits) and
computed with in float32. Pickle is never read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from space.errors import WeightsError
from space.models.cards import Card
from space.models.files import replacing, sha256_of

COUNTERS = "num_batches_tracked"  # only training reads them, and float16 cannot hold them
STATISTICS = ("running_mean", "running_var")  # span more decades than float16; a thousandth of the file
STORED_TYPES = ("F16", "BF16", "F32")
N_KEYS_NAMED = 3  # in complaints


def save_state(state: Mapping[str, Tensor], path: Path) -> str:
    """Write a state dict; the file appears whole or not at all.

    Parameters become float16; the running statistics of batch norms stay float32, and their batch
    counters are left out.

    Returns:
        The file's SHA-256, hex, for the card.

    Raises:
        ValueError: a weight is not finite, or too large for float16.
    """
    tensors = {name: _to_stored(name, value) for name, value in state.items() if not name.endswith(COUNTERS)}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})
    return sha256_of(path)


def _to_stored(name: str, value: Tensor) -> Tensor:
    dtype = torch.float32 if name.endswith(STATISTICS) else torch.float16
    stored = value.detach().to("cpu", dtype).contiguous()
    if not torch.isfinite(stored).all():
        raise ValueError(f"{name} holds values that are not finite in {dtype}")
    return stored


def read_state(card: Card, path: Path, module: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """The state dict of a module from a file, tensor by tensor, so that no second copy ever exists.

    Args:
        module: gives names and shapes; may live on the meta device.

    Returns:
        Every entry of ``module.state_dict()``, on ``device``, in float32 (batch counters zero).

    Raises:
        WeightsError: ``weights_mismatch``: another set of names or shapes, the first of them named.
    """
    check_file(card, path, module)
    expected = module.state_dict()
    counters = {name: torch.zeros((), dtype=torch.int64, device=device) for name in expected if name.endswith(COUNTERS)}
    with safe_open(path, framework="pt") as file:
        return counters | {
            name: _to_memory(file.get_tensor(name), device) for name in expected if not name.endswith(COUNTERS)
        }


def check_file(card: Card, path: Path, module: nn.Module) -> None:
    """Compare the names and shapes in a file with a module's; reads the file's header only.

    Raises:
        WeightsError: ``weights_mismatch``.
    """
    expected = {name: value for name, value in module.state_dict().items() if not name.endswith(COUNTERS)}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            compare_keys(card.name, expected.keys(), found.keys())
            compare_shapes(card.name, {name: tuple(item.get_shape()) for name, item in found.items()}, expected)
            _check_types(card.name, {name: item.get_dtype() for name, item in found.items()})
    except SafetensorError as error:
        raise WeightsError("weights_mismatch", name=card.name, details="not a safetensors file") from error


def _check_types(name: str, found: Mapping[str, str]) -> None:
    wrong = [f"{key} {dtype}" for key, dtype in sorted(found.items()) if dtype not in STORED_TYPES]
    if wrong:
        raise WeightsError("weights_mismatch", name=name, details=f"type of {_name_some(wrong)}")


def _to_memory(tensor: Tensor, device: torch.device) -> Tensor:
    """A float32 copy (the original lives in the mapped file); convolutions channels-last."""
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.to(device, torch.float32, copy=True, memory_format=layout)


def compare_keys(name: str, wanted: AbstractSet[str], found: AbstractSet[str]) -> None:
    """Refuse weights with other names than a network's.

    Raises:
        WeightsError: ``weights_mismatch``, with the first missing and unexpected ones.
    """
    differences = {"missing": sorted(wanted - found), "unexpected": sorted(found - wanted)}
    complaints = [f"{word} {_name_some(names)}" for word, names in differences.items() if names]
    if complaints:
        raise WeightsError("weights_mismatch", name=name, details="; ".join(complaints))


def compare_shapes(name: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights of other shapes than a network's.

    Raises:
        WeightsError: ``weights_mismatch``, with the first that differ.
    """
    wrong = [
        f"{key} {list(shape)} instead of {list(expected[key].shape)}"
        for key, shape in sorted(found.items())
        if shape != tuple(expected[key].shape)
    ]
    if wrong:
        raise WeightsError("weights_mismatch", name=name, details=f"shape of {_name_some(wrong)}")


def _name_some(names: Sequence[str]) -> str:
    rest = len(names) - N_KEYS_NAMED
    return ", ".join(names[:N_KEYS_NAMED]) + (f" and {rest} more" if rest > 0 else "")
