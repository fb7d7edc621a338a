"""Which frames are taken, that they are those of a full decode bit by bit, and what damage and limits do to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import U8, Clip
from space.errors import RequestError, SourceError
from space.intake.containers import CONTAINERS
from space.intake.frames import sample_frames
from space.intake.pixels import PixelConverter
from space.intake.source import open_source
from space.intake.stopwatch import Stopwatch
from space.intake.timeline import Stretch, Timeline, pick_moments, plan_stretches, read_timeline
from space.settings import Limits
from tests import media

LIMITS = Limits()
X265 = {"preset": "ultrafast"}
VPX = {"deadline": "realtime", "cpu-used": "8"}
PQ = {"color_primaries": 9, "color_trc": 16, "colorspace": 9}


def x264(params: str, **options: str) -> dict[str, str]:
    return {**media.X264, **options, "x264-params": params}


def x265(params: str) -> dict[str, str]:
    return {**X265, "x265-params": f"log-level=none:{params}"}


# Clips of numbered frames in the ways that decide what may be skipped and where decoding may begin.
CLIPS: dict[str, dict[str, Any]] = {
    "one group.mp4": {"n_frames": 90},
    "short groups.mp4": {"n_frames": 200, "options": {**media.X264, "g": "12"}},
    "short groups.ts": {"n_frames": 200, "options": {**media.X264, "g": "12"}},
    "short groups.mkv": {"n_frames": 200, "options": {**media.X264, "g": "12"}},
    "open groups.mp4": {"n_frames": 100, "options": x264("open-gop=1:keyint=25:bframes=3")},
    "gradual refresh.mp4": {"n_frames": 100, "options": x264("intra-refresh=1:keyint=30")},
    "two fields.ts": {"n_frames": 60, "interlaced": True, "options": x264("tff=1")},
    "hevc.mp4": {"n_frames": 60, "codec": "libx265", "options": x265("keyint=25:bframes=4:b-adapt=0")},
    "hevc layers.mp4": {"n_frames": 60, "codec": "libx265", "options": x265("keyint=25:bframes=4:temporal-layers=2")},
    "hevc.ts": {"n_frames": 60, "codec": "libx265", "options": x265("keyint=25:bframes=4:b-adapt=0")},
    "vp8.webm": {"n_frames": 60, "codec": "libvpx", "options": {**VPX, "g": "15"}},
    "vp9.webm": {"n_frames": 60, "codec": "libvpx-vp9", "options": {**VPX, "g": "15"}},
    "av1.mp4": {"n_frames": 30, "codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=10"}},
    "mpeg2.ts": {"n_frames": 60, "codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "mpeg4.avi": {"n_frames": 60, "codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "h264.avi": {"n_frames": 60, "options": {**media.X264, "g": "12"}},
    "lossless, transparent.mkv": {"n_frames": 12, "codec": "ffv1", "pix_fmt": "bgra", "options": {}},
    "motion jpeg.avi": {"n_frames": 30, "codec": "mjpeg", "pix_fmt": "yuvj420p", "options": {}},
    "gif.gif": {"n_frames": 30, "codec": "gif", "pix_fmt": "rgb8", "options": {}},
    "high dynamic range.mp4": {"n_frames": 12, "codec": "libx265", "pix_fmt": "yuv420p10le", "colours": PQ,
                               "options": x265("keyint=25")},
    "odd size.mkv": {"n_frames": 30, "size_wh": (161, 97), "pix_fmt": "yuv444p"},
    "pixels not square.mp4": {"n_frames": 30, "pixel_aspect": Fraction(4, 3)},
    "variable rate.mp4": {"times_ms": [0, 40, 80, 1000, 1033, 1066, 5000, 5100, 9000]},
    "variable rate.mkv": {"times_ms": [0, 40, 80, 1000, 1033, 1066, 5000, 5100, 9000]},
}  # fmt: skip


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each clip is made when it is first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        path = folder / name
        return path if path.exists() else media.write_clip(path, **CLIPS[name])

    return make


def open_clip(path: Path, limits: Limits = LIMITS) -> Clip:
    return open_source(path, limits=limits)


def sample(path: Path, n_frames: int) -> list[tuple[float, int]]:
    """Times and numbers of the sampled frames."""
    frames = list(sample_frames(open_clip(path), n_frames, limits=LIMITS))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return [(frame.time_s, media.number_of(frame.image)) for frame in frames]


def timeline_of(clip: Clip) -> Timeline:
    container = CONTAINERS[clip.info.container]
    return read_timeline(clip.open, container, limits=LIMITS, watch=Stopwatch(60))
