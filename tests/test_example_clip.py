"""The page's examples: twins that differ in the face alone, say what they are, and are what ships."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from space.analysis.faces import FaceDetector
from space.contract import U8
from space.lab.forge.example_clip import (
    DURATION_S,
    FPS,
    MARK,
    SEED,
    SIDE_PX,
    Example,
    make_examples,
    write_clip,
)
from space.service.page.html import EXAMPLES
from space.service.page.page import EXAMPLES_FOLDER

MAX_BYTES = 400_000
MARK_TOP = SIDE_PX - 30  # rows of the mark


@pytest.fixture(scope="module")
def moments() -> list[Example]:
    portrait: U8 = np.ascontiguousarray(astronaut())
    return list(islice(make_examples(portrait, rng=np.random.default_rng(SEED)), 12))


def read_clip(path: Path) -> tuple[list[U8], dict[str, str]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return frames, dict(container.metadata)


def without_noise(image: U8) -> NDArray[np.int64]:
    """A sixth of the size: what the encoder keeps."""
    return cv2.resize(image, (SIDE_PX // 6, SIDE_PX // 6), interpolation=cv2.INTER_AREA).astype(np.int64)


def find_face(image: U8) -> tuple[int, int, int, int]:
    with FaceDetector() as detector:
        (box, _), *others = detector.detect(image)
    assert not others
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    return x0, y0, x1, y1


def test_twins_differ_in_the_face_and_the_mark_alone(moments: list[Example]) -> None:
    moment = moments[0]
    x0, y0, x1, y1 = find_face(moment.genuine)
    margin = (x1 - x0) // 3
    difference = np.abs(moment.genuine.astype(int) - moment.forged).max(axis=2)
    elsewhere = difference.copy()
    elsewhere[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = 0
    elsewhere[MARK_TOP:] = 0
    assert elsewhere.max() == 0
    assert difference[y0:y1, x0:x1].mean() > 5


def test_the_forged_face_has_lost_detail(moments: list[Example]) -> None:
    x0, y0, x1, y1 = find_face(moments[0].genuine)
    inner = np.s_[(2 * y0 + y1) // 3 : (y0 + 2 * y1) // 3, (2 * x0 + x1) // 3 : (x0 + 2 * x1) // 3]
    genuine, forged = (
        cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F)[inner].var()
        for image in (moments[0].genuine, moments[0].forged)
    )
    assert forged < genuine / 2


def test_the_camera_moves_gently(moments: list[Example]) -> None:
    places = np.array([find_face(moment.genuine) for moment in moments])
    steps = np.abs(np.diff(places, axis=0))
    assert places.std(axis=0).max() > 0.5
    assert steps.max() < 8


def test_the_same_seed_makes_the_same_clips(moments: list[Example]) -> None:
    portrait: U8 = np.ascontiguousarray(astronaut())
    again = next(make_examples(portrait, rng=np.random.default_rng(SEED)))
    other = next(make_examples(portrait, rng=np.random.default_rng(SEED + 1)))
    assert np.array_equal(again.genuine, moments[0].genuine)
    assert np.array_equal(again.forged, moments[0].forged)
    assert not np.array_equal(other.genuine, moments[0].genuine)


def test_without_a_face_there_is_nothing_to_forge() -> None:
    with pytest.raises(ValueError, match="no face"):
        next(make_examples(np.full((400, 400, 3), 128, np.uint8), rng=np.random.default_rng(0)))


def test_a_clip_keeps_what_is_written(moments: list[Example], tmp_path: Path) -> None:
    frames = [moment.forged for moment in moments]
    write_clip(tmp_path / "clip.mp4", frames, comment=MARK)
    read, metadata = read_clip(tmp_path / "clip.mp4")
    assert metadata["comment"] == MARK
    assert len(read) == len(frames)
    assert np.abs(without_noise(read[0]) - without_noise(frames[0])).mean() < 3


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_ships_is_what_is_made(name: str, moments: list[Example]) -> None:
    path = EXAMPLES_FOLDER / f"{name}.mp4"
    frames, metadata = read_clip(path)
    assert path.stat().st_size < MAX_BYTES
    assert len(frames) == round(FPS * DURATION_S)
    assert "public domain" in metadata["comment"]
    assert (MARK in metadata["comment"]) == (name == "forged")
    for shipped, made in zip(frames, moments, strict=False):
        assert np.abs(without_noise(shipped) - without_noise(getattr(made, name))).mean() < 3
    poster = cv2.imread(str(EXAMPLES_FOLDER / f"{name}.jpg"))
    assert poster.shape[0] == poster.shape[1]
