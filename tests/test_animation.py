"""Moving evidence: what moves, what pulses, what is drawn, and files that play."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import space.models.weights
from space.animation import Moment, _Boxes, _fade_out, draw_pulse, draw_video, write_animation, write_video
from space.cli import app
from space.contract import Crop
from space.intake.passages import read_passage
from space.intake.source import open_source
from space.models.weights import load_ensemble
from space.settings import PROJECT_ROOT, Limits, Settings
from tests.analyses import example_report
from tests.ensembles import write_ensemble

FORGED = PROJECT_ROOT / "space" / "service" / "page" / "examples" / "forged.mp4"


def make_moments(n: int = 12) -> list[Moment]:
    heat = np.zeros((64, 64), np.float32)
    heat[20:40, 20:40] = 1.0
    return [Moment(np.full((64, 64, 3), 100 + i, np.uint8), heat) for i in range(n)]


def read_video(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_passage_is_read_at_a_bounded_rate() -> None:
    clip = open_source(FORGED, limits=Limits())
    frames = list(read_passage(clip, begin_s=1.0, end_s=2.0, max_fps=10, limits=Limits()))
    times = [frame.time_s for frame in frames]
    assert 8 <= len(frames) <= 11
    assert times[0] >= 1.0 - 1e-3
    assert times[-1] <= 2.0
    assert np.diff(times).min() >= 0.1 - 1e-3
    assert frames[0].image.shape == (clip.info.height, clip.info.width, 3)
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_heat_swells_and_fades_and_the_loop_closes() -> None:
    frames = draw_pulse(make_moments(), full_scale=1.0)
    assert len(frames) == 22  # forth and back, neither end twice
    away = [float(np.abs(f[30, 30].astype(int) - f[5, 5]).sum()) for f in frames]
    assert away[0] == 0
    assert max(away) > 100
    assert max(np.abs(np.diff([*away, away[0]]))) < 0.6 * max(away)
    assert [int(frame[5, 5, 0]) for frame in frames[:12]] == list(range(100, 112))


def test_a_dim_map_stays_dim() -> None:
    bright, dim = (draw_pulse(make_moments(), full_scale=scale) for scale in (1.0, 50.0))
    reach = [max(np.abs(f[30, 30].astype(int) - f[5, 5]).sum() for f in frames) for frames in (bright, dim)]
    assert reach[1] < 0.1 * reach[0]


def test_heat_fades_out_where_a_member_s_view_ends() -> None:
    picture = Crop(np.zeros((100, 100, 3), np.uint8), np.eye(2, 3, dtype=np.float32))
    crop = Crop(np.zeros((60, 60, 3), np.uint8), np.array([[1, 0, 20], [0, 1, 20]], np.float32))
    window = _fade_out(picture, crop)
    assert window[50, 50] == pytest.approx(1)
    assert window[50, 19] < 0.1
    assert np.abs(np.diff(window[50])).max() < 0.25


def test_files_play(tmp_path: Path) -> None:
    frames = draw_pulse(make_moments(), full_scale=1.0)
    paths = write_animation(frames, tmp_path)
    assert [path.name for path in paths] == ["evidence.webp", "evidence.gif", "evidence.mp4"]
    for path in paths[:2]:
        with Image.open(path) as picture:
            assert len(frames) - 3 <= picture.n_frames <= len(frames)  # frames that look alike are joined
            assert picture.info["loop"] == 0
    shown = read_video(paths[2])
    assert len(shown) == len(frames)
    assert np.abs(shown[5].astype(int) - frames[5]).mean() < 12


def test_boxes_follow_the_face_between_sightings() -> None:
    track = example_report().tracks[0]
    first, second = track.frames[:2]
    boxes = _Boxes(replace(track, frames=(first, second)))
    step = second.time_s - first.time_s
    found = boxes.at((first.time_s + second.time_s) / 2, step)
    assert found is not None
    assert found[0] == pytest.approx((np.array(first.box_xyxy) + np.array(second.box_xyxy)) / 2, rel=1e-4)
    assert found[1] == pytest.approx((first.p_fake + second.p_fake) / 2)
    assert boxes.at(second.time_s + 3 * step, step) is None
    assert boxes.at((first.time_s + second.time_s) / 2, step / 10) is None, "too far apart to tell"


def test_the_video_shows_box_score_and_verdict(tmp_path: Path) -> None:
    clip = open_source(FORGED, limits=Limits())
    report = example_report()
    box = (100.0, 60.0, 200.0, 160.0)
    frames = tuple(replace(f, box_xyxy=box, time_s=i * 0.5) for i, f in enumerate(report.tracks[0].frames))
    tracks = (replace(report.tracks[0], frames=frames),)
    report = replace(report, source=clip.info, tracks=tracks, n_frames=int(clip.info.duration_s / 0.5))
    drawn = list(draw_video(clip, report, Settings(), lang="ru"))
    plain = list(read_passage(clip, begin_s=0, end_s=9e9, max_fps=30, limits=Limits()))
    assert abs(len(drawn) - len(plain)) <= 1
    width = drawn[0].shape[1]
    scale = width / clip.info.width
    height = round(clip.info.height * scale)
    assert drawn[0].shape[0] > height, "the caption hides nothing"
    apart = np.abs(
        drawn[10][:height].astype(int) - np.array(Image.fromarray(plain[10].image).resize((width, height)))
    ).sum(axis=2)
    edge = apart[round(110 * scale), round(98 * scale) : round(103 * scale)]
    assert edge.max() > 60, "no box"
    assert np.median(apart[round(105 * scale) : round(115 * scale), round(130 * scale) : round(170 * scale)]) < 40
    assert drawn[10][height:].max() == 255, "no caption"
    path = write_video(drawn[:20], tmp_path / "annotated.mp4", fps=25)
    assert len(read_video(path)) == 20


def test_one_command_animates_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = load_ensemble(folder=write_ensemble(tmp_path / "ensemble", bias=-2.0))
    monkeypatch.setattr(space.models.weights, "load_ensemble", lambda _members: ensemble)
    result = CliRunner().invoke(
        app, ["animate", str(FORGED), "--out", str(tmp_path / "out"), "--frames", "4", "--no-video"]
    )
    assert result.exit_code == 0, result.output
    assert {"report.json", "evidence.webp", "evidence.gif", "evidence.mp4"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    assert "evidence.webp" in result.output
    frames = read_video(tmp_path / "out" / "evidence.mp4")
    assert len(frames) > 20
    assert frames[0].shape == (360, 360, 3)


def test_a_photo_does_not_move(tmp_path: Path) -> None:
    photo = FORGED.with_suffix(".jpg")
    result = CliRunner().invoke(app, ["animate", str(photo), "--out", str(tmp_path / "out"), "--frames", "4"])
    assert result.exit_code == 2
    assert "only a video" in result.output
