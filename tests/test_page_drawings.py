"""What the page draws: the timeline, the zones of the verdicts, the face by its parts, the boxes over a clip."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.parts import FACE_PARTS
from space.models.cards import Thresholds, read_ensemble
from space.models.weights import ENSEMBLE_FILE, SHIPPED
from space.service.page.html import HERE, STATIC
from space.service.page.languages import Words
from space.service.page.palette import heat_colour, lift_colour
from space.service.page.report_html import list_boxes, number_views, tint_parts
from space.service.page.scale import Scale, draw_scale
from space.service.page.timeline import MAX_BANDS, draw_timeline
from space.settings import SHARED
from tests.analyses import example_report, image_analysis, make_analysis

THRESHOLDS = read_ensemble(SHIPPED / ENSEMBLE_FILE).thresholds
SCALE = draw_scale(THRESHOLDS)
PLAIN = Scale(())
PARTS = [part["id"] for part in json.loads((SHARED / "parts.json").read_text(encoding="utf-8"))["parts"]]

# --- the timeline -----------------------------------------------------------------------------


def test_points_lie_over_the_clip() -> None:
    report = example_report()
    timeline = draw_timeline(report, SCALE)
    assert timeline is not None
    for line, track in zip(timeline.lines, report.tracks, strict=True):
        assert [point.frame for point in line.points] == list(track.frames)
        for point in line.points:
            assert point.x == pytest.approx(100 * point.frame.time_s / report.source.duration_s)
            assert point.y == pytest.approx(SCALE.place(point.frame.p_fake))
    assert [time_s for _, time_s in timeline.seconds] == [0, report.source.duration_s / 2, report.source.duration_s]


def test_points_lead_to_their_evidence() -> None:
    report = example_report()
    timeline = draw_timeline(report, PLAIN)
    assert timeline is not None
    found = {point.moment: point.frame for line in timeline.lines for point in line.points if point.moment}
    assert sorted(found) == list(range(1, len(report.evidence) + 1))
    for number, moment in enumerate(report.evidence, start=1):
        assert found[number].time_s == moment.time_s


def test_a_line_breaks_where_its_person_was_not_seen() -> None:
    report = example_report()
    timeline = draw_timeline(report, PLAIN)
    assert timeline is not None
    indices = [frame.frame_index for frame in report.tracks[1].frames]
    assert indices == [0, 1, 2, 3, 4, 6, 7]
    assert [stroke.count(",") for stroke in timeline.lines[1].strokes] == [5, 2]
    assert [stroke.count(",") for stroke in timeline.lines[0].strokes] == [8]


def test_bands_are_the_intervals_and_never_a_heap() -> None:
    report = example_report()
    timeline = draw_timeline(report, PLAIN)
    assert timeline is not None
    assert len(timeline.bands) == 2
    low, high = report.tracks[0].verdict.interval or (0, 0)
    assert timeline.bands[0].y == pytest.approx(100 * (1 - high))
    assert timeline.bands[0].height == pytest.approx(100 * (high - low))
    crowd = replace(report, tracks=tuple(replace(report.tracks[0], id=i) for i in range(1, MAX_BANDS + 2)))
    many = draw_timeline(crowd, PLAIN)
    assert many is not None
    assert many.bands == ()
    assert len(many.lines) == MAX_BANDS + 1


@pytest.mark.parametrize("report", [image_analysis().report, make_analysis("not_applicable").report])
def test_without_time_or_faces_there_is_no_timeline(report: Any) -> None:
    assert draw_timeline(report, SCALE) is None


EDGES = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted)


def scale_of(edges: list[float]) -> Scale:
    low, middle, high = edges
    return draw_scale(replace(THRESHOLDS, little_below=low, some_from=middle, strong_from=high))


@given(edges=EDGES)
def test_zones_tile_the_scale_and_have_room_for_their_names(edges: list[float]) -> None:
    zones = scale_of(edges).zones
    order = ["strong", "some", "inconclusive", "little"]
    assert [zone.code for zone in zones] == [code for code in order if code in {zone.code for zone in zones}]
    assert all(zone.high > zone.low for zone in zones)
    assert zones[0].y == pytest.approx(0)
    for above, below in pairwise(zones):
        assert above.low == below.high
        assert above.y + above.height == pytest.approx(below.y, abs=1e-9)
    assert zones[-1].y + zones[-1].height == pytest.approx(100)
    assert all(zone.height >= 15 for zone in zones)


@given(edges=EDGES, estimates=st.lists(st.floats(0, 1), min_size=2, max_size=8).map(sorted))
def test_a_higher_estimate_never_lies_lower_and_each_lies_in_its_zone(
    edges: list[float], estimates: list[float]
) -> None:
    scale = scale_of(edges)
    places = [scale.place(estimate) for estimate in estimates]
    assert places == sorted(places, reverse=True)
    for estimate, place in zip(estimates, places, strict=True):
        zone = next(zone for zone in scale.zones if estimate >= zone.low)
        assert zone.y - 1e-9 <= place <= zone.y + zone.height + 1e-9
    assert scale.place(1) == 0
    assert scale.place(0) == pytest.approx(100)


def test_without_thresholds_the_scale_is_in_proportion() -> None:
    assert isinstance(THRESHOLDS, Thresholds)
    assert draw_scale(None) == PLAIN
    assert [PLAIN.place(estimate) for estimate in (1, 0.75, 0)] == [0, 25, 100]


# --- the face ---------------------------------------------------------------------------------


def outlines() -> dict[str, str]:
    text = (HERE / "templates" / "face.html").read_text(encoding="utf-8")
    return dict(re.findall(r'^  "(\w+)": "(M[^"]+z)"', text, flags=re.MULTILINE))


def test_the_face_has_every_part_with_as_many_corners_as_its_ring() -> None:
    found = outlines()
    assert set(found) == set(PARTS) - {"outside"}
    for name, ring in FACE_PARTS.items():
        assert len(re.findall(r"[ML]", found[name])) == len(ring), name


def test_the_persons_left_is_on_the_right() -> None:
    def middle(name: str) -> float:
        xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", outlines()[name])]
        return sum(xs) / len(xs)

    for part in ("eye", "brow", "cheek", "jaw"):
        assert middle(f"left_{part}") > 100 > middle(f"right_{part}")
        assert middle(f"left_{part}") - 100 == pytest.approx(100 - middle(f"right_{part}"), abs=0.2)


@pytest.mark.parametrize(("lift", "strength"), [(0.0, 0.0), (1.0, 0.0), (3.0, 0.5), (5.0, 1.0), (9.0, 1.0)])
def test_a_part_is_tinted_where_its_area_does_not_explain_the_reaction(lift: float, strength: float) -> None:
    assert lift_colour(lift) == heat_colour(strength)


def test_every_part_has_a_tint() -> None:
    parts = example_report().parts
    assert parts is not None
    tints = tint_parts(parts)
    assert set(tints) == set(PARTS)
    for part in parts.parts:
        assert tints[part.name] == lift_colour(0.0 if part.excess is None else part.excess)
    older = replace(parts, parts=tuple(replace(part, excess=None) for part in parts.parts))
    assert tint_parts(older) == {part.name: lift_colour(part.lift) for part in parts.parts}


# --- views and boxes --------------------------------------------------------------------------


def test_views_are_named_without_the_members_names() -> None:
    views = number_views(example_report())
    names = [name for layers in views.values() for name in layers.values()]
    assert len(set(names)) == len(names) == 6
    assert all(re.fullmatch(r"view-\d-(penultimate|last|layered)", name) for name in names)


def where_at(cases: list[tuple[list[dict[str, Any]], float]]) -> list[Any]:
    """``player.js`` itself, run by Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    script = (
        f"const {{ whereAt }} = await import({json.dumps((STATIC / 'player.js').as_uri())});"
        f"console.log(JSON.stringify({json.dumps(cases)}.map(([frames, time]) => whereAt(frames, time))));"
    )
    command = [node, "--no-warnings", "--input-type=module", "--experimental-default-type=module", "-e", script]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    found: list[Any] = json.loads(run.stdout)
    return found


def test_boxes_follow_the_faces() -> None:
    track = example_report().tracks[1]
    frames = list_boxes(example_report(), Words("en"))["people"][1]["frames"]
    first, second, gap_from, gap_to = (track.frames[i] for i in (0, 1, 4, 5))
    half = [(a + b) / 2 for a, b in zip(first.box_xyxy, second.box_xyxy, strict=True)]
    middle_s = (first.time_s + second.time_s) / 2
    found = where_at(
        [
            (frames, first.time_s),
            (frames, middle_s),
            (frames, (gap_from.time_s + gap_to.time_s) / 2),
            (frames, gap_from.time_s + 0.1),
            (frames, 0.1),
            (frames, 60.0),
            (frames[:1], 3.0),
        ]
    )
    assert found[0] == list(first.box_xyxy)
    assert found[1] == pytest.approx(half)
    assert found[2] is None, "not seen in between"
    assert found[3] == list(gap_from.box_xyxy)
    assert found[4] == list(first.box_xyxy), "half a step before the first frame"
    assert found[5] is None
    assert found[6] == list(first.box_xyxy)


def test_boxes_are_labelled_in_words() -> None:
    boxes = list_boxes(example_report(), Words("ru"))
    assert [person["label"] for person in boxes["people"]] == [
        "Человек 1: Сильные признаки",
        "Человек 2: Признаков почти нет",
    ]
    assert (boxes["width"], boxes["height"]) == (1280, 720)
