"""Where a timeline's lines, bands and points lie: estimates over time, in percent of the drawing, top left first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from space.contract import FrameVerdict, Report, TrackReport, VerdictCode
from space.service.page.scale import Scale

MAX_BANDS = 4  # more of them hide each other
DASHES = ("", "7 4", "2 4", "10 4 2 4")  # one person after the other, so that no line is told by colour alone


@dataclass(frozen=True)
class Point:
    """One frame's estimate."""

    frame: FrameVerdict
    x: float  # percent from the left
    y: float  # percent from the top
    moment: int | None  # number of the evidence shown for it, from 1


@dataclass(frozen=True)
class Line:
    """One person's estimates."""

    track: TrackReport
    points: tuple[Point, ...]
    strokes: tuple[str, ...]  # ``points`` of polylines; a new one where the person was not seen in between
    dash: str


@dataclass(frozen=True)
class Band:
    """The interval of a person's estimate, over the time they were seen."""

    code: VerdictCode
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Timeline:
    """Everything of a clip, by person."""

    lines: tuple[Line, ...]
    bands: tuple[Band, ...]
    seconds: tuple[tuple[float, float], ...]  # x, time: marks along the foot


def draw_timeline(report: Report, scale: Scale) -> Timeline | None:
    """A clip's timeline; None where there is no time to lay anything over."""
    duration_s = report.source.duration_s
    if duration_s <= 0 or report.n_frames < 2 or not report.tracks:
        return None
    moments = {(moment.track, moment.frame_index): n for n, moment in enumerate(report.evidence, start=1)}
    lines = tuple(
        _line(track, duration_s, moments, DASHES[i % len(DASHES)], scale) for i, track in enumerate(report.tracks)
    )
    bands = tuple(found for track in report.tracks if (found := _band(track, duration_s, scale)))
    return Timeline(
        lines=lines,
        bands=bands if len(bands) <= MAX_BANDS else (),
        seconds=tuple(_seconds(duration_s)),
    )


def _line(track: TrackReport, duration_s: float, moments: dict[tuple[int, int], int], dash: str, scale: Scale) -> Line:
    points = tuple(
        Point(
            frame=frame,
            x=100 * min(frame.time_s / duration_s, 1.0),
            y=scale.place(frame.p_fake),
            moment=moments.get((track.id, frame.frame_index)),
        )
        for frame in track.frames
    )
    return Line(track=track, points=points, strokes=tuple(_strokes(points)), dash=dash)


def _strokes(points: Sequence[Point]) -> Iterator[str]:
    """Frames in a row have the same difference of place in the row and number of the frame."""
    for _, run in groupby(enumerate(points), key=lambda pair: pair[1].frame.frame_index - pair[0]):
        yield " ".join(f"{point.x:.2f},{point.y:.2f}" for _, point in run)


def _band(track: TrackReport, duration_s: float, scale: Scale) -> Band | None:
    interval = track.verdict.interval
    if interval is None or len(track.frames) < 2:
        return None
    left, right = (100 * min(track.frames[i].time_s / duration_s, 1.0) for i in (0, -1))
    low, high = (scale.place(edge) for edge in interval)
    return Band(track.verdict.code, x=left, y=high, width=right - left, height=low - high)


def _seconds(duration_s: float) -> Iterator[tuple[float, float]]:
    """Start, middle and end."""
    for share in (0.0, 0.5, 1.0):
        yield 100 * share, duration_s * share
