"""Weights on disk: a member comes back ready to score, and files that do not fit are refused."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from space.errors import WeightsError
from space.models.cards import Params, read_card, write_record
from space.models.files import sha256_of
from space.models.weights import build_empty, load_member, save_weights
from space.settings import PROJECT_ROOT
from tests.members import CARD, build_seeded, write_member


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "resnext50_32x4d"])
def test_member_comes_back_ready_to_score(tmp_path: Path, architecture: str) -> None:
    card = write_member(tmp_path, "small", architecture=architecture)
    original = build_seeded(architecture, card.params)
    loaded = load_member(tmp_path / "small.json")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(loaded.module(images), original(images), atol=2e-3, rtol=2e-3)
    assert loaded.card == card
    assert loaded.kind == "frame"
    assert not loaded.module.training
    assert not any(value.requires_grad for value in loaded.module.parameters())
    floating = [value for value in loaded.module.state_dict().values() if value.is_floating_point()]
    assert {value.dtype for value in floating} == {torch.float32}
    assert all(v.is_contiguous(memory_format=torch.channels_last) for v in floating if v.ndim == 4)


def test_file_holds_half_floats_but_exact_statistics_and_no_counters(tmp_path: Path) -> None:
    card = write_member(tmp_path, "small")
    stored = load_file(tmp_path / card.weights)
    state = build_seeded(card.architecture, card.params).state_dict()
    assert stored.keys() == {name for name in state if not name.endswith("num_batches_tracked")}
    for name, value in stored.items():
        if "running_" in name:
            assert torch.equal(value, state[name])
        else:
            assert value.dtype == torch.float16


def test_small_variances_survive(tmp_path: Path) -> None:
    """In float16 a variance below 6e-8 would be 0, and one above 65504 infinite."""
    norm = nn.BatchNorm2d(2)
    norm.running_var = torch.tensor([1e-9, 1e6])
    save_weights(norm, tmp_path / "norm.safetensors")
    assert load_file(tmp_path / "norm.safetensors")["running_var"].tolist() == pytest.approx([1e-9, 1e6])


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e5])
def test_weight_that_cannot_be_stored_is_refused_and_leaves_the_old_file(tmp_path: Path, value: float) -> None:
    path = tmp_path / "linear.safetensors"
    linear = nn.Linear(2, 1)
    before = save_weights(linear, path)
    with torch.no_grad():
        linear.bias.fill_(value)
    with pytest.raises(ValueError, match="bias holds values that are not finite"):
        save_weights(linear, path)
    assert sha256_of(path) == before
    assert list(tmp_path.iterdir()) == [path]


def rewrite(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change the tensors and make the card agree, so that only the network disagrees."""
    path = folder / "small.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    write_record(replace(read_card(folder / "small.json"), sha256=sha256_of(path)), folder / "small.json")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda t: t.pop("head.3.bias"), "missing head.3.bias"),
        (lambda t: t.update({"head.4.bias": torch.zeros(1)}), "unexpected head.4.bias"),
        (lambda t: t.update({"head.3.bias": torch.zeros(2)}), "shape of head.3.bias [2] instead of [1]"),
        (lambda t: t.update({"head.3.bias": torch.zeros(1, dtype=torch.int64)}), "type of head.3.bias I64"),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith(("head", "region"))],
            "missing head.3.bias, head.3.weight, region.bias and 1 more",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, edit: Callable[[dict[str, torch.Tensor]], Any], complaint: str
) -> None:
    write_member(tmp_path, "small")
    rewrite(tmp_path, edit)
    with pytest.raises(WeightsError) as caught:
        load_member(tmp_path / "small.json")
    assert caught.value.code == "weights_mismatch"
    assert caught.value.params == {"name": "small", "details": complaint}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architecture": "efficientnet_b1"}, "weights_mismatch"),
        ({"architecture": "resnext50_32x4d"}, "weights_mismatch"),
        ({"params": Params()}, "weights_mismatch"),
        ({"architecture": "vgg16"}, "card_invalid"),
        ({"params": Params(hidden=8)}, "card_invalid"),
        ({"sha256": "0" * 64}, "weights_checksum"),
        ({"weights": "other.safetensors"}, "weights_missing"),
    ],
)
def test_card_of_another_file_or_architecture_is_refused(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    card = write_member(tmp_path, "small")
    write_record(replace(card, **changes), tmp_path / "small.json")
    with pytest.raises(WeightsError) as caught:
        load_member(tmp_path / "small.json")
    assert caught.value.code == code


def test_pickle_is_not_read(tmp_path: Path) -> None:
    write_member(tmp_path, "small")
    path = tmp_path / "small.safetensors"
    path.write_bytes(pickle.dumps({"head.3.bias": [0.0]}))
    write_record(replace(read_card(tmp_path / "small.json"), sha256=sha256_of(path)), tmp_path / "small.json")
    with pytest.raises(WeightsError) as caught:
        load_member(tmp_path / "small.json")
    assert caught.value.code == "weights_mismatch"
    assert "not a safetensors file" in str(caught.value)


def test_network_is_built_without_memory() -> None:
    member = build_empty(CARD)
    assert {value.device.type for value in (*member.parameters(), *member.buffers())} == {"meta"}


MEASURE = """
import sys
from pathlib import Path
import torch
from space.models.weights import load_member

def kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))

torch.nn.Linear(8, 8)(torch.zeros(1, 8))
before = kib("VmRSS")
member = load_member(Path(sys.argv[1]))
peak = kib("VmHWM")
floats = sum(value.numel() * 4 for value in member.module.state_dict().values())
print((peak - before) * 1024 / floats)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_loading_holds_one_copy(tmp_path: Path) -> None:
    """Peak memory: float32 weights (1.0) and the mapped float16 file (0.5), but never a second copy."""
    write_member(tmp_path, "large", architecture="resnext101_64x4d", params=Params())
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large.json")]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 1.7
