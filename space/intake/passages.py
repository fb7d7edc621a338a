"""Consecutive frames of a passage of a video, as displayed, at a bounded rate."""

from __future__ import annotations

from collections.abc import Iterator

import av

from space.contract import Clip, Frame
from space.errors import SourceError
from space.intake.containers import CONTAINERS
from space.intake.pixels import PixelConverter
from space.intake.video import open_video
from space.settings import Limits


def read_passage(clip: Clip, *, begin_s: float, end_s: float, max_fps: float, limits: Limits) -> Iterator[Frame]:
    """Frames between two moments, in order of time; where they come faster than ``max_fps``, some are left out.

    The file is decoded from its start, so that a frame's time is the one that a check gives it.

    Args:
        clip: a video, not a photo and not captured frames.
        begin_s, end_s: seconds from the clip's start.

    Raises:
        SourceError: ``unreadable``: it cannot be decoded.
    """
    converter = PixelConverter((clip.info.width, clip.info.height))
    first: float | None = None
    due_s, index = begin_s, 0
    with open_video(clip.open, CONTAINERS[clip.info.container], limits=limits) as video:
        video.stream.thread_type = "AUTO"
        try:
            for decoded in video.container.decode(video.stream):
                first = decoded.time if first is None else first
                time_s = decoded.time - first
                if time_s > end_s:
                    return
                if time_s < due_s - 1e-3:
                    continue
                yield Frame(index=index, time_s=time_s, image=converter.to_rgb(decoded))
                index, due_s = index + 1, time_s + 1 / max_fps
        except av.error.FFmpegError as error:
            raise SourceError("unreadable") from error
