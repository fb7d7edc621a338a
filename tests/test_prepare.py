"""Videos of other data sets: what is read of their folders, and the face crops that are made of them."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner

from space.contract import U8
from space.lab.cli import app
from space.lab.forge.compress import encode_clip
from space.lab.prepare import crops
from space.lab.prepare.crops import CropChoices, prepare_crops
from space.lab.prepare.layouts import GENUINE, Video, balance, list_videos, split_of
from space.lab.training.pairs import TwinData, frame_crops
from space.lab.training.twins import prepare


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def described(videos: list[Video]) -> dict[str, tuple[int, str, str]]:
    return {video.name: (video.label, video.method, video.source) for video in videos}


# --- layouts ----------------------------------------------------------------------------------------


def test_dfdc(tmp_path: Path) -> None:
    touch(tmp_path, "part_0/a.mp4", "part_0/b.mp4", "part_1/c.mp4")
    entries = {"a.mp4": {"label": "REAL"}, "b.mp4": {"label": "FAKE", "original": "a.mp4"}}
    (tmp_path / "part_0" / "metadata.json").write_text(json.dumps(entries))
    gone = {"c.mp4": {"label": "FAKE", "original": "x.mp4"}, "not_there.mp4": {"label": "REAL"}}
    (tmp_path / "part_1" / "metadata.json").write_text(json.dumps(gone))
    assert described(list_videos(tmp_path, "dfdc")) == {
        "a": (0, GENUINE, "a"),
        "b": (1, "DFDC", "a"),
        "c": (1, "DFDC", "x"),
    }


def test_faceforensics(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "original_sequences/youtube/c23/videos/000.mp4",
        "original_sequences/youtube/c40/videos/000.mp4",
        "original_sequences/actors/c23/videos/01__kitchen_pan.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",
        "manipulated_sequences/Face2Face/c23/videos/000_003.mp4",
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__kitchen_pan__AB1C.mp4",
    )
    assert described(list_videos(tmp_path, "faceforensics")) == {
        "000": (0, GENUINE, "000"),
        "01__kitchen_pan": (0, GENUINE, "01__kitchen_pan"),
        "Deepfakes-000_003": (1, "Deepfakes", "000"),
        "Face2Face-000_003": (1, "Face2Face", "000"),
        "DeepFakeDetection-01_02__kitchen_pan__AB1C": (1, "DeepFakeDetection", "01__kitchen_pan"),
    }
    assert [video.name for video in list_videos(tmp_path, "faceforensics", compression="c40")] == ["000"]


def test_celebdf_keeps_the_sources_of_its_list_together(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Celeb-real/id0_0000.mp4",
        "Celeb-real/id1_0000.mp4",
        "YouTube-real/00170.mp4",
        "Celeb-synthesis/id0_id1_0000.mp4",
        "Celeb-synthesis/id0_id2_0000.mp4",
        "Celeb-synthesis/id1_id0_0000.mp4",
    )
    (tmp_path / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
    )
    splits = {video.name: video.split for video in list_videos(tmp_path, "celebdf")}
    assert splits == {
        "Celeb-real-id0_0000": "val",
        "Celeb-synthesis-id0_id1_0000": "val",
        "Celeb-synthesis-id0_id2_0000": "val",  # not listed, but made of the same video
        "YouTube-real-00170": "val",
        "Celeb-real-id1_0000": "train",
        "Celeb-synthesis-id1_id0_0000": "train",
    }


def test_csv(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.mp4", "b.png")
    (tmp_path / "videos.csv").write_text("path,label,source,method,split\nx/a.mp4,0,,,val\nb.png,1,x-a,swap,\n")
    videos = list_videos(tmp_path, "csv")
    assert described(videos) == {"x-a": (0, GENUINE, "x-a"), "b": (1, "swap", "x-a")}
    assert {video.split for video in videos} == {"val"}, "a source is in two splits"
    (tmp_path / "videos.csv").write_text("path,label,source,split\nx/a.mp4,0,s,val\nb.png,1,s,train\n")
    with pytest.raises(ValueError, match="two splits"):
        list_videos(tmp_path, "csv")
    with pytest.raises(ValueError, match="no videos"):
        list_videos(touch(tmp_path / "empty", "x.txt"), "dfdc")


def test_a_tenth_of_the_sources_validates() -> None:
    shares = [split_of(f"source {i}") for i in range(3000)].count("val") / 3000
    assert shares == pytest.approx(0.1, abs=0.02)


def test_balanced_videos_are_even_over_methods_and_have_twins_first() -> None:
    def video(name: str, method: str, source: str) -> Video:
        return Video(Path(name), name, int(method != GENUINE), method, source, "train")

    videos = [video(f"g{i}", GENUINE, f"g{i}") for i in range(6)]
    videos += [video(f"a{i}", "a", f"g{i}" if i < 3 else f"lost{i}") for i in range(20)]
    videos += [video(f"b{i}", "b", f"g{i}") for i in range(4)]
    chosen = balance(videos, seed=1)
    methods = [v.method for v in chosen]
    assert [methods.count(m) for m in (GENUINE, "a", "b")] == [6, 3, 3]
    assert {v.source for v in chosen if v.method == "a"} == {"g0", "g1", "g2"}
    assert chosen == balance(videos, seed=1)


# --- crops ------------------------------------------------------------------------------------------


def draw_frames(n: int, *, forged: bool) -> list[U8]:
    """The astronaut, moving; forged: with another mouth."""
    frames = []
    for i in range(n):
        frame = np.ascontiguousarray(astronaut()[:300, 80 + i : 380 + i])  # type: ignore[no-untyped-call]
        if forged:
            mouth = frame[140:175, 125 - i : 175 - i]
            mouth[:] = cv2.GaussianBlur(255 - mouth, (0, 0), 3)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    for name, forged in (("real", False), ("fake", True)):
        (folder / f"{name}.mp4").write_bytes(encode_clip(draw_frames(6, forged=forged), crf=18, fps=10))
    cv2.imwrite(str(folder / "still.png"), draw_frames(1, forged=False)[0][:, :, ::-1])
    cv2.imwrite(str(folder / "empty.png"), np.full((200, 200, 3), 90, np.uint8))
    (folder / "broken.mp4").write_bytes(b"no video")
    rows = ["path,label,source,method,split", "real.mp4,0,,,train", "fake.mp4,1,real,mouth,train"]
    rows += ["still.png,0,,,val", "empty.png,0,,,train", "broken.mp4,0,,,train"]
    (folder / "videos.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_crops_are_what_the_rest_of_the_lab_reads(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "VIDEOS_PER_SHARD", 3)
    out = tmp_path / "crops"
    words = ["prepare", str(footage), "--out", str(out), "--layout", "csv", "--frames", "4", "--size", "160"]
    result = CliRunner().invoke(app, [*words, "--workers", "1"])
    assert result.exit_code == 0, result.output
    with (out / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["video"] for row in rows] == ["fake"] * 4 + ["real"] * 4 + ["still"]
    assert {(row["video"], row["split"], row["method"]) for row in rows} == {
        ("fake", "train", "mouth"),
        ("real", "train", GENUINE),
        ("still", "val", GENUINE),
    }
    with (out / "errors.csv").open(newline="") as lines:
        assert {row["video"]: row["code"] for row in csv.DictReader(lines)} == {
            "empty": "no_face",
            "broken": "unsupported_type",
        }
    line = json.loads((out / "faces-0000.jsonl").read_text().splitlines()[-1])
    landmarks = np.array(line["landmarks"])
    side = float((landmarks.max(axis=0) - landmarks.min(axis=0)).max())
    assert side * 1.6 == pytest.approx(160, rel=0.03), "the crop has another margin"
    assert 0 < line["quality"]["weight"] <= 1
    assert cv2.imread(str(out / "classes.png")) is not None

    twins = prepare(out, tmp_path / "twins", workers=1)
    data = TwinData(out, twins, split="train")
    assert sorted(data.twins) == [(f"real-{i:03d}", f"fake-{i:03d}") for i in range(4)], "not frame by frame"
    assert any(data.registration(fake) is not None for _, fake in data.twins)
    assert frame_crops(data, data.faces[:2], margin=1.2, input_px=96).shape == (2, 96, 96, 3)


def test_a_run_that_was_cut_off_goes_on(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "VIDEOS_PER_SHARD", 1)
    videos = [video for video in list_videos(footage, "csv") if video.name in ("empty", "still")]
    choices = CropChoices(n_frames=4, size_px=96)
    whole = prepare_crops(videos, tmp_path, choices, workers=1)
    first = whole.read_text()
    kept = (tmp_path / "faces-0001.jsonl").stat().st_mtime_ns
    (tmp_path / "faces-0000.jsonl").unlink()
    whole.unlink()
    done: list[int] = []
    assert prepare_crops(videos, tmp_path, choices, workers=1, advance=done.append).read_text() == first
    assert done == [1, 1]
    assert (tmp_path / "faces-0001.jsonl").stat().st_mtime_ns == kept, "it was made again"
    with zipfile.ZipFile(tmp_path / "faces-0001.zip") as archive:
        assert archive.namelist() == ["still-000.jpg"]
    with pytest.raises(ValueError, match="another folder"):
        prepare_crops(videos, tmp_path, CropChoices(n_frames=4, size_px=112), workers=1)
