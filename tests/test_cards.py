"""Cards and records as JSON: what is written reads back, and nothing else is accepted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.errors import WeightsError
from space.models.cards import (
    Calibration,
    Card,
    DetailReference,
    EnsembleRecord,
    Metric,
    Params,
    Thresholds,
    read_card,
    read_ensemble,
    write_record,
)
from tests.members import CARD, RECORD

numbers = st.floats(-1e6, 1e6)
positive = st.floats(1e-3, 1e6)
ratios = st.floats(0, 1)
words = st.text(max_size=20)
names = st.from_regex(r"[a-z0-9]([a-z0-9_.-]{0,8}[a-z0-9])?", fullmatch=True)
calibrations = st.builds(Calibration, temperature=positive, bias=numbers)
intervals = st.none() | st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
metrics = st.lists(
    st.builds(
        Metric,
        name=st.sampled_from(["auc", "ece"]),
        value=numbers,
        interval=intervals,
        dataset=names,
        n=st.integers(1, 10**9),
        note=words,
        level=st.sampled_from(["frame", "video"]),
        protocol=st.sampled_from(["within", "cross"]),
    ),
    max_size=3,
).map(tuple)
cards = st.builds(
    Card,
    name=names,
    version=words.filter(bool),
    architecture=words,
    params=st.builds(
        Params,
        region_head=st.booleans(),
        dropout=st.none() | st.floats(0, 0.99),
        hidden=st.none() | st.integers(1, 4096),
        bn_eps=st.none() | positive,
        padding=st.sampled_from(["symmetric", "same"]),
        reference=st.none() | st.builds(DetailReference, st.integers(1, 512), st.floats(0, 1, exclude_min=True)),
    ),
    input_px=st.integers(32, 1024),
    mean=st.tuples(ratios, ratios, ratios),
    std=st.tuples(positive, positive, positive),
    margin=positive,
    calibration=calibrations,
    metrics=metrics,
    recipe=words,
    data=words,
    licence=words,
    weights=names.map(lambda name: f"{name}.safetensors"),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    images_seen=st.none() | st.integers(0, 10**12),
    training_cost=words,
    created=st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")),
)
thresholds = st.builds(
    lambda levels, **rest: Thresholds(*sorted(levels), **rest),
    st.tuples(ratios, ratios, ratios),
    max_disagreement=ratios,
    min_faces=st.integers(1, 128),
    max_interval_width=ratios,
    min_weight=ratios,
    min_bits_per_pixel=positive,
)
records = st.builds(
    EnsembleRecord,
    name=names,
    version=words.filter(bool),
    members=st.dictionaries(names, positive, min_size=1, max_size=4).map(lambda pairs: tuple(pairs.items())),
    calibration=calibrations,
    thresholds=thresholds,
    heat_full_scale=st.floats(1, 10),
    heat_min=ratios.filter(lambda value: value < 1),
    metrics=metrics,
    usual_shares=st.none() | st.dictionaries(words, st.floats(0.001, 1)).map(lambda pairs: tuple(pairs.items())),
    usual_drops=st.none() | st.dictionaries(words, st.floats(-9, 9)).map(lambda pairs: tuple(pairs.items())),
)


# --- calibration ------------------------------------------------------------------------------------


@given(calibration=calibrations, raw=numbers)
def test_calibrated_probability_is_the_sigmoid(calibration: Calibration, raw: float) -> None:
    logit = (raw - calibration.bias) / calibration.temperature
    expected = 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
    assert calibration.logit(raw) == pytest.approx(logit)
    assert calibration.p_fake(raw) == pytest.approx(expected, abs=1e-12)


@given(calibration=calibrations, raws=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_calibration_is_monotone_and_the_same_for_arrays(calibration: Calibration, raws: list[float]) -> None:
    p = calibration.p_fake(np.array(sorted(raws), dtype=np.float32))
    assert p.dtype == np.float64
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= 0).all()
    assert p.tolist() == [calibration.p_fake(raw) for raw in sorted(raws)]


# --- the JSON door ----------------------------------------------------------------------------------


@given(card=cards)
def test_card_reads_back_as_itself(card: Card, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cards") / "card.json"
    write_record(card, path)
    assert read_card(path) == card


@given(record=records)
def test_record_reads_back_as_itself(record: EnsembleRecord, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("records") / "ensemble.json"
    write_record(record, path)
    assert read_ensemble(path) == record


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda d: d.pop("margin"), "missing field margin"),
        (lambda d: d.update(colour="red"), "unknown field colour"),
        (lambda d: d["params"].update(depth=3), "params: unknown field depth"),
        (lambda d: d.update(input_px="64"), "input_px: '64' is not of type int"),
        (lambda d: d.update(input_px=64.0), "input_px: 64.0 is not of type int"),
        (lambda d: d.update(input_px=True), "input_px: True is not of type int"),
        (lambda d: d.update(input_px=16), "at least 32"),
        (lambda d: d.update(margin=True), "margin: True is not of type float"),
        (lambda d: d.update(margin=0), "margin must be positive"),
        (lambda d: d.update(margin=math.nan), "margin: not a finite number"),
        (lambda d: d.update(margin=10**400), "margin: not a finite number"),
        (lambda d: d.update(mean=[0.5, 0.5]), "mean: 2 items, not 3"),
        (lambda d: d.update(mean=0.5), "mean: not a list"),
        (lambda d: d.update(std=[0.2, 0.0, 0.2]), "std must be positive"),
        (lambda d: d["calibration"].update(temperature=0), "temperature must be positive"),
        (lambda d: d.update(calibration=[1, 0]), "calibration: not an object"),
        (lambda d: d["metrics"][0].update(level="clip"), "metrics[0].level: 'clip' is none of frame, video"),
        (lambda d: d["metrics"][0].update(interval=[0.9, 0.8]), "from low to high"),
        (lambda d: d["metrics"][0].update(n=0), "n must be positive"),
        (lambda d: d["params"].update(dropout=1.0), "dropout must lie in [0, 1)"),
        (lambda d: d["params"].update(padding="valid"), "padding: 'valid' is none of"),
        (lambda d: d["params"].update(reference={"detail_px": 36}), "params.reference: missing field share"),
        (lambda d: d["params"].update(reference={"detail_px": 0, "share": 0.5}), "detail_px must be positive"),
        (lambda d: d["params"].update(reference={"detail_px": 36, "share": 0.0}), "a share lies in (0, 1]"),
        (lambda d: d["params"].update(reference={"detail_px": 36, "share": 1.1}), "a share lies in (0, 1]"),
        (lambda d: d.update(weights="../small.safetensors"), "file name beside the card"),
        (lambda d: d.update(weights="small.pth"), "must end in .safetensors"),
        (lambda d: d.update(sha256="abc"), "64 hex digits"),
        (lambda d: d.update(name="Small One"), "is not a name"),
        (lambda d: d.update(created="yesterday"), "created must look like"),
        (lambda d: d.update(images_seen=-1), "must not be negative"),
        (lambda d: d.update(version=""), "version must not be empty"),
        (lambda d: d.update(card_version="2.0"), "card_version is '2.0'"),
        (lambda d: d.pop("card_version"), "card_version is None"),
    ],
)
def test_card_is_read_strictly(tmp_path: Path, edit: Callable[[dict[str, Any]], Any], complaint: str) -> None:
    path = tmp_path / "small.json"
    write_record(CARD, path)
    change(path, edit)
    with pytest.raises(WeightsError) as caught:
        read_card(path)
    assert caught.value.code == "card_invalid"
    assert caught.value.params["name"] == "small"
    assert complaint in str(caught.value.params["details"])


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda d: d["thresholds"].update(some_from=0.95), "thresholds must rise"),
        (lambda d: d["thresholds"].update(little_below=-0.1), "thresholds must rise"),
        (lambda d: d["thresholds"].pop("min_weight"), "thresholds: missing field min_weight"),
        (lambda d: d["thresholds"].update(max_disagreement=1.5), "max_disagreement must lie in [0, 1]"),
        (lambda d: d["thresholds"].update(min_faces=0), "at least 1"),
        (lambda d: d["thresholds"].update(min_bits_per_pixel=-1), "must not be negative"),
        (lambda d: d.update(members=[]), "needs a member"),
        (lambda d: d.update(members=[["small", 0]]), "the weight of small"),
        (lambda d: d.update(members=[["small", 1], ["small", 2]]), "named twice"),
        (lambda d: d.update(members=[["small"]]), "members[0]: 1 items, not 2"),
        (lambda d: d.update(members=[["a b", 1]]), "is not a name"),
        (lambda d: d.update(heat_min=0.5), "heat_min must lie in"),
        (lambda d: d.update(usual_shares=[["nose", 0]]), "a usual share must lie in (0, 1]"),
        (lambda d: d.update(usual_shares=[["nose", 0.1], ["nose", 0.2]]), "given twice"),
        (lambda d: d.update(usual_shares={"nose": 0.1}), "usual_shares: not a list"),
        (lambda d: d.update(usual_drops=[["nose", -1], ["nose", 0.2]]), "a part's usual drop is given twice"),
        (lambda d: d.update(usual_drops=[["nose"]]), "usual_drops[0]: 1 items, not 2"),
    ],
)
def test_record_is_read_strictly(tmp_path: Path, edit: Callable[[dict[str, Any]], Any], complaint: str) -> None:
    path = tmp_path / "ensemble.json"
    write_record(RECORD, path)
    change(path, edit)
    with pytest.raises(WeightsError) as caught:
        read_ensemble(path)
    assert caught.value.code == "card_invalid"
    assert complaint in str(caught.value.params["details"])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_card_is_invalid(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "small.json"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_card(path)
    assert caught.value.code == "card_invalid"


def test_absent_card_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_card(tmp_path / "none.json")
    assert caught.value.code == "weights_missing"
