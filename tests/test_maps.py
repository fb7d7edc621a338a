"""Heat maps: exact where theory says so, raw, and placed where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from space.analysis.maps import LAYERS, face_maps, filter_by_last, gather, lay_maps, map_crops, total_heat
from space.analysis.scores import batched, score_crops
from space.contract import Crop
from space.models.cards import Params
from space.models.member import fold_norms, normalise
from space.models.registry import IMAGENET_MEAN, IMAGENET_STD, build_member
from space.models.weights import LoadedMember
from tests.ensembles import CARD, PX, find_linear, make_network

IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def make_member(architecture: str, seed: int = 0) -> LoadedMember:
    return LoadedMember(card=replace(CARD, architecture=architecture), module=make_network(architecture, seed=seed))


def make_crops(n: int, seed: int = 0) -> list[Crop]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, size=(n, PX, PX, 3), dtype=np.uint8)
    return [Crop(image=image, frame_from_crop=IDENTITY) for image in images]


@pytest.fixture(scope="module", params=["efficientnet_b0", "resnext50_32x4d"])
def member(request: pytest.FixtureRequest) -> LoadedMember:
    return make_member(request.param)


def test_one_pass_gives_the_same_logits_as_scoring(member: LoadedMember) -> None:
    crops = make_crops(5)
    scores, maps = map_crops(member, batched(crops, 2))
    assert scores.logits == pytest.approx(score_crops(member, batched(crops, 3)).logits, rel=1e-4, abs=1e-4)
    assert maps.penultimate.shape == maps.layered.shape == (5, PX // 16, PX // 16)
    assert maps.last.shape == (5, PX // 32, PX // 32)


def test_maps_are_raw_and_not_negative(member: LoadedMember) -> None:
    _, maps = map_crops(member, batched(make_crops(4), 4))
    for layer in LAYERS:
        values = getattr(maps, layer)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    peaks = maps.last.reshape(4, -1).max(axis=1)
    assert (peaks > 0).any()
    assert len(set(peaks.tolist())) == len(peaks), "every map scaled to one maximum"


def test_last_block_contributions_and_bias_add_up_to_the_logit(member: LoadedMember) -> None:
    """Pooling and a linear head: gradient x activation over the last block plus bias is the logit."""
    images = torch.randn(3, 3, PX, PX)
    last = member.module.tail(member.module.trunk(images)).requires_grad_(True)
    logits = member.module.head(last).flatten()
    gradient = torch.autograd.grad(logits.sum(), last)[0]
    linear = find_linear(member.module)
    total = (gradient * last).sum(dim=(1, 2, 3)) + linear.bias
    assert total.detach().numpy() == pytest.approx(logits.detach().numpy(), abs=1e-4)


def test_the_last_map_is_that_sum_s_positive_part(member: LoadedMember) -> None:
    crops = make_crops(2)
    _, maps = map_crops(member, batched(crops, 2))
    images = normalise(torch.from_numpy(np.stack([c.image for c in crops])), IMAGENET_MEAN, IMAGENET_STD)
    with torch.no_grad():
        last = member.module.tail(member.module.trunk(images))
        linear = find_linear(member.module)
        cells = torch.einsum("c,nchw->nhw", linear.weight[0], last) / (last.shape[2] * last.shape[3])
    assert maps.last == pytest.approx(torch.relu(cells).numpy(), abs=1e-5)


def test_the_layered_map_is_let_through_by_the_region_head() -> None:
    module = build_member("resnet18", region_head=True).eval().requires_grad_(False)
    member = LoadedMember(card=replace(CARD, architecture="resnet18", params=Params(region_head=True)), module=module)
    crops = make_crops(2)
    _, maps = map_crops(member, batched(crops, 2))
    images = normalise(torch.from_numpy(np.stack([c.image for c in crops])), IMAGENET_MEAN, IMAGENET_STD)
    penultimate = module.trunk(images).requires_grad_(True)
    logits = module.head(module.tail(penultimate)).flatten()
    gradient = torch.autograd.grad(logits.sum(), penultimate)[0]
    with torch.no_grad():
        region = torch.sigmoid(module.forward_with_region(images)[1])
        cells = (gradient * penultimate).sum(dim=1)
    assert (maps.layered > 0).any()
    assert maps.layered == pytest.approx(gather(torch.relu(cells) * region).numpy(), abs=1e-6)


def test_heat_gathers_where_neighbours_agree() -> None:
    cells = torch.zeros(3, 14, 14)
    cells[0, 3:6, 3:6] = 1.0  # a place
    cells[0, 10, 10] = 1.5  # a hotter cell on its own
    cells[1] = 2.0
    found = gather(cells)
    assert found.sum(dim=(1, 2)) == pytest.approx(cells.sum(dim=(1, 2)))
    assert divmod(int(found[0].argmax()), 14) == (4, 4)
    assert found[0, 2:7, 2:7].sum() > 0.9 * cells[0].sum() > cells[0, 2:7, 2:7].sum()
    assert found[1].numpy() == pytest.approx(np.full((14, 14), 2.0))
    assert not found[2].any()
    assert gather(torch.ones(1, 1, 1)).item() == pytest.approx(1)


def test_without_a_region_head_the_layered_map_is_the_mean_of_both_layers(member: LoadedMember) -> None:
    _, maps = map_crops(member, batched(make_crops(2), 2))
    product = filter_by_last(torch.from_numpy(maps.penultimate), torch.from_numpy(maps.last))
    assert maps.layered == pytest.approx(product.numpy(), abs=1e-6)


def test_maps_change_when_weights_are_randomised() -> None:
    crops = make_crops(2)
    first, second = (map_crops(make_member("efficientnet_b0", seed), batched(crops, 2))[1] for seed in (1, 2))
    correlation = np.corrcoef(first.layered.ravel(), second.layered.ravel())[0, 1]
    assert abs(correlation) < 0.6


def test_no_faces_give_empty_maps(member: LoadedMember) -> None:
    scores, maps = map_crops(member, batched([], 4))
    assert scores.logits.shape == (0,)
    assert maps.layered.shape == (0, PX // 16, PX // 16)
    assert score_crops(member, batched([], 4)).logits.shape == (0,)


cells = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (1, 2 * n, 2 * n), elements=st.floats(0, 100, width=32)),
        arrays(np.float32, (1, n, n), elements=st.floats(0, 100, width=32)),
    )
)


@given(cells)
def test_layered_is_zero_where_either_layer_is(pair: tuple[np.ndarray, np.ndarray]) -> None:
    fine, coarse = pair
    layered = filter_by_last(torch.from_numpy(fine), torch.from_numpy(coarse)).numpy()
    assert (layered >= 0).all()
    assert (layered[fine == 0] == 0).all()
    if not coarse.any():
        assert not layered.any()


def test_layered_keeps_the_unit() -> None:
    """Where both layers say the same density per fine cell, so does the layered map."""
    fine, coarse = torch.full((1, 14, 14), 0.3), torch.full((1, 7, 7), 1.2)
    assert filter_by_last(fine, coarse).numpy() == pytest.approx(np.full((1, 14, 14), 0.3), abs=1e-6)


def test_maps_are_laid_where_the_crop_lies() -> None:
    """A hot cell in the middle of a shifted crop is hot at that place of the picture, and nothing outside is."""
    cells_map = np.zeros((7, 7), np.float32)
    cells_map[3, 3] = 2.0
    crop = Crop(np.zeros((70, 70, 3), np.uint8), np.array([[1, 0, 100], [0, 1, 50]], np.float32))
    picture = Crop(np.zeros((200, 200, 3), np.uint8), IDENTITY)
    laid = lay_maps(picture, {"a": crop}, {"a": {"layered": cells_map}}, {"a": 0.5})
    row, column = np.unravel_index(laid.layered.argmax(), laid.layered.shape)
    assert (row, column) == pytest.approx((84.5, 134.5), abs=1)
    assert laid.layered.max() == pytest.approx(1.0, abs=0.02)
    outside = np.ones((200, 200), bool)
    outside[50:120, 100:170] = False
    assert not laid.layered[outside].any()


def test_members_are_added_in_the_ensemble_s_units() -> None:
    crop = Crop(np.zeros((64, 64, 3), np.uint8), IDENTITY)
    one, two = np.full((4, 4), 1.0, np.float32), np.full((4, 4), 3.0, np.float32)
    maps = {"a": {"layered": one}, "b": {"layered": two}}
    scales = {"a": 0.5, "b": 0.25}
    laid = lay_maps(crop, {"a": crop, "b": crop}, maps, scales)
    assert laid.layered == pytest.approx(np.full((64, 64), 1.25), abs=1e-5)
    assert total_heat(maps, scales) == pytest.approx(16 * 1.25)


def test_face_maps_picks_one_face(member: LoadedMember) -> None:
    _, maps = map_crops(member, batched(make_crops(3), 3))
    picked = face_maps([maps], 1)
    assert picked["small"]["layered"] == pytest.approx(maps.layered[1])


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "resnext50_32x4d"])
def test_folding_norms_changes_neither_logits_nor_maps(architecture: str) -> None:
    plain, folded = make_member(architecture), make_member(architecture)
    fold_norms(folded.module)
    assert not [m for m in folded.module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    crops = make_crops(3)
    (scores, maps), (folded_scores, folded_maps) = (map_crops(m, batched(crops, 3)) for m in (plain, folded))
    assert folded_scores.logits == pytest.approx(scores.logits, rel=1e-3, abs=1e-3)
    assert folded_maps.layered == pytest.approx(maps.layered, rel=1e-2, abs=1e-3 * maps.layered.max())
