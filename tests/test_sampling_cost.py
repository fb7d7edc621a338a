"""How much of a clip is decoded, converted and held to sample it, and how long that may take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import space.intake.frames as sampling
from space.contract import Clip
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.pixels import PixelConverter
from space.intake.source import open_source
from space.intake.stopwatch import Stopwatch
from space.intake.timeline import Stretch, Timeline, plan_stretches
from space.settings import Limits
from tests import media

LIMITS = Limits()
N_FRAMES, GROUP = 200, 12


@pytest.fixture(scope="session")
def one_group(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = media.write_clip(tmp_path_factory.mktemp("cost") / "a.mp4", n_frames=90)
    return open_source(path, limits=LIMITS)


@pytest.fixture(scope="session")
def short_groups(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    options = {**media.X264, "g": str(GROUP)}
    path = media.write_clip(tmp_path_factory.mktemp("cost") / "b.mp4", n_frames=N_FRAMES, options=options)
    return open_source(path, limits=LIMITS)


class Counter:
    """Stands for a function and counts its calls and what they return."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.n_calls = 0
        self.n_results = 0

    def __call__(self, *args: Any, **options: Any) -> Any:
        result = self._function(*args, **options)
        self.n_calls += 1
        self.n_results += len(result)
        return result


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Of packets handed to the decoder, and of frames that come out of it."""
    counter = Counter(sampling.decode_packet)
    monkeypatch.setattr(sampling, "decode_packet", counter)
    return counter


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Of frames converted to RGB."""
    counter = Counter(PixelConverter.to_rgb)
    monkeypatch.setattr(PixelConverter, "to_rgb", lambda converter, frame: counter(converter, frame))  # noqa: PLW0108
    return counter


def test_only_the_groups_with_wanted_frames_are_decoded(
    short_groups: Clip, packets: Counter, pictures: Counter
) -> None:
    assert len(list(sample_frames(short_groups, 4, limits=LIMITS))) == 4
    assert pictures.n_calls == 4
    assert packets.n_calls <= 4 * (GROUP + 1)  # a call more drains the decoder


def test_frames_that_no_other_refers_to_are_left_out(one_group: Clip, packets: Counter, pictures: Counter) -> None:
    assert len(list(sample_frames(one_group, 4, limits=LIMITS))) == 4
    assert pictures.n_calls == 4
    assert packets.n_results < 0.8 * packets.n_calls


def test_decoding_ends_with_the_last_wanted_frame(one_group: Clip, packets: Counter) -> None:
    list(sample_frames(one_group, 4, limits=LIMITS))
    last = 7 * 90 // 8
    assert packets.n_calls <= last + 8  # it may come some packets later in the file than it is shown


def test_a_lost_keyframe_costs_its_own_stretch_only(short_groups: Clip, packets: Counter, tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "whole.mp4", n_frames=N_FRAMES, options={**media.X264, "g": str(GROUP)})
    spoilt = media.spoil_packets(path, tmp_path / "a.mp4", [GROUP * 10])  # frame 125 is wanted
    frames = list(sample_frames(open_source(spoilt, limits=LIMITS), 4, limits=LIMITS))
    assert [round(frame.time_s * 10) for frame in frames][:2] == [25, 75]
    assert len(frames) >= 3
    assert packets.n_calls < N_FRAMES * 3 // 4


def test_frames_are_decoded_as_they_are_asked_for(short_groups: Clip, packets: Counter, pictures: Counter) -> None:
    streams = []

    def open_stream() -> Any:
        streams.append(short_groups.open())
        return streams[-1]

    frames = sample_frames(Clip(short_groups.info, open_stream), 4, limits=LIMITS)
    assert isinstance(frames, Iterator)
    assert not streams
    next(frames)
    assert pictures.n_calls == 1
    assert packets.n_calls <= 2 * (GROUP + 1)
    assert not streams[-1].closed
    frames.close()  # type: ignore[attr-defined]
    assert all(stream.closed for stream in streams)


@pytest.mark.parametrize(
    ("wanted", "stretches"),
    [
        ((5, 45), [(0, 5), (40, 45)]),
        ((5, 6, 19), [(0, 19)]),  # one group
        ((19, 25), [(0, 25)]),  # groups that touch
        ((11, 25), [(0, 25)]),  # eight packets could be saved, which starting anew is not worth
        ((10, 25), [(0, 10), (20, 25)]),
        ((0, 99), [(0, 0), (80, 99)]),
    ],
)
def test_stretches_are_joined_where_little_lies_between(
    wanted: tuple[int, ...], stretches: list[tuple[int, int]]
) -> None:
    timeline = Timeline(tuple(range(100)), tuple(i % 20 == 0 for i in range(100)), Fraction(1, 10), 1, is_timed=True)
    planned = plan_stretches(timeline, wanted)
    assert [(stretch.first, stretch.last) for stretch in planned] == stretches
    assert tuple(stamp for stretch in planned for stamp in stretch.wanted) == wanted
    assert all(isinstance(stretch, Stretch) for stretch in planned)


# --- time -------------------------------------------------------------------------------------


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sampling, "Stopwatch", lambda limit_s: Stopwatch(limit_s, clock=clock))
    return clock


def test_what_the_caller_does_between_two_frames_takes_no_time(short_groups: Clip, clock: Clock) -> None:
    n_frames = 0
    for _ in sample_frames(short_groups, 8, limits=Limits(max_decode_s=1)):
        clock.now_s += 1000
        n_frames += 1
    assert n_frames == 8


def test_slow_decoding_is_stopped(one_group: Clip, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = sampling.decode_packet

    def decode_slowly(*args: Any) -> list[av.VideoFrame]:
        clock.now_s += 0.1
        return decode(*args)

    monkeypatch.setattr(sampling, "decode_packet", decode_slowly)
    found = []
    with pytest.raises(SourceError) as refusal:
        found.extend(sample_frames(one_group, 16, limits=Limits(max_decode_s=4.5)))
    assert (refusal.value.code, refusal.value.params) == ("decode_timeout", {"limit_s": 4.5})
    assert 0 < len(found) < 16  # what was ready in time was handed out


# --- real clips -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["live_tim_chrys_0_fake.mp4", *(pytest.param(f, marks=pytest.mark.slow) for f in ("519.mp4", "lynaeydofd.mp4"))],
)
def test_frames_of_real_clips_are_those_of_a_full_decode(shared_data: Path, name: str) -> None:
    path = shared_data / "clips" / name
    clip = open_source(path, limits=LIMITS)
    wanted = {frame.time_s: frame.image for frame in sample_frames(clip, 16, limits=LIMITS)}
    assert len(wanted) == 16
    convert = PixelConverter((clip.info.width, clip.info.height)).to_rgb
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            image = wanted.pop(float((frame.pts - stream.start_time) * stream.time_base), None)
            assert image is None or np.array_equal(image, convert(frame))
    assert not wanted


def test_an_old_encoders_faults_are_known_in_every_stretch(shared_data: Path, packets: Counter) -> None:
    """Only the clip's first packet says that it was made by an x264 whose 4:4:4 needs care."""
    clip = open_source(shared_data / "clips" / "519.mp4", limits=LIMITS)
    assert len(list(sample_frames(clip, 4, limits=LIMITS))) == 4
    assert packets.n_calls < 600  # of 751; once more from the start would be twice as many


@pytest.mark.timed
def test_sampling_takes_hardly_longer_than_decoding(shared_data: Path) -> None:
    path = shared_data / "clips" / "lynaeydofd.mp4"
    clip = open_source(path, limits=LIMITS)

    def decode_bare() -> None:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for _ in container.decode(video=0):
                pass

    def seconds(function: Callable[[], object]) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    ratios = [seconds(lambda: list(sample_frames(clip, 16, limits=LIMITS))) / seconds(decode_bare) for _ in range(5)]
    assert statistics.median(ratios) <= 1.2
