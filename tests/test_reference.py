"""A logit held against that of the same face without fine detail: in scores, maps, views, cards and shipping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from space.analysis.maps import map_crops
from space.analysis.scores import batched, score_crops
from space.lab.cli import app
from space.lab.explain.layers import draw_service
from space.lab.explain.views import view_faces
from space.lab.training import calibration
from space.lab.training.pairs import TwinData
from space.lab.training.ship import Serving, ship_members
from space.lab.training.trained import read_trained
from space.models.cards import DetailReference, Params, read_card
from space.models.member import drop_detail
from space.models.registry import build_member, build_network
from space.models.weights import LoadedMember
from tests.ensembles import CARD, PX, make_network
from tests.test_maps import make_crops
from tests.test_ship import faces, genuine, write_member

__all__ = ["faces", "genuine"]

REFERENCE = DetailReference(detail_px=12, share=0.4)


@pytest.fixture(scope="module")
def plain() -> LoadedMember:
    return LoadedMember(card=CARD, module=make_network())


@pytest.fixture(scope="module")
def held() -> LoadedMember:
    module = make_network()
    module.reference = REFERENCE
    return LoadedMember(card=replace(CARD, params=replace(CARD.params, reference=REFERENCE)), module=module)


def test_detail_is_dropped_and_the_rest_stays() -> None:
    rows = torch.linspace(-2, 2, 64)
    slope = rows.expand(1, 3, 64, 64).clone()
    checks = torch.ones(64, 64)
    checks[::2, ::2] = checks[1::2, 1::2] = -1
    assert drop_detail(slope, 8)[..., 8:-8] == pytest.approx(slope[..., 8:-8].numpy(), abs=0.06)
    assert drop_detail(slope + checks, 8)[..., 8:-8] == pytest.approx(slope[..., 8:-8].numpy(), abs=0.06)
    assert drop_detail(checks.expand(2, 3, 64, 64), 20).shape == (2, 3, 64, 64)


def test_a_share_of_the_logit_without_detail_is_taken_off(plain: LoadedMember, held: LoadedMember) -> None:
    images = torch.randn(3, 3, PX, PX)
    without = plain.module(drop_detail(images, REFERENCE.detail_px))
    assert without.abs().max() > 0.01
    expected = plain.module(images) - REFERENCE.share * without
    assert held.module(images).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_scores_maps_and_views_agree_and_cells_add_up(plain: LoadedMember, held: LoadedMember) -> None:
    crops = make_crops(4)
    scores, maps = map_crops(held, batched(crops, 3))
    assert scores.logits == pytest.approx(score_crops(held, batched(crops, 4)).logits, rel=1e-5, abs=1e-4)
    assert not np.allclose(scores.logits, score_crops(plain, batched(crops, 4)).logits, atol=1e-3)
    assert maps.contributions is not None
    assert maps.bias is not None
    assert maps.contributions.sum(axis=(1, 2)) + maps.bias == pytest.approx(scores.logits, rel=1e-5, abs=1e-4)
    pixels = np.stack([crop.image for crop in crops])
    ((view, seen),) = view_faces(held, pixels)
    assert view.score(seen).numpy() == pytest.approx(scores.logits, rel=1e-5, abs=1e-4)


def test_heat_is_what_is_left_cell_by_cell(plain: LoadedMember, held: LoadedMember) -> None:
    crops = make_crops(3)
    _, maps = map_crops(held, batched(crops, 2))
    assert maps.contributions is not None
    assert maps.last == pytest.approx(maps.contributions.clip(min=0), abs=1e-4)  # the same where the head is linear
    without = map_crops(plain, batched(crops, 2))[1]
    assert not np.allclose(maps.layered, without.layered, atol=1e-4)


def test_a_face_without_detail_leaves_its_share_of_heat() -> None:
    module = build_member("resnet18", region_head=True).eval().requires_grad_(False)
    flat = [replace(crop, image=np.full_like(crop.image, 90)) for crop in make_crops(2)]
    bare = LoadedMember(card=replace(CARD, architecture="resnet18", params=Params(region_head=True)), module=module)
    logits, maps = map_crops(bare, batched(flat, 2))
    module.reference = DetailReference(detail_px=12, share=0.75)
    held_logits, held_maps = map_crops(bare, batched(flat, 2))
    assert held_logits.logits == pytest.approx(0.25 * logits.logits, rel=1e-3, abs=1e-5)
    assert (maps.layered > 0).any()
    assert held_maps.layered == pytest.approx(0.25 * maps.layered, rel=1e-2, abs=1e-7)


def test_the_study_draws_the_service_s_map() -> None:
    torch.manual_seed(3)
    module = build_member("resnet18", region_head=True, reference=REFERENCE).eval().requires_grad_(False)
    params = Params(region_head=True, reference=REFERENCE)
    member = LoadedMember(card=replace(CARD, architecture="resnet18", params=params), module=module)
    crops = make_crops(3)
    _, maps = map_crops(member, batched(crops, 2))
    ((view, seen),) = view_faces(member, np.stack([crop.image for crop in crops]))
    assert (maps.layered > 0).any()
    assert draw_service(view, seen) == pytest.approx(maps.layered, rel=1e-3, abs=1e-7)


def test_a_sequence_member_has_none() -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="only be told"):
        build_network("resnext50_32x4d_lstm", Params(reference=REFERENCE))


def test_it_is_shipped_in_the_card_and_kept(
    faces: tuple[Path, Path], genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STRONG_FALSE_ALARMS", "SOME_FALSE_ALARMS", "LITTLE_MISSES"):
        monkeypatch.setattr(calibration, name, 0.2)  # what so few faces can bound
    data = TwinData(*faces, split="val")
    path, other = (write_member(tmp_path, name, data, seed=seed) for name, seed in (("one", 1), ("two", 2)))
    bare, held = read_trained(path, data), read_trained(path, data, references={"one": REFERENCE})
    assert (bare.params.reference, held.params.reference) == (None, REFERENCE)
    assert not np.allclose(bare.predictions.logits, held.predictions.logits)
    ship_members(
        [path, other],
        *faces,
        [genuine],
        tmp_path / "out",
        min_bits_per_pixel=0.01,
        serving=Serving(references={"one": REFERENCE}),
    )
    card = read_card(tmp_path / "out" / "one.json")
    assert card.params.reference == REFERENCE
    again = read_trained(tmp_path / "out" / "one.json", data)
    assert again.params.reference == REFERENCE
    assert again.predictions.logits == pytest.approx(held.predictions.logits, abs=0.02)  # fp16 weights
    assert read_card(tmp_path / "out" / "two.json").params.reference is None
    with pytest.raises(ValueError, match="no such member: three"):
        ship_members(
            [path],
            *faces,
            [],
            tmp_path / "none",
            min_bits_per_pixel=0.01,
            serving=Serving(references={"three": REFERENCE}),
        )


@pytest.mark.parametrize("entry", ["one", "one=36", "one=36:0", "one=36:1.5", "one=0:0.5", "one=a:0.5"])
def test_the_command_takes_pixels_and_a_share(faces: tuple[Path, Path], tmp_path: Path, entry: str) -> None:
    data, twins = faces
    options = ["--data", str(data), "--twins", str(twins), "--genuine", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["ship", str(tmp_path), *options, "--reference", entry])
    assert result.exit_code == 2
    assert "NAME=PX:SHARE" in result.output
    assert not (tmp_path / "out").exists()
