"""Clips to n equidistant frames, in one decoding pass over as little of the clip as they need.

Decoded are the stretches that lead from a keyframe to a wanted frame, without the frames that no other
refers to. Wanted frames alone are converted; memory holds one of them. What comes out is bit by bit what
decoding everything would give.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

import av
from av.video.frame import PictureType

from space.contract import Clip, Frame
from space.errors import RequestError, SourceError
from space.intake.captured import sample_captured
from space.intake.containers import CONTAINERS
from space.intake.pictures import read_picture
from space.intake.pixels import PixelConverter
from space.intake.stopwatch import Stopwatch
from space.intake.timeline import (
    Stretch,
    Timeline,
    keyframe_after,
    locate,
    pick_moments,
    plan_stretches,
    read_timeline,
)
from space.intake.video import DamagedPacketError, Packet, Video, decode_packet, demux_packets, open_video
from space.settings import MAX_FRAMES, MIN_FRAMES, Limits

# Packets decoded beyond a stretch whose wanted frames are damaged, in search of intact ones.
SEARCH_PACKETS = 32
WHOLE_PICTURES = {PictureType.I, PictureType.NONE}  # NONE: of codecs that know no other


def sample_frames(clip: Clip, n_frames: int, *, limits: Limits) -> Iterator[Frame]:
    """Equidistant frames of a clip, in order of time.

    A clip of duration T gives the frames on display at (i + 1/2) T / n; one with no more than n frames
    gives each of them once. A damaged frame gives way to the next intact one before the next wanted, and
    is left out where there is none. A photo gives one frame at 0.0 s.
    Frames captured from a page keep the times they had there.

    Args:
        clip: from ``open_source`` or ``open_sealed``.
        n_frames: ``MIN_FRAMES`` to ``MAX_FRAMES``.
        limits: ``max_decode_s`` counts the time spent in here, not the caller's between two frames.

    Returns:
        Frames as displayed, all of the clip's size. Decoding goes on as they are asked for.

    Raises:
        RequestError: ``bad_frames``.
        SourceError: while iterating: ``unreadable`` (nothing could be decoded), ``decode_timeout``.
        ServiceError: while iterating: ``bad_capture`` (no captured frame could be decoded).
    """
    if not MIN_FRAMES <= n_frames <= MAX_FRAMES:
        raise RequestError("bad_frames", n_frames=n_frames, minimum=MIN_FRAMES, maximum=MAX_FRAMES)
    if clip.info.kind == "image":
        return _photo(clip)
    if clip.info.kind == "frames":
        return sample_captured(clip, n_frames, limits=limits)
    return _sample(clip, n_frames, limits)


def _photo(clip: Clip) -> Iterator[Frame]:
    with clip.open() as stream:
        image = read_picture(stream, CONTAINERS[clip.info.container])
    yield Frame(index=0, time_s=0.0, image=image)


def _sample(clip: Clip, n_frames: int, limits: Limits) -> Iterator[Frame]:
    watch = Stopwatch(limits.max_decode_s)
    timeline = read_timeline(clip.open, CONTAINERS[clip.info.container], limits=limits, watch=watch)
    wanted = pick_moments(timeline.moments, timeline.end, n_frames)
    converter = PixelConverter((clip.info.width, clip.info.height))
    index = 0
    for stamp, decoded in _decode(clip, timeline, plan_stretches(timeline, wanted), limits, watch):
        frame = Frame(index=index, time_s=timeline.time_s(stamp), image=converter.to_rgb(decoded))
        index += 1
        with watch.paused():
            yield frame
    if not index:
        raise SourceError("unreadable")


# --- decoding ---------------------------------------------------------------------------------


@dataclass
class _Pass:
    """One reading of the file from its start; stretches are decoded as it comes by them."""

    video: Video
    packets: Iterator[tuple[int, Packet]]
    timeline: Timeline
    watch: Stopwatch
    n_decoded: int = 0
    is_damaged: bool = False  # whether packets of the present stretch were

    def frames(self, stretch: Stretch, *, skip: bool) -> Iterator[tuple[int, av.VideoFrame]]:
        """A stretch's frames with their stamps; ``skip`` leaves out those that nothing wanted rests on."""
        whole = _packets_to_keep(self.timeline, stretch) if skip else None
        self.video.stream.codec_context.flush_buffers()
        self.is_damaged = False
        for packet in chain(self._packets(stretch, whole), (None,)):
            self.watch.check()
            for frame in self._decode(packet):
                stamp = self._stamp_of(frame)
                self.n_decoded += 1
                if stamp is not None:
                    yield stamp, frame

    def _decode(self, packet: Packet | None) -> list[av.VideoFrame]:
        try:
            return decode_packet(self.video, packet)
        except DamagedPacketError:
            self.is_damaged = True
            return []

    def _packets(self, stretch: Stretch, whole: frozenset[int] | None) -> Iterator[Packet]:
        context = self.video.stream.codec_context
        for position, packet in self.packets:
            if position >= stretch.first:
                context.skip_frame = "DEFAULT" if whole is None or position in whole else "NONREF"
                yield packet
            elif position == 0:
                self._prepare(packet)
            if position >= stretch.last:
                return

    def _prepare(self, packet: Packet) -> None:
        """Show the decoder the file's first packet, though no stretch holds it.

        It alone may say which encoder was at work, and FFmpeg decodes around the faults of some: frames in 4:4:4
        by an x264 before version 151 otherwise come out damaged.
        """
        with suppress(DamagedPacketError):
            decode_packet(self.video, packet)
        self.video.stream.codec_context.flush_buffers()

    def _stamp_of(self, frame: av.VideoFrame) -> int | None:
        if self.timeline.is_timed:
            return frame.pts
        moments = self.timeline.moments
        return moments[self.n_decoded] if self.n_decoded < len(moments) else None


def _decode(
    clip: Clip, timeline: Timeline, stretches: tuple[Stretch, ...], limits: Limits, watch: Stopwatch
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Wanted frames with their stamps, in order of time.

    Where one fails to come, its stretch is decoded again without skipping anything, so that what takes its
    place does not depend on what was skipped. Where an undamaged stretch does not begin with a whole picture,
    no keyframe is trusted any more, and what is left is decoded from the file's start.
    """
    left = deque(stretches)
    missed: tuple[int, ...] = ()
    while left:
        with open_video(clip.open, CONTAINERS[clip.info.container], limits=limits) as video:
            # With several frames in work at once, an error in one takes intact ones with it.
            video.stream.codec_context.thread_type = "SLICE" if missed else "AUTO"
            reading = _Pass(video, enumerate(demux_packets(video)), timeline, watch)
            if missed:
                yield from _replace_missed(reading, left.popleft(), missed, left[0] if left else None)
            missed = ()
            while left and not missed:
                try:
                    missed = yield from _take_wanted(reading, left[0])
                except _FalseKeyframeError:
                    left = deque([_from_start(left)])
                    break
                if not missed:
                    left.popleft()


class _FalseKeyframeError(Exception):
    """A packet marked as a keyframe brought out no whole picture: it only begins to renew the picture bit by bit."""


def _from_start(stretches: Iterable[Stretch]) -> Stretch:
    *_, last = stretches
    return Stretch(0, last.last, tuple(stamp for stretch in stretches for stamp in stretch.wanted))


def _take_wanted(reading: _Pass, stretch: Stretch) -> Generator[tuple[int, av.VideoFrame], None, tuple[int, ...]]:
    """A stretch's wanted frames; returns those that failed to come, from the first such on."""
    wanted = deque(stretch.wanted)
    key = reading.timeline.stamps[stretch.first]
    has_begun = stretch.first == 0
    for stamp, frame in reading.frames(stretch, skip=reading.timeline.is_timed and skips_exactly(reading.video)):
        has_begun = has_begun or (stamp == key and frame.pict_type in WHOLE_PICTURES)
        if stamp > wanted[0] or (stamp == wanted[0] and (reading.is_damaged or not has_begun)):
            break
        if stamp == wanted[0]:
            wanted.popleft()
            yield stamp, frame
        if not wanted:
            break
    if not has_begun and not reading.is_damaged:
        raise _FalseKeyframeError
    return tuple(wanted)


def _replace_missed(
    reading: _Pass, stretch: Stretch, missed: tuple[int, ...], following: Stretch | None
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Each missed frame, or the next intact one if that comes before the next wanted.

    After a damaged packet none is taken for intact until a whole picture comes: what leans on a lost one looks
    like a poor forgery.
    """
    last = max(stretch.last + SEARCH_PACKETS, keyframe_after(reading.timeline, stretch.last))
    if following:
        last = max(stretch.last, min(last, following.first - 1))
    bounds = deque((*missed[1:], following.wanted[0] if following else reading.timeline.end + 1))
    wanted = deque(missed)
    has_begun = stretch.first == 0
    for stamp, frame in reading.frames(replace(stretch, last=last), skip=False):
        has_begun = (has_begun and not reading.is_damaged) or frame.pict_type in WHOLE_PICTURES
        reading.is_damaged = False
        while wanted and stamp >= bounds[0]:
            wanted.popleft()
            bounds.popleft()
        if not wanted:
            return
        if stamp >= wanted[0] and has_begun:
            wanted.popleft()
            bounds.popleft()
            yield stamp, frame


def _packets_to_keep(timeline: Timeline, stretch: Stretch) -> frozenset[int]:
    """Positions of the wanted frames' packets, and those beside them: a frame's two fields may lie in two packets.

    The keyframe's as well: told to skip, a decoder says nothing of its being damaged.
    """
    positions = locate(timeline)
    return frozenset((stretch.first, *(positions[stamp] + step for stamp in stretch.wanted for step in (-1, 0, 1))))


def skips_exactly(video: Video) -> bool:
    """Whether leaving out frames that no other refers to leaves all others as they are, bit by bit.

    In H.264 such frames are marked as just that. In HEVC the mark holds within a temporal layer only, so
    that it counts where the file says there is one layer.
    """
    if video.codec == "h264":
        return True
    record = video.stream.codec_context.extradata or b""
    # HEVCDecoderConfigurationRecord (ISO/IEC 14496-15): byte 21 holds numTemporalLayers in bits 3 to 5.
    return video.codec == "hevc" and len(record) > 22 and record[0] == 1 and (record[21] >> 3) & 7 == 1
