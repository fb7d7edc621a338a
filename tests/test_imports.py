"""Public checkpoints: the imported network gives the original implementation's logits."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import efficientnet_pytorch
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models as torchvision_models

from space.errors import RequestError, WeightsError
from space.models.cards import Params
from space.models.imports import Imported, Origin, import_checkpoint, import_member
from space.models.layouts import Layout, find_layout, name_sources
from space.models.registry import build_network
from space.models.stored import COUNTERS
from space.models.weights import load_member

TENSORFLOW = Params(bn_eps=1e-3, padding="same")
PYTORCH = Params(bn_eps=1e-5)


@dataclass(frozen=True)
class Original:
    """A public implementation of an architecture."""

    build: Callable[[int, int], nn.Module]  # (outputs, input px)
    architecture: str  # as the importer is told
    layout: Layout
    params: Params


def from_efficientnet_pytorch(size: str) -> Callable[[int, int], nn.Module]:
    return lambda n_outputs, px: efficientnet_pytorch.EfficientNet.from_name(
        f"efficientnet-{size}", num_classes=n_outputs, image_size=px
    )


def from_timm(name: str) -> Callable[[int, int], nn.Module]:
    return lambda n_outputs, px: timm.create_model(name, num_classes=n_outputs)


def from_torchvision(name: str) -> Callable[[int, int], nn.Module]:
    return lambda n_outputs, px: getattr(torchvision_models, name)(num_classes=n_outputs)


ORIGINALS = {
    "torchvision b0": Original(from_torchvision("efficientnet_b0"), "efficientnet_b0", "torchvision", Params()),
    "timm b0": Original(from_timm("efficientnet_b0"), "efficientnet_b0", "timm", PYTORCH),
    "timm tf b0": Original(from_timm("tf_efficientnet_b0"), "tf_efficientnet_b0", "timm", TENSORFLOW),
    "efficientnet_pytorch b0": Original(
        from_efficientnet_pytorch("b0"), "efficientnet_b0", "efficientnet_pytorch", TENSORFLOW
    ),
    # From B5 on torchvision's epsilon is TensorFlow's, but timm's is not.
    "torchvision b5": Original(from_torchvision("efficientnet_b5"), "efficientnet_b5", "torchvision", Params()),
    "timm b5": Original(from_timm("efficientnet_b5"), "efficientnet_b5", "timm", PYTORCH),
    "timm lite0": Original(from_timm("tf_efficientnet_lite0"), "efficientnet_lite0", "timm", Params()),
    "timm tf lite2": Original(from_timm("tf_efficientnet_lite2"), "tf_efficientnet_lite2", "timm", Params()),
    "torchvision resnext50": Original(from_torchvision("resnext50_32x4d"), "resnext50_32x4d", "torchvision", Params()),
    "torchvision resnet18": Original(from_torchvision("resnet18"), "resnet18", "torchvision", Params()),
    "timm resnext50": Original(from_timm("resnext50_32x4d"), "resnext50_32x4d", "torchvision", Params()),
}


def settle(net: nn.Module, px: int) -> nn.Module:
    """Small weights and matching batch statistics: logits of order one that feel every epsilon and pixel of padding."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.mul_(0.1)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain average
            module.reset_running_stats()
    with torch.no_grad():
        net.train()(torch.randn(4, 3, px, px))
    return net.eval()


def make(original: Original, *, n_outputs: int = 1, px: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return settle(original.build(n_outputs, px), px)


def answer(net: nn.Module, px: int = 64) -> Tensor:
    images = torch.randn(3, 3, px, px, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return net(images)


def rebuild(imported: Imported) -> nn.Module:
    with torch.device("meta"):
        member = build_network(imported.architecture, imported.report.params)
    member.load_state_dict(imported.state, strict=True, assign=True)
    return member.eval()


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """One network in one layout, where the layout does not matter."""
    return make(ORIGINALS["torchvision b0"])


SIZES = [(name, 64) for name in ORIGINALS] + [(name, 75) for name in ORIGINALS if name.endswith(("b0", "lite0"))]


@pytest.mark.parametrize(("name", "px"), SIZES)  # even and odd sizes are padded differently
def test_imported_network_gives_the_original_s_logits(tmp_path: Path, name: str, px: int) -> None:
    original = ORIGINALS[name]
    net = make(original, px=px)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", original.architecture)
    expected = answer(net, px)[:, 0]
    torch.testing.assert_close(answer(rebuild(imported), px), expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 1e-2
    assert (imported.report.layout, imported.report.params) == (original.layout, original.params)
    assert (imported.report.n_outputs, imported.report.prefixes, imported.report.ignored) == (1, (), ())


@pytest.mark.parametrize("name", ["timm tf b0", "efficientnet_pytorch b0"])
@pytest.mark.parametrize("params", [Params(bn_eps=1e-3), Params(padding="same"), Params(bn_eps=1e-5, padding="same")])
def test_epsilon_and_padding_are_felt(tmp_path: Path, name: str, params: Params) -> None:
    """The check above could not pass with either of them wrong."""
    net = make(ORIGINALS[name])
    torch.save(net.state_dict(), tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", ORIGINALS[name].architecture)
    with torch.device("meta"):
        member = build_network(imported.architecture, params)
    member.load_state_dict(imported.state, assign=True)
    assert (answer(member.eval()) - answer(net)[:, 0]).abs().max() > 1e-2


@pytest.mark.parametrize("size", [f"b{i}" for i in range(8)])
def test_every_size_finds_every_tensor(size: str) -> None:
    name = f"efficientnet_{size}"
    with torch.device("meta"):
        member = build_network(name, Params())
        body = {key: value for key, value in member.state_dict().items() if key.startswith(("trunk", "tail"))}
        originals: list[tuple[Layout, nn.Module, str]] = [
            ("torchvision", from_torchvision(name)(1, 64), "classifier.1"),
            ("timm", timm.create_model(f"tf_{name}", num_classes=1), "classifier"),
            ("efficientnet_pytorch", from_efficientnet_pytorch(size)(1, 64), "_fc"),
        ]
    for layout, net, head in originals:
        found = {key: value.shape for key, value in net.state_dict().items() if not key.startswith(f"{head}.")}
        sources = name_sources("efficientnet", layout, body)
        assert {sources[key]: value.shape for key, value in body.items()} == found
        assert find_layout("efficientnet", found.keys()) == layout


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"])
def test_every_resnet_finds_every_tensor(name: str) -> None:
    with torch.device("meta"):
        member = build_network(name, Params())
        nets = from_torchvision(name)(1, 64), timm.create_model(name, num_classes=1)
    body = {key: value for key, value in member.state_dict().items() if key.startswith(("trunk", "tail"))}
    sources = name_sources("resnet", "torchvision", body)
    for net in nets:
        found = {key: value.shape for key, value in net.state_dict().items() if not key.startswith("fc.")}
        assert {sources[key]: value.shape for key, value in body.items()} == found


# --- heads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_outputs", "fake_index", "logit"),
    [
        (1, 1, lambda out: out[:, 0]),
        (1, 0, lambda out: -out[:, 0]),
        (2, 1, lambda out: out[:, 1] - out[:, 0]),
        (2, 0, lambda out: out[:, 0] - out[:, 1]),
    ],
)
@pytest.mark.parametrize("name", ["efficientnet_pytorch b0"])
def test_head_becomes_one_logit_for_fake(
    tmp_path: Path, name: str, n_outputs: int, fake_index: Any, logit: Callable[[Tensor], Tensor]
) -> None:
    net = make(ORIGINALS[name], n_outputs=n_outputs)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", ORIGINALS[name].architecture, fake_index=fake_index)
    torch.testing.assert_close(answer(rebuild(imported)), logit(answer(net)), atol=1e-4, rtol=1e-4)
    assert imported.report.n_outputs == n_outputs


def test_two_outputs_keep_their_softmax(tmp_path: Path) -> None:
    net = make(ORIGINALS["torchvision b0"], n_outputs=2)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    member = rebuild(import_checkpoint(tmp_path / "net.pth", "efficientnet_b0"))
    torch.testing.assert_close(answer(member).sigmoid(), answer(net).softmax(dim=1)[:, 1], atol=1e-5, rtol=1e-5)


def renamed(state: Mapping[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    """A state dict with tensors added, replaced, or (None) taken out; "__" stands for a dot."""
    edits = {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in {**state, **edits}.items() if value is not None}


@pytest.mark.parametrize("head", ["fc", "last_linear", "classifier", "model__last_layer", "head__0"])
def test_head_may_have_any_name_and_no_bias(tmp_path: Path, small: nn.Module, head: str) -> None:
    state = small.state_dict()
    weight = state["classifier.1.weight"]
    moved = renamed(
        state,
        classifier__1__weight=None,
        classifier__1__bias=None,
        **{f"{head}__weight": weight},  # type: ignore[arg-type]
    )
    torch.save(moved, tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert imported.report.head == f"{head.replace('__', '.')}.weight"
    expected = answer(small)[:, 0] - state["classifier.1.bias"]
    torch.testing.assert_close(answer(rebuild(imported)), expected, atol=1e-4, rtol=1e-4)


def test_unused_imagenet_classifier_is_left_out_and_reported(tmp_path: Path, small: nn.Module) -> None:
    """As in detectors that put a head beside a network built with its own classifier."""
    spare = {"encoder.classifier.weight": torch.zeros(1000, 1280), "encoder.classifier.bias": torch.zeros(1000)}
    head = small.state_dict()
    torch.save({**head, **spare}, tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert imported.report.ignored == ("encoder.classifier.bias", "encoder.classifier.weight")
    torch.testing.assert_close(answer(rebuild(imported)), answer(small)[:, 0], atol=1e-4, rtol=1e-4)


# --- wrappings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "wrap"),
    [
        ("module.", lambda state: state),
        ("encoder.", lambda state: {"state_dict": state, "epoch": 3}),
        ("net.", lambda state: {"model_state_dict": state, "optimizer": {"lr": 0.1}}),
        ("efficientnet.", lambda state: {"net": {"state_dict": state}}),
        ("model.", lambda state: {"model": state}),
        ("backbone.", lambda state: state),
        ("module.encoder.", lambda state: state),
        ("module.net.backbone.", lambda state: state),
    ],
)
def test_wrappers_and_prefixes_come_off(
    tmp_path: Path, small: nn.Module, prefix: str, wrap: Callable[[dict[str, Tensor]], Any]
) -> None:
    torch.save(wrap({f"{prefix}{key}": value for key, value in small.state_dict().items()}), tmp_path / "net.pth")
    imported = import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert imported.report.prefixes == (prefix,)
    assert imported.report.head == f"{prefix}classifier.1.weight"
    assert torch.equal(imported.state["head.3.weight"], small.state_dict()["classifier.1.weight"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_safetensors_are_read_whatever_their_name(tmp_path: Path, small: nn.Module, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in small.state_dict().items() if not key.endswith(COUNTERS)}
    save_file(state, tmp_path / "net.bin")
    imported = import_checkpoint(tmp_path / "net.bin", "efficientnet_b0")
    assert {value.dtype for key, value in imported.state.items() if not key.endswith(COUNTERS)} == {torch.float32}
    torch.testing.assert_close(answer(rebuild(imported)), answer(small)[:, 0], atol=2e-2, rtol=2e-2)


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"classifier__1__weight": torch.zeros(3, 1280), "classifier__1__bias": torch.zeros(3)}, "weights_layout", ""),
        ({"classifier__1__weight": None, "classifier__1__bias": None}, "weights_layout", ""),
        ({"fc__weight": torch.zeros(1, 1280)}, "weights_layout", ""),
        ({"features__0__0__weight": None}, "weights_layout", ""),
        ({"_conv_stem__weight": torch.zeros(32, 3, 3, 3)}, "weights_layout", ""),
        ({"features__8__0__weight": None}, "weights_mismatch", "missing features.8.0.weight"),
        ({"features__8__0__weight": torch.zeros(1, 320, 1, 1)}, "weights_mismatch", "shape of tail.2.0.weight"),
        ({"attention__weight": torch.zeros(4, 4)}, "weights_mismatch", "unexpected attention.weight"),
        ({"module__features__0__0__weight": torch.zeros(32, 3, 3, 3)}, "weights_mismatch", "is there twice"),
        ({"classifier__1__bias": torch.zeros(2)}, "weights_mismatch", "shape of head.3.bias"),
    ],
)
def test_checkpoint_of_anything_else_is_refused(
    tmp_path: Path, small: nn.Module, changes: dict[str, Tensor | None], code: str, words: str
) -> None:
    torch.save(renamed(small.state_dict(), **changes), tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert caught.value.code == code
    assert words in str(caught.value)


def test_checkpoint_of_another_size_is_refused(tmp_path: Path, small: nn.Module) -> None:
    torch.save(small.state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "net.pth", "efficientnet_b1")
    assert caught.value.code == "weights_mismatch"
    assert "missing features.1.1.block" in str(caught.value)


@pytest.mark.parametrize("architecture", ["resnet34", "tf_resnet50", "resnext50_32x4d_lstm", ""])
def test_unknown_architecture_is_refused(tmp_path: Path, architecture: str) -> None:
    with pytest.raises(RequestError) as caught:
        import_checkpoint(tmp_path / "net.pth", architecture)
    assert caught.value.code == "bad_members"
    assert "efficientnet_b0" in str(caught.value.params["known"])


@pytest.mark.parametrize("architecture", ["tf_efficientnet_b0", "resnext50_32x4d", "tf_resnext50_32x4d"])
def test_layout_that_an_architecture_does_not_have_is_refused(
    tmp_path: Path, small: nn.Module, architecture: str
) -> None:
    torch.save(small.state_dict(), tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "net.pth", architecture)
    assert caught.value.code == "weights_layout"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"PK\x03\x04 not a zip",
        b'\x10\0\0\0\0\0\0\0{"broken": ',
        pickle.dumps({"weight": [1.0]}, protocol=2),
        pickle.dumps([1, 2, 3], protocol=2),
    ],
)
def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert caught.value.code == "weights_layout"
    assert caught.value.params["name"] == "net.pth"


def test_absent_checkpoint_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert caught.value.code == "weights_missing"


class Mischief:
    """Unpickling this would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Mischief(tmp_path / "made")}, tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        import_checkpoint(tmp_path / "net.pth", "efficientnet_b0")
    assert caught.value.code == "weights_layout"
    assert not (tmp_path / "made").exists()


# --- writing ----------------------------------------------------------------------------------------


def test_imported_member_is_written_and_loads(tmp_path: Path) -> None:
    net = make(ORIGINALS["efficientnet_pytorch b0"], n_outputs=2)
    torch.save({"state_dict": net.state_dict()}, tmp_path / "net.pth")
    origin = Origin(input_px=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), margin=1.5, licence="MIT")
    card, report = import_member(
        tmp_path / "net.pth", "efficientnet_b0", name="taken-over", origin=origin, folder=tmp_path / "models"
    )
    loaded = load_member(tmp_path / "models" / "taken-over.json")
    assert loaded.card == card
    assert (card.name, card.architecture, card.params) == ("taken-over", "efficientnet_b0", TENSORFLOW)
    assert (card.input_px, card.margin, card.mean, card.licence) == (64, 1.5, (0.5, 0.5, 0.5), "MIT")
    assert (card.metrics, card.images_seen, card.training_cost) == ((), None, "unknown")
    assert report.layout == "efficientnet_pytorch"
    out = answer(net)
    torch.testing.assert_close(answer(loaded.module), out[:, 1] - out[:, 0], atol=2e-2, rtol=2e-2)  # through float16


@pytest.mark.parametrize("name", ["ensemble", "Big", "a/b"])
def test_name_that_cannot_be_used_is_refused_before_reading(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        import_member(tmp_path / "net.pth", "efficientnet_b0", name=name, folder=tmp_path)
    assert caught.value.code == "bad_members"


def test_weight_beyond_half_floats_is_refused(tmp_path: Path, small: nn.Module) -> None:
    torch.save(renamed(small.state_dict(), classifier__1__bias=torch.tensor([1e5])), tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        import_member(tmp_path / "net.pth", "efficientnet_b0", name="large", folder=tmp_path / "models")
    assert caught.value.code == "weights_mismatch"
    assert not (tmp_path / "models").exists()
