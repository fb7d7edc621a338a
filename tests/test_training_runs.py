"""Runs of the engine: killed and resumed, stopped early, in one cycle, and on from other weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from space.errors import WeightsError
from space.lab.training import engine, imagenet, run
from space.lab.training.average import average_runs
from space.lab.training.engine import Trainer
from space.lab.training.pairs import TwinData
from space.lab.training.progress import CELL_PX, CURVES_FILE, GRID_FILE, draw_curves, draw_grid
from space.lab.training.recipe import Phase, Recipe
from space.lab.training.recipes import RECIPES
from space.lab.training.result import describe_recipe, describe_run, load_predictions
from space.lab.training.schedule import learning_rate, momentum, same_until
from space.lab.training.transfer import Freezing, read_start
from space.models.registry import build_member
from tests.members import write_member
from tests.twins import write_twins

TINY = replace(
    RECIPES["tiny"],
    architecture="plain_cnn",
    phases=(Phase(32, 24),),
    input_px=32,
    batch_pairs=2,
    log_every=1,
    n_validation=4,
)  # six steps
BRIEF = replace(TINY, log_every=6)  # draws its pictures once


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[TwinData, TwinData]:
    place = write_twins(tmp_path_factory.mktemp("faces"))
    return TwinData(*place, split="train"), TwinData(*place, split="val")


def make(recipe: Recipe, splits: tuple[TwinData, TwinData], folder: Path, **options: object) -> Trainer:
    return Trainer(recipe, *splits, folder, device="cpu", **options)  # type: ignore[arg-type]


def read_log(folder: Path) -> list[dict[str, float]]:
    return [{**json.loads(line), "seconds": 0} for line in (folder / "log.jsonl").read_text().splitlines()]


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in one.state_dict().items())


class KilledError(Exception):
    pass


def kill() -> None:
    raise KilledError


def script_areas(monkeypatch: pytest.MonkeyPatch, areas: list[float]) -> None:
    """What validation finds, line by line."""
    found = iter(areas)
    monkeypatch.setattr(engine, "auc", lambda labels, scores: next(found))


# --- schedules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_one_cycle_is_torch_s(share: float) -> None:
    recipe = replace(TINY, decay="one_cycle", warmup_share=share, peak_lr=2e-3)
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=80, pct_start=share)
    for step in range(80):
        group = optimiser.param_groups[0]
        assert learning_rate(recipe, step, 80) == pytest.approx(group["lr"], rel=1e-6)
        assert momentum(recipe, step, 80) == pytest.approx(group["betas"][0], rel=1e-6)
        optimiser.step()
        theirs.step()


def test_a_run_that_another_goes_on_from_keeps_the_rates_of_the_whole() -> None:
    whole = replace(TINY, decay="none", phases=(Phase(32, 400),), cooldown_images=300)
    first = replace(whole, phases=(Phase(32, 160),), cosine_images=400, planned_images=400)
    assert [learning_rate(first, step, 40) for step in range(40)] == [
        learning_rate(whole, step, 100) for step in range(40)
    ]
    assert same_until(first, whole, 40)
    assert not same_until(replace(first, planned_images=None), whole, 40)


def test_only_one_cycle_moves_the_momentum() -> None:
    assert {momentum(TINY, step, 6) for step in range(6)} == {0.9}


# --- killed and resumed -----------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before a step", "between log and checkpoint"])
def test_a_killed_run_goes_on_as_if_nothing_was(
    splits: tuple[TwinData, TwinData], tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(TINY, decay="one_cycle", head_images=8, train_from="tail", patience=5)
    start = build_member(recipe.architecture).state_dict()
    whole = make(recipe, splits, tmp_path / "whole", start=start)
    finished = whole.run()
    cut = make(recipe, splits, tmp_path / "cut", start=start)
    name = "_train_step" if moment == "before a step" else "_save"
    original: Callable[..., object] = getattr(cut, name)
    monkeypatch.setattr(cut, name, lambda *args: kill() if cut.step == 4 else original(*args))
    with pytest.raises(KilledError):
        cut.run()
    resumed = make(recipe, splits, tmp_path / "cut")
    assert resumed.step == (4 if moment == "before a step" else 3)
    assert same_weights(finished, resumed.run())
    assert read_log(tmp_path / "whole") == read_log(tmp_path / "cut")
    assert len(read_log(tmp_path / "cut")) == 6
    assert all(0 <= line["val_accuracy"] <= 1 for line in read_log(tmp_path / "cut"))


def test_a_checkpoint_from_before_the_newer_fields_goes_on(splits: tuple[TwinData, TwinData], tmp_path: Path) -> None:
    short = replace(TINY, decay="none", phases=(Phase(32, 12),))
    make(short, splits, tmp_path).run()
    path = tmp_path / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    for field in ("patience", "head_images", "train_from", "body_rate"):
        del state["recipe"][field]
    for group in state["optimiser"]["param_groups"]:
        del group["scale"]
    torch.save(state, path)
    resumed = make(replace(short, phases=(Phase(32, 24),)), splits, tmp_path)
    assert resumed.step == 3
    finished = resumed.run()
    whole = make(replace(short, phases=(Phase(32, 24),)), splits, tmp_path / "whole")
    assert same_weights(whole.run(), finished)


# --- stopped early ----------------------------------------------------------------------------------


def test_a_run_that_gets_no_better_ends_with_its_best(
    splits: tuple[TwinData, TwinData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_areas(monkeypatch, [0.5, 0.7, 0.7, 0.6, 0.9, 0.9])
    trainer = make(replace(TINY, patience=2), splits, tmp_path)
    member = trainer.run()
    assert trainer.step == 4
    assert [line["val_auc"] for line in read_log(tmp_path)] == [0.5, 0.7, 0.7, 0.6]
    script_areas(monkeypatch, [0.5, 0.7])
    at_best = make(replace(TINY, phases=(Phase(32, 8),), decay="cosine", cosine_images=24), splits, tmp_path / "short")
    assert same_weights(member, at_best.run())
    script_areas(monkeypatch, [])
    assert same_weights(member, make(replace(TINY, patience=2), splits, tmp_path).run()), "it went on"


# --- on from other weights --------------------------------------------------------------------------


def test_heads_learn_first_then_the_body_from_a_block_on(splits: tuple[TwinData, TwinData], tmp_path: Path) -> None:
    recipe = replace(TINY, architecture="resnet18", head_images=12, train_from="trunk.6", body_rate=0.1)
    start = build_member("resnet18").state_dict()
    trainer = make(recipe, splits, tmp_path, start=start)

    def changed() -> set[str]:
        """Blocks that differ from the start, statistics included."""
        now = trainer.member.state_dict()
        return {".".join(key.split(".")[:2]) for key, value in start.items() if not torch.equal(value, now[key])}

    heads_done: list[set[str]] = []
    save = trainer._save

    def look() -> None:
        heads_done.append(changed())
        save()

    trainer._save = look  # type: ignore[method-assign]
    trainer.run()
    assert heads_done[2] == {"head.3"}
    assert heads_done[-1] == {"head.3", "trunk.6", "tail.0", "tail.1"}
    rates = [group["lr"] for group in trainer.optimiser.param_groups]
    assert rates[2:] == pytest.approx([0.1 * rate for rate in rates[:2]])


def test_what_cannot_be_begun_is_refused(splits: tuple[TwinData, TwinData], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other weights"):
        make(replace(TINY, head_images=8), splits, tmp_path / "a")
    with pytest.raises(ValueError, match=r"no block 'trunk\.60'"):
        Freezing(replace(TINY, head_images=8, train_from="trunk.60"), build_member("resnet18"))
    other = build_member("efficientnet_b0").state_dict()
    with pytest.raises(ValueError, match="does not fit"):
        make(replace(TINY, head_images=8), splits, tmp_path / "b", start=other)


def test_a_card_or_a_checkpoint_begins_a_run(tmp_path: Path) -> None:
    write_member(tmp_path, "small", architecture="resnet18")
    state = read_start(tmp_path / "small.json", "resnet18")
    assert state["region.weight"].shape == (1, 256, 1, 1)
    with pytest.raises(ValueError, match="is a resnet18"):
        read_start(tmp_path / "small.json", "efficientnet_b0")
    from torchvision.models import resnet18

    net = resnet18(num_classes=2)
    torch.save(net.state_dict(), tmp_path / "public.pth")
    begun = read_start(tmp_path / "public.pth", "resnet18")
    assert torch.equal(begun["trunk.0.weight"], net.conv1.weight)
    with pytest.raises(WeightsError):
        read_start(tmp_path / "public.pth", "resnext50_32x4d")


def test_heads_that_a_start_lacks_begin_at_zero(splits: tuple[TwinData, TwinData], tmp_path: Path) -> None:
    recipe = replace(TINY, architecture="efficientnet_lite0", phases=(Phase(64, 24),), input_px=64, head_images=8)
    body = {k: v for k, v in build_member("efficientnet_lite0").state_dict().items() if not k.startswith("head.")}
    trainer = make(recipe, splits, tmp_path, start=body)
    trainer.member.eval()
    logits, region = trainer.member.forward_with_region(torch.randn(2, 3, 64, 64))
    assert (logits.tolist(), region.unique().tolist()) == ([0, 0], [0])
    assert torch.equal(trainer.member.trunk[0][0].weight, body["trunk.0.0.weight"])


def test_imagenet_weights_are_found_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = imagenet.find_imagenet_weights("efficientnet_lite0")
    state = read_start(path, "efficientnet_lite0")
    assert state["trunk.0.0.weight"].shape == (32, 3, 3, 3)
    assert "head.3.weight" not in state
    package, name, checksum = imagenet.PACKAGES["efficientnet_lite0"]
    monkeypatch.setitem(imagenet.PACKAGES, "efficientnet_lite0", (package, name, checksum[::-1]))
    with pytest.raises(ValueError, match="other weights"):
        imagenet.find_imagenet_weights("efficientnet_lite0")
    monkeypatch.setitem(imagenet.PACKAGES, "efficientnet_lite0", ("no_such_package", name, checksum))
    with pytest.raises(FileNotFoundError, match=r"requirements-dev\.txt"):
        imagenet.find_imagenet_weights("efficientnet_lite0")


def test_a_recipe_names_the_weights_it_begins_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without ``start`` takes ImageNet's; one that is given others, those."""
    begun: list[tuple[str, str]] = []

    def note(path: Path, architecture: str) -> dict[str, torch.Tensor]:
        begun.append((path.name, architecture))
        raise InterruptedError

    recipe = replace(TINY, name="lite", architecture="efficientnet_lite0", start="imagenet", head_images=8)
    monkeypatch.setitem(RECIPES, "lite", recipe)
    monkeypatch.setattr(run, "read_start", note)
    data, twins = write_twins(tmp_path)
    for start in (None, tmp_path / "other.pth"):
        with pytest.raises(InterruptedError):
            run.train_member("lite", data, twins, tmp_path / "run", device="cpu", threads=1, start=start)
    assert begun == [("efficientnet-lite0-57934424.pth", "efficientnet_lite0"), ("other.pth", "efficientnet_lite0")]
    assert "from public ImageNet weights" in describe_recipe(recipe)


def test_a_finished_run_begins_another_and_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = replace(BRIEF, name="first", seed=5)
    second = replace(BRIEF, name="second", camera_share=1.0)
    for recipe in (first, second):
        monkeypatch.setitem(RECIPES, recipe.name, recipe)
    data, twins = write_twins(tmp_path)
    folders = tmp_path / "one", tmp_path / "two"
    run.train_member("first", data, twins, folders[0], device="cpu", threads=1)
    run.train_member("second", data, twins, folders[1], device="cpu", threads=1, start=folders[0])
    before, after = describe_run(first, folders[0]), describe_run(second, folders[1])
    assert after.recipe.startswith(f"{before.recipe}; then second: from there, ")
    assert (before.images_seen, after.images_seen) == (24, 48)
    assert after.training_cost.startswith(f"{before.training_cost}, then ")
    begun = read_start(folders[0], "plain_cnn")
    assert all(torch.equal(value, torch.load(folders[0] / "member.pt")[key]) for key, value in begun.items())
    with pytest.raises(ValueError, match="is a plain_cnn"):
        read_start(folders[0], "resnet18")


def test_weights_of_two_runs_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = replace(BRIEF, name="first"), replace(BRIEF, name="other", margin=1.5, phases=(Phase(32, 8),))
    second = replace(BRIEF, name="second", seed=3)
    for recipe in (first, second, other):
        monkeypatch.setitem(RECIPES, recipe.name, recipe)
    data, twins = write_twins(tmp_path)
    one, two, wide, out = (tmp_path / name for name in ("one", "two", "wide", "out"))
    run.train_member("first", data, twins, one, device="cpu", threads=1)
    run.train_member("second", data, twins, two, device="cpu", threads=1, start=one)
    run.train_member("other", data, twins, wide, device="cpu", threads=1)
    average_runs(one, two, data, twins, out, threads=1)
    a, b, mean = (torch.load(folder / "member.pt") for folder in (one, two, out))
    assert all(torch.allclose(mean[k], (a[k] + b[k]) / 2) for k in a if a[k].dtype.is_floating_point)
    assert len(load_predictions(out / "val.npz").logits) == 4
    assert describe_run(second, out).recipe == f"{describe_run(second, two).recipe}; mean of its weights and first's"
    with pytest.raises(ValueError, match="see faces differently"):
        average_runs(one, wide, data, twins, out, threads=1)


# --- what is seen of a run --------------------------------------------------------------------------


def test_pictures_show_curves_and_predictions(tmp_path: Path) -> None:
    lines = [{"images": 10 * i, "loss": 1 / (i + 1), "val_auc": 0.5 + i / 20, "rate": 1e-3} for i in range(5)]
    draw_curves(lines, tmp_path)
    curves = cv2.imread(str(tmp_path / CURVES_FILE))
    assert curves is not None
    assert len(np.unique(curves.reshape(-1, 3), axis=0)) > 20, "nothing is drawn"
    crops = np.full((3, 64, 64, 3), 128, np.uint8)
    draw_grid(crops, [0, 1, 1], np.array([-2.0, 2.0, -2.0], np.float32), tmp_path)
    grid = cv2.imread(str(tmp_path / GRID_FILE))
    assert grid is not None
    bands = [grid[CELL_PX + 2, i * CELL_PX + 2].tolist() for i in range(3)]
    assert bands[0] == bands[1] != bands[2]


def test_a_recipe_in_a_line_says_where_it_began() -> None:
    assert "from scratch" in describe_recipe(TINY)
    line = describe_recipe(replace(TINY, head_images=8, train_from="tail", decay="one_cycle"))
    assert "heads alone for 8 images, then tail on at 0.1 of the rate" in line
    assert "in one cycle" in line
