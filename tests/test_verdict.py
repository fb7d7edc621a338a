"""The verdict function: a table of cases, and what must hold for any input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.verdict import (
    SEVERITY,
    Combination,
    TrackScores,
    average_logit,
    bits_per_pixel,
    judge_clip,
    judge_track,
    sigmoid,
)
from space.contract import Quality, SourceInfo
from space.models.cards import Calibration, EnsembleRecord, Thresholds
from space.settings import FaceSettings

THRESHOLDS = Thresholds(
    little_below=0.3,
    some_from=0.7,
    strong_from=0.9,
    max_disagreement=0.5,
    min_faces=3,
    max_interval_width=0.6,
    min_weight=0.2,
    min_bits_per_pixel=0.01,
)
RECORD = EnsembleRecord(
    name="test",
    version="1",
    members=(("a", 1.0), ("b", 1.0)),
    calibration=Calibration(1.0, 0.0),
    thresholds=THRESHOLDS,
    heat_full_scale=1.0,
    heat_min=0.1,
    metrics=(),
)
GOOD = Quality(
    native_px=200, sharpness=100, brightness=0.5, yaw_deg=0, pitch_deg=0, roll_deg=0, weight=0.9, usable=True
)
SMALL = replace(GOOD, native_px=30, weight=0.0, usable=False)
BLURRED = replace(GOOD, sharpness=1, weight=0.0, usable=False)
TURNED = replace(GOOD, yaw_deg=80, weight=0.0, usable=False)
VIDEO = SourceInfo(
    kind="upload",
    host=None,
    container="mp4",
    codec="h264",
    duration_s=10.0,
    fps=25.0,
    width=640,
    height=360,
    size_bytes=2_000_000,
    sha256="0" * 64,
)
IMAGE = replace(VIDEO, kind="image", container="jpeg", codec=None, duration_s=0.0, fps=None)


def track(logits: list[float], *, members: list[list[float]] | None = None, quality: Quality = GOOD) -> TrackScores:
    n = len(logits)
    return TrackScores(
        track_id=1,
        time_s=np.arange(n, dtype=float),
        qualities=(quality,) * n,
        logits=np.array(logits),
        member_logits=np.array(members or [logits, logits]),
    )


def judge(scores: TrackScores, source: SourceInfo = VIDEO) -> tuple[str, set[str]]:
    verdict = judge_track(scores, RECORD, source, FaceSettings()).verdict
    return verdict.code, {reason.id.removeprefix("reason.") for reason in verdict.reasons}


CASES = {
    "strong": (track([4.0] * 8), VIDEO, "strong", {"most_frames_agree", "members_agree"}),
    "some": (track([1.5] * 8), VIDEO, "some", {"slight_signs", "most_frames_agree", "members_agree"}),
    "between": (track([0.0] * 8), VIDEO, "inconclusive", {"between_thresholds"}),
    "little": (track([-2.0] * 8), VIDEO, "little", {"nothing_stands_out", "most_frames_agree", "members_agree"}),
    "one picture": (track([4.0]), IMAGE, "strong", {"single_picture", "members_agree"}),
    "too few": (track([4.0] * 2), VIDEO, "inconclusive", {"too_few_faces"}),
    "too small": (track([4.0] * 8, quality=SMALL), VIDEO, "inconclusive", {"too_few_faces", "faces_too_small"}),
    "blurred": (track([4.0] * 8, quality=BLURRED), VIDEO, "inconclusive", {"too_few_faces", "faces_blurred"}),
    "turned": (track([4.0] * 8, quality=TURNED), VIDEO, "inconclusive", {"too_few_faces", "faces_turned_away"}),
    "weak faces": (
        track([4.0] * 8, quality=replace(GOOD, weight=0.1)),
        VIDEO,
        "inconclusive",
        {"faces_blurred"},
    ),
    "disagree": (
        track([2.0] * 8, members=[[4.0] * 8, [-1.0] * 8]),
        VIDEO,
        "inconclusive",
        {"members_disagree"},
    ),
    "one of two": (
        track([4.0] * 8, members=[[4.0] * 8, [0.5] * 8]),
        VIDEO,
        "strong",
        {"most_frames_agree", "members_differ"},
    ),
    "unsteady": (track([6.0, -4.0] * 4), VIDEO, "inconclusive", {"unsteady"}),
    "compressed": (track([4.0] * 8), replace(VIDEO, size_bytes=10_000), "inconclusive", {"heavy_compression"}),
    "screen": (track([4.0] * 8), replace(VIDEO, capture_method="screen"), "inconclusive", {"screen_capture"}),
    "short passage": (
        track([6.0, 6.0, 6.0, 0.5, 0.5, 0.5, 0.5, 0.5]),
        VIDEO,
        "strong",
        {"a_short_passage", "moments_differ", "members_agree"},
    ),
    "half of the moments": (track([6.0, 0.5] * 4), VIDEO, "strong", {"moments_differ", "members_agree"}),
    "more than half": (track([6.0] * 5 + [0.5] * 3), VIDEO, "strong", {"most_frames_agree", "members_agree"}),
    "none alone": (
        track([4.0] * 8, members=[[0.5] * 8, [0.6] * 8]),
        VIDEO,
        "strong",
        {"most_frames_agree", "members_together"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    scores, source, code, reasons = CASES[name]
    found_code, found_reasons = judge(scores, source)
    assert found_code == code
    assert reasons == found_reasons


def test_every_forcing_reason_is_told() -> None:
    scores = track([2.0] * 8, members=[[4.0] * 8, [-1.0] * 8])
    _, reasons = judge(scores, replace(VIDEO, size_bytes=10_000, capture_method="screen"))
    assert reasons == {"members_disagree", "heavy_compression", "screen_capture"}


def test_no_face_is_not_applicable() -> None:
    verdict, decisive = judge_clip([], n_frames=16)
    assert (verdict.code, verdict.p_fake, verdict.interval, decisive) == ("not_applicable", None, None, None)
    assert verdict.reasons[0].params == {"n_frames": 16}


def test_the_clip_takes_its_most_manipulated_person() -> None:
    judged = [
        judge_track(replace(track([logit] * 8), track_id=i), RECORD, VIDEO, FaceSettings())
        for i, logit in enumerate((-3.0, 5.0, 0.0), start=1)
    ]
    verdict, decisive = judge_clip(judged, n_frames=8)
    assert (verdict.code, decisive) == ("strong", 2)
    assert "reason.one_person" in {reason.id for reason in verdict.reasons}
    verdict, _ = judge_clip([*judged, replace(judged[1], track_id=4)], n_frames=8)
    assert "reason.one_person" not in {reason.id for reason in verdict.reasons}


def test_a_face_that_cannot_be_assessed_does_not_decide_beside_one_that_can() -> None:
    clear = judge_track(track([-3.0] * 8), RECORD, VIDEO, FaceSettings())
    glimpsed = judge_track(replace(track([9.0], quality=SMALL), track_id=2), RECORD, VIDEO, FaceSettings())
    verdict, decisive = judge_clip([clear, glimpsed], n_frames=8)
    assert (verdict.code, decisive) == ("little", 1)
    assert judge_clip([glimpsed], n_frames=8)[0].code == "inconclusive"


def test_bits_per_pixel() -> None:
    assert bits_per_pixel(VIDEO) == pytest.approx(2_000_000 * 8 / (10 * 25 * 640 * 360))
    assert bits_per_pixel(IMAGE) == float("inf")


logit = st.floats(-30, 30)


@given(st.lists(logit, min_size=1, max_size=20), st.sampled_from([GOOD, SMALL, BLURRED, TURNED]))
def test_total(logits: list[float], quality: Quality) -> None:
    verdict = judge_track(track(logits, quality=quality), RECORD, VIDEO, FaceSettings()).verdict
    assert verdict.code in SEVERITY
    assert verdict.reasons
    assert verdict.p_fake is not None
    assert verdict.interval is not None
    low, high = verdict.interval
    assert 0 <= low <= verdict.p_fake <= high <= 1


@given(st.lists(st.floats(-6, 6), min_size=3, max_size=12), st.floats(0, 8))
def test_monotone_in_p_fake(logits: list[float], more: float) -> None:
    """More evidence never gives a milder verdict, abstentions for unsteadiness aside."""
    record = replace(RECORD, thresholds=replace(THRESHOLDS, max_interval_width=1.0))
    before, after = (
        judge_track(track([x + d for x in logits]), record, VIDEO, FaceSettings()).verdict for d in (0.0, more)
    )
    assert before.p_fake is not None
    assert after.p_fake is not None
    assert after.p_fake >= before.p_fake
    assert SEVERITY[after.code] >= SEVERITY[before.code]


@given(st.lists(logit, min_size=1, max_size=30))
def test_more_frames_narrow_the_interval(logits: list[float]) -> None:
    values = np.array(logits)
    once, thrice = (average_logit(v, np.ones(len(v)))[1] for v in (values, np.tile(values, 3)))
    assert thrice[1] - thrice[0] <= once[1] - once[0] + 1e-12


def test_weights_decide_how_much_a_frame_counts() -> None:
    mean, _ = average_logit(np.array([4.0, -4.0]), np.array([3.0, 1.0]))
    assert mean == pytest.approx(2.0)


@given(
    st.lists(logit, min_size=1, max_size=5),
    st.floats(0.1, 5),
    st.floats(-3, 3),
)
def test_combination_adds_up_calibrated_logits(raw: list[float], temperature: float, bias: float) -> None:
    calibration = Calibration(temperature, bias)
    combination = Combination(("a", "b"), (0.25, 0.75), (calibration, Calibration(1.0, 0.0)), RECORD)
    logits = np.array(raw, np.float32)
    expected = 0.25 * (logits.astype(float) - bias) / temperature + 0.75 * logits.astype(float)
    assert combination.logits({"a": logits, "b": logits}) == pytest.approx(expected, abs=1e-4)
    assert combination.map_scales == {"a": pytest.approx(0.25 / temperature), "b": pytest.approx(0.75)}


@given(st.floats(-1e4, 1e4))
def test_sigmoid_is_bounded(x: float) -> None:
    assert 0 <= float(sigmoid(x)) <= 1
