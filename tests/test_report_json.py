"""The JSON door: what goes out comes back, and what JSON cannot say does not get out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.report import InvalidReportError, from_json, new_report_id, to_json, validate
from space.contract import (
    EnsembleInfo,
    Evidence,
    FrameVerdict,
    MemberInfo,
    PartHeat,
    PartsReport,
    PartSummary,
    Quality,
    Report,
    SourceInfo,
    Text,
    TrackReport,
    Verdict,
)
from space.settings import SHARED

PRECISION = 5e-6  # relative: half a unit of the sixth significant digit at worst

# --- any report -------------------------------------------------------------------------------

ratios = st.floats(0, 1)
positive = st.floats(0, 1e6)
signed = st.floats(-1e6, 1e6)
degrees = st.floats(-180, 180)
counts = st.integers(0, 10_000)
words = st.text(min_size=1, max_size=8)
identifiers = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
text_ids = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z0-9_]{1,8}){1,2}", fullmatch=True)
pictures = st.from_regex(r"[a-z0-9-]{0,9}[a-z0-9]\.(jpg|png)", fullmatch=True).filter(lambda name: name[0] != "-")
checksums = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
parts = st.sampled_from([row["id"] for row in json.loads((SHARED / "parts.json").read_text("utf-8"))["parts"]])
distances = st.none() | positive
params = st.dictionaries(identifiers, words | st.integers() | signed | st.lists(text_ids, max_size=3), max_size=2)
texts = st.builds(Text, id=text_ids, en=words, params=params)


def tuples(items: st.SearchStrategy[Any], at_least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=at_least, max_size=2).map(tuple)


def verdicts() -> st.SearchStrategy[Verdict]:
    judged = st.builds(
        Verdict,
        code=st.sampled_from(["strong", "some", "inconclusive", "little"]),
        sentence=texts,
        reasons=tuples(texts, at_least=1),
        p_fake=ratios,
        interval=st.tuples(ratios, ratios),
    )
    nothing = st.builds(
        Verdict,
        code=st.just("not_applicable"),
        sentence=texts,
        reasons=tuples(texts),
        p_fake=st.none(),
        interval=st.none(),
    )
    return judged | nothing


def source_infos() -> st.SearchStrategy[SourceInfo]:
    size = {
        "width": st.integers(1, 9999),
        "height": st.integers(1, 9999),
        "size_bytes": st.integers(1, 10**9),
        "sha256": checksums,
    }
    clip = {"container": words, "codec": words, "duration_s": positive, "fps": st.floats(0.01, 120), **size}
    hosts = st.from_regex(r"[a-z]{1,8}\.[a-z]{2,3}", fullmatch=True)
    return st.one_of(
        st.builds(SourceInfo, kind=st.just("upload"), host=st.none(), **clip),
        st.builds(SourceInfo, kind=st.just("url"), host=hosts, **clip),
        st.builds(SourceInfo, kind=st.just("frames"), host=hosts, capture_method=words, **clip),
        st.builds(
            SourceInfo,
            kind=st.just("image"),
            host=st.none(),
            container=words,
            codec=st.none(),
            duration_s=st.just(0.0),
            fps=st.none(),
            **size,
        ),
    )


def track_reports() -> st.SearchStrategy[TrackReport]:
    quality = st.builds(
        Quality,
        native_px=positive,
        sharpness=positive,
        brightness=ratios,
        yaw_deg=degrees,
        pitch_deg=degrees,
        roll_deg=degrees,
        weight=ratios,
        usable=st.booleans(),
    )
    frame = st.builds(
        FrameVerdict,
        time_s=positive,
        frame_index=counts,
        box_xyxy=st.tuples(signed, signed, signed, signed),
        quality=quality,
        p_fake=ratios,
        logits=st.dictionaries(identifiers, signed, min_size=1, max_size=2),
    )
    return st.builds(
        TrackReport,
        id=st.integers(1, 99),
        verdict=verdicts(),
        thumbnail=pictures,
        frames=tuples(frame, at_least=1),
    )


def evidence() -> st.SearchStrategy[Evidence]:
    layers = st.dictionaries(st.sampled_from(["penultimate", "last", "layered"]), pictures, max_size=3)
    return st.builds(
        Evidence,
        track=st.integers(1, 99),
        time_s=positive,
        frame_index=counts,
        p_fake=ratios,
        crop=pictures,
        overlay=pictures,
        maps=st.dictionaries(identifiers, layers, max_size=2),
        parts=tuples(st.builds(PartHeat, name=parts, share=ratios, lift=positive, distance=distances)),
        heat=positive,
        sentence=texts,
    )


def reports() -> st.SearchStrategy[Report]:
    summary = st.builds(
        PartSummary,
        name=parts,
        share=ratios,
        lift=positive,
        distance=distances,
        n_moments=counts,
        compromising=st.booleans(),
    )
    member = st.builds(MemberInfo, name=identifiers, architecture=words, version=words, weight=ratios, sha256=checksums)
    return st.builds(
        Report,
        id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
        created=st.datetimes().map(lambda when: when.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)),
        app_version=words,
        source=source_infos(),
        n_frames=st.integers(1, 128),
        n_faces=counts,
        verdict=verdicts(),
        tracks=tuples(track_reports()),
        evidence=tuples(evidence()),
        parts=st.none() | st.builds(PartsReport, sentence=texts, parts=tuples(summary)),
        ensemble=st.builds(EnsembleInfo, name=words, version=words, members=tuples(member, at_least=1)),
        timing_s=st.dictionaries(identifiers, positive, max_size=3),
        limits=tuples(texts),
    )


# --- round trip -------------------------------------------------------------------------------


def assert_same(one: Any, other: Any) -> None:
    """Same types, same values; floats within the door's precision."""
    assert type(one) is type(other)
    if is_dataclass(one):
        for item in fields(one):
            assert_same(getattr(one, item.name), getattr(other, item.name))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=PRECISION)
    else:
        assert one == other


@given(report=reports())
def test_report_survives_json_and_a_second_trip_changes_nothing(report: Report) -> None:
    document = to_json(report)
    validate(document)
    back = from_json(json.loads(json.dumps(document, allow_nan=False)))
    assert_same(back, report)
    assert to_json(back) == document
    assert from_json(to_json(back)) == back


def test_whole_numbers_may_lose_their_point() -> None:
    """JavaScript writes 2.0 as 2; the records hold floats all the same."""
    document = example()
    document["evidence"][0]["heat"] = 41
    document["timing_s"]["maps"] = 1
    document["tracks"][0]["frames"][0]["box_xyxy"] = [1, 2, 3, 4]
    document["n_faces"] = 15.0
    report = from_json(document)
    moment, frame = report.evidence[0], report.tracks[0].frames[0]
    numbers = [moment.heat, report.timing_s["maps"], *frame.box_xyxy]
    assert numbers == [41, 1, 1, 2, 3, 4]
    assert {type(number) for number in numbers} == {float}
    assert type(report.n_faces) is int


@given(value=st.floats(0, 1), other=st.floats(0, 1))
def test_rounding_keeps_order_and_range(value: float, other: float) -> None:
    low, high = sorted([value, other])
    report = from_json(example())
    verdict = to_json(replace(report, verdict=replace(report.verdict, p_fake=high, interval=(low, high))))["verdict"]
    assert 0 <= verdict["interval"][0] <= verdict["interval"][1] == verdict["p_fake"] <= 1


def example() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SHARED / "report.example.json").read_text(encoding="utf-8"))
    return document


def test_example_is_what_the_door_writes() -> None:
    document = example()
    assert to_json(from_json(document)) == document
    assert json.dumps(to_json(from_json(document))) == json.dumps(document), "the order of the keys, too"


# --- what JSON cannot say ---------------------------------------------------------------------

REPORT = from_json(example())


def with_heat(value: Any) -> Report:
    return replace(REPORT, evidence=(replace(REPORT.evidence[0], heat=value), *REPORT.evidence[1:]))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (np.float32(0.1), 0.1),
        (np.float64(1 / 3), 0.333333),
        (np.int64(3), 3),
        (1234567.89, 1234570.0),
        (1e-9 / 3, 3.33333e-10),
        (2.0, 2.0),
    ],
)
def test_numbers_become_plain(value: Any, number: float) -> None:
    heat = to_json(with_heat(value))["evidence"][0]["heat"]
    assert heat == number
    assert type(heat) is type(number)


def test_numpy_booleans_and_words_become_plain() -> None:
    part = PartSummary("nose", 0.5, 1.0, None, 0, compromising=np.bool_(True))  # type: ignore[arg-type]
    sentence = Text(id=np.str_("parts.diffuse"), en="…")
    found = to_json(replace(REPORT, parts=PartsReport(sentence, (part,))))["parts"]
    assert type(found["parts"][0]["compromising"]) is bool
    assert type(found["sentence"]["id"]) is str


def test_parameters_of_texts_are_exact() -> None:
    """Their English rendering stands beside them: both must say the same."""
    params: dict[str, Any] = {"actual_px": 12.3456789, "minimum_px": np.float64(64.00000001)}
    found = to_json(replace(REPORT, limits=(Text(id="reason.faces_too_small", en="…", params=params),)))["limits"]
    assert found[0]["params"] == {"actual_px": 12.3456789, "minimum_px": 64.00000001}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (math.nan, "not a finite number"),
        (math.inf, "not a finite number"),
        (np.float32("-inf"), "not a finite number"),
        (np.zeros(2), "ndarray"),
        (1j, "complex"),
        (b"x", "bytes"),
        ({1}, "set"),
        ({1: 2.0}, "the key 1"),
    ],
)
def test_what_json_cannot_say_is_refused(value: Any, complaint: str) -> None:
    with pytest.raises(InvalidReportError, match=rf"report\.evidence\[0\]\.heat: .*{complaint}"):
        to_json(with_heat(value))


Place = Callable[[Report], Report]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda report: replace(report, timing_s={"maps": math.nan}), id="in a mapping"),
        pytest.param(
            lambda report: replace(report, verdict=replace(report.verdict, interval=(0.1, math.nan))), id="in a tuple"
        ),
        pytest.param(
            lambda report: replace(report, limits=(Text("limit.heat_map", "…", {"n_cells": math.nan}),)),
            id="in a parameter",
        ),
    ],
)
def test_nan_is_refused_wherever_it_hides(spoil: Place) -> None:
    with pytest.raises(InvalidReportError, match="not a finite number"):
        to_json(spoil(REPORT))


def test_nan_of_another_writer_is_refused() -> None:
    """Python's own reader lets NaN in, and to a schema it is a number."""
    text = json.dumps(example()).replace('"heat": 41.27', '"heat": NaN')
    with pytest.raises(InvalidReportError, match=r"evidence\[0\]\.heat"):
        from_json(json.loads(text))


def test_complaint_says_where() -> None:
    document = example()
    document["tracks"][1]["frames"][2]["quality"]["weight"] = 1.5
    with pytest.raises(InvalidReportError, match=r"\$\.tracks\[1\]\.frames\[2\]\.quality\.weight: 1\.5 is greater"):
        from_json(document)


@pytest.mark.parametrize("document", [{}, [], None, "report", {"id": 1}])
def test_what_is_no_report_is_refused(document: Any) -> None:
    with pytest.raises(InvalidReportError):
        from_json(document)


# --- ids --------------------------------------------------------------------------------------


def test_ids_are_long_and_differ() -> None:
    ids = {new_report_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(report_id) == 128 // 4 for report_id in ids)
    validate({**example(), "id": ids.pop()})
