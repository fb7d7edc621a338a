"""How sharp a face is along its outline: faces put into a picture end softly, and a clip's verdict says so."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from space.analysis.crops import cut_patch, square_box
from space.analysis.evidence import report_track
from space.analysis.outline import measure_outlines
from space.analysis.parts import FACE_OVAL
from space.analysis.track_scores import score_tracks
from space.analysis.verdict import Combination, judge_track, sigmoid
from space.contract import Face, MemberScores, SourceInfo, Track
from space.models.cards import Calibration, OutlineEvidence
from space.settings import FaceSettings
from tests.astronaut_faces import LANDMARKS
from tests.test_verdict import GOOD, IMAGE, RECORD, VIDEO

USUAL = OutlineEvidence(slope=0.5, offset=-0.4, deviation=0.4, weight=1.5, limit=2.0)
COMBINATION = Combination(("a",), (1.0,), (Calibration(1.0, 0.0),), replace(RECORD, outline=USUAL))


def face_in(image: NDArray[np.uint8], landmarks: NDArray[np.float32], *, at: int = 0) -> Face:
    box = square_box(landmarks)
    return Face(at, float(at), box, box, 0.9, landmarks, GOOD, cut_patch(image, box, margin=2.0, max_px=512))


def soften_outline(image: NDArray[np.uint8], landmarks: NDArray[np.float32], *, sigma: float) -> NDArray[np.uint8]:
    """Blur a band along the face's oval, as where a pasted face is mixed with what was there."""
    band = np.zeros(image.shape[:2], np.uint8)
    oval = landmarks[list(FACE_OVAL)].astype(np.int32)
    cv2.polylines(band, [cv2.convexHull(oval)], True, (1,), thickness=round(np.ptp(landmarks[:, 0]) * 0.12))
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.where(band[..., None] > 0, blurred, image)


@pytest.fixture(scope="module")
def shot() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return np.ascontiguousarray(data.astronaut()), LANDMARKS


def test_a_soft_outline_is_measured_where_it_is(shot: tuple[NDArray[np.uint8], NDArray[np.float32]]) -> None:
    image, landmarks = shot
    soft = [face_in(soften_outline(image, landmarks, sigma=sigma), landmarks) for sigma in (1.5, 4.0)]
    (outline, inside), (softer, inside_softer), (softest, _) = measure_outlines([face_in(image, landmarks), *soft])
    assert softer < outline - 0.2
    assert softest < softer
    assert inside_softer == pytest.approx(inside, abs=0.1), "what lies within is measured apart"


def test_a_picture_that_is_soft_everywhere_has_no_soft_outline(
    shot: tuple[NDArray[np.uint8], NDArray[np.float32]],
) -> None:
    image, landmarks = shot
    blurred = cv2.GaussianBlur(image, (0, 0), 1.0)
    sharp, soft = measure_outlines([face_in(image, landmarks), face_in(blurred, landmarks)])
    band = measure_outlines([face_in(soften_outline(image, landmarks, sigma=4.0), landmarks)])[0]
    assert abs(soft[0] - sharp[0]) < (sharp[0] - band[0]) / 2


def test_a_tight_crop_or_black_bars_show_no_surroundings(
    shot: tuple[NDArray[np.uint8], NDArray[np.float32]],
) -> None:
    image, landmarks = shot
    x0, y0, x1, y1 = (round(float(v)) for v in square_box(landmarks[list(FACE_OVAL)]))
    tight = face_in(np.ascontiguousarray(image[y0:y1, x0:x1]), landmarks - np.array([x0, y0], np.float32))
    barred = np.zeros_like(image)
    barred[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    assert np.isnan(measure_outlines([tight, face_in(barred, landmarks)])).all()


def test_what_a_picture_lacks_beside_the_face_is_not_measured(
    shot: tuple[NDArray[np.uint8], NDArray[np.float32]],
) -> None:
    image, landmarks = shot
    below = round(float(landmarks[list(FACE_OVAL), 1].max())) + 3  # the chin nearly touches the border
    whole, cut = measure_outlines([face_in(image, landmarks), face_in(image[:below], landmarks)])
    assert np.isfinite(cut).all()
    assert cut == pytest.approx(whole, abs=0.5), "a repeated border would count as a flat wall"


def test_softness_counts_in_deviations_within_a_limit() -> None:
    detail = np.array([[-0.4, 0.0], [-0.8, 0.0], [-0.4, 0.8], [-9.0, 0.0], [9.0, 0.0], [np.nan, np.nan]], np.float32)
    assert USUAL.softness(detail) == pytest.approx([0.0, 1.0, 1.0, 2.0, -2.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("field", ["deviation", "weight", "limit"])
def test_evidence_that_means_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        replace(USUAL, **{field: 0.0})


def track_of(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Track:
    return Track(1, tuple(face_in(image, landmarks, at=i) for i in range(4)))


@pytest.mark.parametrize(("source", "counts"), [(VIDEO, True), (IMAGE, False)])
def test_outlines_count_in_clips_alone(
    shot: tuple[NDArray[np.uint8], NDArray[np.float32]], source: SourceInfo, counts: bool
) -> None:
    image, landmarks = shot
    logits = {"a": np.zeros(4, np.float32)}
    as_is, soft = (
        score_tracks([track_of(picture, landmarks)], logits, COMBINATION, source)[0]
        for picture in (image, soften_outline(image, landmarks, sigma=4.0))
    )
    assert bool(soft.logits.mean() > as_is.logits.mean() + 0.5) is counts
    assert soft.logits == pytest.approx(soft.outline_logits), "the members say nothing"
    assert soft.member_logits == pytest.approx(as_is.member_logits)


@pytest.mark.parametrize(("sigma", "named"), [(4.0, True), (0.0, False)])
def test_a_verdict_names_a_soft_outline(
    shot: tuple[NDArray[np.uint8], NDArray[np.float32]], sigma: float, named: bool
) -> None:
    image, landmarks = shot
    shown = soften_outline(image, landmarks, sigma=sigma) if sigma else image
    usual = float(measure_outlines([face_in(image, landmarks)])[0, 0])
    evidence = replace(USUAL, slope=0.0, offset=usual)  # this face's own outline is usual
    combination = replace(COMBINATION, record=replace(RECORD, outline=evidence))
    (scores,) = score_tracks([track_of(shown, landmarks)], {"a": np.full(4, 6.0, np.float32)}, combination, VIDEO)
    verdict = judge_track(scores, combination.record, VIDEO, FaceSettings()).verdict
    assert verdict.code == "strong"
    assert ("reason.soft_outline" in {reason.id for reason in verdict.reasons}) is named


@pytest.mark.parametrize("source", [VIDEO, IMAGE])
def test_a_report_holds_what_outlines_said_of_every_frame(
    shot: tuple[NDArray[np.uint8], NDArray[np.float32]], source: SourceInfo
) -> None:
    image, landmarks = shot
    track, raw = track_of(image, landmarks), np.linspace(0, 1, 4, dtype=np.float32)
    (scores,) = score_tracks([track], {"a": raw}, COMBINATION, source)
    verdict = judge_track(scores, COMBINATION.record, source, FaceSettings())
    report = report_track(track, scores, verdict, [MemberScores("a", raw)], first=0, pictures={})
    for frame, logit in zip(report.frames, raw, strict=True):
        softness = frame.softness or 0.0
        assert (frame.softness is None) is (source is IMAGE)
        assert frame.p_fake == pytest.approx(float(sigmoid(float(logit) + USUAL.weight * softness)))


def test_tracks_are_scored_one_after_the_other(shot: tuple[NDArray[np.uint8], NDArray[np.float32]]) -> None:
    image, landmarks = shot
    tracks = [replace(track_of(image, landmarks), track_id=i) for i in (1, 2)]
    plain = replace(COMBINATION, record=RECORD)
    first, second = score_tracks(tracks, {"a": np.arange(8, dtype=np.float32)}, plain, VIDEO)
    assert first.logits.tolist() == [0, 1, 2, 3]
    assert second.logits.tolist() == [4, 5, 6, 7]
    assert first.softness is None
    assert first.outline_logits.tolist() == [0, 0, 0, 0]
