"""Facial parts: which of them may be named, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.named_parts import compromising_parts, describe_moment, leading_parts, summarise_parts
from space.analysis.parts import FACE_PARTS, OUTSIDE, PART_NAMES, part_masks
from space.contract import Evidence, PartHeat
from space.texts import make_text
from tests.test_parts import IN_CROP, SIZE_PX, measure

# --- which parts may be named -----------------------------------------------------------------


def parts_of(shares: Mapping[str, float]) -> tuple[PartHeat, ...]:
    """Parts with a frontal face's areas; heat not given is spread evenly over the other parts of the face."""
    areas = {name: float(mask.mean()) for name, mask in part_masks(IN_CROP, SIZE_PX).items()}
    spread = {name: area for name, area in areas.items() if name not in shares and name != OUTSIDE}
    rest = (1 - sum(shares.values())) / sum(spread.values()) if spread else 0.0
    full = {name: shares.get(name, areas[name] * rest if name in spread else 0.0) for name in PART_NAMES}
    return tuple(PartHeat(name, full[name], full[name] / areas[name], 0.5) for name in PART_NAMES)


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ({"mouth": 0.7}, ("mouth",)),
        ({"mouth": 0.4, "right_jaw": 0.25}, ("right_jaw", "mouth")),  # denser: a smaller part
        ({"mouth": 0.3, "nose": 0.3, "chin": 0.3}, ("nose", "chin", "mouth")),
        ({"left_eye": 0.24, "right_eye": 0.23, "mouth": 0.22, "nose": 0.21}, ("left_eye", "right_eye", "nose")),
        ({"mouth": 0.3}, ()),  # hot, but most of the heat is elsewhere
        ({"left_brow": 0.05}, ()),  # dense, but hardly any heat
        ({"mouth": 0.5, "left_brow": 0.09}, ("mouth",)),  # the brow is dense, but holds too little
        ({"mouth": 0.8, "chin": 0.11}, ("mouth",)),  # spill
        ({OUTSIDE: 0.3, "mouth": 0.5}, ("mouth",)),
        ({OUTSIDE: 0.55, "mouth": 0.4}, ("mouth",)),  # no more outside than its area explains
        ({OUTSIDE: 0.75, "mouth": 0.2}, (OUTSIDE,)),
        ({OUTSIDE: 1.0}, (OUTSIDE,)),
        ({OUTSIDE: 0.3}, ()),
        ({OUTSIDE: 0.0}, ()),
    ],
)
def test_what_is_named(shares: Mapping[str, float], named: tuple[str, ...]) -> None:
    parts = parts_of(shares)
    assert compromising_parts(parts) == named
    assert compromising_parts(parts[::-1]) == named


USUAL = {name: 0.3 if name == "forehead" else 0.7 / 11 for name in FACE_PARTS}  # the forehead always draws attention


def with_excess(shares: Mapping[str, float]) -> tuple[PartHeat, ...]:
    on_face = 1 - shares.get(OUTSIDE, 0.0)
    return tuple(
        part if part.name == OUTSIDE else replace(part, excess=part.share / on_face / USUAL[part.name])
        for part in parts_of(shares)
    )


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ({"forehead": 0.45, "mouth": 0.2}, ()),  # no more than usual on the one, little on the other
        ({"forehead": 0.4, "mouth": 0.31}, ("mouth",)),
        ({"forehead": 0.7}, ("forehead",)),
        ({"left_brow": 0.2, "mouth": 0.3, "forehead": 0.3}, ("mouth", "left_brow")),
        ({OUTSIDE: 0.4, "mouth": 0.2}, ("mouth",)),  # a third of the face's heat
        ({OUTSIDE: 0.75, "mouth": 0.2}, (OUTSIDE,)),
    ],
)
def test_what_parts_usually_draw_is_no_sign(shares: Mapping[str, float], named: tuple[str, ...]) -> None:
    assert compromising_parts(with_excess(shares)) == named


@given(st.dictionaries(st.sampled_from(list(FACE_PARTS)), st.floats(0.01, 0.08), max_size=6))
def test_an_excess_is_the_share_over_the_usual_one(shares: dict[str, float]) -> None:
    usual = {name: 1 / len(FACE_PARTS) for name in FACE_PARTS} | shares
    heat = np.full((SIZE_PX, SIZE_PX), 2.0, np.float32)
    heat[part_masks(IN_CROP, SIZE_PX)["nose"]] = 5.0
    parts = measure(heat, usual=usual)
    on_face = sum(part.share for part in parts.values() if part.name != OUTSIDE)
    assert parts[OUTSIDE].excess is None
    for name in FACE_PARTS:
        assert parts[name].excess == pytest.approx(parts[name].share / on_face / usual[name])
    assert {part.excess for part in measure(heat, usual={"nose": 0.1}).values()} == {None}, (
        "of one part it says nothing"
    )


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2.5))
def test_heat_without_a_place_names_nothing(seed: int, smoothness: float) -> None:
    face = ~part_masks(IN_CROP, SIZE_PX)[OUTSIDE]
    cells = cv2.GaussianBlur(np.random.default_rng(seed).exponential(size=(14, 14)), (0, 0), smoothness)
    heat = cv2.resize(cells, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR) * face
    assert compromising_parts(tuple(measure(heat).values())) == ()


@given(st.lists(st.floats(0, 1), min_size=13, max_size=13), st.permutations(range(13)))
def test_few_are_named_and_the_order_given_does_not_matter(heats: list[float], order: list[int]) -> None:
    parts = [PartHeat(name, heat, heat * 10, None) for name, heat in zip(PART_NAMES, heats, strict=True)]
    named = compromising_parts(parts)
    assert len(named) <= 3
    assert len(set(named)) == len(named)
    assert OUTSIDE not in named or named == (OUTSIDE,)
    assert {part.share for part in parts if part.name in named} == {
        part.share for part in parts if part.name in compromising_parts([parts[index] for index in order])
    }


@pytest.mark.parametrize(
    ("shares", "time_s", "name", "weak", "text_id", "words"),
    [
        (
            {"mouth": 0.7},
            2.04,
            True,
            False,
            "evidence.localised",
            "2 s the models reacted most strongly to the mouth.",
        ),
        ({"mouth": 0.7}, None, True, False, "evidence.localised.single", "the mouth"),
        ({"mouth": 0.4, "right_jaw": 0.25}, 0.0, True, False, "evidence.localised", "the right jaw line and the mouth"),
        ({}, 1.5, True, False, "evidence.diffuse", "At 1.5 s"),
        ({}, None, True, False, "evidence.diffuse.single", "as a whole"),
        ({OUTSIDE: 0.9}, 1.5, True, False, "evidence.outside", "outside the face"),
        ({OUTSIDE: 0.9}, None, True, False, "evidence.outside.single", "outside the face"),
        ({"mouth": 0.7}, 1.5, False, False, "evidence.withheld", "At 1.5 s"),
        ({"mouth": 0.7}, None, False, False, "evidence.withheld.single", "too weak"),
        ({"mouth": 0.7}, 1.5, True, True, "evidence.withheld", "too weak"),
    ],
)
def test_a_moment_is_described(
    shares: Mapping[str, float], time_s: float | None, name: bool, weak: bool, text_id: str, words: str
) -> None:
    text = describe_moment(parts_of(shares), time_s=time_s, name_compromising=name, is_too_weak=weak)
    assert text.id == text_id
    assert words in text.en


def usual_but(excess: Mapping[str, float]) -> tuple[PartHeat, ...]:
    """A map as on genuine faces, but for the excess of some parts, whose shares are large enough to be named."""
    large = {"nose": 0.15, "mouth": 0.15, "left_eye": 0.12}
    shares = dict.fromkeys(FACE_PARTS, (1 - sum(large.values())) / (len(FACE_PARTS) - len(large))) | large
    parts = (PartHeat(name, share, 1.0, 0.5, excess=excess.get(name, 1.0)) for name, share in shares.items())
    return (*parts, PartHeat(OUTSIDE, 0.0, 0.0, 0.5))


@pytest.mark.parametrize(
    ("excess", "leading"),
    [
        ({}, ()),
        ({"nose": 1.5}, ("nose",)),
        ({"nose": 1.2}, ()),
        ({"nose": 1.3, "mouth": 1.9, "left_eye": 1.8}, ("mouth", "left_eye")),
        ({"chin": 3.0}, ()),  # too little of the heat
    ],
)
def test_a_map_of_the_whole_face_tells_what_draws_more_than_usual(
    excess: Mapping[str, float], leading: tuple[str, ...]
) -> None:
    parts = usual_but(excess)
    assert compromising_parts(parts) == ()
    assert leading_parts(parts) == leading
    text = describe_moment(parts, time_s=None, name_compromising=True)
    assert text.id == ("evidence.leading.single" if leading else "evidence.diffuse.single")
    assert text.params == ({"parts": [f"part.{name}" for name in leading]} if leading else {})
    evidence = [replace(moment({"mouth": 0.7}), parts=parts)]
    summary = summarise_parts(evidence, name_compromising=True)
    assert summary.sentence.id == ("parts.leading" if leading else "parts.diffuse")
    assert not any(part.compromising for part in summary.parts)
    assert summarise_parts(evidence, name_compromising=False).sentence.id == "parts.withheld"


def test_a_map_of_the_whole_face_leads_to_no_part_where_the_usual_is_unknown() -> None:
    assert leading_parts(parts_of({"mouth": 0.25})) == ()


def test_a_moment_without_heat_is_too_weak() -> None:
    parts = tuple(PartHeat(name, 0.0, 0.0, None) for name in PART_NAMES)
    assert describe_moment(parts, time_s=1.0, name_compromising=True).id == "evidence.withheld"


# --- the parts over all moments ---------------------------------------------------------------


def moment(shares: Mapping[str, float], heat: float = 1.0) -> Evidence:
    parts = parts_of(shares) if heat else tuple(PartHeat(name, 0.0, 0.0, None) for name in PART_NAMES)
    sentence = make_text("evidence.diffuse.single")
    return Evidence(1, 0.0, 0, 0.9, "crop.jpg", "overlay.jpg", {}, parts, heat, sentence)


def test_shares_are_averaged_by_heat() -> None:
    report = summarise_parts([moment({"mouth": 0.9}, heat=3), moment({"mouth": 0.1}, heat=1)], name_compromising=True)
    mouth = next(part for part in report.parts if part.name == "mouth")
    assert mouth.share == pytest.approx(0.7)
    assert mouth.distance == pytest.approx(0.5)
    assert mouth.lift == pytest.approx(0.7 / part_masks(IN_CROP, SIZE_PX)["mouth"].mean())
    assert sum(part.share for part in report.parts) == pytest.approx(1)
    assert [part.share for part in report.parts] == sorted((part.share for part in report.parts), reverse=True)
    assert {part.name for part in report.parts} == set(PART_NAMES)


@pytest.mark.parametrize(
    ("moments", "name", "text_id", "named", "words"),
    [
        ([{"mouth": 0.7}], True, "parts.localised.single", {"mouth"}, "most strongly to the mouth."),
        ([{"mouth": 0.7}] * 2 + [{}], True, "parts.localised", {"mouth"}, "the mouth, in 2 of 3 moments"),
        ([{"mouth": 0.7}, {"nose": 0.7}], True, "parts.localised", {"mouth", "nose"}, "in 2 of 2 moments"),
        ([{"mouth": 0.7}] * 3, False, "parts.withheld", set(), "No part"),
        ([{}, {}], True, "parts.diffuse", set(), "as a whole"),
        ([{OUTSIDE: 0.9}, {OUTSIDE: 0.8}], True, "parts.outside", {OUTSIDE}, "outside the face"),
    ],
)
def test_the_summary_says_what_the_moments_say(
    moments: list[Mapping[str, float]], name: bool, text_id: str, named: set[str], words: str
) -> None:
    report = summarise_parts([moment(shares) for shares in moments], name_compromising=name)
    assert report.sentence.id == text_id
    assert words in report.sentence.en
    assert {part.name for part in report.parts if part.compromising} == named


def test_moments_are_counted_even_when_no_part_is_named() -> None:
    evidence = [moment({"mouth": 0.7}), moment({"mouth": 0.6}), moment({"nose": 0.6})]
    report = summarise_parts(evidence, name_compromising=False)
    assert {part.name: part.n_moments for part in report.parts if part.n_moments} == {"mouth": 2, "nose": 1}


@pytest.mark.parametrize(
    ("heats", "min_heat", "text_id", "n_moments"),
    [
        ((0.0, 0.0), 0.0, "parts.withheld", 0),
        ((0.01, 0.02), 0.1, "parts.withheld", 0),
        ((0.01, 0.2), 0.1, "parts.localised", 1),
        ((0.0, 2.0), 0.0, "parts.localised", 1),
    ],
)
def test_a_moment_with_next_to_no_heat_names_nothing(
    heats: tuple[float, float], min_heat: float, text_id: str, n_moments: int
) -> None:
    evidence = [moment({"mouth": 0.7}, heat) for heat in heats]
    report = summarise_parts(evidence, name_compromising=True, min_heat=min_heat)
    assert report.sentence.id == text_id
    assert max(part.n_moments for part in report.parts) == n_moments


@pytest.mark.parametrize(("other", "mean"), [(None, 0.5), (0.0, 0.25), (1.0, 0.75)])
def test_distance_is_averaged_over_moments_that_have_one(other: float | None, mean: float) -> None:
    first = moment({"mouth": 0.7})
    second = replace(first, parts=tuple(replace(part, distance=other) for part in first.parts))
    report = summarise_parts([first, second], name_compromising=True)
    assert {part.distance for part in report.parts} == {mean}


def test_a_part_that_no_moment_names_is_not_named() -> None:
    """The nose is spill beside either moment's hot part, but not beside their mean."""
    first = moment({"mouth": 0.5, "nose": 0.16})
    second = moment({"left_eye": 0.5, "nose": 0.16})
    mean = [
        replace(a, share=(a.share + b.share) / 2, lift=(a.lift + b.lift) / 2)
        for a, b in zip(first.parts, second.parts, strict=True)
    ]
    assert "nose" in compromising_parts(mean)
    report = summarise_parts([first, second], name_compromising=True)
    assert report.sentence.params["parts"] == ["part.left_eye", "part.mouth"]
    assert all(part.n_moments for part in report.parts if part.compromising)


def test_no_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="no moment"):
        summarise_parts([], name_compromising=True)
