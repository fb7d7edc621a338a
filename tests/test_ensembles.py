"""Members by name and ensembles of them: the shipped one, and those a person chooses."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from space.errors import RequestError, WeightsError
from space.models.cards import UNCALIBRATED
from space.models.weights import (
    check_new_name,
    describe_member,
    find_cards,
    list_members,
    load_ensemble,
    parse_members,
)
from tests.members import RECORD, THRESHOLDS, write_ensemble, write_member


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
