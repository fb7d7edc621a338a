"""Clips to n equidistant frames, in one decoding pass over as little of the clip as they need.

A first pass reads the packets' timestamps without decoding anything. From them it is known which
frames are wanted, and from which keyframe each can be decoded. The second pass decodes those stretches
only, skips frames that no other refers to, and converts wanted frames only; memory holds one of them.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import av.container
import av.error
import av.video.codeccontext
import av.video.stream
import cv2
import numpy as np

from space.contract import U8, Clip, Frame
from space.errors import RequestError, SourceError
from space.intake.source import demuxer_of, open_video, pixel_aspect, read_image
from space.settings import MAX_FRAMES, MIN_FRAMES, Limits

# Codecs in which leaving out frames that no other refers to leaves every other frame as it was, bit by bit.
SKIPS_EXACTLY = {"h264", "hevc"}
# Packets between two stretches below which going on is cheaper than draining the decoder and starting anew.
SHORT_GAP = 8


def sample_frames(clip: Clip, n_frames: int, *, limits: Limits) -> Iterator[Frame]:
    """Equidistant frames of a clip, in order of time.

    A clip of duration T gives the frames shown at (i + 1/2) T / n; one with fewer than n frames gives each
    of them once. A photo gives one frame at 0.0 s. What is damaged is left out.

    Args:
        clip: from ``open_source``.
        n_frames: ``MIN_FRAMES`` to ``MAX_FRAMES``.

    Yields:
        Frames as displayed: rotation and pixel aspect applied.

    Raises:
        RequestError: ``bad_frames``.
        SourceError: ``unreadable`` (nothing could be decoded), ``decode_timeout``.
    """
    if not MIN_FRAMES <= n_frames <= MAX_FRAMES:
        raise RequestError("bad_frames", n_frames=n_frames, minimum=MIN_FRAMES, maximum=MAX_FRAMES)
    if clip.info.kind == "image":
        with clip.open() as stream:
            yield Frame(index=0, time_s=0.0, image=read_image(stream))
        return
    deadline = Deadline(limits.max_decode_s)
    packets = read_packets(clip, deadline)
    plan = make_plan(packets, n_frames)
    n_found = 0
    for key, frame in _decode(clip, plan, deadline):
        image = to_rgb(frame, packets.pixel_aspect)
        yield Frame(index=n_found, time_s=plan.time_s(key, packets, clip.info.fps or 0.0), image=image)
        n_found += 1
    if not n_found:
        raise SourceError("unreadable")


class Deadline:
    """A wall-clock limit that starts now."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._end = time.monotonic() + limit_s

    def check(self) -> None:
        """Raise when it has passed.

        Raises:
            SourceError: ``decode_timeout``.
        """
        if time.monotonic() > self._end:
            raise SourceError("decode_timeout", limit_s=round(self._limit_s))


# --- what is wanted ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Packets:
    """A stream's packets in the file's order, undecoded."""

    pts: tuple[int | None, ...]  # presentation timestamps; None where the container has none
    is_key: tuple[bool, ...]
    is_shown: tuple[bool, ...]  # False: decoded for others' sake, cut out by an edit list
    time_base: Fraction  # seconds per timestamp unit
    pixel_aspect: float  # width of a pixel / its height


@dataclass(frozen=True)
class Plan:
    """Which packets are decoded and which frames kept."""

    by_time: bool  # frames are told by their timestamp; otherwise by counting
    wanted: tuple[int, ...]  # timestamps or positions, rising
    stretches: tuple[tuple[int, int], ...]  # (first, last) packet, rising, apart
    start: int  # timestamp of the first frame shown

    def time_s(self, key: int, packets: Packets, fps: float) -> float:
        """Presentation time from the clip's start of a wanted frame."""
        if self.by_time:
            return float((key - self.start) * packets.time_base)
        return key / fps if fps else 0.0


def read_packets(clip: Clip, deadline: Deadline) -> Packets:
    """A pass over the packets without decoding; what comes after a damaged place is left out."""
    pts: list[int | None] = []
    is_key: list[bool] = []
    is_shown: list[bool] = []
    with clip.open() as stream, open_video(stream, demuxer_of(clip.info.container)) as (video, picture):
        time_base, aspect = picture.time_base or Fraction(1, 1000), pixel_aspect(picture)
        packets = _demux(video, picture)
        for packet in packets:
            deadline.check()
            pts.append(packet.pts)
            is_key.append(packet.is_keyframe)
            is_shown.append(not packet.is_discard)
    return Packets(tuple(pts), tuple(is_key), tuple(is_shown), time_base, aspect)


def _demux(
    video: av.container.InputContainer, picture: av.video.stream.VideoStream
) -> Iterator[av.Packet[av.video.stream.VideoStream]]:
    """Packets up to the end, or up to where the file is cut off."""
    packets = video.demux(picture)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def make_plan(packets: Packets, n_frames: int) -> Plan:
    """Choose frames by the packets' timestamps, and the stretches they are decoded from.

    Raises:
        SourceError: ``unreadable``: there are no packets.
    """
    if not packets.pts:
        raise SourceError("unreadable")
    times = [p for p, shown in zip(packets.pts, packets.is_shown, strict=True) if shown and p is not None]
    if len(times) < sum(packets.is_shown) or not times:
        n = len(packets.pts)
        wanted = sorted({int((i + 0.5) * n / n_frames) for i in range(n_frames)})
        return Plan(by_time=False, wanted=tuple(wanted), stretches=((0, n - 1),), start=0)
    shown = sorted(set(times))
    wanted = pick_times(shown, n_frames)
    position = {p: i for i, p in enumerate(packets.pts) if p is not None}
    stretches = _join([(_keyframe_before(packets, position[p]), position[p]) for p in wanted])
    return Plan(by_time=True, wanted=tuple(wanted), stretches=tuple(stretches), start=shown[0])


def pick_times(shown: Sequence[int], n_frames: int) -> list[int]:
    """The timestamps of the frames on display at n equidistant moments; all where there are no more than n.

    Args:
        shown: timestamps of all frames, rising strictly. The last frame is taken to stay as long as the
            frames do on average.
    """
    if len(shown) <= n_frames:
        return list(shown)
    span = (shown[-1] - shown[0]) * len(shown) / (len(shown) - 1)
    moments = (shown[0] + (i + 0.5) * span / n_frames for i in range(n_frames))
    return sorted({shown[max(0, bisect_right(shown, moment) - 1)] for moment in moments})


def _keyframe_before(packets: Packets, position: int) -> int:
    """The nearest keyframe from which a packet can be decoded: before it in the file, and shown before it.

    A picture that follows a keyframe in the file but is shown before it may lean on what lies further back.
    """
    pts = packets.pts[position]
    for i in range(position, 0, -1):
        key_pts = packets.pts[i]
        if packets.is_key[i] and key_pts is not None and pts is not None and key_pts <= pts:
            return i
    return 0


def _join(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + 1 + SHORT_GAP:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


# --- decoding ---------------------------------------------------------------------------------


def _decode(clip: Clip, plan: Plan, deadline: Deadline) -> Iterator[tuple[int, av.VideoFrame]]:
    """Wanted frames with their timestamp or position, in order of time; ends after the last one."""
    left = set(plan.wanted)
    n_decoded = 0
    with clip.open() as stream, open_video(stream, demuxer_of(clip.info.container)) as (video, picture):
        context = picture.codec_context
        context.thread_type = "AUTO"
        may_skip = plan.by_time and context.name in SKIPS_EXACTLY
        for packet in _select(_demux(video, picture), plan.stretches):
            deadline.check()
            if packet is not None and may_skip:
                context.skip_frame = "DEFAULT" if packet.pts in left else "NONREF"
            for frame in _decode_packet(context, packet):
                key = frame.pts if plan.by_time else n_decoded
                n_decoded += 1
                if key in left:
                    left.discard(key)
                    yield key, frame
            if not left:
                return


def _select(
    packets: Iterator[av.Packet[av.video.stream.VideoStream]], stretches: Sequence[tuple[int, int]]
) -> Iterator[av.Packet[av.video.stream.VideoStream] | None]:
    """The stretches' packets, and None at each stretch's end."""
    position = -1
    for first, last in stretches:
        for packet in packets:
            position += 1
            if position >= first:
                yield packet
            if position == last:
                break
        yield None


def _decode_packet(
    context: av.video.codeccontext.VideoCodecContext, packet: av.Packet[av.video.stream.VideoStream] | None
) -> list[av.VideoFrame]:
    """What a packet brings out of the decoder; None drains it and makes it ready for another stretch."""
    try:
        frames = context.decode(packet)
    except av.error.EOFError:
        frames = []
    except av.error.FFmpegError:  # one damaged packet; what can be decoded without it is
        return []
    if packet is None:
        context.flush_buffers()
    return frames


# --- pixels -----------------------------------------------------------------------------------


def to_rgb(frame: av.VideoFrame, pixel_aspect: float) -> U8:
    """A decoded frame as displayed.

    Args:
        frame: of any pixel format; more than 8 bits are reduced.
        pixel_aspect: width of a pixel / its height.

    Returns:
        (H, W, 3) RGB uint8.
    """
    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    if pixel_aspect != 1:
        width = max(1, round(frame.width * pixel_aspect))
        image = np.asarray(cv2.resize(image, (width, frame.height), interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(np.rot90(image, k=frame.rotation // 90 % 4), dtype=np.uint8)
