"""Runs beside the one they vary: figures, differences, changes named; runs as contenders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from space.lab.cli import app
from space.lab.evaluation.ablation import describe_ablation, describe_changes
from space.lab.evaluation.runs import load_run
from space.lab.training.recipes import RECIPES
from tests.test_compare import make_predictions, write_run

BASE, OTHER = "compare-meso4", "compare-plain-cnn"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    for name in (BASE, OTHER):
        monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], input_px=64))
    return [write_run(tmp_path / name, name, strength) for name, strength in ((BASE, 0.3), (OTHER, 1.5))]


def write_evaluation(path: Path, names: list[str]) -> Path:
    """Four twins of two families: the second run finds all, the first only the swaps."""
    samples = []
    for i, method in enumerate(("swap/a", "swap/b", "part/nose", "part/mouth")):
        right = {BASE: 0.9 if "swap" in method else 0.1, OTHER: 0.8}
        rows: list[tuple[str, int, str, str, Mapping[str, float]]] = [
            (f"{i}.png", 0, "genuine", "", dict.fromkeys(names, 0.5)),
            (f"{i}f.png", 1, method, f"{i}.png", right),
        ]
        for file, label, how, pair, p in rows:
            said = {name: {"p_fake": p[name]} for name in names}
            samples.append({"file": file, "label": label, "method": how, "pair": pair, "said": said})
    one = {"name": "forged", "n_genuine": 4, "n_forged": 4, "samples": samples, "results": dict.fromkeys(names)}
    path.write_text(json.dumps({"sets": [one, {**one, "name": "genuine", "n_forged": 0}]}))
    return path


def test_runs_stand_beside_the_one_they_vary(runs: list[Path], tmp_path: Path) -> None:
    evaluation = write_evaluation(tmp_path / "e.json", [BASE, OTHER])
    document = describe_ablation(runs, [evaluation])
    base, other = document["runs"]
    assert document["base"] == BASE
    assert base["changes"] == {}
    assert other["changes"] == {"architecture": "plain_cnn"}
    assert list(base["sets"]) == ["val", "forged"], "a set of genuine files only has no AUC"
    assert base["sets"]["val"]["lead"]["value"] == 0
    lead = other["sets"]["val"]["lead"]
    assert lead["value"] == pytest.approx(other["sets"]["val"]["auc"]["value"] - base["sets"]["val"]["auc"]["value"])
    assert 0 < lead["low"] < lead["value"] < lead["high"]
    forged = base["sets"]["forged"]
    assert (forged["above_twin"], forged["twins"]) == (2, 4)
    assert {name: family["auc"]["value"] for name, family in forged["families"].items()} == {"part": 0, "swap": 1}
    assert other["sets"]["forged"]["families"]["part"]["lead"]["value"] == 1


def test_the_command_writes_both_tables(runs: list[Path], tmp_path: Path) -> None:
    evaluation = write_evaluation(tmp_path / "e.json", [BASE, OTHER])
    out = tmp_path / "out"
    words = ["ablate", *map(str, runs), "--evaluation", str(evaluation), "--out", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    text = (out / "ablation.md").read_text()
    assert f"| {OTHER} | architecture plain_cnn | 300 | 4.5 |" in text
    assert "2 of 4" in text
    assert "| forged, AUC by family | part | swap |" in text
    assert json.loads((out / "ablation.json").read_text())["runs"][0]["name"] == BASE


def test_what_cannot_be_compared_is_refused(runs: list[Path], tmp_path: Path) -> None:
    evaluation = write_evaluation(tmp_path / "e.json", [BASE])
    words = ["ablate", *map(str, runs), "--evaluation", str(evaluation), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert OTHER in result.output


def test_changes_are_told_but_not_how_often_a_run_logs() -> None:
    base = RECIPES["ablation-base"]
    changes = describe_changes(replace(base, name="x", note="y", log_every=3, peak_lr=1.0), base)
    assert changes == {"peak_lr": 1.0}


def test_a_run_is_a_contender_under_its_own_thresholds(runs: list[Path]) -> None:
    contender, member = load_run(runs[1])
    assert contender.name == OTHER
    assert contender.checksums == (member.card.sha256,)
    labels, logits = make_predictions(1.5).labels, make_predictions(1.5).logits
    p_fake = contender.combination.calibrations[0].p_fake(logits)
    assert np.mean((p_fake >= 0.5) == labels) > 0.85, "not calibrated"
    assert contender.combination.record.thresholds.some_from == 1, "100 genuine faces bound no rate of .005"
