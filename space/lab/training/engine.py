"""The training loop: twins in, weights out, resumable at every log line.

A step's batch depends on the recipe's seed and the step's number only, and the checkpoint holds
everything else (weights, their moving average, the optimiser's state, torch's generator), so a run
that was cut off goes on as if it had not been.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from space.lab.evaluation.metrics import auc
from space.lab.training.files import LOG_FILE
from space.lab.training.pairs import Batch, PairChoices, TwinData, frame_crops, stream_batches
from space.lab.training.progress import draw_curves, draw_grid
from space.lab.training.recipe import Phase, Recipe
from space.lab.training.schedule import learning_rate, make_schedule, momentum, same_until
from space.lab.training.transfer import Freezing, load_start, parameter_groups, set_rates
from space.models.member import FrameMember, normalise
from space.models.registry import ARCHITECTURES, build_member

log = logging.getLogger(__name__)


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
        start: weights to begin with (``transfer.read_start``); a recipe with ``head_images`` needs them.
        pictures: draw curves and a grid of predictions at every log line.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TwinData,
        validation: TwinData,
        folder: Path,
        *,
        device: str,
        start: Mapping[str, Tensor] | None = None,
        pictures: bool = False,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.folder = recipe, data, folder
        self.device = torch.device(device)
        self.schedule = make_schedule(recipe)
        member = build_member(recipe.architecture, region_head=True, dropout=recipe.dropout)
        if not recipe.stochastic_depth:
            _switch_off_stochastic_depth(member)
        if start is not None:
            load_start(member, start)
        self.member: FrameMember = member.to(self.device).to(memory_format=torch.channels_last)
        self.average: FrameMember = copy.deepcopy(self.member).eval().requires_grad_(False)
        self.freezing = Freezing(recipe, self.member)
        self.optimiser = torch.optim.AdamW(parameter_groups(self.member, recipe), lr=recipe.peak_lr)
        self.pictures = pictures
        self.best: dict[str, Tensor] | None = None  # the average where the AUC was best; only with patience
        self.step = 0
        self.seconds = 0.0
        self.validation = validation
        rng = np.random.default_rng(recipe.seed)
        n = min(recipe.n_validation, len(validation.faces))
        self.validation_names = [validation.faces[i] for i in rng.permutation(len(validation.faces))[:n]]
        folder.mkdir(parents=True, exist_ok=True)
        if not self._resume() and recipe.head_images and start is None:
            raise ValueError(f"{recipe.name} goes on from other weights; give them to start with")

    @property
    def _log_file(self) -> Path:
        return self.folder / LOG_FILE

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def run(self) -> FrameMember:
        """Train to the end, or until it gets no better; returns the averaged member in eval mode."""
        recipe = self.recipe
        for window_px, steps in self.schedule.stretches(self.step):
            if self._is_stuck():
                break
            choices = PairChoices(
                recipe.input_px,
                recipe.margin,
                recipe.self_blend_share,
                window_px,
                swap_share=recipe.swap_share,
                further_share=recipe.further_share,
                feathered_share=recipe.feathered_share,
                part_share=recipe.part_share,
                stills_share=recipe.stills_share,
                photometry_share=recipe.photometry_share,
                h264_share=recipe.h264_share,
                camera_share=recipe.camera_share,
                inside_share=recipe.inside_share,
                scene_share=recipe.scene_share,
                film_share=recipe.film_share,
                jitter_scale=recipe.jitter_scale,
                paired=recipe.paired,
            )
            batches = stream_batches(self.data, choices, recipe.batch_pairs, seed=recipe.seed, steps=steps)
            with closing(batches):  # its threads end with the phase, also when it fails
                self._run_phase(batches, window_px)
        if self.best is not None:
            self.average.load_state_dict(self.best)
        return self.average

    def _is_stuck(self) -> bool:
        """Whether the last ``patience`` log lines were no better than the best before them."""
        patience = self.recipe.patience
        areas = [line["val_auc"] for line in self._read_log()]
        return 0 < patience < len(areas) and max(areas[-patience:]) <= max(areas[:-patience])

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
                if self._is_stuck():
                    log.info("no better for %d lines: stopped", self.recipe.patience)
                    return
        self.seconds += time.perf_counter() - began

    def _train_step(self, batch: Batch) -> tuple[float, ...]:
        recipe = self.recipe
        plan = recipe, self.step, self.schedule.n_steps
        set_rates(self.optimiser, learning_rate(*plan), momentum(*plan))
        self.freezing.apply(self.step)
        entry = ARCHITECTURES[recipe.architecture]
        images = normalise(torch.from_numpy(batch.images).to(self.device), entry.mean, entry.std)
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
        logits = predict_logits(self.average, self.recipe, crops, bf16=self.recipe.bf16, device=self.device)
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
            "val_accuracy": round(float(np.mean((logits > 0) == (labels == 1))), 4),
            "val_n": len(labels),
            "seconds": round(self.seconds, 1),
        }
        text = json.dumps(line)
        if self.recipe.patience and line["val_auc"] > max((x["val_auc"] for x in self._read_log()), default=-1.0):
            self.best = {key: value.clone() for key, value in self.average.state_dict().items()}
        with self._log_file.open("a") as lines:
            lines.write(text + "\n")
        log.info("%s", text)
        if self.pictures:
            draw_curves(self._read_log(), self.folder)
            draw_grid(crops, labels.tolist(), logits, self.folder)

    def _read_log(self) -> list[dict[str, Any]]:
        if not self._log_file.exists():
            return []
        return [json.loads(line) for line in self._log_file.read_text().splitlines()]

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
        if self.best is not None:
            state["best"] = self.best
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self._checkpoint)

    def _resume(self) -> bool:
        """Go on from the folder's checkpoint; whether there is one."""
        if not self._checkpoint.exists():
            self._cut_log(0)
            return False
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
        self.best = state.get("best")
        self._cut_log(self.step)
        return True

    def _cut_log(self, step: int) -> None:
        """Drop lines beyond the checkpoint: a run may be killed after it wrote one and before it saved."""
        kept = [line for line in self._read_log() if line["step"] <= step]
        if self._log_file.exists():
            self._log_file.write_text("".join(json.dumps(line) + "\n" for line in kept))


def predict_logits(
    member: FrameMember,
    recipe: Recipe,
    crops: np.ndarray[Any, np.dtype[np.uint8]],
    *,
    bf16: bool,
    device: torch.device,
    batch: int = 32,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits (n,) of crops (n, S, S, 3) uint8, as a member of this recipe gives them."""
    member.eval()
    entry = ARCHITECTURES[recipe.architecture]
    rows = []
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        for start in range(0, len(crops), batch):
            images = normalise(torch.from_numpy(crops[start : start + batch]).to(device), entry.mean, entry.std)
            rows.append(member(images).float().cpu().numpy())
    return np.concatenate(rows)


def _switch_off_stochastic_depth(member: nn.Module) -> None:
    for module in member.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0


@torch.no_grad()
def _update_average(average: nn.Module, member: nn.Module, decay: float) -> None:
    ours, theirs = average.state_dict(), member.state_dict()
    for key, value in ours.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[key], 1 - decay)
        else:
            value.copy_(theirs[key])
