"""Evaluation: figures of merit, sets and what is read of them, and the page of a small run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from space.contract import U8, Face, Patch, Quality
from space.lab.cli import app
from space.lab.cli_evaluation import Disturbance
from space.lab.evaluation import metrics
from space.lab.evaluation.contenders import load_field
from space.lab.evaluation.disturb import CONDITIONS, LEVELS, Condition, disturb, disturb_face, recode_clip
from space.lab.evaluation.evaluate import EvaluationChoices, evaluate_sets
from space.lab.evaluation.items import GENUINE, Entry, draw_entries, open_set
from space.lab.evaluation.model_card import read_clip_figures
from space.lab.evaluation.results import Result, Row, summarise
from space.lab.evaluation.shortcut import fit_shortcut, measure_blockiness
from space.lab.forge.compress import decode_clip, encode_clip
from tests.members import write_ensemble
from tests.twins import write_twins

# --- figures ------------------------------------------------------------------------------------

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
P = np.array([0.1, 0.2, 0.6, 0.3, 0.4, 0.7, 0.8, 0.9])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auc", 15 / 16),  # one of sixteen pairs is the wrong way round
        ("eer", 0.25),
        ("accuracy", 6 / 8),
        ("balanced_accuracy", 6 / 8),
        ("brier", (0.01 + 0.04 + 0.36 + 0.09 + 0.36 + 0.09 + 0.04 + 0.01) / 8),
        ("log_loss", -np.log([0.9, 0.8, 0.4, 0.7, 0.4, 0.7, 0.8, 0.9]).mean()),
        ("ap", (1 + 1 + 1 + 4 / 5) / 4),
    ],
)
def test_figure_by_hand(name: str, value: float) -> None:
    assert metrics.METRICS[name](LABELS, P) == pytest.approx(value)


@given(st.integers(0, 1000))
def test_figures_ignore_order_and_proper_scores_weigh_classes_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(8)
    for metric in metrics.METRICS.values():
        assert metric(LABELS[order], P[order]) == pytest.approx(metric(LABELS, P))
    doubled = np.concatenate([np.arange(8), np.flatnonzero(LABELS == 0)])
    for name in ("auc", "eer", "brier", "log_loss", "balanced_accuracy"):
        metric = metrics.METRICS[name]
        assert metric(LABELS[doubled], P[doubled]) == pytest.approx(metric(LABELS, P)), name


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=40))
def test_ranking_figures_are_scikit_learns(rows: list[tuple[int, int]]) -> None:
    labels, scores = np.array([0, 1, *(label for label, _ in rows)]), np.array([3.0, 3.0, *(s for _, s in rows)])
    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert metrics.average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))


def test_intervals_are_wider_where_samples_share_sources() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.tile([0, 1], 6), 10)
    p = np.repeat(rng.uniform(0, 0.6, 12), 10) + labels * 0.2 + rng.uniform(0, 0.2, 120)
    by_source = [f"s{i // 10}" for i in range(120)]
    alone = [str(i) for i in range(120)]
    widths = []
    for sources in (alone, by_source):
        found = metrics.bootstrap_metrics(metrics.METRICS, labels, p, sources, rng=rng, n_draws=200)
        assert found["brier"].low <= found["brier"].value <= found["brier"].high
        widths.append(found["brier"].high - found["brier"].low)
    assert widths[1] > widths[0]


def test_no_hit_leaves_room_for_some() -> None:
    share = metrics.estimate_share(0, 20)
    assert (share.value, share.low) == (0.0, 0.0)
    assert share.high == pytest.approx(0.161, abs=0.001)  # Wilson's interval of 0 of 20
    with pytest.raises(ValueError, match="nothing"):
        metrics.estimate_share(0, 0)


# --- the shortcut baseline --------------------------------------------------------------------------


def test_blockiness_rises_as_jpeg_quality_falls_wherever_the_grid_lies() -> None:
    picture = np.asarray(astronaut()[:256, 100:356], np.uint8)  # type: ignore[no-untyped-call]
    values = []
    for quality in (95, 50, 10):
        seen = disturb(picture, Condition("jpeg", quality))
        gray = [cv2.cvtColor(part, cv2.COLOR_RGB2GRAY) for part in (seen, seen[3:, 5:])]
        values.append(measure_blockiness(np.asarray(gray[0], np.uint8)))
        assert measure_blockiness(np.asarray(gray[1], np.uint8)) == pytest.approx(values[-1], rel=0.2, abs=0.05)
    assert values[0] < values[1] < values[2]


def test_the_baseline_is_fitted_to_other_sources() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 40)
    sources = [f"s{i // 2}" for i in range(80)]
    tell = np.column_stack([labels + rng.normal(0, 0.3, 80), rng.normal(0, 1, (80, 3))])
    found = fit_shortcut(tell, labels, sources)
    assert found is not None
    assert metrics.auc(labels, found) > 0.95
    blind = fit_shortcut(rng.normal(0, 1, (80, 4)), labels, sources)
    assert blind is not None
    assert metrics.auc(labels, blind) < 0.7, "it has seen what it was to predict"
    assert fit_shortcut(tell, np.zeros(80, np.int64), sources) is None


# --- disturbances -----------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: f"{c.kind}-{c.value}")
def test_a_disturbance_keeps_the_picture_s_size(condition: Condition) -> None:
    picture = np.asarray(astronaut()[:121, 100:235], np.uint8)  # type: ignore[no-untyped-call]
    seen = disturb(picture, condition)
    assert (seen.shape, seen.dtype) == (picture.shape, np.uint8)
    changed = float(np.abs(seen.astype(float) - picture).mean())
    assert changed == 0 if condition.kind in ("margin", "filmed") else 0.1 < changed < 25


def test_a_filmed_face_stays_in_place_and_loses_more_the_harder_it_is_encoded() -> None:
    picture = np.asarray(astronaut()[:257, 90:347], np.uint8)  # type: ignore[no-untyped-call]
    patch = Patch(picture, np.array([[2, 0, 30], [0, 2, 10]], np.float32))
    box = np.array([2 * 80 + 30, 2 * 50 + 10, 2 * 190 + 30, 2 * 160 + 10], np.float32)
    nothing = np.zeros((478, 2), np.float32)
    face = Face(0, 0.0, box, box, 1.0, nothing, Quality(110, 90, 0.5, 0, 0, 0, 1, usable=True), patch)

    def loss(condition: Condition) -> float:
        shown = disturb_face(face, condition).patch.image
        assert (shown.shape, shown.dtype) == (picture.shape, np.uint8)
        return float(np.abs(shown[60:150, 90:180].astype(float) - picture[60:150, 90:180]).mean())

    losses = [loss(Condition("filmed", crf)) for crf in (23, 32, 40)]
    assert losses == sorted(losses)
    assert losses[2] < 25


def test_a_clip_encoded_anew_keeps_frames_and_loses_detail(tmp_path: Path) -> None:
    frames = [np.ascontiguousarray(astronaut()[:200, 100 + i : 300 + i]) for i in range(6)]  # type: ignore[no-untyped-call]
    path, out = tmp_path / "clip.mp4", tmp_path / "again.mp4"
    path.write_bytes(encode_clip(frames, crf=18, fps=25))
    recode_clip(path, out, crf=40)
    seen = decode_clip(out.read_bytes())
    assert len(seen) == 6
    assert seen[0].shape == frames[0].shape
    assert 2 < float(np.abs(seen[3].astype(float) - frames[3]).mean()) < 25


# --- sets -------------------------------------------------------------------------------------------


def view(index: int) -> U8:
    """The astronaut, in other light each time."""
    portrait = astronaut()[:300, 90:390]  # type: ignore[no-untyped-call]
    return np.asarray(cv2.convertScaleAbs(portrait, alpha=0.8 + 0.06 * index, beta=4), np.uint8)


def write_set(folder: Path, n_pairs: int = 3) -> Path:
    """Stills and one clip pair; the forged ones are blurred."""
    folder.mkdir(parents=True)
    lines = ["file,label,method,pair"]
    for i in range(n_pairs):
        genuine, forged = view(i), cv2.GaussianBlur(view(i), (0, 0), 2.0)
        for name, image in (("genuine", genuine), ("forged", forged)):
            cv2.imwrite(str(folder / f"{i}-{name}.png"), image[:, :, ::-1])
        lines += [f"{i}-genuine.png,0,,", f"{i}-forged.png,1,blurred/whole,{i}-genuine.png"]
    for name, label in (("a", 0), ("b", 1)):
        frames = [view(label + i % 3) for i in range(8)]
        (folder / f"{name}.mp4").write_bytes(encode_clip(frames, crf=20, fps=10))
    lines += ["a.mp4,0,,", "b.mp4,1,lit,a"]  # a pair without its suffix
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_sets_tell_what_they_are(tmp_path: Path) -> None:
    listed = open_set(write_set(tmp_path / "listed"))
    by_name = {entry.name: entry for entry in listed.entries}
    assert by_name["b.mp4"] == Entry("b.mp4", 1, "lit", "a.mp4", "a.mp4")
    assert by_name["0-genuine.png"].source == by_name["0-forged.png"].source == "0-genuine.png"
    assert by_name["a.mp4"].method == GENUINE
    assert [listed.is_clip(by_name[name]) for name in ("a.mp4", "0-forged.png")] == [True, False]
    (tmp_path / "listed" / "manifest.csv").unlink()
    plain = open_set(tmp_path / "listed")
    assert plain.is_genuine
    assert len(plain.entries) == 8
    faces, twins = write_twins(_folder(tmp_path / "faces"))
    crops = open_set(faces, twins=twins)
    assert sorted(entry.name for entry in crops.entries) == ["fake4", "fake5", "real4", "real5"]
    assert {entry.pair for entry in crops.entries if entry.label} == {"real4", "real5"}
    with pytest.raises(ValueError, match="landmarks"):
        open_set(faces)
    with pytest.raises(ValueError, match="no photo"):
        open_set(_folder(tmp_path / "empty"))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_part_of_a_set_keeps_twins_together() -> None:
    entries = [Entry(f"{i}-{label}", label, "", str(i), "") for i in range(30) for label in (0, 1)]
    part = draw_entries(entries, 10, seed=3)
    assert len(part) == 10
    assert part == draw_entries(entries, 10, seed=3)
    assert {entry.source for entry in part if entry.label} == {entry.source for entry in part if not entry.label}
    assert draw_entries(entries, 100, seed=0) == tuple(entries)


def test_figures_of_a_result() -> None:
    rows = [Row(Entry(f"g{i}", 0, GENUINE, f"g{i}", ""), "little", 0.1 * i, np.array([0.1 * i])) for i in range(4)]
    rows += [Row(Entry(f"f{i}", 1, "a/x", f"g{i}", f"g{i}"), "some", 0.25 + 0.1 * i, np.zeros(0)) for i in range(3)]
    rows += [Row(Entry("f3", 1, "b", "g3", "g3"), "not_applicable", None, np.zeros(0))]
    figures = summarise(Result("m", "member", rows))
    assert figures["video"]["auc"]["n"] == 8
    assert "frame" not in figures, "no forged face was seen"
    counts = figures["clips"]
    assert (counts["found"], counts["n_forged"], counts["false_alarms"], counts["n_unscored"]) == (3, 4, 0, 1)
    assert counts["share_above_twin"] == 1.0
    assert set(figures["methods"]) == {"a", "a/x", "b"}
    assert figures["methods"]["a"] == figures["methods"]["a/x"]
    assert figures["methods"]["b"]["auc"]["value"] == 1.0


# --- the whole command --------------------------------------------------------------------------------


def test_a_run_writes_figures_and_a_page_that_stands_alone(tmp_path: Path) -> None:
    write_ensemble(tmp_path / "pair")
    data = write_set(tmp_path / "data", n_pairs=2)
    out = tmp_path / "out"
    words = ["evaluate", str(data), "--out", str(out), "--folder", str(tmp_path / "pair"), "--frames", "4"]
    result = CliRunner().invoke(app, [*words, "--robust", "1", "--threads", "1"])
    assert result.exit_code == 0, result.output
    document = json.loads((out / "evaluation.json").read_text())
    assert [c["name"] for c in document["contenders"]] == ["small", "other", "pair"]
    (one,) = document["sets"]
    assert (one["n"], one["n_genuine"], one["errors"]) == (6, 3, {})
    for name in ("small", "other", "pair"):
        figures = one["results"][name]
        assert figures["video"]["auc"]["low"] <= figures["video"]["auc"]["value"]
        assert {entry["kind"] for entry in figures["robustness"]} == set(LEVELS)
    assert "shortcut baseline" in one["results"]
    page = (out / "evaluation.html").read_text()
    assert "Reliability" not in re.sub(r'src="[^"]*"', "", page)
    assert page.count("<img") >= 4
    assert not re.search(r'(?:src|href)="(?!data:)', page), "it needs something beside it"
    assert read_clip_figures(out / "evaluation.json")["twins"] == 3


def test_curves_are_drawn_over_what_is_asked_for(tmp_path: Path) -> None:
    assert {kind.value for kind in Disturbance} == set(LEVELS)
    write_ensemble(tmp_path / "pair")
    one = open_set(write_set(tmp_path / "data", n_pairs=2), twins=None, split="val", use=None)
    choices = EvaluationChoices(n_frames=4, n_samples=2, n_disturbed=1, disturbances=("crf",))
    (found,) = evaluate_sets([one], load_field([], [tmp_path / "pair"]), choices)
    disturbed = found.results[-2].disturbed
    assert [(c.kind, c.value) for c in disturbed] == [("crf", 18), *(("crf", value) for value in LEVELS["crf"])]
