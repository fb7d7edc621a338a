"""What surrounds a face lies on both twins alike and is never counted as forged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from space.analysis.parts import FACE_OVAL
from space.contract import F32, U8
from space.lab.forge.occluders import OCCLUDER_KINDS, Occluder
from space.lab.training.pairs import PairChoices, TwinData, draw_pair
from space.lab.training.scene import Scene, draw_scene
from tests.astronaut_faces import LANDMARKS
from tests.twins import write_twins

SIZE = 96


@pytest.fixture(scope="module")
def landmarks() -> F32:
    low, high = LANDMARKS.min(axis=0), LANDMARKS.max(axis=0)
    return ((LANDMARKS - low) / (high - low).max() * 60 + 18).astype(np.float32)


def draw_scenes(landmarks: F32, n: int = 60) -> list[Scene]:
    crop = np.full((SIZE, SIZE, 3), 128, np.uint8)
    return [draw_scene(crop, landmarks, np.random.default_rng(seed)) for seed in range(n)]


def differ(before: U8, after: U8) -> U8:
    return np.asarray(np.abs(before.astype(int) - after).max(axis=2) > 8, np.uint8)


def test_every_kind_of_surrounding_is_drawn(landmarks: F32) -> None:
    scenes = draw_scenes(landmarks)
    for name in ("light", "head", "backdrop", "things"):
        share = np.mean([getattr(scene, name) is not None for scene in scenes])
        assert 0.05 < share < 0.95, name


def test_what_both_twins_show_stays_alike(landmarks: F32) -> None:
    rng = np.random.default_rng(0)
    genuine = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    forged = genuine.copy()
    face = cv2.boundingRect(landmarks)
    forged[face[1] + 20 : face[1] + 40, face[0] + 20 : face[0] + 40] += 60
    for scene in draw_scenes(landmarks):
        blur = 0 if scene.head is None or scene.backdrop is not None else int(4 * scene.backdrop_blur_px)
        near = cv2.dilate(differ(genuine, forged), np.ones((2 * blur + 1, 2 * blur + 1), np.uint8))
        assert not (differ(scene.apply(genuine), scene.apply(forged)) & ~near & 1).any()


def test_the_region_is_what_nothing_lies_over(landmarks: F32) -> None:
    for scene in draw_scenes(landmarks):
        region = scene.uncover(np.ones((SIZE, SIZE), np.float32))
        assert region.min() >= -1e-3
        if scene.things is None:
            assert region.min() == 1
        else:
            assert np.allclose(1 - region, scene.things[:, :, 3], atol=1e-3)


def test_a_backdrop_lies_beside_the_face(landmarks: F32) -> None:
    middle = landmarks[list(FACE_OVAL)].mean(axis=0)
    inner = (middle + (landmarks[list(FACE_OVAL)] - middle) * 0.6).round().astype(int)
    for scene in draw_scenes(landmarks):
        if scene.head is not None:
            assert scene.head.min() < 0.1
            assert scene.head[inner[:, 1], inner[:, 0]].min() > 0.9


@pytest.mark.parametrize("kind", OCCLUDER_KINDS)
def test_an_occluder_lies_over_what_was_there(kind: str, landmarks: F32) -> None:
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    occluder = Occluder(kind, seed=3)
    layer = np.zeros((SIZE, SIZE, 4), np.float32)
    layer[:, :, 3] = 1  # black before
    occluder.cover(layer, image, landmarks)
    alone = np.zeros((SIZE, SIZE, 4), np.float32)
    occluder.cover(alone, image, landmarks)
    assert alone[:, :, 3].max() > 0.5
    assert np.allclose(layer[:, :, 3], 1, atol=1e-5)
    assert np.allclose(layer[:, :, :3], alone[:, :, :3], atol=1e-3)


def test_pairs_get_them_where_the_recipe_asks(tmp_path: Path) -> None:
    data = TwinData(*write_twins(tmp_path), split="train")

    def draw(share: float) -> list[U8]:
        choices = PairChoices(96, 1.1, 1.0, 96, scene_share=share)
        return [draw_pair(data, choices, rng=np.random.default_rng(seed))[0] for seed in range(12)]

    pairs = list(zip(draw(0.0), draw(1.0), strict=True))
    assert sum(not np.array_equal(plain, dressed) for plain, dressed in pairs) >= 6
