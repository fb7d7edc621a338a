"""When a run does what: steps, window sizes, rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from space.lab.training.recipe import Recipe

ONE_CYCLE_START = 1 / 25  # of the peak rate, and
ONE_CYCLE_END = 1e-4  # of that at the end, as torch.optim.lr_scheduler.OneCycleLR has them
MOMENTUM = 0.9  # AdamW's first beta, where it does not cycle
MOMENTUM_CYCLE = (0.95, 0.85)  # at the lowest and at the highest rate


@dataclass(frozen=True)
class Schedule:
    """Steps of a recipe, and where its phases begin."""

    phase_ends: tuple[int, ...]  # exclusive step numbers
    window_px: tuple[int, ...]

    @property
    def n_steps(self) -> int:
        """Of the whole run."""
        return self.phase_ends[-1]

    def stretches(self, start: int) -> Iterator[tuple[int, range]]:
        """(window_px, steps) of what is left from a step on."""
        begin = 0
        for end, px in zip(self.phase_ends, self.window_px, strict=True):
            if end > start:
                yield px, range(max(start, begin), end)
            begin = end


def make_schedule(recipe: Recipe) -> Schedule:
    """Whole batches only: what is left over at the end of a phase is not trained on."""
    counts = [phase.n_images // (2 * recipe.batch_pairs) for phase in recipe.phases]
    return Schedule(
        tuple(int(end) for end in np.cumsum(counts)),
        tuple(phase.window_px for phase in recipe.phases),
    )


def learning_rate(recipe: Recipe, step: int, n_steps: int) -> float:
    """Linear warm-up, then a cosine or none; or one cycle; at the end a linear cool-down where the recipe asks.

    Without a cosine the rate depends on the end in the cool-down only, so a run can be made longer as long as
    its cool-down has not begun.
    """
    per_step = 2 * recipe.batch_pairs
    if recipe.planned_images is not None:
        n_steps = recipe.planned_images // per_step
    cosine_steps = n_steps if recipe.cosine_images is None else recipe.cosine_images // per_step
    if recipe.decay == "one_cycle":
        low = recipe.peak_lr * ONE_CYCLE_START
        return _one_cycle(recipe, step, cosine_steps, (low, recipe.peak_lr, low * ONE_CYCLE_END))
    warmup = max(1, round(recipe.warmup_share * cosine_steps))
    if step < warmup:
        return recipe.peak_lr * (step + 1) / warmup
    cooldown = min(1.0, (n_steps - step) * per_step / recipe.cooldown_images) if recipe.cooldown_images else 1.0
    if recipe.decay == "none":
        return recipe.peak_lr * cooldown
    cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, cosine_steps - warmup)))
    return recipe.peak_lr * cooldown * cosine


def momentum(recipe: Recipe, step: int, n_steps: int) -> float:
    """AdamW's first beta: constant, or against the rate in one cycle."""
    if recipe.decay != "one_cycle":
        return MOMENTUM
    cosine_steps = n_steps if recipe.cosine_images is None else recipe.cosine_images // (2 * recipe.batch_pairs)
    most, least = MOMENTUM_CYCLE
    return _one_cycle(recipe, step, cosine_steps, (most, least, most))


def _one_cycle(recipe: Recipe, step: int, n_steps: int, levels: tuple[float, float, float]) -> float:
    """Half a cosine from the first level to the second over the warm-up, another from there to the third.

    One cycle after Smith & Topin 2017 (arXiv 1708.07120), in the two phases that fast.ai made of it.
    """
    first, peak, last = levels
    top = max(1e-9, recipe.warmup_share * n_steps - 1)
    if step <= top:
        return _between(first, peak, step / top)
    return _between(peak, last, min(1.0, (step - top) / max(1e-9, n_steps - 1 - top)))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def same_until(ours: Recipe, theirs: Recipe, step: int) -> bool:
    """Whether two recipes do the same in every step before this one, so that a run may go on by the other."""
    plan = {"phases": (), "cosine_images": None, "cooldown_images": 0, "planned_images": None}
    drawn = [replace(r, note="", patience=0, member="", **plan) for r in (ours, theirs)]  # type: ignore[arg-type]
    if drawn[0] != drawn[1]:
        return False
    plans = [(recipe, make_schedule(recipe)) for recipe in (ours, theirs)]
    if step > min(schedule.n_steps for _, schedule in plans):
        return False
    windows = [[px for px, steps in schedule.stretches(0) for _ in steps][:step] for _, schedule in plans]
    rates = [
        [rule(recipe, i, schedule.n_steps) for i in range(step) for rule in (learning_rate, momentum)]
        for recipe, schedule in plans
    ]
    return windows[0] == windows[1] and rates[0] == rates[1]
