"""One table of members: costs that are counted, figures that are measured, a page and a section of the card."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from space.lab.cli import app
from space.lab.evaluation.compare import describe_card, judge_predictions, make_comparison, measure_cost, read_elsewhere
from space.lab.evaluation.compare_page import draw_section
from space.lab.evaluation.model_card import write_model_card
from space.lab.training.files import FRAMES_FILE, MEMBER_FILE, PREDICTIONS_FILE, RECIPE_FILE
from space.lab.training.recipes import RECIPES
from space.lab.training.result import Predictions, save_predictions
from space.lab.training.sequence_recipes import SEQUENCE_RECIPES
from space.models.cards import Params
from space.models.registry import build_member
from tests.members import write_ensemble, write_member


def make_predictions(strength: float, n: int = 200) -> Predictions:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    logits = (strength * (2 * labels - 1) + rng.normal(0, 1, n)).astype(np.float32)
    return Predictions([str(i) for i in range(n)], labels, [f"s{i // 2}" for i in range(n)], logits)


def write_run(folder: Path, recipe: str, strength: float) -> Path:
    """What a finished run leaves behind."""
    folder.mkdir()
    made = RECIPES[recipe]
    (folder / RECIPE_FILE).write_text(json.dumps(asdict(made)))
    torch.save(build_member(made.architecture, region_head=True).state_dict(), folder / MEMBER_FILE)
    save_predictions(make_predictions(strength), folder / PREDICTIONS_FILE)
    lines = [{"step": i, "images": 100 * i, "val_auc": 0.5 + i / 20, "seconds": 90.0 * i} for i in (1, 2, 3)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


# --- costs ------------------------------------------------------------------------------------------


def test_costs_are_counted() -> None:
    cost = measure_cost("plain_cnn", Params(region_head=True), 64, threads=1)
    assert cost.parameters == sum(p.numel() for p in build_member("plain_cnn").parameters())
    by_hand = 64 * 64 * 27 * 32 + 16 * 16 * 9 * 32 * 64 + 4 * 4 * 9 * 64 * 128 + 128
    assert cost.multiply_adds == by_hand
    assert cost.ms_per_image > 0
    larger = measure_cost("plain_cnn", Params(), 128, threads=1)
    assert larger.multiply_adds == pytest.approx(4 * by_hand, rel=0.001)


def test_a_track_s_frame_costs_its_features_and_a_step_of_the_reader() -> None:
    alone = measure_cost("efficientnet_lite0", Params(), 64, threads=1)
    cost = measure_cost("efficientnet_lite0_lstm", Params(hidden=8), 64, threads=1)
    assert cost.multiply_adds == alone.multiply_adds - 1280 + 4 * 8 * (1280 + 8) + 8
    assert cost.parameters == alone.parameters - 1281 + 4 * 8 * (1280 + 8) + 9
    assert cost.ms_per_image > 0


# --- figures ----------------------------------------------------------------------------------------


def test_figures_are_of_the_predictions() -> None:
    strong, weak = (judge_predictions(make_predictions(s), seed=0) for s in (1.5, 0.3))
    assert strong["auc"]["value"] > weak["auc"]["value"] + 0.15
    assert strong["eer"]["value"] < weak["eer"]["value"]
    assert strong["auc"]["n"] == 200
    assert 60 < strong["accuracy"]["n"] < 140, "not the half that did not fit"
    none = judge_predictions(make_predictions(-1.0), seed=0)
    assert set(none) == {"auc", "ap", "eer"}, "what has learned nothing cannot be calibrated"


def test_a_card_s_row_says_what_the_card_says(tmp_path: Path) -> None:
    write_member(tmp_path, "small", architecture="meso4", params=Params(), images_seen=7)
    row = describe_card(str(tmp_path / "small.json"))
    assert row["metrics"]["auc"] == {"value": 0.91, "low": 0.88, "high": 0.93, "n": 200}
    assert row["cost"]["parameters"] == 27_977
    assert row["images_seen"] == 7


# --- the whole command ------------------------------------------------------------------------------


def test_a_comparison_is_a_document_a_page_and_a_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: replace(RECIPES[name], input_px=64) for name in ("compare-meso4", "compare-plain-cnn")}
    monkeypatch.setitem(RECIPES, "compare-meso4", small["compare-meso4"])
    monkeypatch.setitem(RECIPES, "compare-plain-cnn", small["compare-plain-cnn"])
    runs = [write_run(tmp_path / n, f"compare-{n}", s) for n, s in (("meso4", 0.3), ("plain-cnn", 1.5))]
    figures = {"kind": "member", "robustness": [], "clips": {"false_alarm_rate": None}}
    figures["video"] = {"auc": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 9}}
    figures["methods"] = {
        name: {"auc": _estimate(value)} for name, value in (("part", 0.4), ("part/mouth", 0.3), ("swap", 0.9))
    }
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps({"sets": [{"name": "elsewhere", "n": 9, "results": {"meso4": figures}}]}))
    out = tmp_path / "out"
    words = ["compare", *map(str, runs), "--out", str(out), "--evaluation", str(evaluation), "--machine", "a test's"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    document = json.loads((out / "comparison.json").read_text())
    assert [member["name"] for member in document["members"]] == ["plain-cnn", "meso4"]
    assert [(m["images_seen"], m["minutes"]) for m in document["members"]] == [(300, 4.5)] * 2
    page = (out / "comparison.html").read_text()
    assert page.count("<img") == 2
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "elsewhere, n = 9" in page
    assert "AUC, swap" in page
    write_ensemble(tmp_path / "pair")
    write_model_card(tmp_path / "pair", tmp_path / "CARD.md", comparison=(out / "comparison.md").read_text())
    card = (tmp_path / "CARD.md").read_text()
    assert "## Members compared" in card
    assert "On elsewhere, n = 9" in card
    assert "| member | video AUC | AUC, part | AUC, swap |" in card
    assert "| meso4 | 0.700 (0.600 to 0.800) | 0.400 (0.300 to 0.500) | 0.900 (0.800 to 1.000) |" in card
    assert "| plain-cnn | 93," in card
    assert CliRunner().invoke(app, ["compare", "--out", str(out)]).exit_code == 2


def test_members_that_read_tracks_have_a_table_of_their_own(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    recipe = SEQUENCE_RECIPES["tiny-sequence"]
    (run / RECIPE_FILE).write_text(json.dumps(asdict(recipe)))
    save_predictions(make_predictions(1.0, 60), run / PREDICTIONS_FILE)
    (run / "log.jsonl").write_text('{"epoch": 1, "images": 90, "val_auc": 0.6, "seconds": 60}\n')
    estimates = {
        key: {"value": value, "low": 0.5, "high": 1.0, "n": 60} for key, value in (("reader", 0.8), ("mean", 0.7))
    }
    (run / FRAMES_FILE).write_text(json.dumps([{"n_frames": n, **estimates} for n in (1, 10)]))
    out = tmp_path / "out"
    other = write_run(tmp_path / "meso4", "compare-meso4", 0.3)
    result = CliRunner().invoke(app, ["compare", str(run), str(other), "--out", str(out)])
    assert result.exit_code == 0, result.output
    section = (out / "comparison.md").read_text()
    frames, videos = section.split("Members that read tracks")
    assert "| meso4 |" in frames
    assert "frame AUC" in frames
    assert "tiny" not in frames
    assert re.search(r"\| tiny-sequence \| [\d,]+ \| [\d.]+ \| [\d.]+ \| 90 \| 1 min \| 0\.", videos)
    assert "video AUC" in videos
    page = (out / "comparison.html").read_text()
    assert "tiny-sequence, mean of its frames" in page
    assert page.count("<img") == 3


def _estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 2}


def test_columns_come_from_evaluations(tmp_path: Path) -> None:
    robust = [{"kind": "crf", "value": crf, "auc": _estimate(1 - crf / 100)} for crf in (23, 40)]
    figures = {"kind": "member", "robustness": robust, "clips": {"false_alarm_rate": None}}
    (tmp_path / "e.json").write_text(json.dumps({"sets": [{"name": "x", "n": 2, "results": {"m": figures}}]}))
    (column,) = read_elsewhere([tmp_path / "e.json"])
    assert column["values"]["m"]["crf_40"] == _estimate(0.6)
    assert column["values"]["m"]["auc"] is None
    section = draw_section(make_comparison([_row()], [column], "a test's"))
    assert "not measured" in section
    assert "| member | AUC at CRF 23 | AUC at CRF 40 |" in section


def test_namesakes_are_told_apart() -> None:
    rows = [_row(), {**_row(), "recipe": "other"}, {**_row(), "name": "n"}]
    assert [row["name"] for row in make_comparison(rows, [], "a test's")["members"]] == ["m (r)", "m (other)", "n"]


def _row() -> dict[str, object]:
    cost = {"parameters": 1, "input_px": 64, "multiply_adds": 1, "ms_per_image": 1.0}
    about = {"name": "m", "architecture": "meso4", "recipe": "r", "images_seen": None, "minutes": 1, "curve": []}
    return {**about, "level": "frame", "cost": cost, "metrics": {}}
