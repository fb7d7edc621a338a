"""MODEL_CARD.md from the cards: what is written there is what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from space.models.cards import Card, EnsembleRecord, Metric, OutlineEvidence, read_card, read_ensemble
from space.models.weights import ENSEMBLE_FILE

INTENDED = """\
**Intended use.** To help a person judge whether the face in a video or photo was manipulated, beside other
evidence; to study what gives forgeries away. **Not intended** as proof of either, for automatic removal or
moderation, or to judge a person.

**What it cannot do.** Only faces are assessed: no sound, no lip-sync, no wholly generated scenes, no editing. The
absence of signs is no proof. The weights began with public ImageNet weights and were trained on little material: they
separate within the data they come from, and less outside it (see the tables), so many verdicts are "no clear answer",
as are those on faces under 64 px, strong blur and heavy compression. Compression of faces that move looks to the models
like a forgery: single frames of genuine clips draw more false alarms than the clips or photos do. A heat map is coarse
(a cell is a tenth to a sixteenth of the crop): eye and brow are one cell apart."""


def write_model_card(
    folder: Path, out: Path, clips: Iterable[tuple[str, dict[str, Any]]] = (), *, comparison: str = ""
) -> None:
    """Write the model card of an ensemble.

    Args:
        folder: holds ``ensemble.json`` and its members' cards.
        out: the Markdown file.
        clips: (name of a set of clips, figures as ``read_clip_figures`` gives them) pairs.
        comparison: a section in Markdown (``compare_page.draw_section``); "": none.
    """
    record = read_ensemble(folder / ENSEMBLE_FILE)
    cards = [read_card(folder / f"{name}.json") for name, _ in record.members]
    sections = [
        f"# Model card: {record.name} {record.version}",
        "This file is made from the cards beside the weights (`python -m space lab card`); edit those, not this.",
        INTENDED,
        "## Members\n\n" + _members(record, cards),
        *(["## Outlines\n\n" + _outline(record.outline)] if record.outline else []),
        "## Measured\n\n" + _metrics(record, cards),
        "## Whole clips (video level, cross-dataset)\n\n" + _clips(clips),
        *(["## Members compared\n\n" + comparison.strip()] if comparison else []),
        "## Verdicts\n\n" + _thresholds(record),
        "## Training, data and licence\n\n" + "\n".join(_training(card) for card in cards),
    ]
    out.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def read_clip_figures(path: Path) -> dict[str, Any]:
    """The last ensemble's figures on the one set of an ``evaluation.json``; of the last member where there is none.

    Returns:
        What ``summarise_verdicts`` gives, with ``video_auc`` as an estimate.

    Raises:
        ValueError: another number of sets, or a set without both labels.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if len(document["sets"]) != 1:
        raise ValueError(f"{path.name} holds {len(document['sets'])} sets; one is needed")
    (one,) = document["sets"]
    by_kind = {
        kind: [c["name"] for c in document["contenders"] if c["kind"] == kind] for kind in ("ensemble", "member")
    }
    figures = one["results"][(by_kind["ensemble"] or by_kind["member"])[-1]]
    if "video" not in figures:
        raise ValueError(f"{one['name']} does not hold both genuine and forged ones")
    return {**figures["clips"], "video_auc": figures["video"]["auc"]}


def _members(record: EnsembleRecord, cards: list[Card]) -> str:
    weights = dict(record.members)
    total = sum(weights.values())
    rows = [
        f"| {card.name} | {card.architecture} | {weights[card.name] / total:.2f} | {card.input_px} | {card.margin:g} "
        f"| {_reference(card)} | {card.images_seen} | `{card.sha256}` |"
        for card in cards
    ]
    head = "| member | architecture | weight | input px | margin | held against | images seen | sha256 |\n" + "|---" * 8
    return "\n".join([f"{head}|", *rows])


def _reference(card: Card) -> str:
    reference = card.params.reference
    return "" if reference is None else f"{reference.share:g} of its logit at {reference.detail_px} px detail"


def _outline(outline: OutlineEvidence) -> str:
    return (
        "In clips, what the members say is not all: the finest detail along the face's outline is measured against "
        "that around it, and what genuine photos with as much detail within the face show is taken off. Each deviation "
        f"({outline.deviation:g} of the logarithm of power) that the outline is softer adds {outline.weight:g} to the "
        f"logit, {outline.limit:g} deviations at most, and takes as much off where it is sharper. A face that was put "
        "into a picture ends softly; so do some genuine ones (make-up, backlight, a blurred background), and a forgery "
        "of a part of the face leaves the outline as it was."
    )


def _metrics(record: EnsembleRecord, cards: list[Card]) -> str:
    rows = [_metric(name, m) for name, ms in [(c.name, c.metrics) for c in cards] for m in ms]
    rows += [_metric("ensemble", m) for m in record.metrics]
    head = "| of | metric | value | 95 % interval | level | protocol | data | n | note |\n" + "|---" * 9 + "|"
    return "\n".join([head, *rows])


def _metric(of: str, metric: Metric) -> str:
    interval = "" if metric.interval is None else f"{metric.interval[0]:.3f} to {metric.interval[1]:.3f}"
    return (
        f"| {of} | {metric.name} | {metric.value:.3f} | {interval} | {metric.level} | {metric.protocol} "
        f"| {metric.dataset} | {metric.n} | {metric.note} |"
    )


def _clips(clips: Iterable[tuple[str, dict[str, Any]]]) -> str:
    rows = [
        f"| {name} | {f['n']} "
        f"| {f['video_auc']['value']:.2f} ({f['video_auc']['low']:.2f} to {f['video_auc']['high']:.2f}) "
        f"| {round(f['share_above_twin'] * f['twins'], 1):g} of {f['twins']} | {f['false_alarms']} of {f['n_genuine']} "
        f"| {f['found']} of {f['n_forged']} | {f['abstained']} of {f['n']} |"
        for name, f in clips
    ]
    if not rows:
        return "Not measured."
    head = (
        "| set | clips | video AUC (95 % by source) | forged above its twin | false alarms | forged found | abstained |"
        "\n|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *rows])


def _thresholds(record: EnsembleRecord) -> str:
    t = record.thresholds
    apart = f"members further apart than {t.max_disagreement:.2f}, " if len(record.members) > 1 else ""
    return (
        f"`little` below {t.little_below:.3f}, `some` from {t.some_from:.3f}, `strong` from {t.strong_from:.3f} of the "
        f"calibrated p_fake (which takes genuine and forged as equally likely); between them `inconclusive`. Also "
        f"`inconclusive`: {apart}an interval wider than "
        f"{t.max_interval_width:.2f}, fewer than {t.min_faces} usable faces, a mean quality weight under "
        f"{t.min_weight:g}, fewer than {t.min_bits_per_pixel:g} coded bits per pixel, frames captured from the screen."
    )


def _training(card: Card) -> str:
    return f"- **{card.name}**: {card.recipe}; {card.training_cost}. {card.data}. Licence: {card.licence}."
