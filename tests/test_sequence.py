"""The sequence member: order matters, absent frames do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from space.analysis.maps import LAYERS, map_crops
from space.analysis.scores import score_crops
from space.analysis.sequences import score_track
from space.contract import Crop
from space.models.cards import Params
from space.models.member import Backbone
from space.models.sequence import GruMember, LstmMember, SequenceMember
from space.models.weights import load_member
from tests.explained import make_faces, tiny_member
from tests.members import build_seeded, write_member

ARCHITECTURE = "resnext50_32x4d_lstm"
WIDTH, HIDDEN, PX = 6, 5, 32


class Means(nn.Module):
    """A stand-in for a network: one channel mean per channel, in the places of trunk and tail."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([images, images.square()], dim=1)


@pytest.fixture
def small() -> SequenceMember:
    torch.manual_seed(0)
    backbone = Backbone(Means(), nn.Identity(), nn.Identity(), trunk_channels=WIDTH, tail_channels=WIDTH)
    return LstmMember(backbone, hidden=HIDDEN).eval()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_logit_is_the_linear_head_on_the_mean_of_the_states(small: SequenceMember) -> None:
    """Written out step by step from the LSTM's equations (Hochreiter & Schmidhuber 1997), without biases."""
    features = draw(4, WIDTH)
    state, cell, states = torch.zeros(HIDDEN), torch.zeros(HIDDEN), []
    with torch.no_grad():
        for row in features:
            gates = small.lstm.weight_ih_l0 @ row + small.lstm.weight_hh_l0 @ state
            take, keep, new, give = gates.split(HIDDEN)
            cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
            state = give.sigmoid() * cell.tanh()
            states.append(state)
        expected = small.head[1](torch.stack(states).mean(dim=0))
        torch.testing.assert_close(small.score_features(features[None]), expected)


def test_gru_reads_to_the_last_frame_that_is_there() -> None:
    """Written out from the GRU's equations (Cho et al. 2014) as torch has them."""
    torch.manual_seed(0)
    member = GruMember(Backbone(Means(), nn.Identity(), nn.Identity(), WIDTH, WIDTH)).eval()
    features = draw(2, 4, WIDTH)
    features[1, 2:] = float("nan")
    mask = torch.tensor([[True] * 4, [True, True, False, False]])

    def step(layer: nn.GRU, row: Tensor, state: Tensor) -> Tensor:
        given = (layer.weight_ih_l0 @ row + layer.bias_ih_l0).chunk(3)
        kept = (layer.weight_hh_l0 @ state + layer.bias_hh_l0).chunk(3)
        reset, update = (torch.sigmoid(a + b) for a, b in zip(given[:2], kept[:2], strict=True))
        new = torch.tanh(given[2] + reset * kept[2])
        return (1 - update) * new + update * state

    with torch.no_grad():
        expected = []
        for track, present in zip(features, mask, strict=True):
            first, second = torch.zeros(16), torch.zeros(8)
            for row in track[present]:
                first = step(member.first, row, first)
                second = step(member.second, first, second)
            expected.append(member.head(second))
        torch.testing.assert_close(member.score_features(features, mask), torch.cat(expected))


def test_order_of_time_matters(small: SequenceMember) -> None:
    features = draw(1, 5, WIDTH)
    with torch.no_grad():
        assert not torch.allclose(small.score_features(features), small.score_features(features.flip(1)))


@settings(max_examples=30)
@given(data=st.data(), n_frames=st.integers(1, 7))
def test_absent_frames_change_nothing(data: st.DataObject, n_frames: int) -> None:
    torch.manual_seed(0)
    member = LstmMember(Backbone(Means(), nn.Identity(), nn.Identity(), WIDTH, WIDTH), hidden=HIDDEN).eval()
    bits = data.draw(st.lists(st.booleans(), min_size=n_frames, max_size=n_frames).filter(any))
    present = torch.tensor([bits, [True] * n_frames])
    features = draw(2, n_frames, WIDTH, seed=data.draw(st.integers(0, 9)))
    disturbed = features.clone()
    disturbed[~present] = float("nan")
    with torch.no_grad():
        short = member.score_features(features[:1, present[0]])
        full = member.score_features(features[1:])
        both = member.score_features(disturbed, present)
    torch.testing.assert_close(both, torch.cat([short, full]))


def test_images_and_precomputed_features_agree(small: SequenceMember) -> None:
    images = draw(2, 3, 3, 8, 8)
    mask = torch.tensor([[True, True, True], [False, True, True]])
    with torch.no_grad():
        features = small.extract_features(images.flatten(0, 1)).unflatten(0, (2, 3))
        torch.testing.assert_close(small(images, mask), small.score_features(features, mask))
        torch.testing.assert_close(small(images), small.score_features(features))


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (torch.ones(1, 4, dtype=torch.bool), "mask must be bool"),
        (torch.ones(1, 3), "mask must be bool"),
        (torch.zeros(1, 3, dtype=torch.bool), "without a frame"),
    ],
)
def test_mask_that_cannot_be_used_is_refused(small: SequenceMember, mask: Tensor, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        small.score_features(draw(1, 3, WIDTH), mask)
    with pytest.raises(ValueError, match=complaint):
        small(draw(1, 3, 3, 8, 8), mask)


def test_every_frame_can_be_mapped(small: SequenceMember) -> None:
    """One track's logit has a gradient at every frame's last block: what heat maps per frame need."""
    images = draw(3, 3, 8, 8)
    activation = small.tail(small.trunk(images)).requires_grad_(True)
    logit = small.score_features(small.pool(activation)[None])
    (gradient,) = torch.autograd.grad(logit.sum(), [activation])
    assert gradient.shape == activation.shape
    assert (gradient.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_published_sizes_are_the_defaults() -> None:
    with torch.device("meta"):
        member = build_seeded(ARCHITECTURE, Params())
    assert isinstance(member, SequenceMember)
    assert {name: tuple(value.shape) for name, value in member.lstm.named_parameters()} == {
        "weight_ih_l0": (4 * 2048, 2048),
        "weight_hh_l0": (4 * 2048, 2048),
    }
    assert [module.p for module in member.modules() if isinstance(module, nn.Dropout)] == [0.4]


def test_registered_member_is_saved_loaded_and_scores_a_track(tmp_path: Path) -> None:
    params = Params(hidden=16)
    write_member(tmp_path, "sequence", architecture=ARCHITECTURE, params=params, input_px=PX)
    original = build_seeded(ARCHITECTURE, params)
    loaded = load_member(tmp_path / "sequence.json")
    images = draw(1, 3, 3, PX, PX)
    with torch.inference_mode():
        logits = loaded.module(images)
        torch.testing.assert_close(logits, original(images), atol=2e-3, rtol=2e-3)
    assert loaded.kind == "sequence"
    assert logits.shape == (1,)
    assert {key.split(".")[0] for key in loaded.module.state_dict()} == {"trunk", "tail", "lstm", "head"}


# --- in a check -------------------------------------------------------------------------------


def make_track(n: int) -> list[Crop]:
    affine = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    return [Crop(image, affine) for image in make_faces(n)]


def test_a_track_has_one_logit_whatever_the_batch() -> None:
    member, crops = tiny_member(sequence=True), make_track(5)
    whole, maps = score_track(member, crops, maps=True, batch_size=99)
    apart, _ = score_track(member, crops, maps=False, batch_size=2)
    assert len(set(whole.logits.tolist())) == 1
    assert whole.logits.shape == (5,)
    np.testing.assert_allclose(apart.logits, whole.logits, rtol=1e-5)
    assert [getattr(maps[0], layer).shape for layer in LAYERS] == [(5, 4, 4), (5, 2, 2), (5, 4, 4)]
    assert all(getattr(maps[0], layer).min() >= 0 for layer in LAYERS)
    turned, _ = score_track(member, crops[::-1], maps=False, batch_size=99)
    assert turned.logits[0] != pytest.approx(whole.logits[0], abs=1e-7)


def test_a_track_of_one_frame_is_a_face_alone() -> None:
    member, crops = tiny_member(sequence=True), make_track(1)
    scores, (maps,) = score_track(member, crops, maps=True, batch_size=8)
    alone, maps_alone = map_crops(member, [crops])
    np.testing.assert_allclose(scores.logits, alone.logits, rtol=1e-5)
    np.testing.assert_allclose(scores.logits, score_crops(member, [crops]).logits, rtol=1e-5)
    for layer in LAYERS:
        np.testing.assert_allclose(getattr(maps, layer), getattr(maps_alone, layer), rtol=1e-4, atol=1e-7)


def test_heat_is_that_of_a_frame_not_of_a_part_of_the_track() -> None:
    """The same face over and over draws about as much heat in each frame as alone."""
    member, crops = tiny_member(sequence=True), make_track(1)
    _, (alone,) = score_track(member, crops, maps=True, batch_size=8)
    _, (long,) = score_track(member, crops * 12, maps=True, batch_size=8)
    ratio = float(long.layered.sum(axis=(1, 2)).mean() / alone.layered.sum())
    assert 0.2 < ratio < 5


def test_a_frame_member_reads_no_track() -> None:
    with pytest.raises(TypeError, match="single faces"):
        score_track(tiny_member(), make_track(2), maps=False, batch_size=8)
