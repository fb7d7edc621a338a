"""What parts add to the logit, how far members agree on them, and what becomes of the logit without them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from space.analysis.attribution import attribute_parts, measure_agreement, share_by_layer
from space.analysis.crops import cut_crop, cut_patch, invert, square_box, transform_points
from space.analysis.evidence import summarise
from space.analysis.named_parts import summarise_parts
from space.analysis.occlusion import blur_part, measure_drops
from space.analysis.parts import OUTSIDE, PART_NAMES, part_masks
from space.analysis.pipeline import check_file
from space.analysis.verdict import Combination
from space.contract import Crop, Evidence, Face, FaceMap, PartHeat, Quality
from space.models.cards import UNCALIBRATED
from space.models.weights import Ensemble, LoadedMember, load_ensemble
from space.settings import PROJECT_ROOT, Settings
from tests.analyses import example_report
from tests.ensembles import CARD, RECORD, write_ensemble
from tests.test_parts import FRAME_FROM_CROP, IN_CROP, LANDMARKS, SIZE_PX, blob, innermost
from tests.test_parts_named import moment

FORGED = PROJECT_ROOT / "space" / "service" / "page" / "examples" / "forged.mp4"
CROP = Crop(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8), FRAME_FROM_CROP)
MASKS = part_masks(IN_CROP, SIZE_PX)


@pytest.mark.parametrize("n_cells", [7, 14, 9])
def test_parts_hold_all_that_the_cells_add(n_cells: int) -> None:
    cells = np.random.default_rng(0).normal(size=(n_cells, n_cells)).astype(np.float32)
    parts = attribute_parts({"a": cells, "b": 2 * cells}, {"a": CROP, "b": CROP}, {"a": 0.5, "b": 1.5}, LANDMARKS)
    assert list(parts) == list(PART_NAMES)
    assert sum(parts.values()) == pytest.approx(3.5 * float(cells.sum()), abs=1e-4)


def test_a_cell_counts_for_the_part_it_lies_on() -> None:
    x, y = innermost(MASKS["forehead"])
    cells = np.zeros((28, 28), np.float32)
    cells[y * 28 // SIZE_PX, x * 28 // SIZE_PX] = -2.0
    parts = attribute_parts({"a": cells}, {"a": CROP}, {"a": 1.0}, LANDMARKS)
    assert parts["forehead"] == pytest.approx(-2.0, abs=0.1)


def test_parts_and_bias_of_a_report_add_up_to_the_logit(tmp_path: Path) -> None:
    record = replace(RECORD, calibration=replace(UNCALIBRATED, temperature=1.7, bias=0.3))
    ensemble = load_ensemble(folder=write_ensemble(tmp_path, bias=-2.0, record=record))
    analysis = check_file(FORGED, settings=Settings(n_frames=4), ensemble=ensemble, progress=lambda *_: None)
    assert analysis.report.evidence
    for shown in analysis.report.evidence:
        assert shown.bias is not None
        logits = [part.logit for part in shown.parts if part.logit is not None]
        assert len(logits) == len(PART_NAMES)
        frame = next(f for f in analysis.report.tracks[0].frames if f.frame_index == shown.frame_index)
        raw = sum(
            weight * (frame.logits[member.card.name] - member.card.calibration.bias)
            for member, weight in zip(ensemble.members, ensemble.weights, strict=True)
        )
        assert sum(logits) + shown.bias == pytest.approx((raw - 0.3) / 1.7, rel=1e-6, abs=1e-4)
        if 1e-3 < shown.p_fake < 1 - 1e-3:
            assert sum(logits) + shown.bias == pytest.approx(math.log(shown.p_fake / (1 - shown.p_fake)), abs=1e-3)
    assert analysis.report.parts is not None
    assert analysis.report.parts.n_frames == 4
    assert all(0 <= (part.n_frames or 0) <= 4 for part in analysis.report.parts.parts)


def test_parts_of_the_example_add_up_to_the_logit() -> None:
    for shown in example_report().evidence:
        assert shown.bias is not None
        total = shown.bias + sum(part.logit or 0.0 for part in shown.parts)
        assert total == pytest.approx(math.log(shown.p_fake / (1 - shown.p_fake)), abs=1e-4)


# --- agreement --------------------------------------------------------------------------------


def at_part(name: str) -> np.ndarray:
    return blob(*innermost(MASKS[name]), cells=0.8)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"a": "mouth", "b": "mouth"}, {"mouth": 1.0}),
        ({"a": "mouth", "b": "nose"}, {"mouth": 0.3, "nose": 0.7}),
    ],
)
def test_agreement_is_the_weight_of_the_members_that_name_a_part(
    members: dict[str, str], expected: dict[str, float]
) -> None:
    layers = {member: {"layered": at_part(name)} for member, name in members.items()}
    face_map = FaceMap(CROP, sum(v["layered"] for v in layers.values()), layers)
    agreement = measure_agreement(face_map, {"a": 0.3, "b": 0.7}, LANDMARKS)
    assert agreement is not None
    for name, share in expected.items():
        assert agreement[name] == pytest.approx(share)
    assert agreement["forehead"] == 0


def test_one_member_has_nobody_to_agree_with() -> None:
    face_map = FaceMap(CROP, at_part("mouth"), {"a": {"layered": at_part("mouth")}})
    assert measure_agreement(face_map, {"a": 1.0}, LANDMARKS) is None


# --- occlusion --------------------------------------------------------------------------------


class Detail(nn.Module):
    """Reacts to fine structure in one place of the crop, and to nothing else."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(mask.astype(np.float32)), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        smooth = nn.functional.avg_pool2d(images, 5, stride=1, padding=2)
        return ((images - smooth).abs().sum(dim=1) * self.weight).sum(dim=(1, 2)) / self.weight.sum()


def make_face() -> Face:
    frame = np.random.default_rng(3).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    box = square_box(LANDMARKS)
    quality = Quality(150.0, 50.0, 0.5, 0.0, 0.0, 0.0, 1.0, usable=True)
    return Face(0, 0.0, box, box, 0.9, LANDMARKS, quality, cut_patch(frame, box, margin=2.0, max_px=512))


@pytest.mark.parametrize("name", ["mouth", "nose", "left_cheek"])
def test_the_part_that_a_model_lives_on_is_missed_most(name: str) -> None:
    face = make_face()
    crop = cut_crop(face.patch, face.box_xyxy, margin=CARD.margin, input_px=CARD.input_px)
    landmarks = transform_points(invert(crop.frame_from_crop), face.landmarks)
    member = LoadedMember(CARD, Detail(part_masks(landmarks, CARD.input_px)[name]))  # type: ignore[arg-type]
    combination = Combination((CARD.name,), (1.0,), (UNCALIBRATED,), RECORD)
    drops = measure_drops(face, Ensemble(RECORD, (member,), (1.0,)), combination)
    assert drops.keys() <= set(PART_NAMES) - {OUTSIDE}
    assert max(drops, key=drops.__getitem__) == name
    assert drops[name] > 4 * sorted(drops.values())[-2]


def test_blurring_leaves_the_rest_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    blurred = blur_part(image, MASKS["mouth"])
    x, y = innermost(MASKS["mouth"])
    assert np.ptp(blurred[y - 3 : y + 4, x - 3 : x + 4], axis=(0, 1)).max() < 60
    assert (blurred[: SIZE_PX // 3] == image[: SIZE_PX // 3]).all()
    assert (blur_part(image, np.zeros_like(MASKS["mouth"])) == image).all()


# --- what the summary says of it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "text_id", "words"),
    [
        ([("mouth",), ("mouth", "nose"), ()], "parts.localised.frames", "the mouth, in 2 of 3 frames."),
        ([("mouth",)], "parts.localised.single", "the mouth."),
        ([(), ("nose",)], "parts.localised.single", "the mouth."),
    ],
)
def test_frames_are_counted_where_their_maps_are_known(frames: list[tuple[str, ...]], text_id: str, words: str) -> None:
    report = summarise_parts([moment({"mouth": 0.7})] * 2, name_compromising=True, frames=frames)
    assert report.sentence.id == text_id
    assert words in report.sentence.en
    assert report.n_frames == len(frames)
    counts = {part.name: part.n_frames for part in report.parts}
    assert counts["mouth"] == sum("mouth" in names for names in frames)


@pytest.mark.parametrize(
    ("drops", "usual", "verified", "text_id"),
    [
        ({"mouth": 0.5, "nose": 0.1, "chin": 0.2}, None, True, "parts.verified"),
        ({"mouth": 0.1, "nose": 0.2, "chin": 0.3}, None, False, "parts.unverified"),
        ({"mouth": -0.1, "nose": -0.2, "chin": -0.3}, None, False, "parts.unverified"),
        ({"mouth": -0.1, "nose": -0.2, "chin": -0.3}, {"mouth": -0.5}, True, "parts.verified"),
        ({"mouth": 0.5, "nose": 0.1, "chin": 0.2}, {"mouth": 0.6}, False, "parts.unverified"),
        ({"mouth": 0.5, "nose": 0.1, "chin": 0.2}, {"nose": -0.6, "chin": -0.6}, False, "parts.unverified"),
        ({"mouth": 0.55, "nose": 0.1, "chin": 0.2, "forehead": 0.6}, None, True, "parts.verified"),
        ({"mouth": 0.5, "nose": 0.6, "chin": 0.2, "forehead": 0.6}, None, False, "parts.unverified"),
        ({}, None, None, None),
    ],
)
def test_a_named_part_is_verified_by_what_blurring_takes(
    drops: dict[str, float], usual: dict[str, float] | None, verified: bool | None, text_id: str | None
) -> None:
    report = summarise_parts([moment({"mouth": 0.7})], name_compromising=True, drops=drops, usual_drops=usual)
    mouth = next(part for part in report.parts if part.name == "mouth")
    assert (mouth.verified, mouth.drop) == (verified, drops.get("mouth"))
    assert (report.verification.id if report.verification else None) == text_id
    assert all(part.verified is None for part in report.parts if part.name != "mouth")


@pytest.mark.parametrize(
    ("shares", "code", "n_calls"),
    [({"mouth": 0.7}, "strong", 1), ({"mouth": 0.7}, "little", 0), ({OUTSIDE: 0.9}, "some", 0), ({}, "some", 0)],
)
def test_blurring_costs_nothing_where_no_part_is_named(shares: dict[str, float], code: str, n_calls: int) -> None:
    calls: list[int] = []

    def check() -> dict[str, float]:
        calls.append(1)
        return {"mouth": 1.0, "nose": 0.0}

    evidence: list[Evidence] = [moment(shares)]
    assert summarise(evidence, code, frames=[("mouth",)] * 3, check=check) is not None  # type: ignore[arg-type]
    assert len(calls) == n_calls


def test_parts_without_findings_say_so() -> None:
    part = PartHeat("nose", 0.5, 1.0, None)
    assert (part.logit, part.agreement) == (None, None)


def test_shares_by_layer_are_those_of_each_map() -> None:
    layers = {"last": at_part("nose"), "layered": at_part("mouth"), "penultimate": np.zeros_like(at_part("nose"))}
    shares = share_by_layer(FaceMap(CROP, layers["layered"], {"a": layers}), LANDMARKS)
    assert max(shares["a"]["last"], key=shares["a"]["last"].__getitem__) == "nose"
    assert max(shares["a"]["layered"], key=shares["a"]["layered"].__getitem__) == "mouth"
    assert sum(shares["a"]["layered"].values()) == pytest.approx(1)
    assert set(shares["a"]["penultimate"].values()) == {0.0}
