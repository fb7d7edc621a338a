"""What is compared: ensembles and each of their members, on the same faces, judged by the service's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from space.analysis.crops import cut_crop
from space.analysis.scores import batched, score_crops
from space.analysis.sequences import score_track
from space.analysis.track_scores import score_tracks
from space.analysis.verdict import Combination, judge_clip, judge_track, sigmoid
from space.contract import F32, Face, SourceInfo, Track, VerdictCode
from space.lab.evaluation.metrics import F64
from space.models.cards import UNCALIBRATED, Card, EnsembleRecord
from space.models.weights import Ensemble, LoadedMember, build_empty, load_ensemble, parse_members
from space.settings import FaceSettings

BATCH = 16
Raw = Mapping[str, F32]  # checksum of a member's weights -> (n,) raw logits


@dataclass(frozen=True)
class Contender:
    """An ensemble, or one member of it alone."""

    name: str
    kind: Literal["member", "ensemble"]
    combination: Combination
    checksums: tuple[str, ...]  # of the members' weights, in the combination's order
    n_parameters: int

    def select(self, raw: Raw) -> dict[str, F32]:
        """Member -> raw logits, as the combination wants them."""
        return {name: raw[sha] for name, sha in zip(self.combination.members, self.checksums, strict=True)}


@dataclass(frozen=True)
class Field:
    """All contenders, and every set of weights they need, loaded once."""

    contenders: tuple[Contender, ...]
    members: Mapping[str, LoadedMember]  # by checksum

    def score(self, tracks: Sequence[Sequence[Face]], *, margin_factor: float = 1.0) -> dict[str, F32]:
        """Raw logits (n,) of every member, by its checksum: face by face, one track after the other.

        Args:
            margin_factor: times each member's own margin.
        """
        raw = {}
        for sha, member in self.members.items():
            margin, size = member.card.margin * margin_factor, member.card.input_px
            crops = [
                [cut_crop(face.patch, face.box_xyxy, margin=margin, input_px=size) for face in faces]
                for faces in tracks
            ]
            if member.kind == "sequence":
                said = [score_track(member, track, maps=False, batch_size=BATCH)[0].logits for track in crops]
                raw[sha] = np.concatenate(said) if said else np.zeros(0, np.float32)
            else:
                raw[sha] = score_crops(member, batched(chain.from_iterable(crops), BATCH)).logits
        return raw


def load_field(
    members: Sequence[str], folders: Sequence[Path], others: Sequence[tuple[Contender, LoadedMember]] = ()
) -> Field:
    """Load ensembles, and add each of their members as a contender by itself.

    Args:
        members: ensembles as ``NAME=WEIGHT,…``.
        folders: of ensembles.
        others: further contenders of one member each. With nothing at all: the shipped ensemble.

    Raises:
        RequestError: ``bad_members``.
        WeightsError: as ``load_ensemble``.
    """
    named = [(text, load_ensemble(parse_members(text))) for text in members]
    named += [(folder.name, load_ensemble(folder=folder)) for folder in folders]
    if not named and not others:
        named = [("shipped", load_ensemble())]
    loaded = {m.card.sha256: m for _, ensemble in named for m in ensemble.members}
    alone = {
        m.card.sha256: _alone(m, ensemble.record) for _, ensemble in named for m in ensemble.members
    }  # under the thresholds of the last ensemble it belongs to
    together = [_together(name, ensemble) for name, ensemble in named if len(ensemble.members) > 1]
    loaded |= {member.card.sha256: member for _, member in others}
    contenders = [*alone.values(), *together, *(contender for contender, _ in others)]
    return Field(tuple(_with_distinct_names(contenders)), loaded)


def _alone(member: LoadedMember, record: EnsembleRecord) -> Contender:
    card = member.card
    own = EnsembleRecord(
        name=card.name,
        version=card.version,
        members=((card.name, 1.0),),
        calibration=UNCALIBRATED,  # its own has been applied by then
        thresholds=record.thresholds,
        heat_full_scale=record.heat_full_scale,
        heat_min=record.heat_min,
        metrics=(),
    )
    combination = Combination((card.name,), (1.0,), (card.calibration,), own)
    return Contender(card.name, "member", combination, (card.sha256,), count_parameters(card))


def _together(name: str, ensemble: Ensemble) -> Contender:
    cards = [member.card for member in ensemble.members]
    combination = Combination(
        tuple(card.name for card in cards),
        ensemble.weights,
        tuple(card.calibration for card in cards),
        ensemble.record,
    )
    total = sum(count_parameters(card) for card in cards)
    return Contender(name, "ensemble", combination, tuple(card.sha256 for card in cards), total)


def count_parameters(card: Card) -> int:
    """Of what scores, before norms are folded: without the region head, which only training needs."""
    module = build_empty(card)
    return sum(p.numel() for name, p in module.named_parameters() if not name.startswith("region."))


def _with_distinct_names(contenders: Iterable[Contender]) -> Iterator[Contender]:
    """Namesakes with other weights get the beginning of their checksum."""
    seen: set[str] = set()
    for contender in contenders:
        name = contender.name
        if name in seen:
            name = f"{name} ({contender.checksums[0][:8]})"
        seen.add(name)
        yield Contender(name, contender.kind, contender.combination, contender.checksums, contender.n_parameters)


def cards_of(field: Field) -> list[Card]:
    """One card per set of weights."""
    return [member.card for member in field.members.values()]


# --- judging ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """What a contender says of one sample."""

    code: VerdictCode
    p_fake: float | None  # of the sample, calibrated; None without a face
    frame_p: F64  # (n,) of the faces of the person seen most, calibrated


def judge(
    contender: Contender,
    raw: Raw,
    tracks: Sequence[Track],
    info: SourceInfo,
    settings: FaceSettings,
    *,
    n_frames: int,
) -> Judgement:
    """The verdict that the service would give.

    Args:
        raw: logits of the tracks' faces, one track after the other.
    """
    combination = contender.combination
    scores = score_tracks(tracks, contender.select(raw), combination, info)
    verdicts = [judge_track(score, combination.record, info, settings) for score in scores]
    verdict, _ = judge_clip(verdicts, n_frames=n_frames)
    most = max(scores, key=lambda score: len(score.logits), default=None)
    frame_p = np.zeros(0) if most is None else sigmoid(most.logits)
    return Judgement(verdict.code, verdict.p_fake, frame_p)
