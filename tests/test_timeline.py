"""Which moments are taken, and which packets are decoded for them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from space.intake.timeline import Timeline, pick_moments, plan_stretches
from space.settings import MAX_FRAMES, MIN_FRAMES

MOMENTS = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=300, unique=True).map(sorted)
COUNTS = st.integers(MIN_FRAMES, MAX_FRAMES)


@given(moments=MOMENTS, stay=st.integers(0, 1000), n_frames=COUNTS)
def test_moments_are_rising_and_the_clips_own(moments: list[int], stay: int, n_frames: int) -> None:
    picked = pick_moments(moments, moments[-1] + stay, n_frames)
    assert list(picked) == sorted(set(picked))
    assert set(picked) <= set(moments)
    assert len(picked) == min(n_frames, len(moments))


@given(n_all=st.integers(1, 5000), step=st.integers(1, 100_000), start=st.integers(-(10**9), 10**9), n_frames=COUNTS)
def test_moments_are_equidistant_within_a_frame(n_all: int, step: int, start: int, n_frames: int) -> None:
    moments = [start + i * step for i in range(n_all)]
    picked = pick_moments(moments, start + n_all * step, n_frames)
    if n_all <= n_frames:
        assert list(picked) == moments
        return
    span = n_all * step
    for i, moment in enumerate(picked):
        assert moment <= start + (i + 0.5) * span / n_frames < moment + step + 1


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Groups of pictures in coding order: B-frames after what they lean on, open groups, hidden packets."""
    stamps: list[int | None] = []
    is_key: list[bool] = []
    time = draw(st.integers(-50, 50))
    for group in range(draw(st.integers(1, 12))):
        n_leading = draw(st.integers(0, 3)) if group else 0
        times = list(range(time, time + n_leading + draw(st.integers(1, 30))))
        key, leading, rest = times[n_leading], times[:n_leading], times[n_leading + 1 :]
        mini = [rest[i : i + 3] for i in range(0, len(rest), 3)]
        order = [key, *leading, *(stamp for part in mini for stamp in (part[-1], *part[:-1]))]
        hidden = draw(st.integers(0, 5)) if not group else 0
        stamps += [None if i < hidden and len(order) > hidden else stamp for i, stamp in enumerate(order)]
        is_key += [True, *(False for _ in order[1:])]
        time = times[-1] + 1 + draw(st.sampled_from([0, 0, 0, 40]))
    return Timeline(tuple(stamps), tuple(is_key), Fraction(1, 10), 1, is_timed=True)


@given(timeline=timelines(), n_frames=COUNTS)
def test_every_wanted_packet_lies_in_one_stretch_that_begins_at_a_keyframe(timeline: Timeline, n_frames: int) -> None:
    wanted = pick_moments(timeline.moments, timeline.end, n_frames)
    stretches = plan_stretches(timeline, wanted)
    assert [stamp for stretch in stretches for stamp in stretch.wanted] == list(wanted)
    assert all(before.last < after.first for before, after in pairwise(stretches))
    for stretch in stretches:
        assert stretch.first == 0 or timeline.is_key[stretch.first]
        for stamp in stretch.wanted:
            position = timeline.stamps.index(stamp)
            assert stretch.first <= position <= stretch.last
            key = timeline.stamps[stretch.first]
            assert stretch.first == 0 or (key is not None and key <= stamp)
