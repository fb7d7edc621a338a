"""The training loop: twins in, weights out, resumable at every log line.

A step's batch depends on the recipe's seed and the step's number only, and the checkpoint holds
everything else (weights, their moving average, the optimiser's state, torch's generator), so a run
that was cut off goes on as if it had not been.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from space.lab.evaluation.metrics import auc
from space.lab.training.pairs import Batch, PairChoices, TwinData, frame_crops, stream_batches
from space.lab.training.recipes import Phase, Recipe
from space.models.member import FrameMember, normalise
from space.models.registry import IMAGENET_MEAN, IMAGENET_STD, build_member

log = logging.getLogger(__name__)


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
    """Linear warm-up, then a cosine or none; at the end a linear cool-down where the recipe asks for one.

    Without a cosine the rate depends on the end in the cool-down only, so a run can be made longer as long as
    its cool-down has not begun.
    """
    per_step = 2 * recipe.batch_pairs
    cosine_steps = n_steps if recipe.cosine_images is None else recipe.cosine_images // per_step
    warmup = max(1, round(recipe.warmup_share * cosine_steps))
    if step < warmup:
        return recipe.peak_lr * (step + 1) / warmup
    cooldown = min(1.0, (n_steps - step) * per_step / recipe.cooldown_images) if recipe.cooldown_images else 1.0
    if recipe.decay == "none":
        return recipe.peak_lr * cooldown
    cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, cosine_steps - warmup)))
    return recipe.peak_lr * cooldown * cosine


def same_until(ours: Recipe, theirs: Recipe, step: int) -> bool:
    """Whether two recipes do the same in every step before this one, so that a run may go on by the other."""
    drawn = [replace(r, phases=(), cosine_images=None, cooldown_images=0, note="") for r in (ours, theirs)]
    if drawn[0] != drawn[1]:
        return False
    plans = [(recipe, make_schedule(recipe)) for recipe in (ours, theirs)]
    if step > min(schedule.n_steps for _, schedule in plans):
        return False
    windows = [[px for px, steps in schedule.stretches(0) for _ in steps][:step] for _, schedule in plans]
    rates = [[learning_rate(recipe, i, schedule.n_steps) for i in range(step)] for recipe, schedule in plans]
    return windows[0] == windows[1] and rates[0] == rates[1]


def twin_losses(logits: Tensor, regions: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Three losses of a batch of twins (rows 2i genuine, 2i + 1 forged).

    Returns:
        The logit's cross-entropy; the loss of the forgery's lead over its twin, in which everything the
        twins share cancels; the region head's cross-entropy over known regions.
    """
    device = logits.device
    labels = torch.from_numpy(batch.labels).to(device)
    target = torch.from_numpy(batch.regions).to(device)
    known = torch.from_numpy(batch.region_known).to(device)
    logits = logits.float()
    logit_loss = functional.binary_cross_entropy_with_logits(logits, labels)
    rank_loss = functional.softplus(logits[0::2] - logits[1::2]).mean()
    cells = functional.binary_cross_entropy_with_logits(regions.float(), target, reduction="none").mean(dim=(1, 2))
    return logit_loss, rank_loss, (cells * known).sum() / known.sum().clamp(min=1)


class Trainer:
    """One run in one folder.

    Args:
        recipe: what to train.
        data: the training split.
        validation: the validation split.
        folder: log, checkpoint and result go here; a checkpoint found here is resumed.
    """

    def __init__(self, recipe: Recipe, data: TwinData, validation: TwinData, folder: Path, *, device: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.folder = recipe, data, folder
        self.device = torch.device(device)
        self.schedule = make_schedule(recipe)
        member = build_member(recipe.architecture, region_head=True, dropout=recipe.dropout)
        if not recipe.stochastic_depth:
            _switch_off_stochastic_depth(member)
        self.member: FrameMember = member.to(self.device).to(memory_format=torch.channels_last)
        self.average: FrameMember = copy.deepcopy(self.member).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(_decay_groups(self.member, recipe.weight_decay), lr=recipe.peak_lr)
        self.step = 0
        self.seconds = 0.0
        self.validation = validation
        rng = np.random.default_rng(recipe.seed)
        n = min(recipe.n_validation, len(validation.faces))
        self.validation_names = [validation.faces[i] for i in rng.permutation(len(validation.faces))[:n]]
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self) -> FrameMember:
        """Train to the end; returns the averaged member in eval mode."""
        recipe = self.recipe
        for window_px, steps in self.schedule.stretches(self.step):
            choices = PairChoices(
                recipe.input_px,
                recipe.margin,
                recipe.self_blend_share,
                window_px,
                swap_share=recipe.swap_share,
                stills_share=recipe.stills_share,
            )
            batches = stream_batches(self.data, choices, recipe.batch_pairs, seed=recipe.seed, steps=steps)
            with closing(batches):  # its threads end with the phase, also when it fails
                self._run_phase(batches, window_px)
        return self.average

    def _run_phase(self, batches: Iterator[Batch], window_px: int) -> None:
        losses: list[tuple[float, ...]] = []
        began = time.perf_counter()
        for batch in batches:
            losses.append(self._train_step(batch))
            self.step += 1
            if self.step % self.recipe.log_every == 0 or self.step == self.schedule.n_steps:
                self.seconds += time.perf_counter() - began
                self._log(losses, window_px)
                self._save()
                losses, began = [], time.perf_counter()
        self.seconds += time.perf_counter() - began

    def _train_step(self, batch: Batch) -> tuple[float, ...]:
        recipe = self.recipe
        rate = learning_rate(recipe, self.step, self.schedule.n_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.member.train()
        images = normalise(torch.from_numpy(batch.images).to(self.device), IMAGENET_MEAN, IMAGENET_STD)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=recipe.bf16):
            logits, regions = self.member.forward_with_region(images)
        logit_loss, rank_loss, region_loss = twin_losses(logits, regions, batch)
        self.optimiser.zero_grad(set_to_none=True)
        (logit_loss + recipe.rank_weight * rank_loss + recipe.region_weight * region_loss).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.member.parameters(), recipe.clip_norm)
        self.optimiser.step()
        _update_average(self.average, self.member, min(recipe.ema_decay, (1 + self.step) / (10 + self.step)))
        return tuple(float(loss.detach()) for loss in (logit_loss, rank_loss, region_loss))

    def _log(self, losses: list[tuple[float, ...]], window_px: int) -> None:
        crops = frame_crops(
            self.validation, self.validation_names, margin=self.recipe.margin, input_px=self.recipe.input_px
        )
        logits = predict_logits(self.average, crops, bf16=self.recipe.bf16, device=self.device)
        labels = np.array([self.validation.label(n) for n in self.validation_names])
        mean = np.mean(losses, axis=0)
        line = {
            "step": self.step,
            "images": self.step * 2 * self.recipe.batch_pairs,
            "window_px": window_px,
            "loss": round(float(mean[0]), 4),
            "rank_loss": round(float(mean[1]), 4),
            "region_loss": round(float(mean[2]), 4),
            "rate": learning_rate(self.recipe, self.step - 1, self.schedule.n_steps),
            "val_auc": round(auc(labels, logits.astype(np.float64)), 4),
            "val_n": len(labels),
            "seconds": round(self.seconds, 1),
        }
        text = json.dumps(line)
        with (self.folder / "log.jsonl").open("a") as lines:
            lines.write(text + "\n")
        log.info("%s", text)

    def _save(self) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "member": self.member.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "torch_rng": torch.get_rng_state(),
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self._checkpoint)

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state: dict[str, Any] = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        theirs = dict(state["recipe"])
        theirs["phases"] = tuple(Phase(**phase) for phase in theirs["phases"])
        if not same_until(self.recipe, Recipe(**theirs), state["step"]):
            raise ValueError(f"{self._checkpoint} belongs to another recipe; choose another folder")
        self.member.load_state_dict(state["member"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_rng"])
        self.step, self.seconds = state["step"], state["seconds"]


def predict_logits(
    member: FrameMember,
    crops: np.ndarray[Any, np.dtype[np.uint8]],
    *,
    bf16: bool,
    device: torch.device,
    batch: int = 32,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits (n,) of crops (n, S, S, 3) uint8."""
    member.eval()
    rows = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(crops), batch):
            images = normalise(torch.from_numpy(crops[start : start + batch]).to(device), IMAGENET_MEAN, IMAGENET_STD)
            rows.append(member(images).float().cpu().numpy())
    return np.concatenate(rows)


def _switch_off_stochastic_depth(member: nn.Module) -> None:
    for module in member.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0


def _decay_groups(member: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No decay on biases and norms."""
    matrices = [p for p in member.parameters() if p.ndim > 1]
    vectors = [p for p in member.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


@torch.no_grad()
def _update_average(average: nn.Module, member: nn.Module, decay: float) -> None:
    ours, theirs = average.state_dict(), member.state_dict()
    for key, value in ours.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[key], 1 - decay)
        else:
            value.copy_(theirs[key])
