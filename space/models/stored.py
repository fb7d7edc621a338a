"""Tensors on disk: one safetensors file per member, written whole and compared before it is used.

Weights are stored in float16 (half the download, and no visible difference in the logits) and
computed with in float32. Pickle is never read here.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from space.errors import WeightsError
from space.models.cards import Card

COUNTERS = "num_batches_tracked"  # only training reads them, and float16 cannot hold them
STATISTICS = ("running_mean", "running_var")  # span more decades than float16; a thousandth of the file
N_KEYS_NAMED = 3  # in complaints
CHUNK_BYTES = 1024 * 1024


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)  # mkstemp's files are for their owner alone
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_state(card: Card, path: Path, module: nn.Module, device: torch.device) -> dict[str, Tensor]:
    """The state dict of a module from a file, tensor by tensor, so that no second copy ever exists.

    Args:
        module: gives names and shapes; may live on the meta device.

    Returns:
        Every entry of ``module.state_dict()``, on ``device``, in float32 (batch counters zero).

    Raises:
        WeightsError: ``weights_mismatch``: another set of names or shapes, the first of them named.
    """
    expected = module.state_dict()
    stored = {name for name in expected if not name.endswith(COUNTERS)}
    state = {name: torch.zeros_like(value, device=device) for name, value in expected.items() if name not in stored}
    try:
        with safe_open(path, framework="pt") as file:
            _compare_keys(card, stored, set(file.keys()))
            _compare_shapes(card, {name: tuple(file.get_slice(name).get_shape()) for name in stored}, expected)
            state |= {name: _to_memory(file.get_tensor(name), device) for name in sorted(stored)}
    except SafetensorError as error:
        raise WeightsError("weights_mismatch", name=card.name, details="not a safetensors file") from error
    return state


def _to_memory(tensor: Tensor, device: torch.device) -> Tensor:
    """A float32 copy (the original lives in the mapped file); convolutions channels-last."""
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.to(device, torch.float32, copy=True, memory_format=layout)


def _compare_keys(card: Card, wanted: set[str], found: set[str]) -> None:
    missing, unexpected = sorted(wanted - found), sorted(found - wanted)
    complaints = [
        f"{word} {_name_some(names)}" for word, names in (("missing", missing), ("unexpected", unexpected)) if names
    ]
    if complaints:
        raise WeightsError("weights_mismatch", name=card.name, details="; ".join(complaints))


def _compare_shapes(card: Card, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor]) -> None:
    wrong = [
        f"{name} {list(shape)} instead of {list(expected[name].shape)}"
        for name, shape in sorted(found.items())
        if shape != tuple(expected[name].shape)
    ]
    if wrong:
        raise WeightsError("weights_mismatch", name=card.name, details=f"shape of {_name_some(wrong)}")


def _name_some(names: Sequence[str]) -> str:
    rest = len(names) - N_KEYS_NAMED
    return ", ".join(names[:N_KEYS_NAMED]) + (f" and {rest} more" if rest > 0 else "")
