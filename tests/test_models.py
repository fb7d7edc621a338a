"""Architectures: every registered one has the pieces and shapes that scores and heat maps rely on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torchvision import models as torchvision_models

from space.analysis.maps import map_crops
from space.analysis.scores import member_logits
from space.contract import Crop
from space.models.cards import Params
from space.models.efficientnet import SameConv2d
from space.models.layouts import STEMS
from space.models.member import TRUNK_IMAGES, FrameMember, fold_norms, normalise, see_trunk
from space.models.registry import ARCHITECTURES, build_member, build_network
from space.models.weights import LoadedMember
from tests.members import CARD, build_seeded

FRAME = [name for name, entry in ARCHITECTURES.items() if entry.kind == "frame"]
PUBLISHED = [  # by torchvision, which says their number of parameters
    name
    for name in FRAME
    if ARCHITECTURES[name].family in STEMS and ARCHITECTURES[name].is_plain and "lite" not in name
]
N_IMAGENET = 1000  # outputs of the published networks
PX = 64


def test_registry_holds_the_published_families() -> None:
    assert {f"efficientnet_b{i}" for i in range(8)} <= ARCHITECTURES.keys()
    assert {"resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d_lstm"} <= ARCHITECTURES.keys()
    assert all(entry.name == name for name, entry in ARCHITECTURES.items())


@pytest.mark.parametrize("name", FRAME)
def test_frame_member_is_cut_at_strides_16_and_32(name: str) -> None:
    with torch.device("meta"):
        member = build_member(name, region_head=True).eval()
        images = torch.empty(2, 3, PX, PX)
        penultimate = member.trunk(images)
        last = member.tail(penultimate)
        logits, region = member.forward_with_region(images)
    assert penultimate.shape[2:] == (PX // 16, PX // 16)
    assert last.shape[2:] == (PX // 32, PX // 32)
    assert logits.shape == (2,)
    assert region.shape == (2, PX // 16, PX // 16)
    pieces = {key.split(".")[0] for key in member.state_dict()}
    assert {"trunk", "head", "region"} <= pieces <= {"trunk", "tail", "head", "region"}  # MesoNet's tail only pools


@pytest.mark.parametrize("name", PUBLISHED)
def test_frame_member_has_the_published_number_of_parameters(name: str) -> None:
    published = next(iter(torchvision_models.get_model_weights(name))).meta["num_params"]
    with torch.device("meta"):
        member = build_member(name)
    head = member.head[-1]
    assert isinstance(head, nn.Linear)
    spared = (N_IMAGENET - 1) * (head.in_features + 1)
    assert sum(value.numel() for value in member.parameters()) == published - spared


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
def test_an_untrained_network_says_little(name: str) -> None:
    """Torchvision would draw the last layer of a network with one output 36 times as large."""
    torch.manual_seed(0)
    member = build_member(name).train()
    assert member(torch.randn(8, 3, PX, PX)).std() < 0.5


def count(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


VGG_HEAD = (512 * 49 + 1) * 4096 + 4097 * 4096 + 4097 * 1000  # of ImageNet's VGG, which is not here
SIMPLE_3X3 = [3, 64, 128, 128, 128, 128, 128, 256, 256, 256, 512]
SIMPLENET = sum(9 * a * b + 2 * b for a, b in [*pairwise(SIMPLE_3X3), (256, 256)])  # 5.48 million in the paper
SIMPLENET += sum(a * b + 2 * b for a, b in [(512, 2048), (2048, 256)])
INCEPTION_AUX = 3_326_696  # torchvision's auxiliary classifier


@pytest.mark.parametrize(
    ("name", "body", "head"),
    [
        ("vgg19", 143_667_240 - VGG_HEAD, 513),
        ("vgg19_bn", 143_678_248 - VGG_HEAD, 513),
        ("densenet121", 7_978_856 - 1025 * 1000, 1025),
        ("densenet121_gray", 7_978_856 - 1025 * 1000, 1025),
        ("inception_v3", 27_161_264 - INCEPTION_AUX - 2049 * 1000, 2049),
        ("xception", 22_855_952 - 2049 * 1000, 2049),
        ("xception_mlp", 22_855_952 - 2049 * 1000, 2_321_834),  # 2048-1000-256-64-2
        ("meso4", 27_977 - 16_417, 16_417),
        ("mesoinception4", 28_615 - 16_417, 16_417),
        ("simplenet", SIMPLENET, 257),
        ("plain_cnn", 32 * 27 + 64 * 288 + 128 * 576 + 2 * 224, 129),
        ("efficientnet_lite0", 4_652_008 - 1281 * 1000, 1281),
        ("efficientnet_lite1", 5_416_680 - 1281 * 1000, 1281),
        ("efficientnet_lite2", 6_092_072 - 1281 * 1000, 1281),
        ("efficientnet_lite3", 8_197_096 - 1281 * 1000, 1281),
        ("efficientnet_lite4", 13_006_568 - 1281 * 1000, 1281),
        ("resnet18_mlp", 11_689_512 - 513_000, 513 * 256 + 257),
    ],
)
def test_a_compared_member_has_its_number_of_parameters(name: str, body: int, head: int) -> None:
    with torch.device("meta"):
        member = build_member(name)
    assert (count(member.trunk) + count(member.tail), count(member.head)) == (body, head)


@pytest.mark.parametrize("name", [name for name in FRAME if name not in PUBLISHED])
def test_a_compared_member_computes_folds_and_shows_maps(name: str) -> None:
    card = replace(CARD, name="new", architecture=name, params=Params())
    module = build_seeded(name, card.params)
    assert isinstance(module, FrameMember)
    images = torch.randn(2, 3, PX, PX)
    with torch.no_grad():
        logits = module(images)
        fold_norms(module)
        torch.testing.assert_close(module(images), logits, rtol=1e-3, atol=1e-4)
    assert torch.isfinite(logits).all()
    member = LoadedMember(card, module.requires_grad_(False))
    pixels = np.random.default_rng(0).integers(0, 256, (PX, PX, 3), dtype=np.uint8)
    crop = Crop(pixels, np.eye(2, 3, dtype=np.float32))
    scores, maps = map_crops(member, [[crop]])
    assert scores.logits == pytest.approx(member_logits(member, [crop]), rel=1e-3, abs=1e-4)
    assert (maps.penultimate.shape, maps.last.shape) == ((1, PX // 16, PX // 16), (1, PX // 32, PX // 32))


def test_a_gray_member_sees_no_colour() -> None:
    member = build_seeded("densenet121_gray", Params())
    images = torch.rand(1, 3, PX, PX)
    luma = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    with torch.no_grad():
        torch.testing.assert_close(member(images), member(luma.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-4)
        assert (member(images) - member(images.flip(1))).abs().item() > 1e-4


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnext50_32x4d"])
def test_region_head_leaves_the_logit_alone(name: str) -> None:
    member = build_seeded(name, Params(region_head=True))
    assert isinstance(member, FrameMember)
    images = torch.randn(2, 3, PX, PX)
    with torch.no_grad():
        logits = member(images)
        beside, _ = member.forward_with_region(images)
    assert torch.equal(logits, beside)
    assert logits[0] != logits[1]


def test_member_without_region_head_says_so() -> None:
    with torch.device("meta"):
        member = build_member("efficientnet_b0")
        with pytest.raises(ValueError, match="no region head"):
            member.forward_with_region(torch.empty(1, 3, PX, PX))


@pytest.mark.parametrize(
    ("name", "params", "complaint"),
    [
        ("efficientnet_b0", Params(hidden=16), "hidden"),
        ("resnext50_32x4d", Params(padding="same"), "one padding"),
        ("resnext50_32x4d", Params(bn_eps=1e-3), "one bn_eps"),
        ("resnext50_32x4d_lstm", Params(region_head=True), "only be told"),
        ("resnext50_32x4d_lstm", Params(padding="same"), "only be told"),
    ],
)
def test_parameter_that_an_architecture_does_not_have_is_refused(name: str, params: Params, complaint: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=complaint):
        build_network(name, params)


def test_unknown_architecture_is_no_frame_member() -> None:
    with pytest.raises(KeyError):
        build_member("efficientnet_b8")
    with pytest.raises(ValueError, match="sequences"):
        build_member("resnext50_32x4d_lstm")


@pytest.mark.parametrize(("params", "eps"), [(Params(), 1e-5), (Params(bn_eps=1e-3), 1e-3)])
def test_epsilon_reaches_every_batch_norm(params: Params, eps: float) -> None:
    with torch.device("meta"):
        member = build_network("efficientnet_b0", params)
    assert {module.eps for module in member.modules() if isinstance(module, nn.BatchNorm2d)} == {eps}


@pytest.mark.parametrize(("dropout", "expected"), [(None, 0.2), (0.35, 0.35)])
def test_dropout_is_as_published_or_as_chosen(dropout: float | None, expected: float) -> None:
    with torch.device("meta"):
        member = build_member("efficientnet_b0", dropout=dropout)
    assert [module.p for module in member.head.modules() if isinstance(module, nn.Dropout)] == [expected]


# --- TensorFlow's padding ---------------------------------------------------------------------------


@given(height=st.integers(1, 40), width=st.integers(1, 40), kernel=st.sampled_from([3, 5]), stride=st.integers(1, 3))
def test_same_padding_is_that_of_a_padded_copy(height: int, width: int, kernel: int, stride: int) -> None:
    convolution = SameConv2d(1, 1, kernel, stride=stride)
    images = torch.rand(1, 1, height, width)
    before = [max((-(-size // stride) - 1) * stride + kernel - size, 0) // 2 for size in (width, height)]
    padded = functional.pad(images, (before[0], kernel, before[1], kernel))
    with torch.no_grad():
        cells = convolution(images)
        expected = functional.conv2d(padded, convolution.weight, convolution.bias, stride)
    assert cells.shape[2:] == (-(-height // stride), -(-width // stride))
    torch.testing.assert_close(cells, expected[..., : cells.shape[2], : cells.shape[3]])


def test_a_trunk_sees_few_images_at_a_time_and_in_training_all() -> None:
    seen: list[int] = []

    class Trunk(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return 2 * images

    trunk, images = Trunk(), torch.rand(2 * TRUNK_IMAGES + 1, 3, 2, 2)
    assert torch.equal(see_trunk(trunk.eval(), images), 2 * images)
    assert torch.equal(see_trunk(trunk.train(), images), 2 * images)
    assert seen == [TRUNK_IMAGES, TRUNK_IMAGES, 1, len(images)]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        (4, [0, 2]),  # even: nothing before, one pixel after
        (5, [-1, 1, 3]),  # odd: one on either side
    ],
)
def test_same_padding_puts_the_odd_pixel_last(size: int, seen: list[int]) -> None:
    """A kernel that reads its first column reports which column that is."""
    convolution = SameConv2d(1, 1, 3, stride=2, bias=False)
    columns = torch.arange(1.0, size + 1).expand(1, 1, size, size)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, 0, 1, 0] = 1
        first = convolution(columns)[0, 0, 0]
    assert first.tolist() == [column + 1 for column in seen]


def test_same_padding_replaces_every_strided_convolution() -> None:
    with torch.device("meta"):
        member = build_network("efficientnet_b0", Params(padding="same"))
        plain = build_network("efficientnet_b0", Params())
    strided = [module for module in member.modules() if isinstance(module, nn.Conv2d) and max(module.stride) > 1]
    assert len(strided) == 5  # stride 32
    assert all(isinstance(module, SameConv2d) for module in strided)
    assert {key: value.shape for key, value in member.state_dict().items()} == {
        key: value.shape for key, value in plain.state_dict().items()
    }


# --- input ------------------------------------------------------------------------------------------


def test_normalise_brings_bytes_to_the_network_s_range() -> None:
    images = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    images[1] = torch.tensor([255, 128, 0])
    planes = normalise(images, (0.5, 0.4, 0.3), (0.5, 0.2, 0.1))
    assert planes.shape == (2, 3, 4, 4)
    assert planes.dtype == torch.float32
    assert planes.is_contiguous(memory_format=torch.channels_last)
    expected = torch.tensor([[-1.0, -2.0, -3.0], [1.0, (128 / 255 - 0.4) / 0.2, -3.0]])
    torch.testing.assert_close(planes[:, :, 0, 0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAME)
def test_every_architecture_computes(name: str) -> None:
    torch.manual_seed(0)
    member: FrameMember = build_member(name).eval()
    with torch.no_grad():
        logits = member(torch.randn(1, 3, PX, PX))
    assert torch.isfinite(logits).all()
