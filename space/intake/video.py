"""A video's container, opened on a stream of bytes, and its packets.

FFmpeg never sees a name or a URL: only a stream, the one demuxer the file's first bytes call for, and no
leave to open anything else. Only codecs of the list are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import av
import av.container
import av.error
import av.video.stream
from av.stream import Disposition

from space.errors import SourceError
from space.intake.containers import Container
from space.settings import Limits

IO_BUFFER_BYTES = 1 << 18
CODECS = frozenset(
    "h264 hevc vp8 vp9 av1 mpeg4 msmpeg4v2 msmpeg4v3 mpeg2video mpeg1video h263 flv1 theora mjpeg prores dnxhd "
    "ffv1 png qtrle rawvideo gif".split()
)
# What a codec pads its frames by, so that a frame at the limit still passes.
CODED_PIXELS_SLACK = 1.25
_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails

Packet: TypeAlias = "av.Packet[av.video.stream.VideoStream]"


@dataclass(frozen=True)
class Video:
    """An open container and the stream whose pictures are looked at."""

    container: av.container.InputContainer
    stream: av.video.stream.VideoStream

    @property
    def codec(self) -> str:
        """The codec's name, whichever decoder reads it."""
        return self.stream.codec.canonical_name

    @property
    def pixel_aspect(self) -> float:
        """Width of a pixel / its height; 1 where the file says nothing sensible."""
        ratio = self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio
        return float(ratio) if ratio and 0.1 <= ratio <= 10 else 1.0


@contextmanager
def open_video(
    open_stream: Callable[[], BinaryIO], container: Container, *, limits: Limits, may_decode: bool = True
) -> Iterator[Video]:
    """Open a container at its start.

    Of several video streams the default one is taken, and the largest of those; cover pictures are none.

    Args:
        open_stream: a fresh stream over the file's bytes.
        container: what the file is.
        limits: ``max_pixels`` holds for the decoder as well.
        may_decode: False: to read headers only. FFmpeg otherwise decodes a frame or two to complete them,
            and forgets the header's picture size where that passes the limit.

    Raises:
        SourceError: ``unreadable``, ``no_video``, ``unsupported_type`` (a codec that is not in the list).
    """
    max_pixels = str(int(limits.max_pixels * CODED_PIXELS_SLACK))  # a codec's own header may claim more than the file's
    options = {"protocol_whitelist": "none", "enable_drefs": "0", "max_pixels": max_pixels}
    if not may_decode:
        options["codec_whitelist"] = "none"
    with open_stream() as stream:
        try:
            opened = av.open(
                stream,
                mode="r",
                format=container.demuxer,
                options=options,
                buffer_size=IO_BUFFER_BYTES,
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise SourceError("unreadable") from error
        with opened:
            video = Video(opened, _choose_stream(opened))
            video.stream.codec_context.options = {"max_pixels": max_pixels}
            yield video


def _choose_stream(opened: av.container.InputContainer) -> av.video.stream.VideoStream:
    streams = [stream for stream in opened.streams.video if not stream.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise SourceError("no_video")
    # PyAV gives no context for a codec it has no decoder of, whatever its annotations say.
    readable = [s for s in streams if getattr(s, "codec_context", None) and s.codec.canonical_name in CODECS]
    if not readable:
        raise SourceError("unsupported_type")
    return max(readable, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))


def demux_packets(video: Video) -> Iterator[Packet]:
    """The stream's packets in the file's order, up to its end or to where it is cut off."""
    packets = video.container.demux(video.stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, IndexError):  # PyAV stumbles over streams that damage made appear on the way
            return
        if packet is None:
            return
        if packet.size:  # empty ones tell the decoder of the end, or that a frame stays
            yield packet


class DamagedPacketError(Exception):
    """The decoder could make nothing of a packet."""


def decode_packet(video: Video, packet: Packet | None) -> list[av.VideoFrame]:
    """The intact frames that a packet brings out of the decoder; None drains it, ready to start anew.

    Raises:
        DamagedPacketError: others can be decoded all the same.
    """
    context = video.stream.codec_context
    try:
        frames = context.decode(packet)
    except av.error.FFmpegError as error:
        raise DamagedPacketError from error
    finally:
        if packet is None:
            context.flush_buffers()
    return [frame for frame in frames if not frame.is_corrupt]
