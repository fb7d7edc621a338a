"""Which moments are shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.evidence import pick_moments


@pytest.mark.parametrize(
    ("time_s", "logits", "weights", "n", "picked"),
    [
        ([0, 1, 2, 3], [0, 3, 1, 2], [1, 1, 1, 1], 2, [1, 3]),
        ([0, 0.1, 5, 10], [9, 8, 1, 0], [1, 1, 1, 1], 2, [0, 2]),  # the neighbour shows the same picture
        ([0, 0.1, 0.2], [1, 2, 3], [1, 1, 1], 3, [2, 1, 0]),  # nothing else to show
        ([0, 1, 2], [9, 1, 2], [0, 1, 1], 2, [2, 1]),  # not usable: comes last
        ([0, 1, 2], [9, 1, 2], [0, 1, 1], 3, [2, 1, 0]),
        ([4.2], [1.0], [0.0], 4, [0]),
    ],
)
def test_pick_moments(
    time_s: list[float], logits: list[float], weights: list[float], n: int, picked: list[int]
) -> None:
    assert pick_moments(np.array(time_s, float), np.array(logits, float), np.array(weights, float), n=n) == picked


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 1)), min_size=1, max_size=40), st.integers(1, 8))
def test_as_many_as_wanted_or_there_are(faces: list[tuple[float, float]], n: int) -> None:
    logits, weights = (np.array(values) for values in zip(*faces, strict=True))
    picked = pick_moments(np.arange(len(faces), dtype=float), logits, weights, n=n)
    assert len(picked) == len(set(picked)) == min(n, len(faces))
    usable = [i for i in picked if weights[i] > 0]
    assert [logits[i] for i in usable] == sorted((logits[i] for i in usable), reverse=True)
    if (weights > 0).any():
        assert max(range(len(faces)), key=lambda i: (weights[i] > 0, logits[i])) == picked[0] or np.isclose(
            logits[picked[0]], logits[weights > 0].max()
        )
