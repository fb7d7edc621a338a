"""What bench measures, on a small clip with small untrained members."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from space import bench
from space.cli import app
from space.models.weights import load_ensemble
from space.settings import Settings
from tests.members import write_ensemble

N_FRAMES = 12
SETTINGS = Settings(n_frames=4)


def write_clip(path: Path, picture: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(12))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        for shift in range(N_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(picture, shift, axis=1)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(autouse=True)
def _small_ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ensemble(tmp_path)
    monkeypatch.setattr(bench, "load_ensemble", partial(load_ensemble, folder=tmp_path))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", data.astronaut())


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process would load the shipped members."""
    monkeypatch.setattr(bench, "_peak_rss_mib", lambda source, settings: 512.0)


@pytest.mark.usefixtures("no_child")
def test_every_part_is_timed_in_every_round_and_ratios_are_of_the_seconds_told(clip: Path) -> None:
    told = []
    result = bench.measure(str(clip), SETTINGS, n_rounds=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert set(result["seconds"]) == {"bare_pass", "sampling", "forward", "forward_with_maps", "check"}
    assert all(value > 0 for value in result["seconds"].values())
    assert result["seconds"]["check"] >= max(result["stages_s"].values())
    assert result["n_faces"] == SETTINGS.n_frames
    assert set(result["members"]) == {"small", "other"}
    assert result["clip"]["width"] == 512
    seconds = result["seconds"]
    for name, ratio in result["ratios"].items():
        part, base = name.split(" / ")
        assert ratio == pytest.approx(seconds[part] / seconds[base], abs=5e-4)
    assert len(result["ratios"]) == 3


@pytest.mark.usefixtures("no_child")
def test_the_command_prints_one_json_line(clip: Path) -> None:
    result = CliRunner().invoke(app, ["bench", str(clip), "--rounds", "1", "--frames", "4"])
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout)["peak_rss_mib"] == {"check": 512.0}


def photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    Image.fromarray(data.astronaut()).save(path)
    return path


def faceless(folder: Path) -> Path:
    return write_clip(folder / "faceless.mp4", np.full((128, 128, 3), 90, np.uint8))


@pytest.mark.parametrize(("make", "complaint"), [(photo, "is a photo"), (faceless, "no face")])
def test_what_cannot_be_measured_is_refused(make: Callable[[Path], Path], complaint: str, tmp_path: Path) -> None:
    source = str(make(tmp_path))
    with pytest.raises(bench.BenchError, match=complaint):
        bench.measure(source, SETTINGS, n_rounds=1)
    assert CliRunner().invoke(app, ["bench", source]).exit_code == 2


def test_peak_memory_is_that_of_the_whole_process(clip: Path) -> None:
    before = bench.check_alone(str(clip), 4, True, None)
    block = np.ones(200 * 1024 * 1024, np.uint8)
    after = bench.check_alone(str(clip), 4, True, None)
    assert block[0] == 1
    assert after >= before + 150
