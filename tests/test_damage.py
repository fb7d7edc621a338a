"""Clips of which some frames are damaged: the next intact ones stand in for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from space.contract import Clip
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.settings import Limits
from tests import media

LIMITS = Limits()


def sample(path: Path, n_frames: int) -> list[tuple[int, float]]:
    """Numbers and times of the frames."""
    frames = list(sample_frames(open_source(path, limits=LIMITS), n_frames, limits=LIMITS))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return [(media.number_of(frame.image), frame.time_s) for frame in frames]


@pytest.fixture(scope="session")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames that stand each for itself, so that damage to one is damage to no other."""
    path = tmp_path_factory.mktemp("stills") / "a.mkv"
    return media.write_clip(path, n_frames=20, codec="mjpeg", pix_fmt="yuvj420p", options={})


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ([], [2, 7, 12, 17]),
        ([7], [2, 8, 12, 17]),
        ([7, 8, 9], [2, 10, 12, 17]),
        ([6, 8], [2, 7, 12, 17]),
        (range(7, 12), [2, 12, 17]),
        ([17], [2, 7, 12, 18]),
        ([17, 18, 19], [2, 7, 12]),
        ([2, 7, 12, 17], [3, 8, 13, 18]),
    ],
)
def test_the_next_intact_frame_stands_in(
    stills: Path, tmp_path: Path, spoilt: Sequence[int], expected: list[int]
) -> None:
    found = sample(media.spoil_packets(stills, tmp_path / "a.mkv", spoilt), 4)
    assert [number for number, _ in found] == expected
    assert [time_s for _, time_s in found] == pytest.approx([number / 10 for number in expected], abs=0.002)


def test_nothing_intact(stills: Path, tmp_path: Path) -> None:
    info = open_source(stills, limits=LIMITS).info
    path = media.spoil_packets(stills, tmp_path / "a.mkv", range(20))
    with pytest.raises(SourceError, match="unreadable"):
        open_source(path, limits=LIMITS)
    with pytest.raises(SourceError, match="unreadable"):
        list(sample_frames(Clip(info, lambda: path.open("rb")), 4, limits=LIMITS))


def test_damage_within_a_group_leaves_the_others_alone(tmp_path: Path) -> None:
    """Ten groups of twelve frames; the second one's keyframe and all after it in the group are lost."""
    options = {**media.X264, "g": "12"}
    whole = media.write_clip(tmp_path / "whole.mp4", n_frames=120, options=options)
    expected = [number for number, _ in sample(whole, 10)]
    assert expected == list(range(6, 120, 12))
    found = [number for number, _ in sample(media.spoil_packets(whole, tmp_path / "a.mp4", range(12, 24)), 10)]
    assert set(expected) - set(found) == {18}
    assert found == sorted(set(found))


def test_what_leans_on_a_lost_keyframe_is_not_shown(tmp_path: Path) -> None:
    """Each of ten groups begins with a picture of its own; the eleven that follow change it a little."""
    images = [media.draw(100 * (i // 12) + i % 12) for i in range(120)]
    whole = media.write_clip(tmp_path / "whole.mkv", images=images, options={**media.X264, "g": "12", "bf": "0"})
    everything = media.decode_all(whole, lambda frame: frame.to_ndarray(format="rgb24"))
    clip = open_source(media.spoil_packets(whole, tmp_path / "a.mkv", [60]), limits=LIMITS)
    frames = list(sample_frames(clip, 5, limits=LIMITS))
    stamps = sorted(everything)
    for frame in frames:
        number = round(frame.time_s * 10)
        assert not 60 <= number < 72
        assert np.array_equal(frame.image, everything[stamps[number]])


def test_a_recording_that_begins_within_a_group_is_read_from_the_next(tmp_path: Path) -> None:
    options = {**media.X264, "g": "12"}
    path = media.write_clip(tmp_path / "a.ts", n_frames=100, options=options)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 10 // 188 * 188 :])
    numbers, times_s = zip(*sample(path, 128), strict=True)
    assert numbers[0] in {12, 24, 36}
    assert numbers == tuple(range(numbers[0], 100))
    assert times_s == pytest.approx(np.arange(len(numbers)) / 10)
