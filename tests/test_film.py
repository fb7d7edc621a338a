"""Faces that move, filmed and encoded: the same for both twins, in place, and poorer where they move."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from space.contract import U8
from space.lab.forge.compress import decode_clip, encode_clip
from space.lab.training.augment import draw_photometry
from space.lab.training.film import EDGE, HEAD, Film, draw_film, smooth_path
from space.lab.training.pairs import PairChoices, TwinData, draw_pair
from tests.twins import write_twins

MIDDLE, FACE_PX = (128.0, 110.0), 90.0


@pytest.fixture(scope="module")
def face() -> U8:
    return np.asarray(astronaut()[:256, 96:352], np.uint8).copy()  # type: ignore[no-untyped-call]


def film(face_px: float = FACE_PX, seed: int = 0) -> Film:
    return draw_film(MIDDLE, face_px, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(12))
def test_the_shown_frame_is_in_place_and_the_same_for_both_twins(face: U8, seed: int) -> None:
    drawn = film(seed=seed)
    shown = drawn.apply(face)
    assert shown.shape == face.shape
    assert shown.dtype == np.uint8
    assert np.array_equal(shown, drawn.apply(face.copy()))
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (face, shown)]
    (right, down), likeness = cv2.phaseCorrelate(*gray)
    assert abs(right) < 1
    assert abs(down) < 1
    assert np.corrcoef(gray[0].ravel(), gray[1].ravel())[0, 1] > 0.9
    assert likeness > 0


def test_the_shown_frame_is_the_one_at_rest() -> None:
    for seed in range(20):
        drawn = film(seed=seed)
        assert 0 < drawn.shown < len(drawn.path)
        assert not drawn.path[drawn.shown].any()


def test_what_moves_is_poorer_than_what_stands_still(face: U8) -> None:
    still = replace(film(), scale=1.0, noise=0.0, passes=((1.0, 27),), path=np.zeros((8, 4), np.float32), shown=5)
    path = np.linspace((-0.15, -0.1, 0, 0), (0.06, 0.04, 0, 0), 8, dtype=np.float32)
    moving = replace(still, path=path - path[5])
    y, x = np.mgrid[:256, :256]
    away = np.hypot(x - MIDDLE[0], y - MIDDLE[1]) / (FACE_PX / 2)
    losses = [np.abs(drawn.apply(face).astype(np.float32) - face).mean(axis=2) for drawn in (still, moving)]
    assert losses[1][away < 1].mean() > 1.15 * losses[0][away < 1].mean()
    assert losses[1][away > HEAD + 4 * EDGE].mean() < 1.15 * losses[0][away > HEAD + 4 * EDGE].mean()


def test_a_picture_encoded_by_itself_is_another(face: U8) -> None:
    drawn = replace(film(), scale=1.0, noise=0.0, passes=((1.0, 30),))
    alone = decode_clip(encode_clip([face], crf=30, fps=25.0))[0]
    assert not np.array_equal(drawn.apply(face), alone)


def test_sizes_are_those_of_faces_in_clips(face: U8) -> None:
    sides = [drawn.scale * drawn.face_px for drawn in (film(300.0, seed) for seed in range(200))]
    assert min(sides) >= 95
    assert max(sides) <= 261
    assert np.std(np.log(sides)) > 0.25
    assert film(40.0).scale == 1  # never enlarged


def test_both_ways_to_odd_sides(face: U8) -> None:
    assert film().apply(face[:201, :173]).shape == (201, 173, 3)


def test_paths_begin_at_rest() -> None:
    path = smooth_path(np.random.default_rng(0), 30)
    assert path.shape == (30, 4)
    assert not path[0].any()
    assert np.abs(np.diff(path, axis=0)).max() < 0.05


def test_photometry_films_last(face: U8) -> None:
    photometry = replace(
        draw_photometry(np.random.default_rng(0)), flip=False, scale=1.0, blur_px=0.0, jpeg=(), gain=1.0, offset=0.0
    )
    assert np.array_equal(replace(photometry, gray=False, film=film()).apply(face), film().apply(face))


def test_a_share_of_the_pairs_is_filmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = TwinData(*write_twins(tmp_path_factory.mktemp("twins")), split="train")

    def draw(share: float) -> list[tuple[U8, U8]]:
        choices = PairChoices(96, 1.1, 1.0, 96, film_share=share)
        return [draw_pair(data, choices, rng=np.random.default_rng(seed))[:2] for seed in range(6)]

    plain, filmed = draw(0.0), draw(1.0)
    changed = [np.abs(a.astype(int) - b).mean() for (a, _), (b, _) in zip(plain, filmed, strict=True)]
    assert min(changed) > 0.5
    assert all(not np.array_equal(genuine, forged) for genuine, forged in filmed)


def test_a_codec_gives_the_same_whatever_memory_holds(face: U8) -> None:
    """x264 has code for newer processors that reads what nobody wrote."""
    rng = np.random.default_rng(0)
    drawn = replace(film(150.0, 17), passes=((0.62, 22), (1.09, 18)))
    moved = [drawn.apply(face)]
    for _ in range(12):
        rubbish = [rng.integers(0, 255, int(size), np.uint8) for size in np.geomspace(500, 4e5, 40)]
        del rubbish
        moved.append(drawn.apply(face))
    assert len({shown.tobytes() for shown in moved}) == 1
