"""Going on from weights that know something: where they come from, and which of them learn when.

In two phases: first the heads alone, so that their random beginnings do not spoil the body; then the body from a
named block on as well, at a lower rate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from space.lab.training.files import MEMBER_FILE, RECIPE_FILE
from space.lab.training.recipe import Recipe
from space.models.cards import Params
from space.models.imports import import_start
from space.models.member import FrameMember
from space.models.weights import load_member

HEADS = ("head.", "region.")
PIECES = ("trunk", "tail")


def read_start(path: Path, architecture: str) -> dict[str, Tensor]:
    """The weights to begin with, by this project's names.

    Args:
        path: a member's card (``.json`` beside its weights), a finished run's folder, or a public checkpoint as
            ``models import`` takes it.
        architecture: the recipe's.

    Raises:
        ValueError: the card is of another architecture or computes otherwise.
        WeightsError: as ``load_member`` and ``import_start``.
    """
    state: dict[str, Tensor]
    if path.is_dir():
        recipe = json.loads((path / RECIPE_FILE).read_text())
        params, found = Params(), recipe["architecture"]
        state = torch.load(path / MEMBER_FILE, map_location="cpu", weights_only=True)
    elif path.suffix == ".json":
        loaded = load_member(path)
        params, found = loaded.card.params, loaded.card.architecture
        state = dict(loaded.module.state_dict())
    else:
        params, state = import_start(path, architecture)
        found = architecture
    if found != architecture:
        raise ValueError(f"{path.name} is a {found}; the recipe trains a {architecture}")
    if params.padding != "symmetric" or params.bn_eps not in (None, 1e-5):
        raise ValueError(f"{path.name} pads or norms as TensorFlow does, which recipes do not")
    return state


def load_start(member: FrameMember, start: Mapping[str, Tensor]) -> None:
    """Give a member all that the start knows; heads that it lacks begin at zero.

    The features of a trained body are strong from the first step, so a random head would give large answers that say
    nothing, and their gradients would spoil the body.

    Raises:
        ValueError: it lacks anything else, or holds something unknown or of another shape.
    """
    own = member.state_dict()
    lacking = [name for name in own if name not in start and not name.startswith(HEADS)]
    strange = [name for name, value in start.items() if name not in own or value.shape != own[name].shape]
    if lacking or strange:
        raise ValueError(f"the start does not fit: {', '.join([*lacking, *strange][:3])}")
    member.load_state_dict(dict(start), strict=False)
    for name, parameter in member.named_parameters():
        if name not in start:
            nn.init.zeros_(parameter)


class Freezing:
    """Which parameters of a member learn at a step.

    Args:
        recipe: with ``head_images`` 0, all of them always.

    Raises:
        ValueError: the member has no block of the recipe's name.
    """

    def __init__(self, recipe: Recipe, member: FrameMember) -> None:
        self._member = member
        self._head_steps = recipe.head_images // (2 * recipe.batch_pairs)
        names = [name for name, _ in member.named_parameters() if not name.startswith(HEADS)]
        begins = [i for i, name in enumerate(names) if f"{name}.".startswith(f"{recipe.train_from}.")]
        if recipe.head_images and recipe.train_from and not begins:
            raise ValueError(f"{recipe.architecture} has no block {recipe.train_from!r}")
        first = begins[0] if recipe.train_from and begins else 0
        self._late = frozenset(names[first:])  # the body's parameters that learn in the second phase
        self._state: bool | None = None  # whether the body learns, as last set

    def apply(self, step: int) -> None:
        """Put the member into training mode as it is at this step; frozen blocks stay in evaluation mode."""
        self._member.train()
        if not self._head_steps:
            return
        thaws = step >= self._head_steps
        if thaws is not self._state:
            for name, parameter in self._member.named_parameters():
                parameter.requires_grad_(name.startswith(HEADS) or (thaws and name in self._late))
            self._state = thaws
        for block in _blocks(self._member):
            if not any(parameter.requires_grad for parameter in block.parameters()):
                block.eval()  # its norms' statistics and its chances stand still as well


def _blocks(member: FrameMember) -> Iterator[nn.Module]:
    for piece in PIECES:
        yield from getattr(member, piece).children()


def parameter_groups(member: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """For the optimiser: no decay on biases and norms; a lower rate (``scale``) for the body of a start."""
    groups = []
    for scale, belongs in _shares(recipe):
        parameters = [p for name, p in member.named_parameters() if belongs(name)]
        for decay, chosen in ((recipe.weight_decay, True), (0.0, False)):
            matching = [p for p in parameters if (p.ndim > 1) is chosen]
            groups.append({"params": matching, "weight_decay": decay, "scale": scale})
    return groups


def _shares(recipe: Recipe) -> list[tuple[float, Any]]:
    if not recipe.head_images:
        return [(1.0, lambda _name: True)]
    return [(1.0, lambda name: name.startswith(HEADS)), (recipe.body_rate, lambda name: not name.startswith(HEADS))]


def set_rates(optimiser: torch.optim.Optimizer, rate: float, momentum: float) -> None:
    """The step's rate and first beta, for every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
        group["betas"] = (momentum, group["betas"][1])
