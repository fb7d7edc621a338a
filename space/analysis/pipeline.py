"""The order of the analysis, written once: clip -> frames -> faces -> scores and maps -> verdict -> report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np

from space import __version__
from space.analysis.evidence import (
    MapSource,
    Pictures,
    name_parts_by_frame,
    pick_moments,
    report_track,
    show_evidence,
    summarise,
)
from space.analysis.faces import FaceFinder
from space.analysis.occlusion import measure_drops
from space.analysis.report import new_report_id
from space.analysis.scoring import Compute, ComputeRefusedError, Scorer, Tell, thin_tracks
from space.analysis.track_scores import score_tracks
from space.analysis.tracks import link_tracks
from space.analysis.verdict import Combination, TrackScores, TrackVerdict, judge_clip, judge_track
from space.contract import (
    Analysis,
    Clip,
    Evidence,
    Face,
    Frame,
    MemberMaps,
    MemberScores,
    PartsReport,
    Report,
    SourceInfo,
    SourceKind,
    Text,
    Track,
    Verdict,
)
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.models.weights import Ensemble
from space.settings import Settings
from space.texts import make_text

Progress = Callable[[str, float], None]  # stage, fraction of the whole check in [0, 1]
OnPreliminary = Callable[[Verdict], None]

# Share of a 16-frame check on two cores at which each stage begins.
STAGE_STARTS = {"source": 0.0, "frames": 0.02, "scores": 0.35, "verdict": 0.85, "pictures": 0.87}

QUICK_FACES = 12  # scored on the processor where what was to score them refuses


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


def check_clip(
    clip: Clip,
    *,
    settings: Settings,
    ensemble: Ensemble,
    progress: Progress,
    frames: Iterator[Frame] | None = None,
    on_preliminary: OnPreliminary | None = None,
    compute: Compute | None = None,
) -> Analysis:
    """The whole analysis of one clip.

    Frames stream: only patches around faces are kept, so memory does not grow with the clip's length.

    Args:
        frames: of the clip, where they are decoded elsewhere; None: sampled here.
        on_preliminary: told once, as soon as enough usable faces are scored, what they say; at the latest what
            the verdict is, before pictures are drawn. Never called for a clip without faces. The report is the
            same with and without it.
        compute: scores all faces in one call, elsewhere; where it refuses, at most ``QUICK_FACES`` are scored
            here, and the report says so. None: scored here, batch by batch.

    Raises:
        SourceError: nothing could be decoded, or it took too long.
        ServiceError: ``bad_capture``: no captured frame could be decoded.
        RequestError: ``bad_frames``.
    """
    watch = Stopwatch()
    judge = _Judge(clip.info, ensemble, settings)
    first_word = _FirstWord(judge, on_preliminary)
    here = Scorer(ensemble, batch_size=settings.batch_size, maps=settings.maps, tell=first_word.tell)
    scorer = here if compute is None else Scorer(ensemble, batch_size=sys.maxsize, maps=settings.maps, compute=compute)
    if frames is None:
        frames = sample_frames(clip, settings.n_frames, limits=settings.limits)
    faces, n_frames = _find_faces(frames, scorer, settings, watch, progress)
    tracks = link_tracks(faces)
    with watch.stage("scores"):
        advance = partial(_advance, progress, "scores", "verdict")
        try:
            scored, is_quick = scorer.score(tracks, advance), False
        except ComputeRefusedError:
            tracks = thin_tracks(tracks, QUICK_FACES)
            scored, is_quick = here.score(tracks, advance), True
    progress("verdict", STAGE_STARTS["verdict"])
    with watch.stage("verdict"):
        judged = judge(tracks, scored.scores, n_frames)
    first_word.conclude(judged)
    progress("pictures", STAGE_STARTS["pictures"])
    pictures: Pictures = {}
    evidence: tuple[Evidence, ...] = ()
    parts: PartsReport | None = None
    firsts = np.cumsum([0, *(len(track.faces) for track in tracks)]).tolist()
    with watch.stage("pictures"):
        if judged.decisive is not None and settings.maps:
            position = [track.track_id for track in tracks].index(judged.decisive)
            track, track_scores = tracks[position], judged.scores[position]
            source = _map_source(ensemble, scored.maps, judge.combination, firsts[position])
            evidence = show_evidence(
                track,
                track_scores,
                source,
                code=judged.verdict.code,
                is_image=clip.info.kind == "image",
                record=ensemble.record,
                settings=settings,
                pictures=pictures,
            )
            named = name_parts_by_frame(track, track_scores, source, ensemble.record)
            strongest = pick_moments(track_scores.time_s, track_scores.logits, track_scores.weights, n=1)[0]
            usual = ensemble.record.usual_drops  # not known: a part cannot be checked by blurring it
            check = partial(measure_drops, track.faces[strongest], ensemble, judge.combination) if usual else None
            parts = summarise(evidence, judged.verdict.code, frames=named, check=check, usual_drops=dict(usual or ()))
        track_reports = tuple(
            report_track(track, s, v, scored.scores, first=first, pictures=pictures)
            for track, s, v, first in zip(tracks, judged.scores, judged.tracks, firsts, strict=False)
        )
    progress("pictures", 1.0)
    report = Report(
        id=new_report_id(),
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        app_version=__version__,
        source=clip.info,
        n_frames=n_frames,
        n_faces=len(faces),
        verdict=judged.verdict,
        tracks=track_reports,
        evidence=evidence,
        parts=parts,
        ensemble=ensemble.info,
        timing_s=watch.seconds,
        limits=_limits(n_frames, ensemble, has_maps=bool(evidence), is_quick=is_quick),
    )
    return Analysis(report=report, pictures=pictures)


def _find_faces(
    frames: Iterator[Frame], scorer: Scorer, settings: Settings, watch: Stopwatch, progress: Progress
) -> tuple[list[Face], int]:
    faces: list[Face] = []
    n_frames = 0
    with FaceFinder(settings.faces) as finder:
        while True:
            advance = partial(_advance, progress, "frames", "scores", min(1.0, n_frames / settings.n_frames))
            advance(stage="faces" if n_frames else "frames")
            with watch.stage("frames"):
                frame = next(frames, None)
            if frame is None:
                return faces, n_frames
            n_frames += 1
            with watch.stage("faces"):
                faces.extend(finder.find_faces(frame))
            with watch.stage("scores"):
                scorer.begin_early(faces, n_frames, partial(advance, stage="faces"))


def _advance(progress: Progress, begin: str, end: str, share: float, stage: str | None = None) -> None:
    """Progress between the beginnings of two stages."""
    start_share, end_share = STAGE_STARTS[begin], STAGE_STARTS[end]
    progress(stage or begin, start_share + (end_share - start_share) * share)


# --- verdicts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judged:
    """Verdicts and what they rest on."""

    scores: tuple[TrackScores, ...]  # one per track
    tracks: tuple[TrackVerdict, ...]  # one per track
    verdict: Verdict  # the clip's
    decisive: int | None  # the deciding track's id


class _Judge:
    """Verdicts on a clip's tracks, or on part of them."""

    def __init__(self, source: SourceInfo, ensemble: Ensemble, settings: Settings) -> None:
        cards = [member.card for member in ensemble.members]
        self.combination = Combination(
            members=tuple(card.name for card in cards),
            weights=ensemble.weights,
            calibrations=tuple(card.calibration for card in cards),
            record=ensemble.record,
        )
        self._source = source
        self._faces = settings.faces

    def __call__(self, tracks: Sequence[Track], scores: Sequence[MemberScores], n_frames: int) -> _Judged:
        raw = {said.member: said.logits for said in scores}
        track_scores = score_tracks(tracks, raw, self.combination, self._source)
        verdicts = [judge_track(s, self.combination.record, self._source, self._faces) for s in track_scores]
        verdict, decisive = judge_clip(verdicts, n_frames=n_frames)
        return _Judged(tuple(track_scores), tuple(verdicts), verdict, decisive)


class _FirstWord:
    """Tells whoever waits what the first faces say, once."""

    def __init__(self, judge: _Judge, listener: OnPreliminary | None) -> None:
        self._judge = judge
        self._listener = listener

    @property
    def tell(self) -> Tell | None:
        """For the scorer; None where nobody waits."""
        return self._tell if self._listener else None

    def conclude(self, judged: _Judged) -> None:
        """Tell the verdict where nothing was told before."""
        if judged.tracks:
            self._say(judged.verdict)

    def _tell(self, tracks: Sequence[Track], scores: Sequence[MemberScores]) -> bool:
        judged = self._judge(tracks, scores, n_frames=max(len(track.faces) for track in tracks))
        is_enough = any(track.assessable for track in judged.tracks)
        if is_enough:
            self._say(judged.verdict)
        return is_enough

    def _say(self, verdict: Verdict) -> None:
        listener, self._listener = self._listener, None
        if listener:
            listener(verdict)


def _map_source(ensemble: Ensemble, maps: Sequence[MemberMaps], combination: Combination, first: int) -> MapSource:
    crops = {member.card.name: (member.card.margin, member.card.input_px) for member in ensemble.members}
    shares = dict(zip(combination.members, combination.weights, strict=True))
    biases = {m.member: np.array([m.bias], np.float32) for m in maps if m.bias is not None}
    bias = float(combination.logits(biases)[0]) if len(biases) == len(maps) else None
    return MapSource(maps=maps, crops=crops, scales=combination.map_scales, shares=shares, first=first, bias=bias)


def _limits(n_frames: int, ensemble: Ensemble, *, has_maps: bool, is_quick: bool) -> tuple[Text, ...]:
    limits = [make_text(f"limit.{name}") for name in ("faces_only", "not_assessed", "no_proof", "research_weights")]
    limits.append(make_text("limit.sampled_frames", n_frames=n_frames))
    if has_maps:
        n_cells = max(member.card.input_px // 16 for member in ensemble.members)
        limits.append(make_text("limit.heat_map", n_cells=n_cells))
    if is_quick:
        limits.append(make_text("limit.quick_check", n_faces=QUICK_FACES))
    return tuple(limits)
