"""The order of the analysis, written once: clip -> frames -> faces -> scores and maps -> verdict -> report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from space import __version__
from space.analysis.crops import cut_crop
from space.analysis.evidence import MapSource, Pictures, report_track, show_evidence, summarise
from space.analysis.faces import FaceFinder
from space.analysis.maps import map_crops
from space.analysis.report import new_report_id
from space.analysis.scores import batched, score_crops
from space.analysis.tracks import link_tracks
from space.analysis.verdict import Combination, TrackScores, judge_clip, judge_track
from space.contract import (
    Analysis,
    Clip,
    Crop,
    Evidence,
    Face,
    MemberMaps,
    MemberScores,
    Report,
    SourceKind,
    Text,
    Track,
)
from space.errors import RequestError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.models.weights import Ensemble, LoadedMember
from space.settings import Settings
from space.texts import make_text

Progress = Callable[[str, float], None]  # stage, fraction of the whole check in [0, 1]

# Share of a 16-frame check on two cores at which each stage begins.
STAGE_STARTS = {"source": 0.0, "frames": 0.02, "scores": 0.35, "verdict": 0.85, "pictures": 0.87}


@dataclass
class Stopwatch:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def check_file(
    source: str | Path,
    *,
    settings: Settings,
    ensemble: Ensemble,
    progress: Progress,
    kind: SourceKind | None = None,
) -> Analysis:
    """Check a local file; see ``check_clip``.

    Raises:
        SourceError: the input was refused.
    """
    progress("source", STAGE_STARTS["source"])
    clip = open_source(source, limits=settings.limits, kind=kind)
    return check_clip(clip, settings=settings, ensemble=ensemble, progress=progress)


def check_clip(clip: Clip, *, settings: Settings, ensemble: Ensemble, progress: Progress) -> Analysis:
    """The whole analysis of one clip.

    Frames stream: only patches around faces are kept, so memory does not grow with the clip's length.

    Raises:
        SourceError: nothing could be decoded, or it took too long.
        RequestError: ``bad_frames``; ``bad_members``: a member that scores whole tracks.
    """
    _require_frame_members(ensemble)
    watch = Stopwatch()
    faces, n_frames = _find_faces(clip, settings, watch, progress)
    tracks = link_tracks(faces)
    scores, maps = _score([face for track in tracks for face in track.faces], settings, ensemble, watch, progress)
    progress("verdict", STAGE_STARTS["verdict"])
    with watch.stage("verdict"):
        combination = _combination(ensemble)
        track_scores = _scores_per_track(tracks, scores, combination)
        verdicts = [judge_track(s, ensemble.record, clip.info, settings.faces) for s in track_scores]
        verdict, decisive = judge_clip(verdicts, n_frames=n_frames)
    progress("pictures", STAGE_STARTS["pictures"])
    pictures: Pictures = {}
    evidence: tuple[Evidence, ...] = ()
    firsts = np.cumsum([0, *(len(track.faces) for track in tracks)]).tolist()
    with watch.stage("pictures"):
        if decisive is not None and settings.maps:
            position = [track.track_id for track in tracks].index(decisive)
            evidence = show_evidence(
                tracks[position],
                track_scores[position],
                _map_source(ensemble, maps, combination, firsts[position]),
                code=verdict.code,
                is_image=clip.info.kind == "image",
                record=ensemble.record,
                settings=settings,
                pictures=pictures,
            )
        track_reports = tuple(
            report_track(track, s, v, scores, first=first, pictures=pictures)
            for track, s, v, first in zip(tracks, track_scores, verdicts, firsts, strict=False)
        )
    progress("pictures", 1.0)
    report = Report(
        id=new_report_id(),
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        app_version=__version__,
        source=clip.info,
        n_frames=n_frames,
        n_faces=len(faces),
        verdict=verdict,
        tracks=track_reports,
        evidence=evidence,
        parts=summarise(evidence, verdict.code),
        ensemble=ensemble.info,
        timing_s=watch.seconds,
        limits=_limits(n_frames, ensemble, has_maps=bool(evidence)),
    )
    return Analysis(report=report, pictures=pictures)


def _require_frame_members(ensemble: Ensemble) -> None:
    """Sequence members load, but the analysis does not feed them tracks yet."""
    names = {kind: [m.card.name for m in ensemble.members if m.kind == kind] for kind in ("frame", "sequence")}
    if names["sequence"]:
        known = ", ".join(names["frame"]) or "none"
        raise RequestError("bad_members", name=", ".join(names["sequence"]), known=known)


def _find_faces(clip: Clip, settings: Settings, watch: Stopwatch, progress: Progress) -> tuple[list[Face], int]:
    faces: list[Face] = []
    n_frames = 0
    start, end = STAGE_STARTS["frames"], STAGE_STARTS["scores"]
    with FaceFinder(settings.faces) as finder:
        frames = sample_frames(clip, settings.n_frames, limits=settings.limits)
        while True:
            progress("faces" if n_frames else "frames", start + (end - start) * min(1.0, n_frames / settings.n_frames))
            with watch.stage("frames"):
                frame = next(frames, None)
            if frame is None:
                return faces, n_frames
            n_frames += 1
            with watch.stage("faces"):
                faces.extend(finder.find_faces(frame))


def _score(
    faces: Sequence[Face], settings: Settings, ensemble: Ensemble, watch: Stopwatch, progress: Progress
) -> tuple[list[MemberScores], list[MemberMaps]]:
    """Every member on every face; logits and maps come out of the same forward pass."""
    scores: list[MemberScores] = []
    maps: list[MemberMaps] = []
    start, end = STAGE_STARTS["scores"], STAGE_STARTS["verdict"]
    total = max(1, len(faces) * len(ensemble.members))

    def batches(member: LoadedMember) -> Iterator[list[Crop]]:
        done = len(scores) * len(faces)
        for batch in batched(_member_crops(faces, member), settings.batch_size):
            progress("scores", start + (end - start) * done / total)
            yield batch
            done += len(batch)

    with watch.stage("scores"):
        for member in ensemble.members:
            if settings.maps:
                member_scores, member_maps = map_crops(member, batches(member))
                maps.append(member_maps)
            else:
                member_scores = score_crops(member, batches(member))
            scores.append(member_scores)
    return scores, maps


def _member_crops(faces: Sequence[Face], member: LoadedMember) -> Iterator[Crop]:
    for face in faces:
        yield cut_crop(face.patch, face.box_xyxy, margin=member.card.margin, input_px=member.card.input_px)


def _combination(ensemble: Ensemble) -> Combination:
    cards = [member.card for member in ensemble.members]
    return Combination(
        members=tuple(card.name for card in cards),
        weights=ensemble.weights,
        calibrations=tuple(card.calibration for card in cards),
        record=ensemble.record,
    )


def _scores_per_track(
    tracks: Sequence[Track], scores: Sequence[MemberScores], combination: Combination
) -> list[TrackScores]:
    result, start = [], 0
    for track in tracks:
        part = slice(start, start + len(track.faces))
        raw = {s.member: s.logits[part] for s in scores}
        result.append(
            TrackScores(
                track_id=track.track_id,
                time_s=np.array([face.time_s for face in track.faces]),
                qualities=tuple(face.quality for face in track.faces),
                logits=combination.logits(raw),
                member_logits=combination.member_logits(raw),
            )
        )
        start = part.stop
    return result


def _map_source(ensemble: Ensemble, maps: Sequence[MemberMaps], combination: Combination, first: int) -> MapSource:
    crops = {member.card.name: (member.card.margin, member.card.input_px) for member in ensemble.members}
    shares = dict(zip(combination.members, combination.weights, strict=True))
    return MapSource(maps=maps, crops=crops, scales=combination.map_scales, shares=shares, first=first)


def _limits(n_frames: int, ensemble: Ensemble, *, has_maps: bool) -> tuple[Text, ...]:
    limits = [make_text(f"limit.{name}") for name in ("faces_only", "not_assessed", "no_proof", "research_weights")]
    limits.append(make_text("limit.sampled_frames", n_frames=n_frames))
    if has_maps:
        n_cells = max(member.card.input_px // 16 for member in ensemble.members)
        limits.append(make_text("limit.heat_map", n_cells=n_cells))
    return tuple(limits)
