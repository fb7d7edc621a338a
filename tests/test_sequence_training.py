"""Members that read tracks are trained: twins over time, a frozen network's features, a run that resumes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from space.analysis.scores import score_crops
from space.analysis.sequences import score_track
from space.contract import Crop
from space.lab.cli import app
from space.lab.evaluation.contenders import load_field
from space.lab.evaluation.runs import load_run
from space.lab.forge.shot import Shot
from space.lab.training import sequence_run
from space.lab.training.pairs import TwinData
from space.lab.training.result import load_predictions
from space.lab.training.sequence_features import Amount, Features, read_features
from space.lab.training.sequence_recipes import SEQUENCE_RECIPES
from space.lab.training.sequence_run import Material, train_sequence
from space.lab.training.tracks import draw_track, move_face
from space.models.cards import Params
from space.models.weights import load_member
from tests.astronaut_faces import write_faces
from tests.members import write_member
from tests.test_tracks import face

TINY = SEQUENCE_RECIPES["tiny-sequence"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_faces(tmp_path_factory.mktemp("faces"), n_train=3)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    write_member(folder, "base", architecture="efficientnet_lite0", params=Params())
    return folder / "base.json"


# --- tracks -----------------------------------------------------------------------------------------


def test_a_photo_moves_and_its_landmarks_go_along(files: tuple[Path, Path]) -> None:
    data = TwinData(*files, split="val")
    name = data.genuine[0]
    photo = Shot(data.image(name), data.landmarks(name))
    shots = move_face(photo, 30, np.random.default_rng(2))
    places = np.stack([shot.landmarks.mean(axis=0) for shot in shots])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert np.linalg.norm(places[0] - photo.landmarks.mean(axis=0)) < 0.1, "it begins where it is"
    assert np.ptp(places, axis=0).max() > 1
    assert steps.max() < 0.02 * photo.face_px, "it jumps"
    nose, radius = 1, 6
    for shot in (shots[10], shots[-1]):
        seen = [cv2.getRectSubPix(s.image, (2 * radius, 2 * radius), s.landmarks[nose].tolist()) for s in (photo, shot)]
        there = cv2.getRectSubPix(shot.image, (2 * radius, 2 * radius), (shot.landmarks[nose] + 25).tolist())
        away, near = (np.abs(one.astype(float) - seen[0]).mean() for one in (there, seen[1]))
        assert near < 0.5 * away, "the landmark lies on another place"


def test_twins_over_time_differ_in_the_face_only(files: tuple[Path, Path]) -> None:
    data = TwinData(*files, split="train")
    recipe = replace(TINY, fault_share=0.0)
    tracks = [draw_track(data, [], recipe, n_frames=8, rng=np.random.default_rng(seed)) for seed in range(4)]
    again = draw_track(data, [], recipe, n_frames=8, rng=np.random.default_rng(0))
    assert (again.forged == tracks[0].forged).all()
    for track in tracks:
        assert track.genuine.shape == track.forged.shape
        assert track.genuine.shape[1:] == (64, 64, 3)
        apart = np.abs(track.genuine.astype(float) - track.forged).mean(axis=(0, 3))
        assert apart[16:48, 16:48].mean() > 2 * apart[:6].mean()
        assert track.source in {data.source(name) for name in data.genuine}


def test_photos_that_were_not_given_are_asked_for(files: tuple[Path, Path]) -> None:
    data = TwinData(*files, split="train")
    with pytest.raises(ValueError, match="stills"):
        draw_track(data, [], replace(TINY, stills_share=1.0), n_frames=8, rng=np.random.default_rng(0))


def test_windows_hold_the_same_frames_of_both_twins() -> None:
    frames = torch.arange(12.0).repeat(2, 2, 1)[..., None].to(torch.float16)
    frames[:, 1] += 100
    seen = Features(frames, torch.tensor([12, 5]), ["a", "b"], ["s", "t"])
    for seed in range(30):
        cut, mask = sequence_run._cut_windows(seen, np.array([0, 1]), np.random.default_rng(seed))
        assert (mask[0::2] == mask[1::2]).all()
        for row, count in ((0, 12), (1, 5)):
            there = cut[2 * row, mask[2 * row], 0]
            assert len(there) >= min(4, count)
            assert there.max() < count
            assert (cut[2 * row + 1, mask[2 * row], 0] == there + 100).all()
            assert len(set(torch.diff(there).tolist())) <= 1


# --- runs -------------------------------------------------------------------------------------------


class KilledError(Exception):
    """In the middle of a run."""


def test_a_killed_run_goes_on_as_if_nothing_was(
    files: tuple[Path, Path], start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"start": start, "device": "cpu", "threads": 1}
    whole = train_sequence("tiny-sequence", Material(*files), tmp_path / "whole", **how)
    cut = tmp_path / "cut"
    cut.mkdir()
    seen = [shutil.copy2(path, cut) for path in sorted((tmp_path / "whole").glob("tracks-*.npz"))]
    assert len(seen) == 2
    save, calls = sequence_run._save, []

    def save_twice(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        calls.append(arguments)
        if len(calls) == 2:
            raise KilledError

    monkeypatch.setattr(sequence_run, "_save", save_twice)
    with pytest.raises(KilledError):
        train_sequence("tiny-sequence", Material(*files), cut, **how)
    monkeypatch.setattr(sequence_run, "_save", save)
    monkeypatch.setattr("space.lab.training.sequence_features.draw_track", None)  # they have been seen
    resumed = train_sequence("tiny-sequence", Material(*files), cut, **how)
    assert resumed == whole
    logs = [
        [{**json.loads(line), "seconds": 0} for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert logs[0] == logs[1]
    states = [torch.load(tmp_path / name / "member.pt", weights_only=True) for name in ("whole", "cut")]
    assert [key for key, value in states[1].items() if not (states[0][key] == value).all()] == []
    monkeypatch.setitem(SEQUENCE_RECIPES, "tiny-sequence", replace(TINY, peak_lr=1.0))
    with pytest.raises(ValueError, match="another recipe"):
        train_sequence("tiny-sequence", Material(*files), cut, **how)


def test_tracks_are_seen_chunk_by_chunk(files: tuple[Path, Path], start: Path, tmp_path: Path) -> None:
    """What was cut off between two chunks goes on with the second; float32 leaves the last bit of a feature open."""
    member, _ = sequence_run._begin(TINY, start)
    amount = Amount(TwinData(*files, split="train"), [], 20, 6, seed=1)
    whole = read_features(member.eval(), TINY, amount, tmp_path / "whole", torch.device("cpu"))
    first, second = sorted((tmp_path / "whole").glob("*.npz"))
    (tmp_path / "cut").mkdir()
    shutil.copy2(first, tmp_path / "cut")
    again = read_features(member, TINY, amount, tmp_path / "cut", torch.device("cpu"))
    assert (tmp_path / "cut" / second.name).exists()
    assert (again.counts == whole.counts).all()
    assert again.families == whole.families
    torch.testing.assert_close(again.frames, whole.frames, atol=2e-3, rtol=2e-3)
    for frames, count in zip(whole.frames, whole.counts.tolist(), strict=True):
        assert not frames[:, count:].any()
        assert frames[:, count - 1].abs().sum() > 0


def test_one_command_trains_a_member_that_a_check_can_use(
    files: tuple[Path, Path], start: Path, tmp_path: Path
) -> None:
    data, twins = files
    words = ["train", "tiny-sequence", str(data), "--twins", str(twins), "--out", str(tmp_path / "run")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "--start" in refused.output
    result = CliRunner().invoke(app, [*words, "--start", str(start), "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "video AUC" in result.output
    member = load_member(tmp_path / "run" / "tiny-sequence.json")
    assert member.kind == "sequence"
    assert (member.card.metrics[0].level, member.card.metrics[0].n) == ("video", 6)
    body = load_member(start).module.state_dict()
    state = member.module.state_dict()
    assert all((state[key] == value).all() for key, value in body.items() if key.startswith(("trunk", "tail")))
    with np.load(tmp_path / "run" / "tracks-2-0000.npz") as arrays:
        count = int(arrays["counts"][0])
        features = torch.from_numpy(arrays["frames"][:count]).float()
    predicted = load_predictions(tmp_path / "run" / "val.npz")
    with torch.no_grad():
        assert float(member.module.score_features(features[None])) == pytest.approx(  # type: ignore[operator]
            float(predicted.logits[0]), abs=5e-3
        )
    rows = json.loads((tmp_path / "run" / "frames.json").read_text())
    assert [row["n_frames"] for row in rows] == [1, 2, 5, 10]
    assert {"reader", "mean"} <= rows[0].keys()
    contender, judged = load_run(tmp_path / "run")
    assert contender.name == "tiny-sequence"
    tracks = [[face("A", i, 100) for i in range(n)] for n in (3, 2)]
    raw = load_field([], [], [(contender, judged)]).score(tracks)[judged.card.sha256]
    assert raw.shape == (5,)
    assert len(set(raw[:3].tolist())) == len(set(raw[3:].tolist())) == 1, "a track has one logit"
    affine = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    crops = [Crop(np.full((64, 64, 3), 40 * i, np.uint8), affine) for i in range(3)]
    track, _ = score_track(member, crops, maps=False, batch_size=2)
    assert np.isfinite(track.logits).all()
    assert score_crops(member, [crops]).logits.shape == (3,)


def test_no_such_recipe(files: tuple[Path, Path], tmp_path: Path) -> None:
    data, twins = files
    result = CliRunner().invoke(app, ["train", "x", str(data), "--twins", str(twins), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "no recipe x" in result.output
