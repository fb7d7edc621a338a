"""The atlas of compromising parts: over reports, by method, model and layer, drawn without photos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from space.analysis.parts import FACE_PARTS, PART_NAMES, part_masks
from space.analysis.report import to_json
from space.contract import Report
from space.lab.cli import app
from space.lab.explain.mean_face import draw_heat, draw_mean_face, place_mean_face
from space.service.page.atlas import read_atlas
from tests.analyses import example_report

AREAS = {name: 0.04 if name != "outside" else 0.52 for name in PART_NAMES}


def make_report(hot: str, share: float = 0.7) -> Report:
    """A report whose heat falls on one part, the rest of it evenly on the others."""
    report = example_report()
    assert report.parts is not None
    shares = {name: share if name == hot else (1 - share) / (len(PART_NAMES) - 1) for name in PART_NAMES}
    by_layer = {"efficientnet_b0": {"last": shares, "layered": shares}}
    moments = tuple(
        replace(
            moment,
            parts=tuple(replace(p, share=shares[p.name], lift=shares[p.name] / AREAS[p.name]) for p in moment.parts),
            shares=by_layer,
        )
        for moment in report.evidence
    )
    parts = tuple(
        replace(p, share=shares[p.name], lift=shares[p.name] / AREAS[p.name], compromising=p.name == hot)
        for p in report.parts.parts
    )
    return replace(report, evidence=moments, parts=replace(report.parts, parts=parts))


def write_scan(folder: Path) -> tuple[Path, Path]:
    rows = [("a", 1, "swap", "mouth"), ("b", 1, "swap", "mouth"), ("c", 1, "eyes", "left_eye"), ("g", 0, "", "nose")]
    lines: list[dict[str, Any]] = [
        {"path": f"videos/{name}.mp4", "report": to_json(make_report(hot))} for name, _, _, hot in rows
    ]
    lines.append({"path": "videos/d.mp4", "error": {"code": "unreadable", "message": "…"}})
    lines.append({"path": "videos/unknown.mp4", "report": to_json(make_report("nose"))})
    lines.append({"path": "videos/e.mp4", "report": to_json(replace(make_report("nose"), parts=None, evidence=()))})
    scan, labels = folder / "scan.jsonl", folder / "labels.csv"
    scan.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = [("file", "label", "method", "pair"), *((f"{n}.mp4", label, m, "g.mp4") for n, label, m, _ in rows)]
    table += [("d.mp4", 1, "swap", "g.mp4"), ("e.mp4", 1, "swap", "g.mp4")]
    labels.write_text("\n".join(",".join(map(str, row)) for row in table) + "\n")
    return scan, labels


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, str]:
    folder = tmp_path_factory.mktemp("atlas")
    scan, labels = write_scan(folder)
    command = ["atlas", str(scan), "--labels", str(labels), "--out", str(folder / "out"), "--dataset", "A set"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return json.loads((folder / "out" / "atlas.json").read_text()), folder / "out", result.output


def test_methods_have_the_parts_that_give_them_away(made: tuple[dict[str, Any], Path, str]) -> None:
    document, _, output = made
    assert [(m["name"], m["n_videos"]) for m in document["methods"]] == [("swap", 2), ("eyes", 1)]
    for method, part in (("swap", "mouth"), ("eyes", "left_eye")):
        first = next(m for m in document["methods"] if m["name"] == method)["parts"][0]
        assert first["name"] == part
        assert first["share"] == pytest.approx(0.7)
        assert first["lift"] == pytest.approx(0.7 / 0.04, rel=1e-3)
        assert first["named"] == 1
    assert document["all"]["n_videos"] == 3
    mouth = next(p for p in document["all"]["parts"] if p["name"] == "mouth")
    assert mouth["share"] == pytest.approx((0.7 + 0.7 + 0.025) / 3, abs=1e-3)
    assert document["genuine"]["parts"][0]["name"] == "nose"
    assert document["left_out"] == {"refused": 1, "without a label": 1, "without a face or heat maps": 1}
    assert "mouth 0.70" in output


def test_models_and_layers_are_told_apart(made: tuple[dict[str, Any], Path, str]) -> None:
    layers = made[0]["methods"][0]["models"]["efficientnet_b0"]
    assert layers.keys() == {"last", "layered"}
    mouth = next(p for p in layers["last"] if p["name"] == "mouth")
    assert mouth["share"] == pytest.approx(0.7)
    low, high = mouth["share_interval"]
    assert low <= mouth["share"] <= high


def test_the_page_reads_the_atlas(made: tuple[dict[str, Any], Path, str]) -> None:
    atlas = read_atlas(made[1] / "atlas.json")
    assert atlas is not None
    assert (atlas.dataset, atlas.n_videos) == ("A set", 3)
    mouth = atlas.methods[0].parts[0]
    assert mouth.name == "mouth"
    assert mouth.interval is None or mouth.interval[0] <= mouth.share <= mouth.interval[1]
    assert [(layer.model, layer.layer) for layer in atlas.methods[0].layers] == [
        ("efficientnet_b0", "last"),
        ("efficientnet_b0", "layered"),
    ]
    assert atlas.methods[0].layers[0].shares["mouth"] == pytest.approx(0.7)


def test_pictures_show_where_the_heat_is(made: tuple[dict[str, Any], Path, str]) -> None:
    names = {path.name for path in made[1].glob("*.png")}
    assert {"swap.png", "eyes.png", "all.png", "genuine.png", "all-efficientnet_b0-last.png"} <= names
    picture = cv2.imread(str(made[1] / "swap.png")).astype(int)
    apart = np.abs(picture - cv2.cvtColor(draw_mean_face(), cv2.COLOR_RGB2BGR)).sum(axis=2)
    masks = part_masks(place_mean_face(480), 480)
    assert apart[masks["mouth"]].mean() > 1.4 * apart[masks["forehead"]].mean()


def test_the_mean_face_is_symmetrical_and_whole() -> None:
    landmarks = place_mean_face(480)
    assert landmarks.min() > 0
    assert landmarks.max() < 480
    masks = part_masks(landmarks, 480)
    assert all(masks[name].sum() > 300 for name in FACE_PARTS)
    for kind in ("eye", "brow", "cheek", "jaw"):
        left, right = masks[f"left_{kind}"].sum(), masks[f"right_{kind}"].sum()
        assert left == pytest.approx(right, rel=0.06)
    assert (draw_heat({}) == draw_mean_face()).all()


def test_a_scan_without_forgeries_makes_no_atlas(tmp_path: Path) -> None:
    scan, labels = write_scan(tmp_path)
    labels.write_text("file,label\ng.mp4,0\n")
    command = ["atlas", str(scan), "--labels", str(labels), "--out", str(tmp_path / "out"), "--dataset", "A set"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()
