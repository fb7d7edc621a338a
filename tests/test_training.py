"""The lab's training: twins changed alike, masks float, resumable, and able to learn."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.crops import cut_square, scale_box, square_box
from space.lab.evaluation.metrics import auc, bootstrap_by_source, expected_calibration_error, share_above_twin
from space.lab.forge.blend import blend_with_self, face_mask, soften_mask
from space.lab.training.augment import draw_photometry
from space.lab.training.calibration import (
    conformal_quantile,
    fit_calibration,
    verdict_levels,
)
from space.lab.training.engine import Trainer
from space.lab.training.pairs import CELL_PX, PairChoices, TwinData, draw_batch
from space.lab.training.recipe import Phase
from space.lab.training.recipes import RECIPES
from space.lab.training.result import load_predictions, predict_split, save_predictions
from space.lab.training.schedule import learning_rate, make_schedule, same_until
from space.lab.training.twins import IDENTITY, REGION_PX, manipulated_region, register_twin
from tests.twins import SIDE, draw_face, oval_landmarks, write_twins

TINY = replace(
    RECIPES["tiny"],
    phases=(Phase(64, 16), Phase(96, 8)),  # six steps
    batch_pairs=2,
    log_every=2,
    n_validation=8,
)


@pytest.fixture(scope="module")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_twins(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def data(twin_folder: tuple[Path, Path]) -> TwinData:
    return TwinData(*twin_folder, split="train")


@pytest.fixture(scope="module")
def validation(twin_folder: tuple[Path, Path]) -> TwinData:
    return TwinData(*twin_folder, split="val")


# --- twins ------------------------------------------------------------------------------------


def test_registration_finds_how_the_crops_differ() -> None:
    real = draw_face(np.random.default_rng(1))
    affine = np.array([[1.03, 0.0, -4.0], [0.0, 1.03, 3.0]], np.float32)
    fake = cv2.warpAffine(real, affine, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    found = register_twin(fake, real)
    assert found is not None
    assert found == pytest.approx(affine, abs=0.3)
    assert manipulated_region(fake, real, found)[10:-10, 10:-10].mean() < 25


def test_unlike_pictures_do_not_register() -> None:
    one, other = (draw_face(np.random.default_rng(seed)) for seed in (1, 2))
    assert register_twin(one, other) is None


def test_region_is_where_the_twins_differ() -> None:
    real = draw_face(np.random.default_rng(3))
    fake = real.copy()
    fake[80:140, 40:100] = 255 - fake[80:140, 40:100]
    region = manipulated_region(fake, real, IDENTITY).astype(float) / 255
    cells = np.zeros((REGION_PX, REGION_PX), bool)
    cells[20:35, 10:25] = True
    assert region[cells].mean() > 0.7
    assert region[~cells].mean() < 0.25


def test_a_data_set_from_elsewhere_is_refused(twin_folder: tuple[Path, Path], tmp_path: Path) -> None:
    folder, path = twin_folder
    with np.load(path) as arrays:
        other = {**arrays, "names": arrays["names"][::-1]}
    np.savez(tmp_path / "twins.npz", **other)
    with pytest.raises(ValueError, match="another data set"):
        TwinData(folder, tmp_path / "twins.npz", split="train")


# --- forgeries --------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
def test_masks_are_float_and_inside_the_unit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = face_mask(oval_landmarks(), (SIDE, SIDE), rng=rng)
    soft = soften_mask(mask, 180.0, rng)
    assert mask.dtype == soft.dtype == np.float32
    assert 0 < mask.mean() < 1
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert len(np.unique(soft.round(3))) > 10, "a hard border"


@given(st.integers(0, 10_000))
def test_forgery_differs_from_its_twin_inside_the_mask_only(seed: int) -> None:
    image = draw_face(np.random.default_rng(4))
    forgery = blend_with_self(image, oval_landmarks(), rng=np.random.default_rng(seed))
    outside = forgery.mask < 1e-3
    difference = np.abs(forgery.forged.astype(int) - forgery.genuine)
    assert difference[outside].max(initial=0) <= 1
    assert difference[forgery.mask > 0.2].mean() > 0


def test_strength_zero_is_the_identity() -> None:
    image = draw_face(np.random.default_rng(4))
    for seed in range(20):
        forgery = blend_with_self(image, oval_landmarks(), rng=np.random.default_rng(seed), strength=0.0)
        assert (forgery.forged == image).all()
        assert (forgery.genuine == image).all()
        assert not forgery.mask.any()


def test_a_seed_decides_the_forgery() -> None:
    image = draw_face(np.random.default_rng(4))
    one, same, other = (
        blend_with_self(image, oval_landmarks(), rng=np.random.default_rng(seed)).forged for seed in (7, 7, 8)
    )
    assert (one == same).all()
    assert (one != other).any()


# --- batches ----------------------------------------------------------------------------------


def test_pairs_are_compressed_as_video_frames_in_the_recipe_s_share() -> None:
    seeds = range(200)
    drawn = [draw_photometry(np.random.default_rng(seed), h264_share=0.4) for seed in seeds]
    plain = [draw_photometry(np.random.default_rng(seed)) for seed in seeds]
    coded = [one for one in drawn if one.crf is not None]
    assert 60 < len(coded) < 100
    assert all(one.jpeg == () and 18 <= int(one.crf or 0) <= 36 for one in coded)
    assert [one for one in drawn if one.crf is None] == [p for p, one in zip(plain, drawn, strict=True) if not one.crf]
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    good, poor = (
        replace(coded[0], flip=False, scale=1, blur_px=0, gain=1, offset=0, gray=False, crf=c) for c in (18, 36)
    )
    errors = [np.abs(one.apply(image).astype(int) - image).mean() for one in (good, poor)]
    assert 0 < errors[0] < errors[1]


def test_another_camera_changes_colours_and_grain_alike_for_both_twins() -> None:
    image = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    drawn = [draw_photometry(np.random.default_rng(seed), camera_share=1.0).camera for seed in range(60)]
    cameras = [camera for camera in drawn if camera is not None]
    assert len(cameras) == 60
    assert 10 < sum(camera.noise > 0 for camera in cameras) < 40
    for camera in cameras:
        assert (camera.apply(image) == camera.apply(image.copy())).all()
    plain = replace(cameras[0], balance=(1.0, 1.0, 1.0), saturation=1.0, gamma=1.0, sharpening=0.0, noise=0.0)
    assert np.abs(plain.apply(image).astype(int) - image).max() <= 1
    gray = replace(plain, saturation=0.0).apply(image)
    assert np.ptp(gray, axis=2).max() <= 1
    assert replace(plain, gamma=0.7).apply(image).mean() > image.mean() + 10
    assert replace(plain, balance=(1.1, 1.0, 1.0)).apply(image)[..., 0].mean() > image[..., 0].mean() + 5
    assert np.abs(replace(plain, noise=5.0).apply(image).astype(int) - image).std() > 2


@given(st.integers(0, 10_000))
def test_photometry_is_the_same_for_both_twins(seed: int) -> None:
    image = draw_face(np.random.default_rng(5))
    photometry = draw_photometry(np.random.default_rng(seed))
    assert (photometry.apply(image) == photometry.apply(image.copy())).all()


def test_pictures_stay_as_they_are_in_the_recipe_s_share(data: TwinData) -> None:
    plain = {
        cut_square(data.image(name), scale_box(square_box(data.landmarks(name)), 1.1), 96)[0].tobytes()
        for name in data.genuine
    }
    still = PairChoices(96, 1.1, 0.0, 96, jitter_shift=0.0, jitter_scale=(1.0, 1.0))
    for share, low, high in ((0.0, 12, 12), (0.5, 2, 10), (1.0, 0, 1)):
        batch = draw_batch(data, replace(still, photometry_share=share), 12, seed=(1, 2))
        assert low <= sum(image.tobytes() in plain for image in batch.images[0::2]) <= high, share


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("window_px", [64, 96])
def test_batch_layout(data: TwinData, share: float, window_px: int) -> None:
    choices = PairChoices(input_px=96, margin=1.1, self_blend_share=share, window_px=window_px)
    batch = draw_batch(data, choices, 3, seed=(1, 2))
    assert batch.images.shape == (6, window_px, window_px, 3)
    assert batch.labels.tolist() == [0, 1] * 3
    assert batch.regions.shape == (6, window_px // CELL_PX, window_px // CELL_PX)
    assert not batch.regions[0::2].any(), "a genuine face has no manipulated region"
    assert batch.regions[1::2].mean() > 0.02
    assert (batch.images[0::2] != batch.images[1::2]).any()
    again = draw_batch(data, choices, 3, seed=(1, 2))
    assert (again.images == batch.images).all()


def test_region_lies_where_the_window_s_pixels_differ(data: TwinData) -> None:
    choices = PairChoices(input_px=224, margin=1.0, self_blend_share=0.0, window_px=224)
    batch = draw_batch(data, choices, 12, seed=(3, 4))
    difference = np.abs(batch.images[1::2].astype(float) - batch.images[0::2]).mean(axis=3)
    cells = difference.reshape(12, 14, 16, 14, 16).mean(axis=(2, 4))
    correlation = [np.corrcoef(c.ravel(), r.ravel())[0, 1] for c, r in zip(cells, batch.regions[1::2], strict=True)]
    assert min(correlation) > 0.7


def test_without_pairs_the_twins_lie_in_no_batch_together(data: TwinData) -> None:
    choices = PairChoices(input_px=224, margin=1.0, self_blend_share=0.0, window_px=224)
    paired = draw_batch(data, choices, 8, seed=(3, 4))
    apart = draw_batch(data, replace(choices, paired=False), 8, seed=(3, 4))
    assert (apart.images[1::2] == paired.images[1::2]).all(), "the forgeries are the same"
    assert (apart.regions == paired.regions).all()
    assert not any((mine == own).all() for mine, own in zip(apart.images[0::2], paired.images[0::2], strict=True))
    assert (apart.images == draw_batch(data, replace(choices, paired=False), 8, seed=(3, 4)).images).all()


def test_a_share_of_the_sources_lies_in_every_larger_one(twin_folder: tuple[Path, Path]) -> None:
    parts = [
        {data.source(n) for n in data.faces}
        for data in (TwinData(*twin_folder, split="train", source_share=share) for share in (0.025, 0.5, 1.0))
    ]
    assert parts[0] < parts[1] < parts[2]
    assert len(parts[2]) == 4


# --- the loop ---------------------------------------------------------------------------------


def test_schedule_counts_batches() -> None:
    schedule = make_schedule(replace(TINY, phases=(Phase(64, 32), Phase(96, 16))))
    assert schedule.n_steps == 8 + 4
    assert list(schedule.stretches(0)) == [(64, range(8)), (96, range(8, 12))]
    assert list(schedule.stretches(10)) == [(96, range(10, 12))]


def test_rate_warms_up_and_falls_to_zero() -> None:
    rates = [learning_rate(replace(TINY, batch_pairs=16), step, 1000) for step in range(1000)]
    assert rates[0] < rates[20] < max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-5
    assert all(a >= b for a, b in pairwise(rates[40:]))


def test_cool_down_ends_a_longer_cosine() -> None:
    recipe = replace(TINY, cosine_images=4000, cooldown_images=200)  # 4 images a step
    rates = [learning_rate(recipe, step, 500) for step in range(500)]
    whole = replace(recipe, cosine_images=None, cooldown_images=0)
    assert rates[:450] == [learning_rate(whole, step, 1000) for step in range(450)]
    assert rates[475] == pytest.approx(learning_rate(whole, 475, 1000) / 2)
    assert rates[-1] < rates[449] / 40


def test_resumed_run_is_the_uninterrupted_one(data: TwinData, validation: TwinData, tmp_path: Path) -> None:
    whole = Trainer(TINY, data, validation, tmp_path / "whole", device="cpu")
    whole.run()

    class KilledError(Exception):
        pass

    cut = Trainer(TINY, data, validation, tmp_path / "cut", device="cpu")
    train_step = cut._train_step

    def die_at_three(batch: object) -> tuple[float, ...]:
        if cut.step == 3:
            raise KilledError
        return train_step(batch)  # type: ignore[arg-type]

    cut._train_step = die_at_three  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        cut.run()
    resumed = Trainer(TINY, data, validation, tmp_path / "cut", device="cpu")
    assert resumed.step == 2
    resumed.run()
    for key, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[key]), key
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    whole_log, cut_log = ([{**json.loads(line), "seconds": 0} for line in lines] for lines in logs)
    assert whole_log == cut_log


def test_a_checkpoint_of_another_recipe_is_refused(data: TwinData, validation: TwinData, tmp_path: Path) -> None:
    short = replace(TINY, phases=(Phase(64, 16),))
    Trainer(short, data, validation, tmp_path, device="cpu").run()
    with pytest.raises(ValueError, match="another recipe"):
        Trainer(replace(short, seed=2), data, validation, tmp_path, device="cpu")


LONG = replace(TINY, decay="none", cosine_images=40, phases=(Phase(64, 400),), cooldown_images=40)


@pytest.mark.parametrize(
    ("change", "step", "goes_on"),
    [
        ({}, 50, True),
        ({"note": "measured"}, 50, True),
        ({"phases": (Phase(64, 800),)}, 90, True),  # the cool-down begins at step 90
        ({"phases": (Phase(64, 800),)}, 95, False),
        ({"phases": (Phase(64, 200),), "cooldown_images": 80}, 30, True),
        ({"phases": (Phase(64, 200),), "cooldown_images": 80}, 40, False),
        ({"phases": (Phase(64, 100), Phase(96, 300))}, 30, False),  # another window
        ({"seed": 2}, 50, False),
        ({"swap_share": 0.1}, 50, False),
    ],
)
def test_a_run_may_be_made_longer_while_it_would_be_the_same_so_far(change: dict, step: int, goes_on: bool) -> None:
    assert same_until(replace(LONG, **change), LONG, step) is goes_on


def test_a_longer_run_goes_on_from_its_checkpoint(data: TwinData, validation: TwinData, tmp_path: Path) -> None:
    short = replace(TINY, decay="none", phases=(Phase(64, 16),))
    Trainer(short, data, validation, tmp_path / "run", device="cpu").run()
    longer = replace(short, phases=(Phase(64, 24),))
    resumed = Trainer(longer, data, validation, tmp_path / "run", device="cpu")
    assert resumed.step == 4
    resumed.run()
    whole = Trainer(longer, data, validation, tmp_path / "whole", device="cpu").run()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[key]), key


def test_stochastic_depth_is_switched_off(data: TwinData, validation: TwinData, tmp_path: Path) -> None:
    """Without it and without dropout, twins that are one picture get one logit, in training as well."""
    recipe = replace(TINY, stochastic_depth=False, dropout=0.0)
    trainer = Trainer(recipe, data, validation, tmp_path, device="cpu")
    trainer.member.train()
    logits = trainer.member(torch.rand(1, 3, 128, 128).repeat(8, 1, 1, 1)).detach()
    assert logits == pytest.approx(logits[:1].expand(8), abs=1e-4)
    published = Trainer(replace(TINY, dropout=0.0), data, validation, tmp_path / "published", device="cpu")
    published.member.train()
    assert float(published.member(torch.rand(1, 3, 128, 128).repeat(8, 1, 1, 1)).detach().std()) > 1e-3


def test_predictions_survive_the_disk(data: TwinData, validation: TwinData, tmp_path: Path) -> None:
    trainer = Trainer(TINY, data, validation, tmp_path, device="cpu")
    predictions = predict_split(trainer.average, TINY, validation, bf16=False)
    save_predictions(predictions, tmp_path / "val.npz")
    loaded = load_predictions(tmp_path / "val.npz")
    assert loaded.names == validation.faces
    assert loaded.labels.tolist() == [0, 1, 0, 1]
    assert loaded.logits == pytest.approx(predictions.logits)


# --- figures ----------------------------------------------------------------------------------


def test_auc_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    sources = [f"s{i % 100}" for i in range(200)]
    estimate = bootstrap_by_source(auc, labels, labels + rng.normal(0, 1, 200), sources, rng=rng, n_draws=200)
    assert 0.6 < estimate.low < estimate.value < estimate.high < 0.9
    chance = bootstrap_by_source(auc, labels, rng.normal(0, 1, 200), sources, rng=rng, n_draws=200)
    assert chance.low < 0.5 < chance.high


def test_share_above_twin_counts_ties_half() -> None:
    assert share_above_twin(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0])) == pytest.approx(0.5)


def test_calibration_recovers_temperature_and_bias() -> None:
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-true_logits))).astype(np.int64)
    calibration = fit_calibration(labels, true_logits * 3 + 1)
    assert calibration.temperature == pytest.approx(3, rel=0.1)
    assert calibration.bias == pytest.approx(1, abs=0.2)
    assert expected_calibration_error(labels, np.asarray(calibration.p_fake(true_logits * 3 + 1))) < 0.03


def test_weights_that_learned_nothing_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="learned nothing"):
        fit_calibration(np.array([1, 1, 0, 0]), np.array([-1.0, -2.0, 1.0, 2.0]))


def test_conformal_quantile_bounds_the_rate() -> None:
    values = np.arange(99, dtype=float)
    assert (values > conformal_quantile(values, 0.05)).mean() <= 0.05
    with pytest.raises(ValueError, match="cannot bound"):
        conformal_quantile(values[:50], 0.01)


def test_the_strictest_genuine_set_decides() -> None:
    rng = np.random.default_rng(0)
    easy, hard, forged = rng.uniform(0, 0.5, 500), rng.uniform(0, 0.8, 500), rng.uniform(0.3, 1, 500)
    little, some, strong = verdict_levels([easy, hard], forged)
    assert little <= some <= strong
    assert some == verdict_levels([hard], forged)[1]
    assert (hard >= some).mean() <= 0.05 + 1e-9
    assert (hard >= strong).mean() <= 0.01 + 1e-9
    assert (forged < little).mean() <= 0.1
