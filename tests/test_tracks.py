"""Tracks of made-up faces: a person is a colour, which moves, jumps, leaves, returns and meets others."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.tracks import link_tracks
from space.contract import Face, Patch, Quality, Track

QUALITY = Quality(100.0, 100.0, 0.5, 0.0, 0.0, 0.0, 0.8, usable=True)
SKINS = {"A": (214, 160, 130), "B": (120, 78, 60), "C": (235, 200, 190), "D": (165, 120, 70)}


def face(person: str, frame: int, x: float = 100, size: float = 100, seconds: float = 1.0, dim: float = 1.0) -> Face:
    """A face whose patch is textured skin of the person's colour; ``confidence`` remembers who it is."""
    shading, noise = (np.random.default_rng(seed).normal(0, 1, (64, 64, 1)) for seed in ([*person.encode()], frame))
    texture = 450 * cv2.GaussianBlur(shading, (0, 0), 4)[..., None] + 4 * noise
    image = np.clip((np.array(SKINS[person]) + texture) * dim, 0, 255).astype(np.uint8)
    box = np.array([x, 100, x + size, 100 + size], np.float32)
    scale = 2 * size / 64
    offset = (scale - 1) / 2 - size / 2
    return Face(
        frame_index=frame,
        time_s=frame * seconds,
        box_xyxy=box,
        detection_xyxy=box,
        confidence=list(SKINS).index(person) / 10,
        landmarks=np.zeros((478, 2), np.float32),
        quality=QUALITY,
        patch=Patch(image, np.array([[scale, 0, x + offset], [0, scale, 100 + offset]], np.float32)),
    )


def people(tracks: Sequence[Track]) -> list[str]:
    """Who is in each track, one letter per face."""
    return ["".join(list(SKINS)[round(f.confidence * 10)] for f in track.faces) for track in tracks]


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        pytest.param([], [], id="nobody"),
        pytest.param([("A", 0, 100)], ["A"], id="one face"),
        pytest.param([("A", i, 100 + 5 * i) for i in range(6)], ["AAAAAA"], id="one person moving a little"),
        pytest.param([("A", i, 100 + 500 * (i % 2)) for i in range(6)], ["AAAAAA"], id="jumping over the frame"),
        pytest.param(
            [(p, i, x) for i in range(4) for p, x in (("A", 100), ("B", 400))], ["AAAA", "BBBB"], id="two side by side"
        ),
        pytest.param(
            [(p, i, x if i < 2 else 500 - x) for i in range(4) for p, x in (("A", 100), ("B", 400))],
            ["AAAA", "BBBB"],
            id="two who change places",
        ),
        pytest.param(
            [("AB"[i % 2], i, 100) for i in range(6)], ["AAA", "BBB"], id="cuts between two in the same place"
        ),
        pytest.param(
            [("A", 0, 100), ("A", 1, 100), ("B", 2, 100), ("A", 9, 400)], ["AAA", "B"], id="leaving and returning"
        ),
        pytest.param(
            [("A", 0, 100), ("A", 1, 100), ("D", 1, 700), ("A", 2, 100)], ["AAA", "D"], id="a false detection"
        ),
        pytest.param(
            [("A", 0, 100), ("A", 0, 400), ("A", 1, 110), ("A", 1, 390)], ["AA", "AA"], id="two who look the same"
        ),
        pytest.param(
            [("A", 0, 100), ("B", 0, 250), ("B", 1, 100), ("A", 1, 250)], ["AA", "BB"], id="colour before place"
        ),
    ],
)
def test_faces_become_one_track_per_person(faces: list[tuple[str, int, float]], expected: list[str]) -> None:
    assert people(link_tracks([face(*f) for f in faces])) == expected


def test_people_who_look_the_same_are_told_apart_by_place() -> None:
    tracks = link_tracks([face("A", i, x) for i in range(5) for x in ((100 + 9 * i, 400 - 9 * i)[:: (-1) ** i])])
    assert [len(track.faces) for track in tracks] == [5, 5]
    for track in tracks:
        places = [f.box_xyxy[0] for f in track.faces]
        assert np.abs(np.diff(places)).max() < 10


def test_people_who_look_the_same_are_told_apart_by_size() -> None:
    faces = [face("A", i, 100 + 60 * ((i + k) % 2), size) for i in range(5) for k, size in enumerate((60, 200))]
    tracks = link_tracks(faces)
    assert [len({f.box_xyxy[2] - f.box_xyxy[0] for f in track.faces}) for track in tracks] == [1, 1]


def test_light_may_change_slowly() -> None:
    assert people(link_tracks([face("A", i, dim=1 - 0.03 * i) for i in range(10)])) == ["A" * 10]


def test_seconds_between_frames_do_not_matter() -> None:
    sparse, dense = (
        link_tracks([face(p, i, x, seconds=s) for i in range(4) for p, x in (("A", 100), ("B", 400))])
        for s in (30.0, 0.04)
    )
    assert people(sparse) == people(dense) == ["AAAA", "BBBB"]


scenes = st.lists(
    st.lists(st.tuples(st.sampled_from(list(SKINS)), st.integers(0, 8), st.sampled_from([40, 100, 160])), max_size=5),
    max_size=6,
)


@given(scenes)
def test_every_face_is_in_one_track_and_once_per_frame(
    scene: list[list[tuple[str, int, float]]],
) -> None:
    faces = [face(p, i, 120.0 * x, size) for i, frame in enumerate(scene) for p, x, size in frame]
    tracks = link_tracks(faces)
    assert sorted(id(f) for track in tracks for f in track.faces) == sorted(map(id, faces))
    assert [track.track_id for track in tracks] == list(range(1, len(tracks) + 1))
    for track in tracks:
        indices = [f.frame_index for f in track.faces]
        assert indices == sorted(set(indices))
    firsts = [track.faces[0].time_s for track in tracks]
    assert firsts == sorted(firsts)


@given(st.permutations(range(8)))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    faces = [face(p, i, x) for i in range(4) for p, x in (("A", 100), ("B", 400))]
    tracks = link_tracks([faces[i] for i in order])
    assert sorted(people(tracks)) == ["AAAA", "BBBB"]
