"""Measures, truths and baselines of the harness, on maps whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from space.lab.explain.baselines import MeanMask, draw_centre, draw_random, draw_sobel
from space.lab.explain.checks import STEPS, area_under, regions_of_equal_area
from space.lab.explain.intervals import estimate_by_source, mean_by_source
from space.lab.explain.measures import (
    average_precision,
    overlap_at_equal_area,
    point,
    rank_correlation,
    share_inside,
)
from space.lab.explain.truths import fill_outline, find_truth

SIDE = 56
REGION = np.zeros((SIDE, SIDE), np.bool_)
REGION[20:30, 10:30] = True
INSIDE = REGION.astype(np.float32)
maps = arrays(np.float32, (8, 8), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
regions = arrays(np.bool_, (8, 8)).filter(lambda region: region.any() and not region.all())


def spike(x: int, y: int) -> np.ndarray:
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[y, x] = 1.0
    return heat


@pytest.mark.parametrize(
    ("heat", "hits"),
    [(spike(15, 25), 1), (spike(32, 25), 1), (spike(34, 25), 0), (spike(50, 50), 0), (np.ones((SIDE, SIDE)), 0)],
)
def test_pointing_allows_fifteen_of_224_pixels(heat: np.ndarray, hits: int) -> None:
    assert point(np.float32(heat), REGION) == hits  # 15 px are 3.75 of 56


def test_a_perfect_map_has_perfect_figures() -> None:
    assert (
        share_inside(INSIDE, REGION) == overlap_at_equal_area(INSIDE, REGION) == average_precision(INSIDE, REGION) == 1
    )


@given(maps, regions)
def test_average_precision_is_scikit_learn_s(heat: np.ndarray, region: np.ndarray) -> None:
    assert average_precision(heat, region) == pytest.approx(average_precision_score(region.ravel(), heat.ravel()))


@given(maps, regions, st.floats(0.1, 50))
def test_figures_do_not_depend_on_the_map_s_unit(heat: np.ndarray, region: np.ndarray, factor: float) -> None:
    for measure in (point, share_inside, overlap_at_equal_area, average_precision):
        assert measure(heat, region) == pytest.approx(measure(heat * np.float32(factor), region), abs=1e-5)


@given(maps, maps)
def test_rank_correlation_is_scipy_s(first: np.ndarray, second: np.ndarray) -> None:
    found = rank_correlation(first, second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert found == 0
    else:
        assert found == pytest.approx(spearmanr(first.ravel(), second.ravel()).statistic, abs=1e-9)


def test_a_map_without_heat_finds_what_chance_finds() -> None:
    flat = np.zeros((SIDE, SIDE), np.float32)
    assert point(flat, REGION) == share_inside(flat, REGION) == 0
    assert average_precision(flat, REGION) == pytest.approx(REGION.mean())
    assert 0 < overlap_at_equal_area(flat, REGION) < 0.1


# --- truths -----------------------------------------------------------------------------------


def test_three_truths_of_a_patch() -> None:
    genuine = np.full((SIDE, SIDE, 3), 100, np.uint8)
    forged, mask = genuine.copy(), np.zeros((SIDE, SIDE), np.float32)
    mask[10:40, 10:40] = 1.0
    mask[20:25, 20:25] = 0.0  # a hole
    forged[10:40, 10:25] = 160  # only half of the mask shows
    truth = find_truth(mask, forged, genuine)
    assert truth.filled[22, 22]
    assert truth.filled.sum() == 900
    assert truth.band[10, 30]
    assert not truth.band[25, 25]
    assert truth.difference[20, 12]
    assert not truth.difference[20, 35]


def test_specks_are_no_region() -> None:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[10:40, 10:40] = True
    mask[50, 50] = True
    assert fill_outline(mask).sum() == 900
    assert not fill_outline(np.zeros_like(mask)).any()


# --- baselines --------------------------------------------------------------------------------


def test_the_prior_leaves_a_face_s_own_source_out() -> None:
    masks = [np.full((4, 4), value, np.float32) for value in (1.0, 0.0, 0.5)]
    prior = MeanMask(masks, ["a", "a", "b"])
    assert prior.draw("a") == pytest.approx(0.5)
    assert prior.draw("b") == pytest.approx(0.5)
    assert MeanMask(masks, ["a", "b", "c"]).draw("a") == pytest.approx(0.25)
    assert MeanMask(masks[:1], ["a"]).draw("a").max() == 0


def test_baselines_are_what_they_say() -> None:
    centre = draw_centre(SIDE)
    assert np.unravel_index(centre.argmax(), centre.shape) in {(27, 27), (27, 28), (28, 27), (28, 28)}
    edge = np.zeros((SIDE, SIDE, 3), np.uint8)
    edge[:, 28:] = 200
    assert abs(int(draw_sobel(edge)[10].argmax()) - 27) <= 1
    first, second = (draw_random(SIDE, np.random.default_rng(seed)) for seed in (0, 1))
    assert abs(rank_correlation(first, second)) < 0.3


# --- intervals, curves, areas ------------------------------------------------------------------


def test_intervals_draw_sources_not_cases() -> None:
    values, one, many = [0.0, 1.0] * 50, ["a", "b"] * 50, [str(i) for i in range(100)]
    wide, narrow = mean_by_source(values, one), mean_by_source(values, many)
    assert wide.value == narrow.value == 0.5
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert narrow.low < 0.5 < narrow.high


def test_the_interval_of_a_mean_is_that_of_any_statistic() -> None:
    rng = np.random.default_rng(3)
    sources = [str(i) for i in rng.integers(12, size=90)]  # of unequal numbers
    values = rng.normal(size=90) + np.array([int(name) for name in sources]) / 4
    mean, found = mean_by_source(values, sources), estimate_by_source(lambda x: float(x.mean()), values, sources)
    assert (mean.value, mean.n) == (found.value, found.n)
    assert mean.low == pytest.approx(found.low, abs=0.1 * (found.high - found.low))
    assert mean.high == pytest.approx(found.high, abs=0.1 * (found.high - found.low))


@pytest.mark.parametrize(
    ("curve", "area"),
    [
        (list(STEPS), 0.5),
        ([2 - step for step in STEPS], 0.5),
        ([0.0] + [1.0] * 7, 0.99),
        ([3.0] * 8, 0.0),
    ],
)
def test_area_under_a_curve(curve: list[float], area: float) -> None:
    assert area_under(curve) == pytest.approx(area)


def test_parts_are_compared_at_equal_area() -> None:
    masks = {"outside": np.ones((SIDE, SIDE), np.bool_), "nose": REGION, "eye": np.zeros((SIDE, SIDE), np.bool_)}
    masks["eye"][5:8, 40:44] = True
    masks["chin"] = np.zeros((SIDE, SIDE), np.bool_)
    masks["chin"][40:56, :] = True
    areas = regions_of_equal_area(masks, "nose")
    assert areas.keys() == {"nose", "eye", "chin"}
    assert {int(region.sum()) for region in areas.values()} == {200}
    assert (areas["nose"] == REGION).all()
    assert areas["eye"][masks["eye"]].all()
    assert not (areas["chin"] & ~masks["chin"]).any()
