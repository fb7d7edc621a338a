"""Dataclasses, schema and example say the same; so do the shared tables of verdicts, parts, errors and colours."""

from __future__ import annotations

import copy
import json
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from space import errors
from space.analysis.report import InvalidReportError, from_json, validate
from space.contract import SCHEMA_VERSION, Evidence, Report, VerdictCode
from space.settings import SHARED
from space.texts import render


def load(name: str) -> Any:
    return json.loads((SHARED / name).read_text(encoding="utf-8"))


SCHEMA: dict[str, Any] = load("report.schema.json")
VERDICTS = load("verdicts.json")
PARTS = load("parts.json")
ERRORS = load("errors.json")["errors"]
PALETTE = load("palette.json")


@pytest.fixture
def example() -> dict[str, Any]:
    document: dict[str, Any] = load("report.example.json")
    return document


# --- schema and dataclasses -------------------------------------------------------------------


def resolve(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its reference followed; keywords beside the reference are kept."""
    if "$ref" not in schema:
        return dict(schema)
    target = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return {**resolve(target), **{key: value for key, value in schema.items() if key != "$ref"}}


def json_types(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types a schema accepts."""
    schema = resolve(schema)
    if "anyOf" in schema:
        return set().union(*(json_types(option) for option in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        assert all(isinstance(value, str) for value in values)
        return {"string"}
    kinds = schema["type"]
    return {kinds} if isinstance(kinds, str) else set(kinds)


PLAIN = {int: {"integer"}, float: {"number"}, str: {"string"}, bool: {"boolean"}, types.NoneType: {"null"}}


def expected_types(kind: Any) -> set[str]:
    """The JSON types an annotation stands for."""
    if kind in PLAIN:
        return PLAIN[kind]
    if is_dataclass(kind):
        return {"object"}
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return set().union(*(expected_types(option) for option in get_args(kind)))
    if origin is Literal:
        return {"string"}
    if origin in (tuple, list):
        return {"array"}
    assert issubclass(origin, Mapping), kind
    return {"object"}


def walk(kind: Any, schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every annotation inside a record beside the part of the schema that is to describe it."""
    schema = resolve(schema)
    yield place, kind, schema
    if is_dataclass(kind):
        for name, hint in get_type_hints(kind).items():
            yield from walk(hint, schema["properties"].get(name, {}), f"{place}.{name}")
        return
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        present = [option for option in args if option is not types.NoneType]
        if len(present) == 1:
            yield from walk(present[0], next(_present(schema)), place)
    elif origin in (tuple, list):
        yield from walk(args[0], schema["items"], f"{place}[]")
    elif origin is not None and origin is not Literal:
        yield from walk(args[1], schema["additionalProperties"], f"{place}{{}}")


def _present(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A nullable schema without its null."""
    for option in schema.get("anyOf", [schema]):
        if option != {"type": "null"}:
            kinds = option.get("type")
            yield option if not isinstance(kinds, list) else {**option, "type": next(k for k in kinds if k != "null")}


ADDED = {  # since schema 1.0: older reports, which stay valid, do not have them
    *(("SourceInfo", "credentials"), ("FrameVerdict", "softness")),
    *(("PartHeat", name) for name in ("logit", "agreement", "excess")),
    *(("Evidence", name) for name in ("bias", "shares")),
    *(("PartSummary", name) for name in ("n_frames", "drop", "verified", "excess")),
    *(("PartsReport", name) for name in ("n_frames", "verification")),
}
PLACES = list(walk(Report, SCHEMA, "report"))


def test_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_walk_reaches_every_record() -> None:
    records = {kind.__name__ for _, kind, _ in PLACES if is_dataclass(kind) and isinstance(kind, type)}
    objects = {name for name, schema in SCHEMA["$defs"].items() if schema.get("type") == "object"}
    assert records == objects


@pytest.mark.parametrize(
    ("kind", "schema"), [pytest.param(kind, schema, id=place) for place, kind, schema in PLACES if is_dataclass(kind)]
)
def test_record_and_schema_have_the_same_keys(kind: type, schema: dict[str, Any]) -> None:
    names = [field.name for field in fields(kind)]
    assert list(schema["properties"]) == names
    assert schema["required"] == [name for name in names if (kind.__name__, name) not in ADDED]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("kind", "schema"), [pytest.param(kind, schema, id=place) for place, kind, schema in PLACES])
def test_annotation_and_schema_accept_the_same_types(kind: Any, schema: dict[str, Any]) -> None:
    expected = expected_types(kind)
    found = json_types(schema)
    assert found == (expected - {"integer"} if "number" in expected else expected)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [pytest.param(kind, schema, id=place) for place, kind, schema in PLACES if get_origin(kind) is Literal],
)
def test_choices_are_the_same(kind: Any, schema: dict[str, Any]) -> None:
    assert tuple(schema["enum"]) == get_args(kind)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [pytest.param(kind, schema, id=place) for place, kind, schema in PLACES if get_origin(kind) is tuple],
)
def test_tuples_of_fixed_length_are_arrays_of_that_length(kind: Any, schema: dict[str, Any]) -> None:
    args = get_args(kind)
    length = None if args[-1] is Ellipsis else len(args)
    assert schema.get("maxItems") == length
    assert length is None or schema["minItems"] == length


def test_schema_version_is_the_records() -> None:
    assert SCHEMA["$defs"]["Report"]["properties"]["schema_version"] == {"const": SCHEMA_VERSION}
    assert SCHEMA["$id"].endswith(f":{SCHEMA_VERSION}")


def test_every_definition_is_used() -> None:
    text = json.dumps(SCHEMA)
    assert {name for name in SCHEMA["$defs"] if f'"#/$defs/{name}"' not in text} == set()


# --- the example ------------------------------------------------------------------------------


def test_example_is_valid_and_fully_populated(example: dict[str, Any]) -> None:
    report = from_json(example)
    assert len(report.tracks) == 2
    assert len(report.evidence) >= 3
    assert report.parts is not None
    assert all(track.verdict.reasons for track in report.tracks)
    assert report.timing_s.keys() == {stage["id"] for stage in VERDICTS["stages"]}
    assert {limit.id for limit in report.limits} == {limit["text"] for limit in VERDICTS["limits"]}


def texts_in(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.keys() == {"id", "en", "params"}:
            yield node
        for item in node.values():
            yield from texts_in(item)
    elif isinstance(node, list):
        for item in node:
            yield from texts_in(item)


def test_english_in_the_example_is_the_rendering_of_its_text(example: dict[str, Any]) -> None:
    found = list(texts_in(example))
    assert len(found) > 10
    for text in found:
        assert text["en"] == render(text["id"], text["params"])


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_scores_of_the_example_add_up(example: dict[str, Any]) -> None:
    """With temperature 1 and bias 0: the ensemble's logit is the members' weighted mean, a track's the frames'."""
    report = from_json(example)
    weights = {member.name: member.weight for member in report.ensemble.members}
    assert sum(weights.values()) == pytest.approx(1)
    for track in report.tracks:
        logits = [sum(weights[name] * logit for name, logit in frame.logits.items()) for frame in track.frames]
        assert [frame.p_fake for frame in track.frames] == pytest.approx([sigmoid(logit) for logit in logits], abs=1e-5)
        pooled = np.average(logits, weights=[frame.quality.weight for frame in track.frames])
        assert track.verdict.p_fake == pytest.approx(sigmoid(float(pooled)), abs=1e-5)
        assert track.verdict.p_fake is not None
        assert track.verdict.interval is not None
        low, high = track.verdict.interval
        assert low <= track.verdict.p_fake <= high
    assert report.verdict.p_fake == max(track.verdict.p_fake or 0 for track in report.tracks)


def test_frames_of_the_example_add_up(example: dict[str, Any]) -> None:
    report = from_json(example)
    assert report.n_faces == sum(len(track.frames) for track in report.tracks)
    for track in report.tracks:
        times = [frame.time_s for frame in track.frames]
        indices = [frame.frame_index for frame in track.frames]
        assert times == sorted(set(times))
        assert indices == sorted(set(indices))
        assert indices[-1] < report.n_frames
        assert times[-1] <= report.source.duration_s
        for frame in track.frames:
            x0, y0, x1, y1 = frame.box_xyxy
            assert x1 - x0 == pytest.approx(y1 - y0, abs=0.2)
            assert x1 - x0 == pytest.approx(frame.quality.native_px, abs=0.2)
            assert frame.quality.usable == (frame.quality.weight > 0)


def parts_named(moment: Evidence) -> list[str]:
    parts = moment.sentence.params.get("parts", [])
    assert isinstance(parts, list)
    return parts


def test_evidence_of_the_example_adds_up(example: dict[str, Any]) -> None:
    report = from_json(example)
    assert report.parts is not None
    frames = {(track.id, frame.frame_index): frame for track in report.tracks for frame in track.frames}
    for moment in report.evidence:
        frame = frames[moment.track, moment.frame_index]
        assert (moment.time_s, moment.p_fake) == (frame.time_s, frame.p_fake)
        shares = [part.share for part in moment.parts]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert {part.name for part in moment.parts} == {part["id"] for part in PARTS["parts"]}
        assert moment.maps.keys() == frame.logits.keys()
    shares = [part.share for part in report.parts.parts]
    assert shares == sorted(shares, reverse=True)
    for part in report.parts.parts:
        same = [heat for moment in report.evidence for heat in moment.parts if heat.name == part.name]
        assert part.share == pytest.approx(np.mean([heat.share for heat in same]), rel=1e-4)
        named = [moment for moment in report.evidence if f"part.{part.name}" in parts_named(moment)]
        assert part.n_moments == len(named)


def test_pictures_of_the_example_have_names_of_their_own(example: dict[str, Any]) -> None:
    report = from_json(example)
    names = [track.thumbnail for track in report.tracks]
    for moment in report.evidence:
        names += [moment.crop, moment.overlay]
        names += [picture for layers in moment.maps.values() for picture in layers.values()]
    assert len(names) == len(set(names))


# --- what the schema refuses ------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]

REFUSED: dict[str, Change] = {
    "unknown key": lambda doc: doc.update(extra=1),
    "unknown key inside": lambda doc: doc["tracks"][0]["frames"][0]["quality"].update(blur=1),
    "missing key": lambda doc: doc.pop("limits"),
    "missing nullable key": lambda doc: doc["source"].pop("capture_method"),
    "another major version": lambda doc: doc.update(schema_version="2.0"),
    "id too short": lambda doc: doc.update(id="ab"),
    "id with a line break": lambda doc: doc.update(id=doc["id"] + "\n"),
    "local time": lambda doc: doc.update(created="2026-03-14T09:26:53+03:00"),
    "no frames": lambda doc: doc.update(n_frames=0),
    "half a frame": lambda doc: doc.update(n_frames=7.5),
    "unknown verdict": lambda doc: doc["verdict"].update(code="real"),
    "probability above 1": lambda doc: doc["verdict"].update(p_fake=1.01),
    "probability as text": lambda doc: doc["verdict"].update(p_fake="0.9"),
    "verdict without probability": lambda doc: doc["verdict"].update(p_fake=None),
    "probability without a face": lambda doc: doc["verdict"].update(code="not_applicable"),
    "interval of one": lambda doc: doc["verdict"].update(interval=[0.5]),
    "inconclusive without reasons": lambda doc: doc["verdict"].update(code="inconclusive", reasons=[]),
    "box of three": lambda doc: doc["tracks"][0]["frames"][0].update(box_xyxy=[1, 2, 3]),
    "track from zero": lambda doc: doc["tracks"][0].update(id=0),
    "track without frames": lambda doc: doc["tracks"][0].update(frames=[]),
    "negative time": lambda doc: doc["evidence"][0].update(time_s=-0.1),
    "negative heat": lambda doc: doc["evidence"][0].update(heat=-1),
    "unknown part": lambda doc: doc["evidence"][0]["parts"][0].update(name="ear"),
    "unknown layer": lambda doc: doc["evidence"][0]["maps"]["resnext50"].update(first="a.jpg"),
    "picture with a folder": lambda doc: doc["evidence"][0].update(crop="../evidence.jpg"),
    "picture with a line break": lambda doc: doc["evidence"][0].update(crop="evidence.jpg\n"),
    "picture that is a script": lambda doc: doc["evidence"][0].update(crop="evidence.svg"),
    "weight above 1": lambda doc: doc["ensemble"]["members"][0].update(weight=2),
    "checksum in capitals": lambda doc: doc["source"].update(sha256="A" * 64),
    "no members": lambda doc: doc["ensemble"].update(members=[]),
    "photo with a frame rate": lambda doc: doc["source"].update(kind="image"),
    "upload with a host": lambda doc: doc["source"].update(host="example.org"),
    "host with a path": lambda doc: doc["source"].update(kind="url", host="example.org/watch"),
    "capture of an upload": lambda doc: doc["source"].update(capture_method="canvas"),
    "negative seconds": lambda doc: doc["timing_s"].update(frames=-1),
    "text without id": lambda doc: doc["limits"][0].pop("id"),
    "nested parameter": lambda doc: doc["limits"][0]["params"].update(n_frames={"a": 1}),
    "not a number": lambda doc: doc["evidence"][0].update(heat=math.nan),
    "infinite": lambda doc: doc["tracks"][1]["frames"][0]["logits"].update(resnext50=math.inf),
}

ALLOWED: dict[str, Change] = {
    "no face": lambda doc: (
        doc.update(n_faces=0, tracks=[], evidence=[], parts=None),
        doc["verdict"].update(code="not_applicable", p_fake=None, interval=None),
    ),
    "photo": lambda doc: doc["source"].update(kind="image", codec=None, fps=None, duration_s=0, container="jpeg"),
    "link": lambda doc: doc["source"].update(kind="url", host="example.org"),
    "captured frames": lambda doc: doc["source"].update(kind="frames", host="example.org", capture_method="canvas"),
    "part without a peak": lambda doc: doc["evidence"][0]["parts"][0].update(distance=None),
    "whole numbers, as other languages write them": lambda doc: doc["verdict"].update(p_fake=1, interval=[0, 1]),
    "box beyond the frame": lambda doc: doc["tracks"][0]["frames"][0].update(box_xyxy=[-4.5, -2, 90.5, 93]),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in REFUSED.items()])
def test_schema_refuses(example: dict[str, Any], change: Change) -> None:
    broken = copy.deepcopy(example)
    change(broken)
    assert broken != example
    with pytest.raises(InvalidReportError):
        validate(broken)


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in ALLOWED.items()])
def test_schema_allows(example: dict[str, Any], change: Change) -> None:
    change(example)
    from_json(example)


# --- verdicts, parts, errors ------------------------------------------------------------------


def test_verdicts_are_the_contracts() -> None:
    rows = VERDICTS["verdicts"]
    assert tuple(row["code"] for row in rows) == get_args(VerdictCode)
    assert [row["order"] for row in rows] == list(range(len(rows)))
    assert {row["color"] for row in rows} == PALETTE["verdicts"].keys()
    assert len({row["icon"] for row in rows}) == len(rows), "a shape of its own for eyes that see no colour"


def test_reasons_can_hold_a_verdict_back() -> None:
    kinds = {row["kind"] for row in VERDICTS["reasons"]}
    assert kinds == {"no_face", "abstain", "support"}


def test_parts_are_the_schemas() -> None:
    rows = PARTS["parts"]
    assert [row["id"] for row in rows] == SCHEMA["$defs"]["part"]["enum"]
    assert {row["color"] for row in rows} == PALETTE["parts"].keys()


def test_parts_come_in_pairs() -> None:
    groups = {row["id"]: row["group"] for row in PARTS["parts"]}
    left = {name for name in groups if name.startswith("left_")}
    assert left
    for name in left:
        assert groups[name] == groups[name.replace("left_", "right_")]


def test_errors_are_the_exceptions() -> None:
    assert len(ERRORS) == len(errors.ALL_CODES)
    assert {row["code"] for row in ERRORS} == errors.ALL_CODES


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: row["code"])
def test_error_has_the_status_of_its_exception(row: dict[str, Any]) -> None:
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__base__ is errors.TelltaleError]
    (kind,) = [kind for kind in tree if row["code"] in kind.codes]
    assert kind.exit_status == row["exit_status"]
    if kind is not errors.ServiceError:  # which may be busy: nobody's fault
        assert row["http_status"] // 100 == {2: 4, 1: 5}[row["exit_status"]]
