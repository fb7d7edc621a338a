"""What a shared page tells: the part of a report that a stranger reads, with or without its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from space.contract import EnsembleInfo, Report, SourceInfo, Text, Verdict


@dataclass(frozen=True)
class Point:
    """One frame's estimate of one person."""

    time_s: float
    frame_index: int  # position among the sampled frames
    p_fake: float
    usable: bool  # large, sharp and frontal enough to count


@dataclass(frozen=True)
class Person:
    """What was found about one person."""

    track: int
    verdict: Verdict
    n_seen: int  # frames in which the face was found
    points: tuple[Point, ...]  # in order of time; fewer than n_seen where they were thinned out
    thumbnail: str | None  # picture name; None without pictures


@dataclass(frozen=True)
class Moment:
    """One of the strongest moments."""

    track: int
    time_s: float
    sentence: Text
    crop: str | None  # picture names; None without pictures
    overlay: str | None
    maps: Mapping[str, Mapping[str, str]]  # member -> layer -> picture name; empty without pictures


@dataclass(frozen=True)
class Part:
    """A facial part over all moments."""

    name: str  # id in shared/parts.json
    share: float  # of the heat, [0, 1]
    lift: float
    compromising: bool


@dataclass(frozen=True)
class Parts:
    """The facial parts, and what may be said about them."""

    sentence: Text
    parts: tuple[Part, ...]  # by share, largest first
    verification: Text | None = None  # what blurring the named parts showed


@dataclass(frozen=True)
class Story:
    """What a shared page tells."""

    report_id: str
    created: str  # ISO 8601, UTC
    app_version: str
    source: SourceInfo
    n_frames: int
    n_faces: int
    verdict: Verdict
    people: tuple[Person, ...]
    moments: tuple[Moment, ...]
    parts: Parts | None
    ensemble: EnsembleInfo
    limits: tuple[Text, ...]

    @property
    def is_image(self) -> bool:
        """Whether a photo was checked."""
        return self.source.kind == "image"


def tell(report: Report) -> Story:
    """What a report tells, with all its points and the names of its pictures."""
    people = tuple(
        Person(
            track=track.id,
            verdict=track.verdict,
            n_seen=len(track.frames),
            points=tuple(
                Point(frame.time_s, frame.frame_index, frame.p_fake, frame.quality.usable) for frame in track.frames
            ),
            thumbnail=track.thumbnail,
        )
        for track in report.tracks
    )
    moments = tuple(
        Moment(moment.track, moment.time_s, moment.sentence, moment.crop, moment.overlay, moment.maps)
        for moment in report.evidence
    )
    return Story(
        report_id=report.id,
        created=report.created,
        app_version=report.app_version,
        source=report.source,
        n_frames=report.n_frames,
        n_faces=report.n_faces,
        verdict=report.verdict,
        people=people,
        moments=moments,
        parts=_tell_parts(report),
        ensemble=report.ensemble,
        limits=report.limits,
    )


def _tell_parts(report: Report) -> Parts | None:
    if report.parts is None:
        return None
    rows = tuple(Part(part.name, part.share, part.lift, part.compromising) for part in report.parts.parts)
    return Parts(report.parts.sentence, rows, report.parts.verification)
