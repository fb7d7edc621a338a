"""Scoring batch by batch: the same numbers whoever waits, and a first word before the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from space.analysis.maps import LAYERS
from space.analysis.scoring import Scored, Scorer, join_scored
from space.analysis.tracks import link_tracks
from space.contract import Face, MemberMaps, MemberScores, Track
from space.models.weights import Ensemble, load_ensemble
from tests.ensembles import RECORD, write_ensemble
from tests.explained import tiny_member
from tests.test_tracks import face

BATCH = 4


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load_ensemble(folder=write_ensemble(tmp_path_factory.mktemp("ensemble")))


class Listener:
    """Hears what is told, and has had enough after some times."""

    def __init__(self, enough_after: int = 1) -> None:
        self.heard: list[tuple[Sequence[Track], Sequence[MemberScores]]] = []
        self._enough_after = enough_after

    def __call__(self, tracks: Sequence[Track], scores: Sequence[MemberScores]) -> bool:
        self.heard.append((tracks, scores))
        return len(self.heard) >= self._enough_after


def meet(who: dict[str, Sequence[int]]) -> list[Face]:
    """Faces of people, frame by frame.

    Args:
        who: a person's letter -> the frames they are in.
    """
    places = {person: 100 + 300 * i for i, person in enumerate(who)}
    pairs = sorted((frame, person) for person, frames in who.items() for frame in frames)
    return [face(person, frame, places[person]) for frame, person in pairs]


def run(
    ensemble: Ensemble, faces: list[Face], tell: Callable[..., bool] | None, *, maps: bool = False
) -> tuple[tuple[Track, ...], Scored]:
    """Score faces as they come, as the pipeline does."""
    scorer = Scorer(ensemble, batch_size=BATCH, maps=maps, tell=tell)
    for n_frames in range(1, max((f.frame_index for f in faces), default=0) + 2):
        scorer.begin_early([f for f in faces if f.frame_index < n_frames], n_frames, lambda: None)
    tracks = link_tracks(faces)
    return tracks, scorer.score(tracks, lambda _: None)


def same(one: Scored, other: Scored) -> bool:
    """Bit by bit."""
    return all(
        a.member == b.member and np.array_equal(a.logits, b.logits)
        for a, b in zip(one.scores, other.scores, strict=True)
    ) and all(
        np.array_equal(getattr(a, layer), getattr(b, layer))
        for a, b in zip(one.maps, other.maps, strict=True)
        for layer in LAYERS
    )


CASTS = {
    "nobody": {},
    "one-face": {"A": [0]},
    "less-than-a-batch": {"A": range(3)},
    "one-batch": {"A": range(4)},
    "one-person": {"A": range(10)},
    "who-comes-late": {"A": range(2), "B": range(1, 10)},
    "two": {"A": range(9), "B": range(9)},
    "with-gaps": {"A": [0, 3, 4, 7, 8], "B": [1, 2, 5, 6, 9]},
}


@pytest.mark.parametrize(("cast", "maps"), [*((cast, False) for cast in CASTS), ("nobody", True), ("two", True)])
def test_scores_do_not_depend_on_who_waits(ensemble: Ensemble, cast: str, maps: bool) -> None:
    faces = meet(CASTS[cast])
    tracks, expected = run(ensemble, faces, None, maps=maps)
    for enough_after in (1, 99):
        assert same(run(ensemble, faces, Listener(enough_after), maps=maps)[1], expected)
    assert [len(s.logits) for s in expected.scores] == [len(faces)] * 2
    assert len(expected.maps) == (2 if maps else 0)
    assert [len(m.layered) for m in expected.maps] == [len(faces)] * len(expected.maps)
    assert sum(len(track.faces) for track in tracks) == len(faces)


@given(
    present=st.lists(st.sets(st.sampled_from("AB")), min_size=1, max_size=9),
    enough_after=st.integers(1, 3),
)
@settings(max_examples=5)
def test_any_coming_and_going_gives_the_same_scores(
    ensemble: Ensemble, present: list[set[str]], enough_after: int
) -> None:
    faces = meet({person: [i for i, here in enumerate(present) if person in here] for person in "AB"})
    listener = Listener(enough_after)
    tracks, told = run(ensemble, faces, listener)
    assert same(run(ensemble, faces, None)[1], told)
    logits = {id(f): told.scores[0].logits[i] for i, f in enumerate(f for track in tracks for f in track.faces)}
    for part, scores in listener.heard:
        heard = [f for track in part for f in track.faces]
        assert [logits[id(f)] for f in heard] == scores[0].logits.tolist()
        assert 0 < len(heard) < len(faces) or len(faces) == BATCH


def test_the_first_word_comes_while_frames_are_still_to_come(ensemble: Ensemble) -> None:
    faces, listener = meet({"A": range(10)}), Listener()
    scorer = Scorer(ensemble, batch_size=BATCH, maps=False, tell=listener)
    for n_frames in range(1, BATCH + 1):
        assert not listener.heard
        scorer.begin_early(faces[:n_frames], n_frames, lambda: None)
    ((tracks, scores),) = listener.heard
    assert [f.frame_index for f in tracks[0].faces] == list(range(BATCH))
    assert [len(s.logits) for s in scores] == [BATCH, BATCH]


def test_what_was_scored_early_is_not_scored_again(ensemble: Ensemble) -> None:
    steps: list[float] = []
    faces = meet({"A": range(10)})
    scorer = Scorer(ensemble, batch_size=BATCH, maps=False, tell=Listener())
    scorer.begin_early(faces[:BATCH], BATCH, lambda: steps.append(-1))
    scorer.score(link_tracks(faces), steps.append)
    assert steps[:2] == [-1, -1]
    assert steps[2:] == [2 / 6, 3 / 6, 4 / 6, 5 / 6]


def test_the_main_person_comes_first(ensemble: Ensemble) -> None:
    """Who appears first may only pass by."""
    listener = Listener()
    scorer = Scorer(ensemble, batch_size=BATCH, maps=False, tell=listener)
    scorer.score(link_tracks(meet({"A": range(3), "B": range(9)})), lambda _: None)
    ((tracks, _),) = listener.heard
    assert {track.track_id: len(track.faces) for track in tracks} == {2: BATCH}


def test_nobody_is_told_once_it_was_enough(ensemble: Ensemble) -> None:
    for enough_after, n_heard in ((1, 1), (2, 2), (99, 2)):
        listener = Listener(enough_after)
        run(ensemble, meet({"A": range(10)}), listener)  # three batches; after the last one the verdict follows
        assert len(listener.heard) == n_heard


def test_stopping_takes_effect_before_the_next_member(ensemble: Ensemble) -> None:
    def stop() -> None:
        raise InterruptedError

    faces = meet({"A": range(4)})
    scorer = Scorer(ensemble, batch_size=BATCH, maps=False, tell=Listener())
    with pytest.raises(InterruptedError):
        scorer.begin_early(faces, BATCH, stop)


def test_without_a_face_every_member_says_nothing(ensemble: Ensemble) -> None:
    scored = Scorer(ensemble, batch_size=BATCH, maps=True).score((), lambda _: None)
    assert [s.logits.shape for s in scored.scores] == [(0,), (0,)]
    assert [m.last.shape[0] for m in scored.maps] == [0, 0]


@pytest.mark.parametrize("maps", [False, True])
def test_whole_tracks_are_read_by_members_of_that_kind(maps: bool) -> None:
    """Each track has its own logit; the other members say what they say without company."""
    frame, sequence = tiny_member(name="a"), tiny_member(sequence=True, name="b")
    both = Ensemble(RECORD, (sequence, frame), (0.5, 0.5))
    faces, listener = meet({"A": range(6), "B": range(3)}), Listener()
    tracks, scored = run(both, faces, listener, maps=maps)
    assert not listener.heard, "a track is judged when it is known to its end"
    assert [s.member for s in scored.scores] == ["b", "a"]
    assert [m.member for m in scored.maps] == (["b", "a"] if maps else [])
    _, alone = run(Ensemble(RECORD, (frame,), (1.0,)), faces, None, maps=maps)
    assert np.array_equal(scored.scores[1].logits, alone.scores[0].logits)
    logits = scored.scores[0].logits
    assert [len(track.faces) for track in tracks] == [6, 3]
    assert len(set(logits[:6].tolist())) == len(set(logits[6:].tolist())) == 1
    assert logits[0] != logits[6]
    steps: list[float] = []
    Scorer(both, batch_size=BATCH, maps=maps).score(tracks, steps.append)
    assert steps == [i / 5 for i in range(5)], "three batches of one member, two tracks of the other"
    nobody = Scorer(both, batch_size=BATCH, maps=maps).score((), lambda _: None)
    assert [s.logits.shape for s in nobody.scores] == [(0,), (0,)]


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_joining_keeps_order_and_members(sizes: list[int]) -> None:
    parts = []
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        logits = np.arange(start, start + size, dtype=np.float32)
        cells = np.broadcast_to(logits[:, None, None], (size, 2, 2))
        parts.append(Scored((MemberScores("a", logits),), (MemberMaps("a", cells, cells, cells),)))
    joined = join_scored(parts)
    assert joined.scores[0].logits.tolist() == list(range(sum(sizes)))
    assert joined.maps[0].layered[:, 0, 0].tolist() == list(range(sum(sizes)))
    assert (joined.scores[0].member, joined.maps[0].member) == ("a", "a")


def test_a_batch_of_equal_length_but_other_faces_is_scored_anew(ensemble: Ensemble) -> None:
    faces = meet({"A": range(8)})
    scorer = Scorer(ensemble, batch_size=BATCH, maps=False, tell=Listener())
    scorer.begin_early(faces[:BATCH], BATCH, lambda: None)
    others = [replace(f) for f in faces]
    scored = scorer.score(link_tracks(others), lambda _: None)
    assert same(scored, Scorer(ensemble, batch_size=BATCH, maps=False).score(link_tracks(faces), lambda _: None))
