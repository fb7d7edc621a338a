"""The harness from end to end on faces made from the astronaut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from space.lab.cli import app
from space.lab.explain.cases import covered_parts, forge_cases, read_clip_pairs, read_twins
from space.lab.explain.checks import correlate_under_randomising, replace_pixels, try_parts
from space.lab.explain.faces import cut_case
from space.lab.explain.harness import Harness
from space.lab.explain.judge import judge_map, rank_parts
from space.lab.explain.report import confuse, group_outcomes
from space.lab.forge.part import PART_KINDS
from space.lab.training.pairs import TwinData
from space.models.cards import UNCALIBRATED
from space.models.weights import Ensemble
from space.settings import PROJECT_ROOT
from tests.astronaut_faces import write_faces
from tests.ensembles import RECORD, write_ensemble
from tests.explained import tiny_member

EXAMPLES = PROJECT_ROOT / "space" / "service" / "page" / "examples"
MEMBERS = tuple(tiny_member(seed=seed, name=name) for seed, name in enumerate(("small", "other")))
ENSEMBLE = Ensemble(replace(RECORD, calibration=UNCALIBRATED), MEMBERS, (0.25, 0.75))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def faces(files: tuple[Path, Path]) -> TwinData:
    return TwinData(*files, split="val")


def test_registered_twins_are_cases(faces: TwinData) -> None:
    cases = list(read_twins(faces, 4, np.random.default_rng(0)))
    assert len(cases) == 4
    for case in cases:
        seen = cut_case(case, ENSEMBLE)
        forged = seen.truth.filled & seen.parts["mouth"]
        assert forged.sum() >= 0.9 * seen.parts["mouth"].sum()
        assert not (seen.truth.filled & seen.parts["forehead"]).any()


@pytest.mark.parametrize("kind", PART_KINDS)
def test_a_forged_part_is_the_part_of_its_kind(faces: TwinData, kind: str) -> None:
    (case,) = forge_cases(faces, "part", kind, 1, seed=1)
    assert any(case.parts >= set(names) for names in PART_KINDS[kind])
    assert case.parts == covered_parts(case.mask, case.landmarks)
    again = next(forge_cases(faces, "part", kind, 1, seed=1))
    assert (again.forged == case.forged).all()
    seen = cut_case(case, ENSEMBLE)
    perfect = judge_map(seen.mask, seen)
    assert perfect["auprc/filled"] > 0.9
    assert perfect["hit@3"] == 1
    opposite = judge_map(1 - seen.mask, seen)
    assert opposite["energy/filled"] < 0.3 * perfect["energy/filled"]


def test_frame_aligned_clips_are_cases(tmp_path: Path) -> None:
    for name in ("genuine.mp4", "forged.mp4"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    (tmp_path / "manifest.csv").write_text("file,label,method,pair\ngenuine.mp4,0,,\nforged.mp4,1,Blend,genuine\n")
    cases = list(read_clip_pairs(tmp_path, n_frames=4))
    assert 1 <= len(cases) <= 4
    assert {(case.group, case.source) for case in cases} == {("clips/Blend", "genuine")}
    for case in cases:
        apart = np.abs(case.forged.astype(int) - case.genuine).mean(axis=2)
        assert apart[case.mask > 0.5].mean() > 3 * apart[case.mask == 0].mean()


def test_outcomes_are_the_same_whatever_the_batch(faces: TwinData, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [cut_case(case, ENSEMBLE) for case in read_twins(faces, 3, np.random.default_rng(0))]
    together = Harness(ENSEMBLE, ["layered", "grad-cam", "region"]).run(cases)
    monkeypatch.setattr("space.lab.explain.harness.BATCH", 2)
    apart = Harness(ENSEMBLE, ["layered", "grad-cam", "region"]).run(cases)
    for one, other in zip(together, apart, strict=True):
        assert one.logit == pytest.approx(other.logit, abs=1e-4)
        for method in ("layered", "grad-cam", "region", "mean-mask", "sobel"):
            assert one.figures[method] == pytest.approx(other.figures[method], abs=1e-3)


def test_replacing_everything_gives_the_twin_s_logit(faces: TwinData) -> None:
    harness = Harness(ENSEMBLE, ["layered"])
    seen = cut_case(next(read_twins(faces, 1, np.random.default_rng(0))), ENSEMBLE)
    ones = np.ones((112, 112), np.float32)
    forged, genuine = (float(harness.logits([seen], genuine=g)[0]) for g in (False, True))
    assert forged != pytest.approx(genuine, abs=1e-4)
    assert float(harness.logits([replace_pixels(seen, ones)])[0]) == pytest.approx(genuine, abs=1e-4)
    assert float(harness.logits([replace_pixels(seen, 0 * ones)])[0]) == pytest.approx(forged, abs=1e-4)
    assert float(harness.logits([replace_pixels(seen, ones, keep=True)])[0]) == pytest.approx(forged, abs=1e-4)


def test_only_the_forged_part_matters_in_a_part_only_forgery(faces: TwinData) -> None:
    """Whatever a model is, replacing untouched pixels by themselves changes nothing."""
    harness = Harness(ENSEMBLE, ["layered"])
    (case,) = forge_cases(faces, "part", "mouth", 1, seed=3)
    seen = cut_case(case, ENSEMBLE)
    falls = try_parts(harness, seen, seen.mask)
    assert falls is not None
    assert next(iter(falls)) == "mouth"
    assert abs(falls["mouth"]) > 3 * abs(falls["forehead"])
    assert try_parts(harness, seen, np.zeros_like(seen.mask)) is None


def test_randomised_weights_draw_other_maps(faces: TwinData) -> None:
    cases = [cut_case(case, ENSEMBLE) for case in read_twins(faces, 3, np.random.default_rng(0))]
    stages = dict(correlate_under_randomising(Harness(ENSEMBLE, ["layered"]), cases, ["layered", "saliency"]))
    assert list(stages) == ["head", "tail", "trunk"]
    assert np.mean(stages["trunk"]["saliency"]) < 0.9
    assert all(m.module.training is False for m in ENSEMBLE.members)
    again = dict(correlate_under_randomising(Harness(ENSEMBLE, ["layered"]), cases, ["layered"]))
    assert again["trunk"]["layered"] == stages["trunk"]["layered"], "the ensemble itself was changed"


def test_confusion_counts_every_case(faces: TwinData) -> None:
    cases = [cut_case(c, ENSEMBLE) for kind in ("mouth", "nose") for c in forge_cases(faces, "part", kind, 3, seed=1)]
    outcomes = Harness(ENSEMBLE, ["layered"]).run(cases)
    confusion = confuse(outcomes)
    assert confusion["forged"] == ["mouth", "nose"]
    assert confusion["n"] == [3, 3]
    assert np.sum(confusion["shares"], axis=1) == pytest.approx(1, abs=1e-3)
    assert group_outcomes(outcomes).keys() == {"part", "part/mouth", "part/nose"}
    by_mask = [rank_parts(seen.mask, seen.parts)[0] for seen in cases]
    assert sum(name in seen.case.parts for name, seen in zip(by_mask, cases, strict=True)) >= 5


def test_one_command_writes_figures_and_a_page(files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = write_ensemble(tmp_path / "ensemble")
    command = ["explain", str(files[0]), "--twins", str(files[1]), "--out", str(tmp_path / "out"), "--ensemble"]
    counts = [
        "--n-twins",
        "3",
        "--per-part",
        "1",
        "--per-blend",
        "1",
        "--checks",
        "1",
        "--methods",
        "grad-cam,hirescam",
    ]
    result = CliRunner().invoke(app, [*command, str(folder), *counts])
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert document["n"]["twins"] == 3
    assert document["n"]["part"] == len(PART_KINDS)
    for group in ("twins", "part", "blend"):
        table = document["figures"][group]
        assert {"layered", "grad-cam", "hirescam", "mean-mask", "centre", "sobel", "random"} == table.keys()
        for figure in ("pointing/filled", "energy/band", "auprc/difference", "iou/filled"):
            found = table["layered"][figure]
            assert found["interval"][0] <= found["value"] <= found["interval"][1]
    assert document["leads"]["part"]["mean-mask"]["auprc/filled"]["n"] == len(PART_KINDS)
    leads = document["by_lead"]["part"]
    assert sum(row["n"] for row in leads) == len(PART_KINDS)
    assert [row["lead"][0] for row in leads] == sorted(row["lead"][0] for row in leads)
    assert all("pointing/filled" in row["figures"] for row in leads)
    assert document["genuine_heat"]["twins"]["layered"]["ratio"]["value"] >= 0
    assert document["checks"]["curves"]["methods"].keys() == {"layered", "grad-cam", "mean-mask", "random"}
    assert document["checks"]["named_part"]["largest"]["n"] == len(PART_KINDS)
    page = (tmp_path / "out" / "explain.html").read_text()
    assert page.count("<img ") == 3  # confusion, curves, examples
    assert "http" not in page
    assert "layered" in result.output


def test_nothing_to_explain_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    none = ["--n-twins", "0", "--per-part", "0", "--per-blend", "0"]
    result = CliRunner().invoke(
        app, ["explain", str(files[0]), "--twins", str(files[1]), "--out", str(tmp_path), *none]
    )
    assert result.exit_code == 2
