"""Photos as further faces to forge: whose they are, how they are cut, when they are used."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from space.lab.training.pairs import PairChoices, TwinData, draw_batch, draw_pair
from space.lab.training.stills import MAX_STILL_PX, STILL_MARGIN, Stills, genuine_use, prepare_stills
from tests.twins import write_twins


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    names = [f"photo-{i}.jpg" for i in range(40)]
    chosen = [name for name in names if genuine_use(name) == "train"]
    other = next(name for name in names if genuine_use(name) == "test")
    picture = cv2.resize(astronaut()[:300, 100:400], (300, 300))[:, :, ::-1]
    for name in (*chosen[:2], other):
        cv2.imwrite(str(folder / name), picture)
    cv2.imwrite(str(folder / chosen[2]), np.full((200, 200, 3), 128, np.uint8))  # no face
    path = prepare_stills([folder], folder / "stills.npz")
    with np.load(path) as arrays:
        assert arrays["names"].tolist() == chosen[:2]
    return path


def test_photos_keep_their_landmarks(stills: Path) -> None:
    prepared = Stills(stills)
    image, landmarks = prepared.image(0), prepared.landmarks[0]
    side = image.shape[0]
    assert image.shape == (side, side, 3)
    assert side <= MAX_STILL_PX
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    assert float((high - low).max()) * STILL_MARGIN == pytest.approx(side, rel=0.02)
    assert (low + high) / 2 == pytest.approx(side / 2, abs=3)


def test_photos_are_forged_where_the_recipe_asks(stills: Path, tmp_path: Path) -> None:
    twins = write_twins(tmp_path)
    data = TwinData(*twins, split="train", stills=stills)
    for self_blend, swap in ((1.0, 0.0), (0.0, 1.0)):
        choices = PairChoices(96, 1.1, self_blend, 96, swap_share=swap, stills_share=1.0)
        batch = draw_batch(data, choices, 3, seed=(1, 2))
        assert batch.region_known.all()
        assert batch.regions[1::2].max() > 0.5
        assert (batch.images[0::2] != batch.images[1::2]).any()
    without = TwinData(*twins, split="train")
    with pytest.raises(ValueError, match="asks for photos"):
        draw_batch(without, choices, 1, seed=(1,))


def test_further_families_differ_from_their_twin_in_the_region_they_state(stills: Path, tmp_path: Path) -> None:
    data = TwinData(*write_twins(tmp_path), split="train", stills=stills)
    choices = PairChoices(96, 1.1, 0.0, 96, further_share=1.0, stills_share=1.0)
    pairs = [draw_pair(data, choices, rng=np.random.default_rng(seed)) for seed in range(24)]
    assert all(known for *_, known in pairs)
    areas = [float(region.mean()) for _, _, region, _ in pairs]
    assert min(areas) < 0.1 < max(areas), "parts and whole faces"
    is_stronger = []
    for genuine, forged, region, _ in pairs:
        inside = cv2.resize(region, (96, 96)) > 0.5
        difference = np.abs(forged.astype(int) - genuine).mean(axis=2)
        is_stronger.append(inside.any() and difference[inside].mean() > difference[~inside].mean())
    assert np.mean(is_stronger) > 0.6, "some are too weak for cells of 16 px"


def test_feathered_faces_cover_the_face_and_differ_from_their_twin(stills: Path, tmp_path: Path) -> None:
    data = TwinData(*write_twins(tmp_path), split="train", stills=stills)
    choices = PairChoices(96, 1.1, 0.0, 96, feathered_share=1.0, stills_share=1.0)
    pairs = [draw_pair(data, choices, rng=np.random.default_rng(seed)) for seed in range(12)]
    assert all(known for *_, known in pairs)
    assert min(float(region.mean()) for _, _, region, _ in pairs) > 0.1
    assert all((genuine != forged).any() for genuine, forged, _, _ in pairs)


def test_the_share_of_parts_is_the_recipe_s(stills: Path, tmp_path: Path) -> None:
    data = TwinData(*write_twins(tmp_path), split="train", stills=stills)

    def mean_area(part_share: float) -> float:
        choices = PairChoices(96, 1.1, 0.0, 96, further_share=1.0, part_share=part_share, stills_share=1.0)
        rngs = map(np.random.default_rng, range(12))
        return float(np.mean([region.mean() for _, _, region, _ in (draw_pair(data, choices, rng=r) for r in rngs)]))

    only_parts, none = mean_area(1.0), mean_area(0.0)
    assert only_parts < 0.6 * none, (only_parts, none)


def test_half_trains_a_quarter_calibrates_a_quarter_tests() -> None:
    uses = [genuine_use(f"{i}.jpg") for i in range(4000)]
    assert [uses.count(use) / 4000 for use in ("train", "calibrate", "test")] == pytest.approx(
        [0.5, 0.25, 0.25], abs=0.03
    )
