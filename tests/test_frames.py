"""Sampled frames: which ones, when, bit by bit those that decoding everything gives, and never anything worse."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from space.contract import U8, Clip, Frame
from space.errors import RequestError, SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.intake.stopwatch import Stopwatch
from space.settings import MAX_FRAMES, MIN_FRAMES, Limits
from tests import media

LIMITS = Limits()
FAST_VPX = {"cpu-used": "8", "deadline": "realtime"}
SMALL = (64, 48)


def x264(params: str, **options: str) -> dict[str, Any]:
    return {"options": {"preset": "veryfast", "x264-params": params, **options}}


def x265(params: str) -> dict[str, Any]:
    return {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": f"log-level=none:{params}"}}


def clip_of(path: Path) -> Clip:
    return open_source(path, limits=LIMITS)


def sample(path: Path, n_frames: int) -> list[Frame]:
    return list(sample_frames(clip_of(path), n_frames, limits=LIMITS))


def numbers(frames: list[Frame]) -> list[int]:
    return [media.number_of(frame.image) for frame in frames]


def middles(n_frames: int, n_all: int) -> list[int]:
    """Which of equally long frames are on display at n equidistant moments."""
    return [int(Fraction(2 * i + 1, 2 * n_frames) * n_all) for i in range(n_frames)]


# --- bit by bit -------------------------------------------------------------------------------

# 160 frames each, so that stretches lie apart where keyframes are near one another.
CODED: dict[str, tuple[str, dict[str, Any]]] = {
    "every frame a keyframe": ("a.mp4", x264("keyint=1")),
    "short groups": ("a.mp4", x264("keyint=8:bframes=3:b-adapt=0")),
    "groups with a pyramid of B-frames": ("a.mkv", x264("keyint=24:bframes=7:b-adapt=0:b-pyramid=normal:ref=4")),
    "one keyframe": ("a.mp4", x264("keyint=infinite:scenecut=0:bframes=3:b-adapt=0")),
    "no B-frames": ("a.mov", x264("keyint=20:bframes=0")),
    "open groups": ("a.mp4", x264("open-gop=1:keyint=12:bframes=3:b-adapt=0")),
    "open groups in a transport stream": ("a.ts", x264("open-gop=1:keyint=12:bframes=3:b-adapt=0")),
    "refreshed bit by bit": ("a.mp4", x264("intra-refresh=1:keyint=20:bframes=0")),
    "refreshed bit by bit, many references": ("a.mp4", x264("intra-refresh=1:keyint=16:bframes=0:ref=6")),
    "refreshed bit by bit, quickly": ("a.ts", x264("intra-refresh=1:keyint=5:bframes=3:ref=6")),
    "slices": ("a.mp4", x264("slices=4:keyint=16")),
    "h264 in avi": ("a.avi", x264("keyint=16:bframes=3:b-adapt=0")),
    "hevc": ("a.mp4", x265("keyint=20:bframes=4:b-adapt=0")),
    "hevc, open groups": ("a.mkv", x265("keyint=12:open-gop=1:bframes=4:b-adapt=0")),
    "hevc, temporal layers": ("a.mp4", x265("keyint=30:temporal-layers=3:bframes=4:b-adapt=0")),
    "vp8": ("a.webm", {"codec": "libvpx", "options": {**FAST_VPX, "g": "20"}}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9", "options": {**FAST_VPX, "g": "12"}}),
    "vp9, one keyframe": ("a.mkv", {"codec": "libvpx-vp9", "options": {**FAST_VPX, "g": "999"}}),
    "mpeg4": ("a.mp4", {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}),
    "mpeg4 in avi": ("a.avi", {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}}),
    "mpeg2": ("a.ts", {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}, "fps": 25}),
    "10 bits": ("a.mp4", {"pix_fmt": "yuv420p10le", **x264("keyint=12:bframes=3")}),
    "odd size": ("a.mkv", {"size_wh": (107, 61), "pix_fmt": "yuv444p", **x264("keyint=12")}),
    "fragments": ("a.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}, **x264("keyint=12")}),
    "av1": ("a.mp4", {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=10"}}),
    "motion jpeg": ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "options": {}}),
    "lossless": ("a.mkv", {"codec": "ffv1", "options": {}}),
}


def write_coded(folder: Path, name: str, n_frames: int = 160) -> Path:
    file, choices = CODED[name]
    codec = choices.get("codec", "libx264")
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV was built without {codec}")
    formats = {"container_format": "mpegts"} if file.endswith(".ts") else {}
    return media.write_clip(folder / file, n_frames=n_frames, **{"size_wh": SMALL, **formats, **choices})


def decode_everything(path: Path) -> list[U8]:
    """All frames in order of time: one thread, nothing skipped."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


@pytest.mark.parametrize("name", CODED)
def test_frames_are_those_of_a_full_decode(tmp_path: Path, name: str) -> None:
    path = write_coded(tmp_path, name)
    everything = decode_everything(path)
    assert len(everything) == 160
    for n_frames in (4, 13, 128):
        frames = sample(path, n_frames)
        expected = middles(n_frames, 160)
        assert [frame.index for frame in frames] == list(range(n_frames))
        rate = 25 if name == "mpeg2" else 10
        assert [frame.time_s for frame in frames] == pytest.approx([i / rate for i in expected], abs=2e-3)
        same = [np.array_equal(frame.image, everything[i]) for i, frame in zip(expected, frames, strict=True)]
        assert same == [True] * n_frames


def test_what_lies_between_is_not_decoded(tmp_path: Path) -> None:
    """Spoil everything but the groups that hold the wanted frames: nobody may notice."""
    path = write_coded(tmp_path, "short groups")
    everything = decode_everything(path)
    wanted = middles(4, 160)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for i, (position, size) in enumerate(packets):
        if i // 8 not in {number // 8 for number in wanted} | {0}:
            data[position : position + size] = bytes(size)
    path.write_bytes(data)
    frames = sample(path, 4)
    assert [np.array_equal(f.image, everything[i]) for i, f in zip(wanted, frames, strict=True)] == [True] * 4


# --- which and when ---------------------------------------------------------------------------


@pytest.mark.parametrize(("n_all", "n_frames"), [(1, 16), (3, 4), (5, 16), (16, 16), (17, 16)])
def test_short_clips_give_each_frame_once(tmp_path: Path, n_all: int, n_frames: int) -> None:
    frames = sample(media.write_clip(tmp_path / "a.mp4", n_frames=n_all, fps=10), n_frames)
    if n_all <= n_frames:
        assert numbers(frames) == list(range(n_all))
    assert len(set(numbers(frames))) == min(n_all, n_frames)
    assert [frame.time_s for frame in frames] == pytest.approx([number / 10 for number in numbers(frames)])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_variable_frame_rate_goes_by_time(tmp_path: Path, suffix: str) -> None:
    """Fifty frames in the first second, one a second afterwards."""
    times_ms = [*range(0, 1000, 20), *range(1000, 9000, 1000)]
    formats = {"container_format": "mpegts"} if suffix == "ts" else {}
    path = media.write_clip(tmp_path / f"a.{suffix}", times_ms=times_ms, size_wh=SMALL, **formats)
    frames = sample(path, 8)
    seconds = [times_ms[number] / 1000 for number in numbers(frames)]
    assert [frame.time_s for frame in frames] == pytest.approx(seconds, abs=2e-3)
    assert seconds[0] == pytest.approx(0.5, abs=0.1)
    assert seconds[1:] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("start_ms", [-400, 0, 5000])
def test_time_counts_from_the_first_frame_shown(tmp_path: Path, suffix: str, start_ms: int) -> None:
    times_ms = [start_ms + 100 * i for i in range(20)]
    options = {"avoid_negative_ts": "disabled"}
    path = media.write_clip(tmp_path / f"a.{suffix}", times_ms=times_ms, size_wh=SMALL, container_options=options)
    frames = sample(path, 128)
    shown = numbers(frames)
    assert shown == list(range(shown[0], 20))
    assert shown[0] in {0, 4}  # an MP4's edit list may cut off what comes before zero
    assert [frame.time_s for frame in frames] == pytest.approx([(number - shown[0]) / 10 for number in shown], abs=1e-3)


def test_what_an_edit_list_cuts_off_is_not_shown(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "whole.mp4", n_frames=40, **x264("keyint=40:bframes=3"))
    cut = remux(path, tmp_path / "cut.mp4", shift_s=Fraction(-12, 10))
    frames = sample(cut, 128)
    assert numbers(frames) == list(range(12, 40))
    assert frames[0].time_s == 0
    assert numbers(sample(cut, 4)) == [12 + i for i in middles(4, 28)]


def remux(path: Path, copy: Path, shift_s: Fraction) -> Path:
    """Copy packets with their times shifted; MP4 hides what falls below zero with an edit list."""
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(path)) as source, av.open(str(copy), "w", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None and packet.time_base is not None:
                shift = int(shift_s / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                target.mux(packet)
    return copy


def test_no_duration_at_all(tmp_path: Path) -> None:
    frames = sample(media.write_clip(tmp_path / "a.mp4", times_ms=[0, 1, 2, 3, 4]), 16)
    assert numbers(frames) == [0, 1, 2, 3, 4]
    still = clip_of(media.write_clip(tmp_path / "b.webm", n_frames=1, codec="libvpx-vp9", options=FAST_VPX))
    assert [f.time_s for f in sample_frames(still, 16, limits=LIMITS)] == [0.0]


def test_gif_frames_build_upon_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(media.encode_animation("GIF", n_frames=30))
    assert numbers(sample(path, 10)) == middles(10, 30)


def test_of_two_video_streams_the_larger_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10, options=media.X264) for _ in range(2)]
        for stream, (width, height) in zip(streams, [SMALL, (media.WIDTH, media.HEIGHT)], strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(10):
            for k, stream in enumerate(streams):
                picture = media.draw(i + 20 * k, stream.width, stream.height)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        for stream in streams:
            container.mux(stream.encode(None))
    assert (clip_of(path).info.width, numbers(sample(path, 16))) == (media.WIDTH, list(range(20, 30)))


def test_interlaced_pictures_keep_their_place(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.mp4", interlaced=True, **x264("tff=1:keyint=10"))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    frames = sample(path, 8)
    assert numbers(frames) == middles(8, 30)
    assert {frame.image.shape for frame in frames} == {(media.HEIGHT, media.WIDTH, 3)}


def test_a_stream_that_begins_in_the_middle(tmp_path: Path) -> None:
    path = write_coded(tmp_path, "open groups in a transport stream")
    data = path.read_bytes()
    path.write_bytes(data[188 * (len(data) // 188 // 3) :])
    frames = sample(path, 16)
    assert len(frames) == 16
    found = numbers(frames)
    assert found == sorted(set(found))
    assert np.ptp(np.diff(found)) <= 1


# --- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_frames", [MIN_FRAMES - 1, MAX_FRAMES + 1, 0, -1])
def test_too_few_or_too_many_frames_are_refused(tmp_path: Path, n_frames: int) -> None:
    clip = clip_of(media.write_clip(tmp_path / "a.mp4", n_frames=3))
    with pytest.raises(RequestError) as refusal:
        list(sample_frames(clip, n_frames, limits=LIMITS))
    assert refusal.value.code == "bad_frames"
    assert refusal.value.params == {"n_frames": n_frames, "minimum": MIN_FRAMES, "maximum": MAX_FRAMES}


def test_decoding_has_a_time_limit(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.mp4", n_frames=12)
    clip = clip_of(path)
    hasty = Limits(max_decode_s=0)
    for refuse in (lambda: open_source(path, limits=hasty), lambda: list(sample_frames(clip, 4, limits=hasty))):
        with pytest.raises(SourceError) as refusal:
            refuse()
        assert refusal.value.code == "decode_timeout"
        assert refusal.value.params == {"limit_s": 0}


def test_the_callers_time_does_not_count(tmp_path: Path) -> None:
    now = [0.0]
    watch = Stopwatch(1.0, clock=lambda: now[0])
    with watch.paused():
        now[0] += 100
    watch.check()
    now[0] += 1.5
    with pytest.raises(SourceError, match="decode_timeout"):
        watch.check()


# --- damage -----------------------------------------------------------------------------------

FLIPPED: dict[str, dict[str, Any]] = {
    "a.mp4": {**x264("keyint=5:bframes=2"), "with_sound": True},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, **x264("keyint=5")},
    "a.webm": {"codec": "libvpx-vp9", "options": FAST_VPX},
    "a.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "5"}},
    "a.ts": {"container_format": "mpegts", **x264("keyint=5")},
    "a.gif": {},
    "still.gif": {},
    "a.png": {},
    "a.jpeg": {},
    "a.webp": {},
    "a.bmp": {},
}
N_FLIPS = 40


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    files = {"a.gif": media.encode_animation("GIF")}
    for name, choices in FLIPPED.items():
        if choices:
            files[name] = media.write_clip(folder / name, n_frames=12, size_wh=SMALL, **choices).read_bytes()
        elif name not in files:
            files[name] = media.encode_image(media.draw(5, *SMALL), name.split(".")[1])
    return files


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FLIPPED)
def test_a_damaged_file_gives_frames_or_a_source_error(whole: dict[str, bytes], tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    path = tmp_path / "a.mp4"
    refused = 0
    for _ in range(N_FLIPS):
        path.write_bytes(damage(whole[name], rng))
        try:
            clip = clip_of(path)
            frames = list(sample_frames(clip, MIN_FRAMES, limits=LIMITS))
        except SourceError:
            refused += 1
            continue
        assert 1 <= len(frames) <= MIN_FRAMES
        assert {frame.image.shape for frame in frames} == {(clip.info.height, clip.info.width, 3)}
        times = [frame.time_s for frame in frames]
        assert times == sorted(set(times))
        assert times[0] >= 0
        assert times[-1] <= LIMITS.max_duration_s
    assert 0 < refused < N_FLIPS


def damage(data: bytes, rng: random.Random) -> bytes:
    """Change some bytes, half of the time in the headers only; now and then cut the file off."""
    damaged = bytearray(data)
    reach = len(damaged) if rng.random() < 0.5 else min(len(damaged), 700)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        damaged[rng.randrange(reach)] = rng.randrange(256)
    return bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.1 else damaged)
