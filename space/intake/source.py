"""The door for local files: recognised by content, measured, and refused with a code where they pass a limit.

FFmpeg never sees a name or a URL, only a stream and the one demuxer that fits what the file's first
bytes say; a playlist, or a text file with a video's name, is refused before it gets there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal

import av
import av.container
import av.error
import av.video.stream
import numpy as np
from av.stream import Disposition
from PIL import Image, ImageOps, UnidentifiedImageError

from space.contract import U8, Clip, SourceInfo, SourceKind
from space.errors import SourceError
from space.settings import MIB, Limits

HEADER_BYTES = 4096
TS_PACKET_BYTES = 188
IO_BUFFER_BYTES = 1 << 20
PAPER = (255, 255, 255)  # what shows through a transparent picture

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Container:
    """What a file's first bytes say it is."""

    name: str  # as in the report
    media: Literal["video", "image"]
    demuxer: str | None  # FFmpeg's; None for images


MP4 = Container("mp4", "video", "mov")
MOV = Container("mov", "video", "mov")
WEBM = Container("webm", "video", "matroska")
MKV = Container("mkv", "video", "matroska")
AVI = Container("avi", "video", "avi")
MPEG_TS = Container("mpegts", "video", "mpegts")
GIF = Container("gif", "video", "gif")
JPEG, PNG, BMP, WEBP = (Container(name, "image", None) for name in ("jpeg", "png", "bmp", "webp"))

_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"msf1"}
_PREFIXES = {
    b"\xff\xd8\xff": JPEG,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"BM": BMP,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
}


def recognise(header: bytes) -> Container | None:
    """The container whose signature a file begins with; None if it is none we read.

    Args:
        header: the first ``HEADER_BYTES`` of the file.
    """
    for prefix, container in _PREFIXES.items():
        if header.startswith(prefix):
            return container
    if header[:4] == b"RIFF":
        return {b"AVI ": AVI, b"WEBP": WEBP}.get(header[8:12])
    if header[4:8] == b"ftyp":
        brand = header[8:12]
        return None if brand in _STILL_BRANDS else MOV if brand == b"qt  " else MP4
    if header[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return MOV
    if header.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if b"webm" in header[:64] else MKV
    if len(header) > 2 * TS_PACKET_BYTES and all(header[i * TS_PACKET_BYTES] == 0x47 for i in range(3)):
        return MPEG_TS
    return None


def open_source(path: str | Path, *, limits: Limits, kind: SourceKind | None = None) -> Clip:
    """Open a local file as a clip.

    Args:
        path: of a video or a photo.
        limits: what is taken in.
        kind: how the source came in; None: "image" for a photo, "upload" for a video. A photo is always
            an "image".

    Raises:
        SourceError: ``url_unsupported``, ``not_found``, ``empty``, ``too_large``, ``unsupported_type``,
            ``no_video``, ``unreadable``, ``too_long``, ``too_many_pixels``, ``too_many_fps``.
    """
    if URL.match(str(path)):
        raise SourceError("url_unsupported")
    file = Path(path)
    if not file.is_file():
        raise SourceError("not_found", name=file.name)
    size = file.stat().st_size
    if size == 0:
        raise SourceError("empty")
    if size > limits.max_bytes:
        raise SourceError("too_large", limit_mb=limits.max_bytes // MIB, actual_mb=round(size / MIB, 1))

    def open_stream() -> BinaryIO:
        return file.open("rb")

    with open_stream() as stream:
        container = recognise(stream.read(HEADER_BYTES))
    if container is None:
        raise SourceError("unsupported_type")
    probe = _probe_image if container.media == "image" else _probe_video
    shape = probe(open_stream, container, limits)
    return Clip(
        info=SourceInfo(
            kind="image" if container.media == "image" else kind or "upload",
            host=None,
            container=container.name,
            codec=shape.codec,
            duration_s=shape.duration_s,
            fps=shape.fps,
            width=shape.width,
            height=shape.height,
            size_bytes=size,
            sha256=_digest(open_stream),
        ),
        open=open_stream,
    )


@dataclass(frozen=True)
class _Shape:
    """What a probe finds."""

    width: int
    height: int
    codec: str | None = None
    duration_s: float = 0.0
    fps: float | None = None


def _digest(open_stream: Callable[[], BinaryIO]) -> str:
    digest = sha256()
    with open_stream() as stream:
        while block := stream.read(MIB):
            digest.update(block)
    return digest.hexdigest()


# --- images -----------------------------------------------------------------------------------


def read_image(stream: BinaryIO) -> U8:
    """A photo as it is shown: EXIF orientation applied, transparency over white.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        SourceError: ``unreadable``.
    """
    try:
        with Image.open(stream) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SourceError("unreadable") from error
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (*PAPER, 255))
        upright = Image.alpha_composite(paper, layer)
    elif upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright, np.uint16) >> 8).astype(np.uint8))
    return np.asarray(upright.convert("RGB"), np.uint8)


def _probe_image(open_stream: Callable[[], BinaryIO], container: Container, limits: Limits) -> _Shape:
    """The shape of a photo, from its header alone."""
    with open_stream() as stream:
        try:
            with Image.open(stream, formats=[container.name.upper()]) as image:
                width, height = image.size
                orientation = image.getexif().get(0x0112, 1)
                animated = getattr(image, "is_animated", False)
        except UnidentifiedImageError as error:
            raise SourceError("unreadable") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise SourceError("unreadable") from error
    if animated:  # one of its pictures would stand for all of them
        raise SourceError("unsupported_type")
    check_pixels(width, height, limits)
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return _Shape(width, height)


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse pictures that would need too much memory.

    Raises:
        SourceError: ``too_many_pixels``.
    """
    if width * height > limits.max_pixels:
        megapixels = {"limit_mp": limits.max_pixels / 1e6, "actual_mp": width * height / 1e6}
        raise SourceError("too_many_pixels", **{key: round(value, 1) for key, value in megapixels.items()})


# --- videos -----------------------------------------------------------------------------------


@contextmanager
def open_video(
    stream: BinaryIO, demuxer: str
) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """The container and its picture stream: the largest one that is no cover art.

    Raises:
        SourceError: ``unreadable``, ``no_video``.
    """
    try:
        container = av.open(stream, mode="r", format=demuxer, buffer_size=IO_BUFFER_BYTES, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise SourceError("unreadable") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise SourceError("no_video")
        yield container, max(streams, key=lambda s: s.codec_context.width * s.codec_context.height)


def demuxer_of(container_name: str) -> str:
    """FFmpeg's name for a report's container."""
    known = {c.name: c.demuxer for c in (MP4, MOV, WEBM, MKV, AVI, MPEG_TS, GIF)}
    demuxer = known[container_name]
    if demuxer is None:
        raise ValueError(f"{container_name} is no video")
    return demuxer


def displayed_size(frame: av.VideoFrame, sample_aspect_ratio: float) -> tuple[int, int]:
    """Width and height as shown: square pixels, upright."""
    width, height = max(1, round(frame.width * sample_aspect_ratio)), frame.height
    return (height, width) if frame.rotation % 180 else (width, height)


def pixel_aspect(stream: av.video.stream.VideoStream) -> float:
    """Width of a pixel / its height; 1 where the file says nothing sensible."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(ratio) if ratio and 0.1 <= float(ratio) <= 10 else 1.0


def _probe_video(open_stream: Callable[[], BinaryIO], container: Container, limits: Limits) -> _Shape:
    """The shape of a video: limits from its headers first, then one decoded frame."""
    with open_stream() as stream, open_video(stream, demuxer_of(container.name)) as (video, picture):
        context = picture.codec_context
        check_pixels(context.width, context.height, limits)
        duration_s = _duration_s(video, picture)
        if duration_s > limits.max_duration_s:
            raise SourceError("too_long", limit_s=round(limits.max_duration_s), actual_s=round(duration_s))
        rate = picture.average_rate or picture.base_rate
        fps = float(rate) if rate else 0.0
        if picture.average_rate and fps > limits.max_fps and picture.frames > 1:
            raise SourceError("too_many_fps", limit_fps=round(limits.max_fps), actual_fps=round(fps, 1))
        frame = _first_frame(video, picture)
        width, height = displayed_size(frame, pixel_aspect(picture))
        check_pixels(width, height, limits)
        return _Shape(width, height, context.name, duration_s, fps)


def _duration_s(video: av.container.InputContainer, picture: av.video.stream.VideoStream) -> float:
    if picture.duration and picture.time_base:
        return max(0.0, float(picture.duration * picture.time_base))
    return max(0.0, (video.duration or 0) / av.time_base)


def _first_frame(video: av.container.InputContainer, picture: av.video.stream.VideoStream) -> av.VideoFrame:
    try:
        for packet in video.demux(picture):
            try:
                for frame in packet.decode():
                    return frame
            except av.error.FFmpegError:
                continue  # a damaged packet; later ones may be whole
    except av.error.FFmpegError as error:
        raise SourceError("unreadable") from error
    raise SourceError("unreadable")
