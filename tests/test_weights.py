"""Cards, weights and ensembles on disk: what is written comes back, and nothing else is accepted."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from space.errors import RequestError, WeightsError
from space.models.cards import (
    UNCALIBRATED,
    Calibration,
    Card,
    EnsembleRecord,
    Metric,
    Params,
    Thresholds,
    read_card,
    read_ensemble,
    write_record,
)
from space.models.files import sha256_of
from space.models.weights import (
    build_empty,
    check_new_name,
    describe_member,
    find_cards,
    list_members,
    load_ensemble,
    load_member,
    parse_members,
    save_weights,
)
from space.settings import PROJECT_ROOT
from tests.members import CARD, RECORD, THRESHOLDS, build_seeded, write_ensemble, write_member

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
)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of installed members, so that no test sees the machine's own."""
    folder = tmp_path / "installed"
    monkeypatch.setenv("TELLTALE_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of two members, built once."""
    folder = tmp_path_factory.mktemp("template")
    write_ensemble(folder)
    return folder


@pytest.fixture
def shipped(tmp_path: Path, template: Path) -> Path:
    """A test's own copy of the ensemble."""
    return shutil.copytree(template, tmp_path / "shipped")


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


# --- weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "resnext50_32x4d"])
def test_member_comes_back_ready_to_score(tmp_path: Path, architecture: str) -> None:
    card = write_member(tmp_path, "small", architecture=architecture)
    original = build_seeded(architecture, card.params)
    loaded = load_member(tmp_path / "small.json")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(loaded.module(images), original(images), atol=2e-3, rtol=2e-3)
    assert loaded.card == card
    assert loaded.kind == "frame"
    assert not loaded.module.training
    assert not any(value.requires_grad for value in loaded.module.parameters())
    floating = [value for value in loaded.module.state_dict().values() if value.is_floating_point()]
    assert {value.dtype for value in floating} == {torch.float32}
    assert all(v.is_contiguous(memory_format=torch.channels_last) for v in floating if v.ndim == 4)


def test_file_holds_half_floats_but_exact_statistics_and_no_counters(tmp_path: Path) -> None:
    card = write_member(tmp_path, "small")
    stored = load_file(tmp_path / card.weights)
    state = build_seeded(card.architecture, card.params).state_dict()
    assert stored.keys() == {name for name in state if not name.endswith("num_batches_tracked")}
    for name, value in stored.items():
        if "running_" in name:
            assert torch.equal(value, state[name])
        else:
            assert value.dtype == torch.float16


def test_small_variances_survive(tmp_path: Path) -> None:
    """In float16 a variance below 6e-8 would be 0, and one above 65504 infinite."""
    norm = nn.BatchNorm2d(2)
    norm.running_var = torch.tensor([1e-9, 1e6])
    save_weights(norm, tmp_path / "norm.safetensors")
    assert load_file(tmp_path / "norm.safetensors")["running_var"].tolist() == pytest.approx([1e-9, 1e6])


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e5])
def test_weight_that_cannot_be_stored_is_refused_and_leaves_the_old_file(tmp_path: Path, value: float) -> None:
    path = tmp_path / "linear.safetensors"
    linear = nn.Linear(2, 1)
    before = save_weights(linear, path)
    with torch.no_grad():
        linear.bias.fill_(value)
    with pytest.raises(ValueError, match="bias holds values that are not finite"):
        save_weights(linear, path)
    assert sha256_of(path) == before
    assert list(tmp_path.iterdir()) == [path]


def rewrite(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Change the tensors and make the card agree, so that only the network disagrees."""
    path = folder / "small.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    write_record(replace(read_card(folder / "small.json"), sha256=sha256_of(path)), folder / "small.json")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda t: t.pop("head.3.bias"), "missing head.3.bias"),
        (lambda t: t.update({"head.4.bias": torch.zeros(1)}), "unexpected head.4.bias"),
        (lambda t: t.update({"head.3.bias": torch.zeros(2)}), "shape of head.3.bias [2] instead of [1]"),
        (lambda t: t.update({"head.3.bias": torch.zeros(1, dtype=torch.int64)}), "type of head.3.bias I64"),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith(("head", "region"))],
            "missing head.3.bias, head.3.weight, region.bias and 1 more",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, edit: Callable[[dict[str, torch.Tensor]], Any], complaint: str
) -> None:
    write_member(tmp_path, "small")
    rewrite(tmp_path, edit)
    with pytest.raises(WeightsError) as caught:
        load_member(tmp_path / "small.json")
    assert caught.value.code == "weights_mismatch"
    assert caught.value.params == {"name": "small", "details": complaint}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architecture": "efficientnet_b1"}, "weights_mismatch"),
        ({"architecture": "resnext50_32x4d"}, "weights_mismatch"),
        ({"params": Params()}, "weights_mismatch"),
        ({"architecture": "vgg16"}, "card_invalid"),
        ({"params": Params(hidden=8)}, "card_invalid"),
        ({"sha256": "0" * 64}, "weights_checksum"),
        ({"weights": "other.safetensors"}, "weights_missing"),
    ],
)
def test_card_of_another_file_or_architecture_is_refused(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    card = write_member(tmp_path, "small")
    write_record(replace(card, **changes), tmp_path / "small.json")
    with pytest.raises(WeightsError) as caught:
        load_member(tmp_path / "small.json")
    assert caught.value.code == code


def test_pickle_is_not_read(tmp_path: Path) -> None:
    write_member(tmp_path, "small")
    path = tmp_path / "small.safetensors"
    path.write_bytes(pickle.dumps({"head.3.bias": [0.0]}))
    write_record(replace(read_card(tmp_path / "small.json"), sha256=sha256_of(path)), tmp_path / "small.json")
    with pytest.raises(WeightsError) as caught:
        load_member(tmp_path / "small.json")
    assert caught.value.code == "weights_mismatch"
    assert "not a safetensors file" in str(caught.value)


def test_network_is_built_without_memory() -> None:
    member = build_empty(CARD)
    assert {value.device.type for value in (*member.parameters(), *member.buffers())} == {"meta"}


MEASURE = """
import sys
from pathlib import Path
import torch
from space.models.weights import load_member

def kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))

torch.nn.Linear(8, 8)(torch.zeros(1, 8))
before = kib("VmRSS")
member = load_member(Path(sys.argv[1]))
peak = kib("VmHWM")
floats = sum(value.numel() * 4 for value in member.module.state_dict().values())
print((peak - before) * 1024 / floats)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_loading_holds_one_copy(tmp_path: Path) -> None:
    """Peak memory: float32 weights (1.0) and the mapped float16 file (0.5), but never a second copy."""
    write_member(tmp_path, "large", architecture="resnext101_64x4d", params=Params())
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large.json")]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 1.7


# --- finding members --------------------------------------------------------------------------------


def test_members_are_shipped_or_installed_and_the_shipped_one_counts(shipped: Path, installed: Path) -> None:
    write_member(installed, "mine", version="7")
    write_member(installed, "small", version="8")
    assert find_cards(shipped) == {
        "mine": installed / "mine.json",
        "other": shipped / "other.json",
        "small": shipped / "small.json",
    }
    assert [(card.name, card.version) for card in list_members(shipped)] == [
        ("mine", "7"),
        ("other", "1"),
        ("small", "1"),
    ]
    assert describe_member("mine", shipped).version == "7"
    assert describe_member(str(installed / "small.json"), shipped).version == "8"


def test_card_under_another_name_is_invalid(shipped: Path) -> None:
    (shipped / "small.json").rename(shipped / "renamed.json")
    for ask in (lambda: describe_member("renamed", shipped), lambda: list_members(shipped)):
        with pytest.raises(WeightsError) as caught:
            ask()
        assert caught.value.code == "card_invalid"


def test_unknown_member_is_refused_with_the_known_ones(shipped: Path) -> None:
    with pytest.raises(RequestError) as caught:
        describe_member("none", shipped)
    assert caught.value.params == {"name": "none", "known": "other, small"}


@pytest.mark.parametrize("name", ["small", "ensemble", "Capital", "a b", "a=1", "a,b", "../up", "", "-a"])
def test_name_that_a_new_member_cannot_have(shipped: Path, name: str) -> None:
    with pytest.raises(RequestError):
        check_new_name(name, shipped)
    check_new_name("new-1.0_b", shipped)


def test_installed_members_are_in_the_user_s_cache_unless_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TELLTALE_MODELS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    write_member(tmp_path / "telltale" / "models", "cached")
    assert "cached" in find_cards(tmp_path / "nowhere")


# --- ensembles --------------------------------------------------------------------------------------


def test_ensemble_is_loaded_as_recorded(shipped: Path) -> None:
    ensemble = load_ensemble(folder=shipped)
    assert ensemble.record == RECORD
    assert [member.card.name for member in ensemble.members] == ["small", "other"]
    assert ensemble.weights == (0.25, 0.75)
    info = ensemble.info
    assert (info.name, info.version) == ("pair", "2")
    assert [(member.name, member.weight) for member in info.members] == [("small", 0.25), ("other", 0.75)]
    assert [member.sha256 for member in info.members] == [member.card.sha256 for member in ensemble.members]


@pytest.mark.parametrize("members", [(("small", 1.0), ("other", 3.0)), (("other", 0.6), ("small", 0.2))])
def test_the_recorded_members_under_other_words_keep_their_calibration(
    shipped: Path, members: tuple[tuple[str, float], ...]
) -> None:
    ensemble = load_ensemble(members, folder=shipped)
    assert ensemble.record == RECORD
    names = [member.card.name for member in ensemble.members]
    assert dict(zip(names, ensemble.weights, strict=True)) == pytest.approx({"small": 0.25, "other": 0.75})


def test_other_members_are_a_custom_ensemble_under_the_same_thresholds(shipped: Path, installed: Path) -> None:
    write_member(installed, "mine")
    elsewhere = shipped.parent / "elsewhere"
    write_member(elsewhere, "far")
    ensemble = load_ensemble((("mine", 1), (str(elsewhere / "far.json"), 1), ("small", 2)), folder=shipped)
    assert ensemble.record == replace(
        RECORD,
        name="custom",
        members=(("mine", 0.25), ("far", 0.25), ("small", 0.5)),
        calibration=UNCALIBRATED,
        metrics=(),
    )
    assert ensemble.record.thresholds == THRESHOLDS
    assert ensemble.weights == (0.25, 0.25, 0.5)


def test_other_weights_lose_the_calibration(shipped: Path) -> None:
    ensemble = load_ensemble((("small", 1), ("other", 1)), folder=shipped)
    assert (ensemble.record.name, ensemble.record.calibration) == ("custom", UNCALIBRATED)


@pytest.mark.parametrize(
    "members",
    [
        (),
        (("small", 0.0),),
        (("small", -1.0), ("other", 2.0)),
        (("small", math.nan),),
        (("small", math.inf),),
        (("none", 1.0),),
        (("small", 1.0), ("small", 1.0)),
        (("ensemble", 1.0),),
        (("none.json", 1.0),),
    ],
)
def test_choice_that_cannot_be_used_is_refused(shipped: Path, members: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(RequestError) as caught:
        load_ensemble(members, folder=shipped)
    assert caught.value.code == "bad_members"
    assert caught.value.params["known"] == "other, small"


def test_same_member_by_name_and_by_path_is_named_twice(shipped: Path) -> None:
    with pytest.raises(RequestError):
        load_ensemble((("small", 1), (str(shipped / "small.json"), 1)), folder=shipped)


@pytest.mark.parametrize("absent", ["ensemble.json", "small.json", "small.safetensors"])
def test_ensemble_without_one_of_its_files_is_missing(shipped: Path, installed: Path, absent: str) -> None:
    write_member(installed, "small")  # a namesake, not the recorded member
    (shipped / absent).unlink()
    with pytest.raises(WeightsError) as caught:
        load_ensemble(folder=shipped)
    assert caught.value.code == "weights_missing"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("small=1", (("small", 1.0),)),
        (" small = 0.5 , other=2e0", (("small", 0.5), ("other", 2.0))),
        ("a=b/card.json=3", (("a=b/card.json", 3.0),)),
    ],
)
def test_members_are_read_from_text(text: str, pairs: tuple[tuple[str, float], ...]) -> None:
    assert parse_members(text) == pairs


@pytest.mark.parametrize("text", ["", "small", "small=", "small=much", "=1", "small=1,", "5"])
def test_text_without_names_and_weights_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_members(text)
    assert caught.value.code == "bad_members"
