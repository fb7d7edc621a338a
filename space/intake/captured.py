"""Frames that an extension took from a page's video: packed into one file, which is held and hashed like a video.

The file is a ZIP of the pictures as they came, not compressed again, and a manifest of their times. It is only ever
read where the caller says that it holds captured frames; a ZIP that somebody uploads is refused like any other
unknown file.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from space.contract import U8, Clip, Frame
from space.errors import RequestError, ServiceError, SourceError
from space.intake.containers import HEADER_BYTES, JPEG, PNG, WEBP, Container, recognise
from space.intake.pictures import measure_picture, read_picture
from space.intake.stopwatch import Stopwatch
from space.intake.timeline import pick_moments
from space.settings import MAX_FRAMES, Limits

CONTAINER = "frames"  # its name in the report
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 1024
MAX_TIME_S = 1e10  # beyond the clocks of live streams, which may count from 1970
PICTURES = frozenset({JPEG, PNG, WEBP})  # what a canvas can be saved as
PER_S = 1_000_000  # times are told apart to the microsecond
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP knows: the same frames make the same file
# What Python's reader raises on a file that is no such ZIP.
DAMAGED = (zipfile.BadZipFile, KeyError, ValueError, TypeError, NotImplementedError, RuntimeError, OSError, EOFError)


@dataclass(frozen=True)
class CapturedFrame:
    """A picture of a video in a page."""

    time_s: float  # of the page's video, >= 0
    jpeg: bytes  # the picture's file: JPEG, WebP or PNG


@dataclass(frozen=True)
class CapturedShape:
    """What is found out about captured frames before they are decoded."""

    width: int  # most pictures' size, the larger one of a tie
    height: int
    duration_s: float  # the last frame's time: the video lasts at least as long


def pack_frames(frames: Sequence[CapturedFrame]) -> bytes:
    """One file of all frames, in order of time; of several with the same time the first is kept.

    Args:
        frames: 1 to ``MAX_FRAMES``. A video that stalls or is paused gives the same time again.

    Raises:
        RequestError: ``bad_frames``: none, or too many.
        ServiceError: ``bad_capture``: a time that is none.
    """
    _check_count(len(frames))
    by_time: dict[int, bytes] = {}
    for frame in frames:
        if not (math.isfinite(frame.time_s) and 0 <= frame.time_s <= MAX_TIME_S):
            raise ServiceError("bad_capture")
        by_time.setdefault(round(frame.time_s * PER_S), frame.jpeg)
    stamps = sorted(by_time)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, EPOCH), json.dumps({"times_us": stamps}))
        for i, stamp in enumerate(stamps):
            archive.writestr(zipfile.ZipInfo(_name(i), EPOCH), by_time[stamp])
    return file.getvalue()


def measure_captured(open_stream: Callable[[], BinaryIO], *, limits: Limits) -> CapturedShape:
    """Look at every picture's header.

    Raises:
        RequestError: ``bad_frames``.
        ServiceError: ``bad_capture``: not packed so, or one of the pictures is damaged, animated or of another kind.
        SourceError: ``too_many_pixels``.
    """
    with _open_captured(open_stream) as captured:
        sizes = [captured.measure(position, limits) for position in range(len(captured.stamps))]
        counts = Counter(sizes)
        width, height = max(counts, key=lambda size: (counts[size], size[0] * size[1]))
        return CapturedShape(width, height, captured.stamps[-1] / PER_S)


def sample_captured(clip: Clip, n_frames: int, *, limits: Limits) -> Iterator[Frame]:
    """Captured frames, equidistant where there are more than asked for; at the times that the page's video showed.

    A page may change a video's size on the way: pictures of another size are brought to the clip's, on black where
    their shape is another as well. A damaged one is left out.

    Raises:
        ServiceError: while iterating: ``bad_capture``: all of them are damaged.
        SourceError: while iterating: ``decode_timeout``.
    """
    watch = Stopwatch(limits.max_decode_s)
    index = 0
    with _open_captured(clip.open) as captured:
        stamps = captured.stamps
        wanted = pick_moments(stamps, stamps[-1] + 1, n_frames)
        for stamp in wanted:
            watch.check()
            try:
                image = captured.read(stamps.index(stamp))
            except SourceError:  # damaged; the others may be intact
                continue
            frame = Frame(index, stamp / PER_S, fit_picture(image, (clip.info.width, clip.info.height)))
            index += 1
            with watch.paused():
                yield frame
    if not index:
        raise ServiceError("bad_capture")


def fit_picture(image: U8, size_wh: tuple[int, int]) -> U8:
    """A picture as large as fits into a size, in the middle of black where its shape is another."""
    height, width = image.shape[:2]
    if (width, height) == size_wh:
        return image
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner_w, inner_h = min(max(1, round(width * scale)), size_wh[0]), min(max(1, round(height * scale)), size_wh[1])
    left, top = (size_wh[0] - inner_w) // 2, (size_wh[1] - inner_h) // 2
    fitted = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    resized = Image.fromarray(image).resize((inner_w, inner_h), Image.Resampling.BICUBIC)
    fitted[top : top + inner_h, left : left + inner_w] = np.asarray(resized)
    return fitted


# --- the file ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Captured:
    """An open file of captured frames."""

    archive: zipfile.ZipFile
    stamps: tuple[int, ...]  # microseconds, strictly rising

    def measure(self, position: int, limits: Limits) -> tuple[int, int]:
        """Width and height as shown."""
        stream, container = self._open(position)
        try:
            return measure_picture(stream, container, limits=limits)
        except SourceError as error:
            if error.code == "too_many_pixels":
                raise
            raise ServiceError("bad_capture") from error

    def read(self, position: int) -> U8:
        """(H, W, 3) RGB uint8."""
        return read_picture(*self._open(position))

    def _open(self, position: int) -> tuple[BinaryIO, Container]:
        data = _read_entry(self.archive, _name(position))
        container = recognise(data[:HEADER_BYTES])
        if container not in PICTURES or container is None:
            raise ServiceError("bad_capture")
        return io.BytesIO(data), container


@contextmanager
def _open_captured(open_stream: Callable[[], BinaryIO]) -> Iterator[_Captured]:
    with open_stream() as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except DAMAGED as error:
            raise ServiceError("bad_capture") from error
        with archive:
            stamps = _read_stamps(archive)
            _check_count(len(stamps))
            yield _Captured(archive, stamps)


def _read_stamps(archive: zipfile.ZipFile) -> tuple[int, ...]:
    try:
        if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
            raise ServiceError("bad_capture")
        stamps = tuple(json.loads(_read_entry(archive, MANIFEST))["times_us"])
    except DAMAGED as error:
        raise ServiceError("bad_capture") from error
    are_whole = all(type(stamp) is int for stamp in stamps)
    if not are_whole or any(a >= b for a, b in zip((-1, *stamps), stamps, strict=False)):
        raise ServiceError("bad_capture")
    return stamps


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        entry = archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED:  # nothing here grows when it is read
            raise ServiceError("bad_capture")
        return archive.read(entry)
    except DAMAGED as error:
        raise ServiceError("bad_capture") from error


def _check_count(n_frames: int) -> None:
    if not 1 <= n_frames <= MAX_FRAMES:
        raise RequestError("bad_frames", n_frames=n_frames, minimum=1, maximum=MAX_FRAMES)


def _name(position: int) -> str:
    return f"{position:03}"
