"""EfficientNet-Lite and public checkpoints to train on from, whose heads may answer another question."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from space.errors import WeightsError
from space.models.cards import Params
from space.models.imports import import_checkpoint, import_start
from space.models.layouts import name_sources
from space.models.registry import build_member, build_network
from tests.test_imports import ORIGINALS, make


def test_start_leaves_out_a_head_that_answers_another_question(tmp_path: Path) -> None:
    net = make(ORIGINALS["timm lite0"], n_outputs=1000)
    torch.save(net.state_dict(), tmp_path / "imagenet.pth")
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "imagenet.pth", "efficientnet_lite0")
    assert caught.value.code == "weights_layout"
    params, state = import_start(tmp_path / "imagenet.pth", "efficientnet_lite0")
    assert params == Params()
    member = build_member("efficientnet_lite0").eval()
    missing, strange = member.load_state_dict(state, strict=False)
    assert (missing, strange) == (["head.3.weight", "head.3.bias"], [])
    images = torch.randn(2, 3, 75, 75, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(member.tail(member.trunk(images)), net.forward_features(images))


def test_start_keeps_a_head_that_answers_ours(tmp_path: Path) -> None:
    torch.save(make(ORIGINALS["timm lite0"], n_outputs=2).state_dict(), tmp_path / "two.pth")
    imported = import_checkpoint(tmp_path / "two.pth", "efficientnet_lite0")
    _, state = import_start(tmp_path / "two.pth", "efficientnet_lite0")
    assert state.keys() == imported.state.keys()
    assert torch.equal(state["head.3.weight"], imported.state["head.3.weight"])


@pytest.mark.parametrize("size", range(5))
def test_every_lite_size_finds_every_tensor(size: int) -> None:
    with torch.device("meta"):
        member = build_network(f"efficientnet_lite{size}", Params())
        body = {key: value for key, value in member.state_dict().items() if key.startswith(("trunk", "tail"))}
        net = timm.create_model(f"tf_efficientnet_lite{size}", num_classes=1)
    found = {key: value.shape for key, value in net.state_dict().items() if not key.startswith("classifier.")}
    sources = name_sources("efficientnet_lite", "timm", body)
    assert {sources[key]: value.shape for key, value in body.items()} == found
