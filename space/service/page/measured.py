"""What the cards beside the weights say: members, weights, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from space.contract import EnsembleInfo
from space.models.cards import Card, EnsembleRecord, Metric, read_card, read_ensemble
from space.models.weights import ENSEMBLE_FILE
from space.service.page.languages import Words

SHARES = frozenset({"auc", "ece", "false_alarm_rate", "detection_rate", "miss_rate", "eer"})  # told as so many of 100
TOLD = ("auc", "false_alarm_rate", "detection_rate", "miss_rate", "ece")  # have a sentence, in this order


@dataclass(frozen=True)
class Models:
    """An ensemble's record and its members' cards, in the record's order."""

    record: EnsembleRecord
    cards: tuple[Card, ...]

    @property
    def weights(self) -> dict[str, float]:
        """Member -> its share in the ensemble."""
        total = sum(weight for _, weight in self.record.members)
        return {name: weight / total for name, weight in self.record.members}

    def made(self, ensemble: EnsembleInfo) -> bool:
        """Whether a report rests on just these weights."""
        ours = [(card.name, card.sha256) for card in self.cards]
        theirs = [(member.name, member.sha256) for member in ensemble.members]
        is_named_so = (ensemble.name, ensemble.version) == (self.record.name, self.record.version)
        return is_named_so and sorted(ours) == sorted(theirs)

    def told(self) -> list[Metric]:
        """The ensemble's figures that have a sentence of their own."""
        known = [metric for metric in self.record.metrics if metric.name in TOLD]
        return sorted(known, key=lambda metric: TOLD.index(metric.name))


def read_models(folder: Path) -> Models:
    """The cards in an ensemble's folder.

    Raises:
        WeightsError: ``weights_missing``, ``card_invalid``.
    """
    record = read_ensemble(folder / ENSEMBLE_FILE)
    return Models(record, tuple(read_card(folder / f"{name}.json") for name, _ in record.members))


def measured(metric: Metric, words: Words) -> str:
    """What a figure was measured on, with its interval where it has one."""
    pieces = [
        words.t(f"page.measured.{metric.level}", n=metric.n),
        metric.dataset,
        words.t(f"page.measured.protocol.{metric.protocol}"),
    ]
    if metric.interval is not None:
        scale, digits = (100, 1) if metric.name in SHARES else (1, 3)
        low, high = (words.number(scale * bound, digits) for bound in metric.interval)
        pieces.insert(0, words.t("page.measured.interval", low=low, high=high))
    return f"({'; '.join(pieces)})"
