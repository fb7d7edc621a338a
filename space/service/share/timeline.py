"""Where one person's line, band and dots lie: estimates over time, in percent of the drawing, top left first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from space.service.share.story import Person, Point, Story

EDGE = 4.0  # percent kept free above and below, so that dots and lines are not cut


@dataclass(frozen=True)
class Dot:
    """One frame's estimate."""

    x: float
    y: float
    usable: bool
    is_moment: bool  # shown as one of the strongest moments


@dataclass(frozen=True)
class Chart:
    """One person's estimates, and what they say in numbers."""

    strokes: tuple[str, ...]  # of polylines; a new one where the person was not seen in between
    dots: tuple[Dot, ...]
    band: tuple[float, float] | None  # top and height
    start_s: float
    end_s: float
    low: float  # estimates
    high: float
    peak_s: float  # when the highest is


def draw_chart(story: Story, person: Person) -> Chart | None:
    """A person's chart; None where there is no time to lay it over, or too little to join."""
    duration_s = story.source.duration_s
    if duration_s <= 0 or len(person.points) < 2:
        return None
    shown = {moment.time_s for moment in story.moments if moment.track == person.track}
    dots = tuple(
        Dot(_x(point, duration_s), _y(point.p_fake), point.usable, is_moment=point.time_s in shown)
        for point in person.points
    )
    highest = max(person.points, key=lambda point: point.p_fake)
    return Chart(
        strokes=tuple(_strokes(person.points, duration_s)),
        dots=dots,
        band=_band(person),
        start_s=person.points[0].time_s,
        end_s=person.points[-1].time_s,
        low=min(point.p_fake for point in person.points),
        high=highest.p_fake,
        peak_s=highest.time_s,
    )


def _x(point: Point, duration_s: float) -> float:
    return round(100 * min(point.time_s / duration_s, 1.0), 2)


def _y(p_fake: float) -> float:
    return round(EDGE + (100 - 2 * EDGE) * (1 - p_fake), 2)


def _band(person: Person) -> tuple[float, float] | None:
    if person.verdict.interval is None:
        return None
    low, high = person.verdict.interval
    return _y(high), round(_y(low) - _y(high), 2)


def _strokes(points: Sequence[Point], duration_s: float) -> Iterator[str]:
    """Runs of points; in a link, where points were thinned out, a usual step spans several frames."""
    steps = [after.frame_index - before.frame_index for before, after in pairwise(points)]
    longest = 1.5 * median_low(steps)
    run: list[Point] = []
    for point in points:
        if run and point.frame_index - run[-1].frame_index > longest:
            yield _join(run, duration_s)
            run = []
        run.append(point)
    yield _join(run, duration_s)


def _join(run: Sequence[Point], duration_s: float) -> str:
    return " ".join(f"{_x(point, duration_s)},{_y(point.p_fake)}" for point in run)
