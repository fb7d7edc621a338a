"""When a clip's frames are shown, read from its packets without decoding; which frames to take, and where to decode.

A first pass over the packets costs little beside decoding. It finds out what headers get wrong or leave
out (duration, frame rate), and tells which few stretches of the file the wanted frames need.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import BinaryIO

import av

from space.errors import SourceError
from space.intake.containers import Container
from space.intake.stopwatch import Stopwatch
from space.intake.video import Video, demux_packets, open_video
from space.settings import Limits

# Packets between two stretches below which decoding on is cheaper than draining the decoder and starting anew.
SHORT_GAP = 8
# Fewer frames say nothing about a rate.
MIN_FRAMES_FOR_RATE = 10


@dataclass(frozen=True)
class Timeline:
    """A video stream's packets in the file's order."""

    stamps: tuple[int | None, ...]  # when a packet's frame is shown; None: it is not
    is_key: tuple[bool, ...]  # whether decoding can begin at the packet
    time_base: Fraction  # seconds per unit of the stamps
    last_duration: int  # how long the last packet's frame stays, as the file says; 0 where it does not
    is_timed: bool  # False: stamps are decoding times, and only the order of frames tells them apart

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """The stamps of all frames shown, strictly rising."""
        return tuple(sorted({stamp for stamp in self.stamps if stamp is not None}))

    @cached_property
    def end(self) -> int:
        """The stamp at which the last frame goes: at least the last moment."""
        first, last, n = self.moments[0], self.moments[-1], len(self.moments)
        return last + (self.last_duration or (last - first) // max(1, n - 1))

    @property
    def duration_s(self) -> float:
        """From the first frame's appearance to the last one's end."""
        return self.time_s(self.end)

    @property
    def fps(self) -> float | None:
        """Average frame rate; None for a clip without duration."""
        return len(self.moments) / self.duration_s if self.duration_s else None

    def time_s(self, stamp: int) -> float:
        """Seconds from the first frame's appearance."""
        return float((stamp - self.moments[0]) * self.time_base)


@dataclass(frozen=True)
class Stretch:
    """Packets that are decoded in one go, beginning at a keyframe."""

    first: int  # position in the file's order
    last: int
    wanted: tuple[int, ...]  # stamps of the frames to keep, rising


# --- reading ----------------------------------------------------------------------------------


def read_timeline(
    open_stream: Callable[[], BinaryIO], container: Container, *, limits: Limits, watch: Stopwatch
) -> Timeline:
    """Read all packets' times.

    Raises:
        SourceError: ``unreadable`` (no packets, or what ``open_video`` finds), ``no_video``,
            ``unsupported_type``, ``too_long``, ``too_many_fps``, ``decode_timeout``.
    """
    stamps: list[int | None] = []
    is_key: list[bool] = []
    most = limits.max_duration_s * limits.max_fps  # packets; a file that goes on beyond passes one limit or the other
    last = last_duration = None
    with open_video(open_stream, container, limits=limits) as video:
        for packet in demux_packets(video):
            watch.check()
            is_shown = not packet.is_discard and not packet.is_corrupt  # cut out by an edit list, or cut off
            stamp = (packet.pts if container.is_timed else packet.dts) if is_shown else None
            stamps.append(stamp)
            is_key.append(packet.is_keyframe)
            if stamp is not None and (last is None or stamp >= last):
                last, last_duration = stamp, packet.duration
            if len(stamps) > most:
                break
        timeline = Timeline(
            stamps=_without_lead(stamps, is_key),
            is_key=tuple(is_key),
            time_base=video.stream.time_base or Fraction(1, av.time_base),
            last_duration=max(0, last_duration or 0),
            is_timed=container.is_timed,
        )
        if not timeline.moments:
            raise SourceError("unreadable")
        _check_limits(timeline, _told_duration_s(video), limits)
    return timeline


def _without_lead(stamps: Sequence[int | None], is_key: Sequence[bool]) -> tuple[int | None, ...]:
    """What comes before the first keyframe cannot be decoded: recordings of broadcasts begin so."""
    key = is_key.index(True) if True in is_key else 0
    begin = stamps[key] if stamps else None
    if begin is None:
        return tuple(stamps)
    return tuple(s if i >= key and s is not None and s >= begin else None for i, s in enumerate(stamps))


def _told_duration_s(video: Video) -> float:
    return (video.container.duration or 0) / av.time_base


def _check_limits(timeline: Timeline, told_duration_s: float, limits: Limits) -> None:
    if timeline.duration_s > limits.max_duration_s:
        actual_s = max(timeline.duration_s, told_duration_s)  # reading may have ended early
        raise SourceError("too_long", limit_s=round(limits.max_duration_s), actual_s=round(actual_s))
    fps = timeline.fps
    if fps and len(timeline.moments) >= MIN_FRAMES_FOR_RATE and fps > limits.max_fps:
        raise SourceError("too_many_fps", limit_fps=round(limits.max_fps), actual_fps=round(fps, 1))


# --- choosing ---------------------------------------------------------------------------------


def pick_moments(moments: Sequence[int], end: int, n_frames: int) -> tuple[int, ...]:
    """The frames on display at n equidistant times, (i + 1/2) / n of the clip's duration.

    Where a frame stays so long that it would be taken twice, its neighbours are taken instead, so that
    n different ones come out; all of them where there are no more than n.

    Args:
        moments: stamps of all frames, strictly rising.
        end: when the last one goes.

    Returns:
        Stamps, strictly rising.
    """
    n_all = len(moments)
    if n_all <= n_frames:
        return tuple(moments)
    picked: list[int] = []
    for i in range(n_frames):
        # In whole numbers: stamps may be too large for a float.
        time = moments[0] + (2 * i + 1) * (end - moments[0]) // (2 * n_frames)
        shown = bisect_right(moments, time) - 1
        least = picked[-1] + 1 if picked else 0
        picked.append(min(max(shown, least), n_all - n_frames + i))
    return tuple(moments[position] for position in picked)


def plan_stretches(timeline: Timeline, wanted: Sequence[int]) -> tuple[Stretch, ...]:
    """What has to be decoded for some frames: from the keyframe before each up to its packet, joined where they meet.

    Args:
        wanted: stamps among the timeline's moments, rising.
    """
    if not timeline.is_timed:  # frames are told by counting them from the start
        return (Stretch(0, len(timeline.stamps) - 1, tuple(wanted)),)
    positions = locate(timeline)
    stretches: list[Stretch] = []
    for stamp in wanted:
        last = positions[stamp]
        first = keyframe_before(timeline, last)
        if stretches and first <= stretches[-1].last + 1 + SHORT_GAP:
            before = stretches[-1]
            stretches[-1] = Stretch(min(first, before.first), max(last, before.last), (*before.wanted, stamp))
        else:
            stretches.append(Stretch(first, last, (stamp,)))
    return tuple(stretches)


def locate(timeline: Timeline) -> dict[int, int]:
    """Stamp -> position of the packet that shows it: the last of those that have it, VP8 prepares some frames."""
    return {stamp: i for i, stamp in enumerate(timeline.stamps) if stamp is not None}


def keyframe_before(timeline: Timeline, position: int) -> int:
    """The position of the nearest keyframe from which a packet can be decoded.

    It comes before the packet in the file and is shown before it. A picture that follows a keyframe in the
    file but is shown before it (an open group of pictures) may lean on what lies further back.
    """
    stamp = timeline.stamps[position]
    for i in range(position, 0, -1):
        key = timeline.stamps[i]
        if timeline.is_key[i] and key is not None and stamp is not None and key <= stamp:
            return i
    return 0


def keyframe_after(timeline: Timeline, position: int) -> int:
    """The position of the next keyframe in the file; of the last packet where none follows."""
    n_packets = len(timeline.is_key)
    return next((i for i in range(position + 1, n_packets) if timeline.is_key[i]), n_packets - 1)
