"""The door for files, sealed or not: recognised by content, measured, refused with a code where they pass a limit."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

import av

from space.contract import Clip, Credentials, SourceInfo, SourceKind
from space.errors import SourceError
from space.intake.captured import CONTAINER as CAPTURED
from space.intake.captured import measure_captured
from space.intake.containers import GIF, HEADER_BYTES, Container, recognise
from space.intake.credentials import find_credentials
from space.intake.pictures import check_pixels, measure_picture
from space.intake.pixels import displayed_wh
from space.intake.stopwatch import Stopwatch
from space.intake.timeline import Timeline, read_timeline
from space.intake.video import DamagedPacketError, Video, decode_packet, demux_packets, open_video
from space.settings import MIB, Limits

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

OpenStream = Callable[[], BinaryIO]


def open_source(path: str | Path, *, limits: Limits, kind: SourceKind | None = None) -> Clip:
    """Open a local file as a clip.

    Limits are held against what the packets say, not the headers alone, before any frame is decoded. Then
    one frame is, to see that it can be and how it is shown.

    Args:
        path: of a video or a photo. An animated GIF is a video, a still one a photo.
        limits: what is taken in.
        kind: how the source came in; None: "upload". A photo is always an "image".

    Raises:
        SourceError: ``url_unsupported``, ``not_found``, ``empty``, ``too_large``, ``unsupported_type``,
            ``no_video``, ``unreadable``, ``too_long``, ``too_many_pixels``, ``too_many_fps``, ``decode_timeout``.
    """
    if URL.match(str(path)):
        raise SourceError("url_unsupported")
    file = Path(path)
    try:
        is_file = file.is_file()
    except (OSError, ValueError) as error:  # a name no file can have
        raise SourceError("not_found", name=file.name) from error
    if not is_file:
        raise SourceError("not_found", name=file.name)
    size_bytes = file.stat().st_size
    check_bytes(size_bytes, limits)

    def open_stream() -> BinaryIO:
        return file.open("rb")

    origin = _Origin(kind or "upload")
    return _open_clip(open_stream, origin, size_bytes=size_bytes, digest=lambda: _digest(open_stream), limits=limits)


class SealedBytes(Protocol):
    """What is held encrypted, as ``vault.Sealed`` and ``sealed.SealedHandle`` are."""

    @property
    def size_bytes(self) -> int:
        """Of the plaintext."""

    @property
    def sha256(self) -> str:
        """Of the plaintext, hex."""

    def open(self) -> BinaryIO:
        """A fresh seekable stream over the plaintext."""


def open_sealed(
    sealed: SealedBytes,
    *,
    limits: Limits,
    kind: SourceKind,
    host: str | None = None,
    capture_method: str | None = None,
) -> Clip:
    """Open a sealed file as a clip; see ``open_source``. Nothing is written to a disk.

    Args:
        sealed: its checksum is taken as it is: it was made while sealing, and every read proves it.
        limits: what is taken in.
        kind: how the source came in. A photo is always an "image". With "frames", and only then, the file is
            read as ``captured.pack_frames`` writes it.
        host: name of the page's or link's host; kept for "url" and "frames".
        capture_method: how the extension got the frames; kept for "frames".

    Raises:
        SourceError: as ``open_source``; ``not_found``: deleted in the meantime.
        RequestError: ``bad_frames``: more captured frames than are taken.
        ServiceError: ``bad_capture``: captured frames that cannot be read.
        InternalError: the file is not what was sealed.
    """
    check_bytes(sealed.size_bytes, limits)
    origin = _Origin(kind, host, capture_method)
    return _open_clip(sealed.open, origin, size_bytes=sealed.size_bytes, digest=lambda: sealed.sha256, limits=limits)


@dataclass(frozen=True)
class _Origin:
    """Where a source comes from; names as in ``SourceInfo``."""

    kind: SourceKind
    host: str | None = None
    capture_method: str | None = None


def _open_clip(
    open_stream: OpenStream, origin: _Origin, *, size_bytes: int, digest: Callable[[], str], limits: Limits
) -> Clip:
    name, shape = _measure_captured(open_stream, limits) if origin.kind == "frames" else _measure(open_stream, limits)
    kind = "image" if shape.is_photo else origin.kind
    info = SourceInfo(
        kind=kind,
        host=origin.host if kind in {"url", "frames"} else None,
        container=name,
        codec=shape.codec,
        duration_s=shape.duration_s,
        fps=shape.fps,
        width=shape.width,
        height=shape.height,
        size_bytes=size_bytes,
        sha256=digest(),
        capture_method=origin.capture_method if kind == "frames" else None,
        credentials=None if kind == "frames" else _find_credentials(open_stream, name),
    )
    return Clip(info=info, open=open_stream)


def _find_credentials(open_stream: OpenStream, container: str) -> Credentials:
    with open_stream() as stream:
        return find_credentials(stream, container)


def check_bytes(size_bytes: int, limits: Limits) -> None:
    """Refuse nothing and too much.

    Raises:
        SourceError: ``empty``, ``too_large``.
    """
    if size_bytes == 0:
        raise SourceError("empty")
    if size_bytes > limits.max_bytes:
        limit_mb, actual_mb = limits.max_bytes / MIB, size_bytes / MIB
        raise SourceError("too_large", limit_mb=round(limit_mb, 1), actual_mb=round(actual_mb, 1))


def _digest(open_stream: OpenStream) -> str:
    digest = sha256()
    with open_stream() as stream:
        while block := stream.read(MIB):
            digest.update(block)
    return digest.hexdigest()


# --- measuring --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shape:
    """What is found out about a source's pictures; names as in ``SourceInfo``."""

    width: int
    height: int
    codec: str | None = None
    duration_s: float = 0.0
    fps: float | None = None
    is_photo: bool = False


def _measure_captured(open_stream: OpenStream, limits: Limits) -> tuple[str, _Shape]:
    captured = measure_captured(open_stream, limits=limits)
    return CAPTURED, _Shape(captured.width, captured.height, duration_s=captured.duration_s)


def _measure(open_stream: OpenStream, limits: Limits) -> tuple[str, _Shape]:
    """The container's name and the shape of a file in one of the containers that are read."""
    with open_stream() as stream:
        container = recognise(stream.read(HEADER_BYTES))
    if container is None:
        raise SourceError("unsupported_type")
    return container.name, _measure_container(open_stream, container, limits)


def _measure_container(open_stream: OpenStream, container: Container, limits: Limits) -> _Shape:
    if container.demuxer is None:
        return _measure_photo(open_stream, container, limits)
    watch = Stopwatch(limits.max_decode_s)
    with open_video(open_stream, container, limits=limits, may_decode=False) as video:
        check_pixels(video.stream.width, video.stream.height, limits)
    timeline = read_timeline(open_stream, container, limits=limits, watch=watch)
    if container == GIF and len(timeline.moments) == 1:
        return _measure_photo(open_stream, container, limits)
    return _measure_video(open_stream, container, timeline, limits, watch)


def _measure_photo(open_stream: OpenStream, container: Container, limits: Limits) -> _Shape:
    with open_stream() as stream:
        width, height = measure_picture(stream, container, limits=limits)
    return _Shape(width, height, is_photo=True)


def _measure_video(
    open_stream: OpenStream, container: Container, timeline: Timeline, limits: Limits, watch: Stopwatch
) -> _Shape:
    with open_video(open_stream, container, limits=limits) as video:
        width, height = displayed_wh(_first_frame(video, watch), video.pixel_aspect)
        check_pixels(width, height, limits)
        return _Shape(width, height, video.codec, timeline.duration_s, timeline.fps)


def _first_frame(video: Video, watch: Stopwatch) -> av.VideoFrame:
    for packet in chain(demux_packets(video), (None,)):
        watch.check()
        with suppress(DamagedPacketError):  # later ones may be intact
            for frame in decode_packet(video, packet):
                return frame
    raise SourceError("unreadable")
