"""Map methods: one interface, every kind of member, exact where theory says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from space.analysis.maps import gather, map_crops
from space.contract import Crop
from space.lab.cli import app
from space.lab.explain.layers import (
    MissingLayerError,
    attribute_logit,
    gate,
    multiply,
    read_layers,
    spread,
)
from space.lab.explain.methods import METHODS, UnfitMethodError, explain_faces
from space.lab.explain.surrogates import explain_with_lime, mark_features, paint, pick_features
from space.lab.explain.views import view_faces
from space.models.cards import Params
from space.models.member import find_linear
from space.models.registry import ARCHITECTURES, build_network
from space.models.weights import LoadedMember
from space.settings import PROJECT_ROOT
from tests.ensembles import CARD, make_network, write_ensemble
from tests.explained import SIDE, make_faces, tiny_member

EXAMPLES = PROJECT_ROOT / "space" / "service" / "page" / "examples"
FRAME, SEQUENCE = tiny_member(), tiny_member(sequence=True)
FACES = make_faces(3)
UNFIT = ("cam", "region", "located-cells", "located-product", "located-last")  # for sequence members
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "shap" else name for name in METHODS]  # it compiles


@pytest.mark.parametrize("name", NAMES)
def test_every_method_draws_a_map_for_every_face(name: str) -> None:
    method = METHODS[name]
    maps = explain_faces(method, FRAME, FACES)
    assert maps.shape[0] == len(FACES)
    assert maps.shape[1] == maps.shape[2] in (2, 4, 8, 16, SIDE)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert (maps != 0).any()
    assert method.signed or (maps >= 0).all()
    assert method.unit != "relative" or maps.max() <= 1


@pytest.mark.parametrize("name", [name for name in METHODS if name not in (*UNFIT, "shap")])
def test_sequence_members_get_a_map_for_every_frame(name: str) -> None:
    maps = explain_faces(METHODS[name], SEQUENCE, FACES)
    assert len(maps) == len(FACES)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize(
    ("name", "member"), [*((name, SEQUENCE) for name in UNFIT), ("region", tiny_member(region_head=False))]
)
def test_a_method_says_where_it_does_not_fit(name: str, member: LoadedMember) -> None:
    with pytest.raises(UnfitMethodError, match=name):
        explain_faces(METHODS[name], member, FACES)


def test_a_view_of_a_frame_gives_the_track_s_logit() -> None:
    images = torch.cat([view.prepare(faces) for view, faces in view_faces(SEQUENCE, FACES)])
    with torch.no_grad():
        expected = float(SEQUENCE.module(images[None])[0])
    logits = [float(view.score(faces)[0]) for view, faces in view_faces(SEQUENCE, FACES)]
    assert logits == pytest.approx([expected] * len(FACES), abs=1e-5)


def test_gradients_of_a_frame_are_those_of_the_whole_track() -> None:
    images = torch.cat([view.prepare(faces) for view, faces in view_faces(SEQUENCE, FACES)]).requires_grad_(True)
    (expected,) = torch.autograd.grad(SEQUENCE.module(images[None]).sum(), images)
    saliency = explain_faces(METHODS["saliency"], SEQUENCE, FACES)
    np.testing.assert_allclose(saliency, expected.abs().amax(dim=1).numpy(), atol=1e-6)


def test_layered_is_the_service_s_map() -> None:
    member = LoadedMember(card=CARD, module=make_network())
    crops = np.random.default_rng(1).integers(0, 256, (4, CARD.input_px, CARD.input_px, 3), dtype=np.uint8)
    _, service = map_crops(member, [[Crop(image, np.eye(2, 3, dtype=np.float32)) for image in crops]])
    for name, layer in (("layered", "layered"), ("grad-cam", "last"), ("grad-cam-penultimate", "penultimate")):
        np.testing.assert_allclose(
            explain_faces(METHODS[name], member, crops), getattr(service, layer), rtol=1e-4, atol=1e-7
        )


def test_located_heat_is_let_through_by_the_region_head() -> None:
    region = explain_faces(METHODS["region"], FRAME, FACES)
    for name, source in (("located-product", "layered-product"), ("located-last", "grad-cam")):
        heat = explain_faces(METHODS[source], FRAME, FACES)
        larger = spread(torch.from_numpy(heat), region.shape[1:]).numpy()
        np.testing.assert_allclose(explain_faces(METHODS[name], FRAME, FACES), larger * region, rtol=1e-4, atol=1e-7)


def test_the_service_s_map_is_what_cells_add_where_the_region_head_agrees() -> None:
    ((view, faces),) = view_faces(FRAME, FACES)
    cells = read_layers(view, faces)[0].contributions.clamp_min(0).numpy()
    found = cells * explain_faces(METHODS["region"], FRAME, FACES)
    np.testing.assert_allclose(explain_faces(METHODS["located-cells"], FRAME, FACES), found, rtol=1e-4, atol=1e-7)
    gathered = gather(torch.from_numpy(found)).numpy()
    np.testing.assert_allclose(explain_faces(METHODS["layered"], FRAME, FACES), gathered, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "resnext50_32x4d"])
def test_cells_and_bias_add_up_to_the_logit(architecture: str) -> None:
    member = LoadedMember(card=replace(CARD, architecture=architecture), module=make_network(architecture))
    crops = np.random.default_rng(2).integers(0, 256, (2, CARD.input_px, CARD.input_px, 3), dtype=np.uint8)
    ((view, faces),) = view_faces(member, crops)
    cells, bias = attribute_logit(view, faces)
    assert cells.sum(axis=(1, 2)) + bias == pytest.approx(view.score(faces).numpy(), abs=1e-4)
    assert cells.std() > 0
    hires = read_layers(view, faces)[1].contributions.numpy()
    np.testing.assert_allclose(cells, hires, atol=1e-5)


def test_only_a_linear_head_is_split_into_cells() -> None:
    view, faces = next(view_faces(SEQUENCE, FACES))
    assert find_linear(view.head) is None
    with pytest.raises(ValueError, match="linear"):
        attribute_logit(view, faces)


def test_product_and_gate_are_empty_where_the_last_layer_is() -> None:
    fine, coarse = torch.rand(2, 8, 8) + 0.1, torch.zeros(2, 4, 4)
    coarse[:, 0, 0] = 1.0
    for combine in (multiply, gate):
        result = combine([fine, coarse])
        assert result[:, :2, :2].min() > 0
        assert result[:, 4:, 4:].max() == 0
    np.testing.assert_allclose(gate([fine, torch.ones(2, 4, 4)]), fine)
    np.testing.assert_allclose(multiply([torch.ones(1, 8, 8), torch.full((1, 4, 4), 4.0)]), 1.0)
    np.testing.assert_allclose(multiply([torch.ones(1, 8, 8)] * 3), 1.0)


def test_spreading_keeps_the_heat() -> None:
    assert spread(torch.ones(1, 4, 4), (8, 8)).sum() == pytest.approx(16)


def test_a_layer_that_is_not_there_is_refused() -> None:
    view, faces = next(view_faces(FRAME, FACES))
    with pytest.raises(MissingLayerError, match="64"):
        read_layers(view, faces, earlier=(64,))


@pytest.mark.parametrize(
    ("architecture", "strides"), [("densenet121_gray", (4, 8, 16, 32)), ("plain_cnn", (4, 16, 32))]
)
def test_the_earlier_layers_that_there_are_are_read(architecture: str, strides: tuple[int, ...]) -> None:
    """Behind a gray input as well; the plain CNN shrinks by four at a time."""
    module = build_network(architecture, Params()).eval().requires_grad_(False)
    (view, faces), *_ = view_faces(
        LoadedMember(card=replace(CARD, architecture=architecture), module=module), FACES[:1]
    )
    side = faces.shape[1]
    seen = [side / layer.activation.shape[-1] for layer in read_layers(view, faces, earlier=(4, 8))]
    assert seen == pytest.approx(strides)


def test_maps_of_faces_given_together_are_those_of_each_alone() -> None:
    for name in ("layered", "hirescam", "eigencam", "refinecam"):
        together = explain_faces(METHODS[name], FRAME, FACES)
        alone = np.concatenate([explain_faces(METHODS[name], FRAME, FACES[i : i + 1]) for i in range(len(FACES))])
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_lime_s_features_are_few_and_drawn_with_their_boundaries() -> None:
    view, faces = next(view_faces(FRAME, FACES))
    segments, weights = explain_with_lime(view, faces[0])
    assert len(weights) > 10
    positive, both = (pick_features(weights, positive_only=only) for only in (True, False))
    assert len(positive) <= 5
    assert min(positive.values()) > 0
    assert len(both) == 10
    painted = paint(segments, both)
    assert set(np.unique(painted)) <= {np.float32(0), *map(np.float32, both.values())}
    marked = mark_features(faces[0], painted)
    assert marked.shape == faces[0].shape
    assert (marked == (255, 255, 102)).all(axis=-1).any()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_registered_architecture_is_explained(architecture: str) -> None:
    torch.manual_seed(0)
    module = build_network(architecture, Params()).eval().requires_grad_(False)
    card = replace(CARD, architecture=architecture)
    member = LoadedMember(card=card, module=module)
    crops = np.random.default_rng(0).integers(0, 256, (2, card.input_px, card.input_px, 3), dtype=np.uint8)
    for name in ("layered", "layered-4", "grad-cam", "layercam", "refinecam", "saliency"):
        assert len(explain_faces(METHODS[name], member, crops)) == 2


# --- one clip, every method -------------------------------------------------------------------


def read_picture(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def test_one_command_draws_and_times_methods_on_a_clip(tmp_path: Path) -> None:
    ensemble = write_ensemble(tmp_path / "ensemble")
    command = ["methods", str(EXAMPLES / "forged.mp4"), "--out", str(tmp_path / "out"), "--faces", "4"]
    asked = ["--ensemble", str(ensemble), "--methods", "layered,grad-cam,hirescam,region"]
    result = CliRunner().invoke(app, command + asked)
    assert result.exit_code == 0, result.output
    costs = json.loads((tmp_path / "out" / "costs.json").read_text())
    per_member = ["service", "layered", "grad-cam", "hirescam"]  # no member has a region head
    assert [cost["method"] for cost in costs] == per_member * 2
    assert all(cost["seconds_per_face"] > 0 for cost in costs)
    assert result.output.count("hirescam") == 1
    for name in ("small", "other"):
        sheet = read_picture(tmp_path / "out" / f"{name}.jpg")
        assert sheet.shape[0] > 4 * 144  # the faces and three rows of maps


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["methods", str(EXAMPLES / "forged.mp4"), "--out", str(tmp_path), "--methods", "x"]
    )
    assert result.exit_code == 2
    assert "no such method: x" in result.output
