"""Members that were trained, from their runs' folders or from their cards, as shipping and comparing need them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from space.lab.training.files import MEMBER_FILE, PREDICTIONS_FILE, RECIPE_FILE
from space.lab.training.pairs import TwinData
from space.lab.training.recipe import Recipe
from space.lab.training.recipes import RECIPES
from space.lab.training.result import (
    Before,
    Predictions,
    describe_card,
    describe_run,
    load_predictions,
    predict_split,
)
from space.models.cards import DetailReference, Params
from space.models.member import FrameMember
from space.models.registry import ARCHITECTURES, build_member
from space.models.weights import load_member

DATA = (
    "Trained on one face crop per DFDC training video (24,401 crops of 10,130 source videos; "
    "Dolhansky et al. 2020, for research)"
)
STILLS = (
    "; and on forgeries made from genuine portraits (official photos of the US government; the Face Research Lab "
    "London Set, CC BY 4.0) and from frames of genuine talking-head clips of public reenactment projects"
)
IMAGENET = "; the body began with public ImageNet weights (Google's EfficientNet-Lite, Apache-2.0)"


@dataclass(frozen=True)
class FinishedRun:
    """A run with its predictions on the validation split."""

    folder: Path
    recipe: Recipe
    predictions: Predictions

    @property
    def member_name(self) -> str:
        """What the member is called in cards and on the command line."""
        return self.recipe.member or self.recipe.architecture.replace("_", "-")


@dataclass(frozen=True)
class Trained:
    """A member and all that its card tells."""

    name: str
    architecture: str
    input_px: int
    margin: float
    params: Params
    member: FrameMember
    predictions: Predictions
    story: Before
    data: str


def read_run(folder: Path) -> FinishedRun:
    """What a finished run left in its folder."""
    name = json.loads((folder / RECIPE_FILE).read_text())["name"]
    return FinishedRun(folder, RECIPES[name], load_predictions(folder / PREDICTIONS_FILE))


def read_trained(
    path: Path,
    validation: TwinData,
    served_px: Mapping[str, int] | None = None,
    references: Mapping[str, DetailReference] | None = None,
) -> Trained:
    """A member out of a finished run's folder, or out of a card.

    Args:
        path: the folder or the card.
        validation: what is predicted anew for a card, or for a member that is served at another size.
        served_px: member -> side of its crops in service, where that is not what it was trained on.
        references: member -> what its logit is held against in service; a card keeps its own unless given another.

    Raises:
        ValueError: the card's member sees faces otherwise than this code trains it to, or scores sequences.
        WeightsError: as ``load_member``.
    """
    sizes, references = served_px or {}, references or {}
    if path.suffix == ".json":
        return _read_shipped(path, validation, sizes, references)
    run = read_run(path)
    recipe = replace(run.recipe, input_px=sizes.get(run.member_name, run.recipe.input_px))
    member = build_member(recipe.architecture, region_head=True, dropout=recipe.dropout)
    member.load_state_dict(torch.load(path / MEMBER_FILE, weights_only=True))
    member.reference = references.get(run.member_name)
    is_as_trained = recipe.input_px == run.recipe.input_px and member.reference is None
    story = describe_run(run.recipe, path)
    return Trained(
        name=run.member_name,
        architecture=recipe.architecture,
        input_px=recipe.input_px,
        margin=recipe.margin,
        params=Params(region_head=True, dropout=recipe.dropout, reference=member.reference),
        member=member,
        predictions=run.predictions if is_as_trained else predict_split(member, recipe, validation, bf16=False),
        story=story,
        data=DATA + (STILLS if recipe.stills_share else "") + (IMAGENET if "ImageNet" in story.recipe else ""),
    )


def _read_shipped(
    path: Path, validation: TwinData, served_px: Mapping[str, int], references: Mapping[str, DetailReference]
) -> Trained:
    loaded = load_member(path)
    card, member, entry = loaded.card, loaded.module, ARCHITECTURES[loaded.card.architecture]
    if not isinstance(member, FrameMember) or (card.mean, card.std) != (entry.mean, entry.std):
        raise ValueError(f"{card.name} is no member that this code has trained")
    input_px = served_px.get(card.name, card.input_px)
    member.reference = references.get(card.name, card.params.reference)
    recipe = Recipe(card.name, card.architecture, (), input_px=input_px, margin=card.margin)
    return Trained(
        name=card.name,
        architecture=card.architecture,
        input_px=input_px,
        margin=card.margin,
        params=replace(card.params, reference=member.reference),
        member=member,
        predictions=predict_split(member, recipe, validation, bf16=False),
        story=describe_card(card),
        data=card.data,
    )
