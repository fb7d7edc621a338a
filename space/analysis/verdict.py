"""Scores and quality to a verdict: a pure function of numbers, used by service and evaluation alike.

Thresholds and calibration come from the ensemble's record; nothing here is tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space.contract import Quality, SourceInfo, Text, Verdict, VerdictCode
from space.models.cards import Calibration, EnsembleRecord, Thresholds
from space.settings import FaceSettings
from space.texts import make_text

F64 = NDArray[np.float64]

# Spread of one face's logit around its clip's mean that is assumed before any is seen: without it the
# interval of a single picture, or of a few agreeing frames, would claim certainty. In calibrated logits.
PRIOR_FRAME_SD = 0.5
Z_95 = 1.96
MOST = 0.5  # moments "agree" where more than this share of them does
NOTABLE_SOFTNESS = 1.0  # deviations from which a soft outline is named among the reasons
SEVERITY: dict[VerdictCode, int] = {"strong": 3, "some": 2, "inconclusive": 1, "little": 0, "not_applicable": -1}


@dataclass(frozen=True)
class Combination:
    """How raw logits become the ensemble's calibrated ones."""

    members: tuple[str, ...]
    weights: tuple[float, ...]  # sum 1
    calibrations: tuple[Calibration, ...]
    record: EnsembleRecord

    def member_logits(self, raw: Mapping[str, NDArray[np.float32]]) -> F64:
        """(members, n) calibrated logits from member -> (n,) raw ones."""
        return np.stack([c.logit(raw[name]) for name, c in zip(self.members, self.calibrations, strict=True)])

    def logits(self, raw: Mapping[str, NDArray[np.float32]]) -> F64:
        """(n,) the ensemble's calibrated logits, of what its members say alone."""
        mean = np.asarray(self.weights) @ self.member_logits(raw)
        return np.asarray(self.record.calibration.logit(mean), np.float64)

    @property
    def map_scales(self) -> dict[str, float]:
        """Member -> factor from its raw logit units to the ensemble's calibrated ones."""
        triples = zip(self.members, self.weights, self.calibrations, strict=True)
        return {m: w / c.temperature / self.record.calibration.temperature for m, w, c in triples}


@dataclass(frozen=True)
class TrackScores:
    """What a track's verdict rests on, face by face in order of time."""

    track_id: int
    time_s: F64  # (n,)
    qualities: tuple[Quality, ...]  # n
    logits: F64  # (n,) the ensemble's, calibrated
    member_logits: F64  # (members, n) calibrated
    softness: F64 | None = None  # (n,) of the outline, in deviations; ``logits`` hold its part. None: it does not count
    outline_weight: float = 0.0  # what one deviation has added

    @property
    def outline_logits(self) -> F64:
        """(n,) what the outlines added to the logits."""
        return np.zeros(len(self.logits)) if self.softness is None else self.outline_weight * self.softness

    @property
    def weights(self) -> F64:
        """(n,) how much each face counts; 0 where not usable."""
        return np.array([q.weight if q.usable else 0.0 for q in self.qualities])


@dataclass(frozen=True)
class TrackVerdict:
    """A track's verdict, and whether there was enough to assess at all."""

    track_id: int
    verdict: Verdict
    assessable: bool


def sigmoid(logit: F64 | float) -> F64:
    """1 / (1 + exp(-logit)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logit, np.float64))))


def judge_track(scores: TrackScores, record: EnsembleRecord, source: SourceInfo, faces: FaceSettings) -> TrackVerdict:
    """The verdict on one person's faces."""
    thresholds = record.thresholds
    weights = scores.weights
    minimum = 1 if source.kind == "image" else thresholds.min_faces
    lacking = _quality_reasons(scores.qualities, weights, minimum, thresholds, faces)
    if not weights.any():
        weights = np.array([max(q.weight, 1e-3) for q in scores.qualities])  # an estimate, though not a usable one
    logit, interval = average_logit(scores.logits, weights)
    member_p = sigmoid((scores.member_logits * weights).sum(axis=1) / weights.sum())
    p_fake = float(sigmoid(logit))
    reasons = [*lacking, *_source_reasons(source, thresholds)]
    if member_p.max() - member_p.min() > thresholds.max_disagreement:
        n_fake = int((member_p >= thresholds.some_from).sum())
        reasons.append(make_text("reason.members_disagree", n_fake=n_fake, n_members=len(member_p)))
    if interval[1] - interval[0] > thresholds.max_interval_width:
        reasons.append(make_text("reason.unsteady"))
    if thresholds.little_below <= p_fake < thresholds.some_from:
        reasons.append(make_text("reason.between_thresholds"))
    code: VerdictCode = "inconclusive" if reasons else _code(p_fake, thresholds)
    if code != "inconclusive":
        reasons = _supporting_reasons(code, scores, member_p, source, thresholds)
    verdict = Verdict(code, make_text(f"verdict.{code}"), tuple(reasons), p_fake, interval)
    return TrackVerdict(scores.track_id, verdict, assessable=not lacking)


def judge_clip(tracks: Sequence[TrackVerdict], *, n_frames: int) -> tuple[Verdict, int | None]:
    """The clip's verdict is that of its most manipulated person.

    Among the tracks with enough to assess, the most severe verdict counts, then the highest p_fake;
    tracks with too little to assess count only where there is no other. A face glimpsed in the background
    therefore neither condemns a clip nor makes it inconclusive.

    Returns:
        The verdict and the deciding track's id; None without a face.
    """
    if not tracks:
        reason = make_text("reason.no_face", n_frames=n_frames)
        return Verdict("not_applicable", make_text("verdict.not_applicable"), (reason,), None, None), None
    candidates = [t for t in tracks if t.assessable] or list(tracks)
    decisive = max(candidates, key=lambda t: (SEVERITY[t.verdict.code], t.verdict.p_fake or 0.0))
    verdict = decisive.verdict
    with_signs = [t for t in candidates if t.verdict.code in ("strong", "some")]
    if len(tracks) > 1 and with_signs == [decisive]:
        reason = make_text("reason.one_person", track=decisive.track_id, n_tracks=len(tracks))
        verdict = Verdict(verdict.code, verdict.sentence, (*verdict.reasons, reason), verdict.p_fake, verdict.interval)
    return verdict, decisive.track_id


def average_logit(logits: F64, weights: F64) -> tuple[float, tuple[float, float]]:
    """The weighted mean logit, and the 95 % interval of its probability.

    The variance of the mean is that of the faces plus an assumed one, over the effective number of faces
    (Kish 1965): (sum w)^2 / sum w^2.

    Args:
        logits: (n,) n >= 1.
        weights: (n,) >= 0, not all zero.
    """
    total = weights.sum()
    mean = float((weights * logits).sum() / total)
    spread = float((weights * (logits - mean) ** 2).sum() / total)
    n_effective = float(total**2 / (weights**2).sum())
    half = Z_95 * float(np.sqrt((spread + PRIOR_FRAME_SD**2) / n_effective))
    return mean, (float(sigmoid(mean - half)), float(sigmoid(mean + half)))


def _code(p_fake: float, thresholds: Thresholds) -> VerdictCode:
    if p_fake >= thresholds.strong_from:
        return "strong"
    return "some" if p_fake >= thresholds.some_from else "little"


def _quality_reasons(
    qualities: Sequence[Quality], weights: F64, minimum: int, thresholds: Thresholds, faces: FaceSettings
) -> list[Text]:
    n_usable = int((weights > 0).sum())
    if n_usable >= minimum and weights[weights > 0].mean() >= thresholds.min_weight:
        return []
    reasons = []
    if n_usable < minimum:
        reasons.append(make_text("reason.too_few_faces", n_usable=n_usable, minimum=minimum))
    median_px = float(np.median([q.native_px for q in qualities]))
    n_blurred = sum(q.native_px >= faces.min_native_px and q.sharpness < faces.min_sharpness for q in qualities)
    n_turned = sum(abs(q.yaw_deg) > faces.max_yaw_deg for q in qualities)
    if median_px < faces.min_native_px:
        reasons.append(
            make_text("reason.faces_too_small", actual_px=round(median_px), minimum_px=round(faces.min_native_px))
        )
    if n_turned:
        reasons.append(make_text("reason.faces_turned_away", n_turned=n_turned, n_faces=len(qualities)))
    if n_blurred or not reasons:
        reasons.append(make_text("reason.faces_blurred", n_blurred=n_blurred or len(qualities), n_faces=len(qualities)))
    return reasons


def _source_reasons(source: SourceInfo, thresholds: Thresholds) -> list[Text]:
    reasons = []
    if bits_per_pixel(source) < thresholds.min_bits_per_pixel:
        reasons.append(make_text("reason.heavy_compression"))
    if source.capture_method == "screen":
        reasons.append(make_text("reason.screen_capture"))
    return reasons


def bits_per_pixel(source: SourceInfo) -> float:
    """Coded bits per displayed pixel of a video, sound included; infinite for an image."""
    if not source.fps or source.duration_s <= 0:
        return float("inf")
    return source.size_bytes * 8 / (source.duration_s * source.fps * source.width * source.height)


def _supporting_reasons(
    code: VerdictCode, scores: TrackScores, member_p: F64, source: SourceInfo, thresholds: Thresholds
) -> list[Text]:
    usable = scores.weights > 0
    p = sigmoid(scores.logits[usable])
    agree = p < thresholds.some_from if code == "little" else p >= thresholds.some_from
    reasons = []
    if code == "some":
        reasons.append(make_text("reason.slight_signs"))
    if code == "little" and agree.all():
        reasons.append(make_text("reason.nothing_stands_out"))
    if source.kind == "image":
        reasons.append(make_text("reason.single_picture"))
    else:
        name = "reason.most_frames_agree" if agree.mean() > MOST else "reason.moments_differ"
        reasons.append(make_text(name, n_agree=int(agree.sum()), n_total=len(agree)))
        if code != "little":
            reasons.extend(_short_passage(scores.time_s[usable], agree))
    if code != "little" and _is_outline_soft(scores):
        reasons.append(make_text("reason.soft_outline"))
    if len(member_p) > 1:
        same = member_p < thresholds.some_from if code == "little" else member_p >= thresholds.some_from
        reasons.append(_members_reason(same))
    return reasons


def _members_reason(same: NDArray[np.bool_]) -> Text:
    """What the members, two at least, say alone; none may say what all evidence says together."""
    if not same.any():
        return make_text("reason.members_together")
    name = "reason.members_agree" if same.all() else "reason.members_differ"
    return make_text(name, n_agree=int(same.sum()), n_members=len(same))


def _is_outline_soft(scores: TrackScores) -> bool:
    """Whether the outline says something by itself: softer than five in six genuine faces' on the mean."""
    if scores.softness is None:
        return False
    return float((scores.weights * scores.softness).sum() / scores.weights.sum()) >= NOTABLE_SOFTNESS


def _short_passage(time_s: F64, signs: NDArray[np.bool_]) -> list[Text]:
    """Named where the frames with signs are neighbours and fewer than half."""
    where = np.flatnonzero(signs)
    if not 2 <= len(where) < len(signs) / 2 or where[-1] - where[0] + 1 != len(where):
        return []
    start, end = (round(float(time_s[where[i]]), 1) for i in (0, -1))
    return [make_text("reason.a_short_passage", start_s=start, end_s=end)]
