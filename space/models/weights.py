"""Members and ensembles from disk: one weights file beside one JSON card per member, one record per ensemble."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from space.contract import EnsembleInfo, MemberInfo
from space.errors import RequestError, WeightsError
from space.models.cards import UNCALIBRATED, Card, EnsembleRecord, is_name, is_weight, read_card, read_ensemble
from space.models.files import sha256_of
from space.models.member import fold_norms
from space.models.registry import ARCHITECTURES, Kind, Member, build_network
from space.models.stored import read_state, save_state

SHIPPED = Path(__file__).parent / "shipped"
ENSEMBLE_FILE = "ensemble.json"
CUSTOM = "custom"  # name of an ensemble of chosen members or weights
MODELS_VARIABLE = "TELLTALE_MODELS"  # environment: folder of installed members


@dataclass(frozen=True, eq=False)
class LoadedMember:
    """A member ready to score: evaluation mode, float32, parameters frozen."""

    card: Card
    module: Member

    @property
    def kind(self) -> Kind:
        """Whether ``module`` takes one crop or a track's crops in order of time."""
        return ARCHITECTURES[self.card.architecture].kind

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.module.parameters()).device


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members that answer together, in the order of the record."""

    record: EnsembleRecord
    members: tuple[LoadedMember, ...]
    weights: tuple[float, ...]  # one per member, positive, sum 1

    @property
    def info(self) -> EnsembleInfo:
        """What a report says about the ensemble."""
        pairs = zip(self.members, self.weights, strict=True)
        members = tuple(_member_info(member.card, weight) for member, weight in pairs)
        return EnsembleInfo(name=self.record.name, version=self.record.version, members=members)


def _member_info(card: Card, weight: float) -> MemberInfo:
    return MemberInfo(
        name=card.name, architecture=card.architecture, version=card.version, weight=weight, sha256=card.sha256
    )


# --- one member -------------------------------------------------------------------------------


def save_weights(member: nn.Module, path: Path) -> str:
    """Write a member's weights as ``stored.save_state`` does.

    Returns:
        The file's SHA-256, hex, for the card.

    Raises:
        ValueError: a weight is not finite, or too large for float16.
    """
    return save_state(member.state_dict(), path)


def load_member(card_path: Path, *, device: torch.device | str = "cpu") -> LoadedMember:
    """Read a card and the weights beside it.

    The network is built without memory and takes the file's tensors one by one, so that no second
    copy ever exists.

    Raises:
        WeightsError: ``weights_missing``, ``card_invalid``, ``weights_checksum``, or
            ``weights_mismatch`` with the first keys concerned.
    """
    card = read_card(card_path)
    path = card_path.parent / card.weights
    check_weights(card, path)
    module = build_empty(card)
    state = read_state(card, path, module, torch.device(device))
    module.load_state_dict(state, strict=True, assign=True)
    return LoadedMember(card=card, module=module.eval().requires_grad_(False))


def check_weights(card: Card, path: Path) -> None:
    """Compare a weights file with its card.

    Raises:
        WeightsError: ``weights_missing``, ``weights_checksum``.
    """
    if not path.is_file():
        raise WeightsError("weights_missing", name=card.name)
    if sha256_of(path) != card.sha256:
        raise WeightsError("weights_checksum", name=card.name)


def build_empty(card: Card) -> Member:
    """The card's network on the meta device: shapes without memory.

    Raises:
        WeightsError: ``card_invalid``: the architecture is unknown, or cannot be told these parameters.
    """
    if card.architecture not in ARCHITECTURES:
        raise WeightsError("card_invalid", name=card.name, details=f"unknown architecture {card.architecture!r}")
    try:
        with torch.device("meta"):
            return build_network(card.architecture, card.params)
    except ValueError as error:
        raise WeightsError("card_invalid", name=card.name, details=str(error)) from error


# --- finding members --------------------------------------------------------------------------


def installed_folder() -> Path:
    """Where fetched and imported members live: ``$TELLTALE_MODELS``, or the user's cache."""
    if chosen := os.environ.get(MODELS_VARIABLE):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "telltale" / "models"


def find_cards(folder: Path = SHIPPED) -> dict[str, Path]:
    """Cards by member name: those in ``folder``, then the installed ones; the first of a name counts."""
    cards: dict[str, Path] = {}
    for place in (folder, installed_folder()):
        for path in sorted(place.glob("*.json")):
            if path.name != ENSEMBLE_FILE:
                cards.setdefault(path.stem, path)
    return cards


def list_members(folder: Path = SHIPPED) -> tuple[Card, ...]:
    """The cards of all members that can be named, by name.

    Raises:
        WeightsError: ``card_invalid``: one of them cannot be read.
    """
    return tuple(_read_named(name, path) for name, path in sorted(find_cards(folder).items()))


def describe_member(name: str, folder: Path = SHIPPED) -> Card:
    """The card of a member by its name, or by the path of a card.

    Raises:
        RequestError: ``bad_members``: there is none.
        WeightsError: ``card_invalid``.
    """
    return _find_member(name, folder)[1]


def check_new_name(name: str, folder: Path = SHIPPED) -> None:
    """Refuse a name that a new member cannot have: malformed, reserved, or a shipped one's.

    Raises:
        RequestError: ``bad_members``.
    """
    if not is_name(name) or name == Path(ENSEMBLE_FILE).stem or (folder / f"{name}.json").exists():
        raise RequestError("bad_members", name=name, known=_known(find_cards(folder)))


def _find_member(name: str, folder: Path) -> tuple[Path, Card]:
    cards = find_cards(folder)
    if name in cards:
        return cards[name], _read_named(name, cards[name])
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        return path, read_card(path)
    raise RequestError("bad_members", name=name, known=_known(cards))


def _read_named(name: str, path: Path) -> Card:
    card = read_card(path)
    if card.name != name:
        raise WeightsError("card_invalid", name=name, details=f"the card is of {card.name!r}")
    return card


def _known(names: Mapping[str, Path]) -> str:
    return ", ".join(sorted(names)) or "none"


# --- ensembles --------------------------------------------------------------------------------


def parse_members(text: str) -> tuple[tuple[str, float], ...]:
    """``NAME=WEIGHT,…`` as pairs.

    Raises:
        RequestError: ``bad_members``: a part has no weight, or one that is no number.
    """
    return tuple(_parse_pair(part) for part in text.split(","))


def _parse_pair(text: str) -> tuple[str, float]:
    name, _, weight = text.rpartition("=")
    try:
        pair = name.strip(), float(weight)
    except ValueError:
        pair = "", 0.0
    if not pair[0]:
        raise RequestError("bad_members", name=text, known=_known(find_cards()))
    return pair


def load_ensemble(
    members: Sequence[tuple[str, float]] | None = None,
    *,
    folder: Path = SHIPPED,
    device: torch.device | str = "cpu",
) -> Ensemble:
    """Load the shipped ensemble, or other members under its thresholds.

    Other members, or other weights, are an ensemble named "custom": the record's calibration was
    fitted to its own members, so the mean of their calibrated logits is taken as it is, and what its
    maps usually show is not known.

    Args:
        members: (name or path of a card, weight > 0) pairs; None: the folder's own ensemble.
        folder: holds ``ensemble.json`` and its members.

    Raises:
        RequestError: ``bad_members``: a member unknown or named twice, a weight not positive, or none.
        WeightsError: as ``load_member``.
    """
    record = read_ensemble(folder / ENSEMBLE_FILE)
    chosen = own = _find_own(record, folder)
    if members is not None:
        chosen = _find_chosen(members, folder)
        if not _is_same(chosen, own):
            named = tuple((read_card(path).name, weight) for path, weight in chosen.items())
            record = replace(
                record,
                name=CUSTOM,
                members=named,
                calibration=UNCALIBRATED,
                metrics=(),
                usual_shares=None,
                usual_drops=None,
            )
    loaded = tuple(load_member(path, device=device) for path in chosen)
    for member in loaded:
        fold_norms(member.module)
    return Ensemble(record=record, members=loaded, weights=tuple(chosen.values()))


def _find_own(record: EnsembleRecord, folder: Path) -> dict[Path, float]:
    """Card -> share. The record's members lie beside it; an installed namesake is another model."""
    return _shares({folder / f"{name}.json": weight for name, weight in record.members})


def _find_chosen(members: Sequence[tuple[str, float]], folder: Path) -> dict[Path, float]:
    known = _known(find_cards(folder))
    if not members:
        raise RequestError("bad_members", name="", known=known)
    found: dict[Path, float] = {}
    names: set[str] = set()
    for choice, weight in members:
        path, card = _find_member(choice, folder)
        if not is_weight(weight) or card.name in names:
            raise RequestError("bad_members", name=f"{choice}={weight:g}", known=known)
        found[path] = weight
        names.add(card.name)
    return _shares(found)


def _shares(weights: Mapping[Path, float]) -> dict[Path, float]:
    total = sum(weights.values())
    return {path: weight / total for path, weight in weights.items()}


def _is_same(chosen: Mapping[Path, float], own: Mapping[Path, float]) -> bool:
    return chosen.keys() == own.keys() and all(math.isclose(chosen[path], own[path]) for path in own)
