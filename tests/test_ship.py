"""Members as they are shipped: cards, thresholds, and members whose run is long gone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from space.analysis.outline import measure_outlines
from space.analysis.parts import FACE_PARTS
from space.analysis.verdict import Combination
from space.lab.evaluation.metrics import auc
from space.lab.training import calibration
from space.lab.training.genuine import N_CAMERAS, GenuineFile, fit_outline, read_genuine, score_genuine
from space.lab.training.pairs import TwinData
from space.lab.training.recipe import Recipe
from space.lab.training.result import predict_split
from space.lab.training.ship import Serving, ship_members
from space.lab.training.stills import genuine_use
from space.lab.training.trained import read_trained
from space.lab.training.usual import usual_drops
from space.models.cards import Card, EnsembleRecord, OutlineEvidence, Params, Thresholds, read_card, write_record
from space.models.member import FrameMember
from space.models.registry import ARCHITECTURES, build_member
from space.models.weights import load_ensemble, save_weights
from tests.astronaut_faces import write_faces
from tests.ensembles import CARD

PX = 96
ANY = Thresholds(0.0, 1.0, 1.0, 1.0, 3, 1.0, 0.0, 0.01)


def write_member(folder: Path, name: str, data: TwinData, *, seed: int) -> Path:
    """A small network that tells a coloured mouth from another, with a card of its own story."""
    torch.manual_seed(seed)
    member = build_member("plain_cnn", region_head=True).eval()
    assert isinstance(member, FrameMember)
    recipe = Recipe(name, "plain_cnn", (), input_px=PX, margin=1.2)
    found = predict_split(member, recipe, data, bf16=False)
    linear = [layer for layer in member.head.modules() if isinstance(layer, torch.nn.Linear)][-1]
    if auc(found.labels, found.logits.astype(np.float64)) < 0.5:
        with torch.no_grad():
            linear.weight.neg_()
    card: Card = replace(
        CARD,
        name=name,
        architecture="plain_cnn",
        params=Params(region_head=True, dropout=None),
        input_px=PX,
        margin=1.2,
        mean=ARCHITECTURES["plain_cnn"].mean,
        std=ARCHITECTURES["plain_cnn"].std,
        recipe=f"{name}: told as it was",
        images_seen=1234,
        weights=f"{name}.safetensors",
    )
    sha = save_weights(member, folder / card.weights)
    write_record(replace(card, sha256=sha), folder / f"{name}.json")
    return folder / f"{name}.json"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_faces(tmp_path_factory.mktemp("faces"), n_sources=24)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genuine")
    names = [name for i in range(80) if genuine_use(name := f"{i}.png") == "calibrate"]
    for name in names[:10]:
        cv2.imwrite(str(folder / name), astronaut()[:300, 100:400, ::-1])
    return folder


def test_members_without_a_run_are_shipped_with_their_story(
    faces: tuple[Path, Path], genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STRONG_FALSE_ALARMS", "SOME_FALSE_ALARMS", "LITTLE_MISSES"):
        monkeypatch.setattr(calibration, name, 0.2)  # what so few faces can bound
    before, first, second = tmp_path / "before", tmp_path / "first", tmp_path / "second"
    before.mkdir()
    data = TwinData(*faces, split="val")
    cards = [write_member(before, name, data, seed=seed) for name, seed in (("one", 1), ("two", 2))]
    ship_members(cards, *faces, [genuine], first, min_bits_per_pixel=0.01)

    ensemble = load_ensemble(folder=first)
    assert [member.card.name for member in ensemble.members] == ["one", "two"]
    assert sum(ensemble.weights) == pytest.approx(1)
    levels = ensemble.record.thresholds
    assert 0 < levels.little_below <= levels.some_from <= levels.strong_from <= 1
    usual = ensemble.record.usual
    assert usual is not None
    assert list(usual) == list(FACE_PARTS)
    assert sum(usual.values()) == pytest.approx(1, abs=0.05)
    drops = dict(ensemble.record.usual_drops or ())
    assert drops.keys() <= set(FACE_PARTS)
    assert {"mouth", "nose"} <= drops.keys()
    for path in cards:
        was, now = read_card(path), read_card(first / path.name)
        assert (now.recipe, now.images_seen, now.sha256) == (was.recipe, was.images_seen, was.sha256)
        assert hashlib.sha256((first / now.weights).read_bytes()).hexdigest() == now.sha256
        assert now.calibration != was.calibration
        assert now.metrics[0].n == 48

    shares = Serving(weights={"two": 0.5})
    ship_members(cards, *faces, [genuine], tmp_path / "unlike", min_bits_per_pixel=0.01, serving=shares)
    assert load_ensemble(folder=tmp_path / "unlike").weights == pytest.approx((2 / 3, 1 / 3), abs=1e-3)

    ship_members([first / path.name for path in cards], *faces, [genuine], second, min_bits_per_pixel=0.01)
    again = load_ensemble(folder=second)
    assert again.record.thresholds == ensemble.record.thresholds, "what was shipped ships to the same"
    assert again.weights == ensemble.weights
    assert again.record.usual == usual


def test_thresholds_hold_for_what_other_cameras_make_of_genuine_faces(
    faces: tuple[Path, Path], genuine: Path, tmp_path: Path
) -> None:
    data = TwinData(*faces, split="val")
    write_member(tmp_path, "one", data, seed=1)
    draft = EnsembleRecord("toy", "1", (("one", 1.0),), CARD.calibration, ANY, 1.0, 0.0, ())
    write_record(draft, tmp_path / "ensemble.json")
    ensemble = load_ensemble(folder=tmp_path)
    combination = Combination(("one",), (1.0,), (CARD.calibration,), draft)
    files = read_genuine([genuine])
    logits = score_genuine(files, ensemble, combination)
    assert logits.shape == (10, 1 + N_CAMERAS)
    assert len(set(logits[:, 0])) == 1, "ten copies of one photo"
    assert len(set(logits[:, 1:].ravel())) == 10 * N_CAMERAS, "no two are seen alike"
    assert (logits == score_genuine(files, ensemble, combination)).all(), "drawn from a seed"

    outline = OutlineEvidence(slope=0.0, offset=9.0, deviation=1.0, weight=1.5, limit=2.0)  # all are far too soft
    judged = replace(combination, record=replace(draft, outline=outline))
    assert (score_genuine(files, ensemble, judged) == logits).all(), "outlines of photos do not count"
    clips = [replace(file, is_clip=True) for file in files]
    assert score_genuine(clips, ensemble, judged) == pytest.approx(logits + 3.0)


def test_usual_drops_weigh_sets_alike_and_leave_out_what_no_face_shows() -> None:
    none = np.full(len(FACE_PARTS), np.nan)
    one, other = none.copy(), none.copy()
    one[:2], other[:1] = (1.0, -2.0), 3.0
    first, second = list(FACE_PARTS)[:2]
    found = usual_drops([np.stack([one, one, other]), np.stack([other]), np.empty((0, len(FACE_PARTS)))])
    assert found == ((first, round((5 / 3 + 3) / 2, 4)), (second, -2.0))


def test_what_is_usual_along_outlines_is_fitted_to_genuine_files(genuine: Path) -> None:
    (file, *_) = read_genuine([genuine])
    (face,) = file.faces
    assert not file.is_clip
    rng = np.random.default_rng(0)
    files = []
    for sigma in rng.uniform(0.3, 2.5, 40):
        image = cv2.GaussianBlur(face.patch.image, (0, 0), float(sigma))
        noisy = np.clip(image + rng.normal(0, rng.uniform(0, 4), image.shape), 0, 255).astype(np.uint8)
        files.append(GenuineFile((replace(face, patch=replace(face.patch, image=noisy)),), is_clip=False))
    outline = fit_outline(files, 1.5)
    softness = np.array([outline.softness(measure_outlines(one.faces)).mean() for one in files])
    assert abs(softness.mean()) < 0.1
    assert 0.8 < softness.std() < 1.1
    assert outline.weight == 1.5
    with pytest.raises(ValueError, match="29 genuine files"):
        fit_outline(files[:29], 1.5)


def test_one_name_stands_for_one_member(faces: tuple[Path, Path], genuine: Path, tmp_path: Path) -> None:
    card = write_member(tmp_path, "one", TwinData(*faces, split="val"), seed=1)
    with pytest.raises(ValueError, match="same name"):
        ship_members([card, card], *faces, [genuine], tmp_path / "out", min_bits_per_pixel=0.01)
    assert not (tmp_path / "out").exists()


def test_a_member_that_sees_colours_otherwise_is_refused(faces: tuple[Path, Path], tmp_path: Path) -> None:
    data = TwinData(*faces, split="val")
    path = write_member(tmp_path, "one", data, seed=1)
    write_record(replace(read_card(path), mean=(0.1, 0.1, 0.1)), path)
    with pytest.raises(ValueError, match="no member that this code has trained"):
        read_trained(path, data)


def test_a_member_can_be_served_larger_than_it_was_trained(faces: tuple[Path, Path], tmp_path: Path) -> None:
    data = TwinData(*faces, split="val")
    path = write_member(tmp_path, "one", data, seed=1)
    usual, larger = read_trained(path, data), read_trained(path, data, {"one": 128})
    assert (usual.input_px, larger.input_px) == (PX, 128)
    assert not np.allclose(usual.predictions.logits, larger.predictions.logits)
    with pytest.raises(ValueError, match="no such member: two"):
        ship_members([path], *faces, [], tmp_path / "out", min_bits_per_pixel=0.01, serving=Serving({"two": 128}))
