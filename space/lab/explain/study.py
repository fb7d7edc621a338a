"""The harness from end to end: cases, maps, figures, checks; one JSON document and one page."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from space.lab.explain.baselines import BASELINES
from space.lab.explain.cases import BLEND, KINDS, PART, Case, forge_cases, read_clip_pairs, read_twins
from space.lab.explain.checks import (
    STEPS,
    area_under,
    correlate_under_jpeg,
    correlate_under_randomising,
    draw_curves,
    try_parts,
)
from space.lab.explain.faces import Seen, cut_case
from space.lab.explain.harness import FIRST, Harness, Outcome
from space.lab.explain.intervals import as_json, mean_by_source
from space.lab.explain.methods import METHODS
from space.lab.explain.page import draw_examples, write_page
from space.lab.explain.report import (
    SCHEMA,
    compare,
    compare_heat,
    confuse,
    describe_logits,
    group_outcomes,
    summarise_lists,
    tabulate,
    tabulate_by_lead,
)
from space.lab.training.pairs import TwinData
from space.models.weights import Ensemble

log = logging.getLogger(__name__)

CURVED = (FIRST, "grad-cam", "mean-mask", "random")  # methods whose deletion and insertion are drawn
CHECKED = (FIRST, "layered-gate", "grad-cam", "grad-cam-penultimate", "saliency")  # under randomising and JPEG
N_EXAMPLES = 12


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    twins: int = 400
    per_part: int = 100
    per_blend: int = 50
    checks: int = 24  # cases for curves, randomising and JPEG, and part-only forgeries of each kind for the named part


def gather_cases(
    data: Path, twins: Path, size: Size, *, seed: int, clips: Path | None = None, n_frames: int = 8
) -> list[Case]:
    """Cases of every kind from val faces; of clips only where a folder is given."""
    faces = TwinData(data, twins, split="val")
    cases = list(read_twins(faces, size.twins, np.random.default_rng(seed)))
    for group, n in ((PART, size.per_part), (BLEND, size.per_blend)):
        for kind in KINDS[group]:
            cases += forge_cases(faces, group, kind, n, seed=seed)
            log.info("%s/%s: %d cases so far", group, kind, len(cases))
    if clips is not None:
        cases += read_clip_pairs(clips, n_frames=n_frames)
    return cases


def explain_cases(
    cases: Sequence[Case], out: Path, *, ensemble: Ensemble, names: Sequence[str], size: Size, about: dict[str, Any]
) -> dict[str, Any]:
    """Run the harness and write ``explain.json`` and ``explain.html``.

    Args:
        names: of ``METHODS``.
        about: what the cases were made of, for the document.

    Returns:
        The document.
    """
    out.mkdir(parents=True, exist_ok=True)
    seen = [cut_case(case, ensemble) for case in cases]
    harness = Harness(ensemble, names)
    outcomes = harness.run(seen)
    groups = group_outcomes(outcomes)
    document: dict[str, Any] = {
        "schema_version": SCHEMA,
        "about": about,
        "ensemble": asdict(ensemble.info),
        "methods": {name: {"about": METHODS[name].about, "unit": METHODS[name].unit} for name in names},
        "baselines": list(BASELINES),
        "n": {name: len(rows) for name, rows in groups.items()},
        "logits": {name: describe_logits(rows) for name, rows in groups.items()},
        "figures": {name: tabulate(rows) for name, rows in groups.items()},
        "leads": {name: compare(rows) for name, rows in groups.items()},
        "by_lead": {name: tabulate_by_lead(rows) for name, rows in groups.items() if "/" not in name},
        "genuine_heat": {name: compare_heat(rows) for name, rows in groups.items() if "/" not in name},
    }
    if PART in groups:
        document["confusion"] = confuse(groups[PART])
    _write(document, out)  # the checks take as long again
    document["checks"] = run_checks(harness, seen, size.checks)
    _write(document, out)
    examples = draw_examples(harness, _pick_examples(seen, outcomes))
    write_page(document, examples, out / "explain.html")
    return document


def _write(document: Mapping[str, Any], out: Path) -> None:
    text = json.dumps(document, indent=1, default=float)
    (out / "explain.json").write_text(text + "\n", encoding="utf-8")


def _pick_examples(cases: Sequence[Seen], outcomes: Sequence[Outcome]) -> list[Seen]:
    """A case of each group in turn, the best seen forgeries and the worst alternately."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for i in sorted(range(len(outcomes)), key=lambda i: outcomes[i].genuine_logit - outcomes[i].logit):
        by_group[outcomes[i].group].append(i)
    picked: list[int] = []
    for turn in range(N_EXAMPLES):
        for rows in by_group.values():
            if turn < len(rows) and len(picked) < N_EXAMPLES:
                picked.append(rows[turn // 2 if turn % 2 == 0 else -1 - turn // 2])
    return [cases[i] for i in picked]


# --- checks -----------------------------------------------------------------------------------


def run_checks(harness: Harness, cases: Sequence[Seen], n: int) -> dict[str, Any]:
    """Deletion and insertion, randomised weights, JPEG, and the named part; n cases of each kind."""
    if n == 0:
        return {}
    kinds: dict[str, list[Seen]] = defaultdict(list)
    for seen in cases:
        kinds[seen.case.group].append(seen)
    mixed = [rows[i] for i in range(n) for rows in kinds.values() if i < len(rows)][:n]
    sources = [seen.case.source for seen in mixed]
    names = [name for name in CHECKED if name in {method.name for method in harness.methods}]
    checks: dict[str, Any] = {"n": len(mixed)}
    checks["jpeg"] = summarise_lists(correlate_under_jpeg(harness, mixed, names), sources)
    log.info("checked: JPEG")
    checks["randomised"] = {
        stage: summarise_lists(lists, sources) for stage, lists in correlate_under_randomising(harness, mixed, names)
    }
    log.info("checked: randomised weights")
    checks["curves"] = _draw_mean_curves(harness, mixed)
    log.info("checked: deletion and insertion")
    part_only = [seen for group, rows in kinds.items() if group.startswith(f"{PART}/") for seen in rows[:n]]
    if part_only:
        checks["named_part"] = check_named_parts(harness, part_only)
        log.info("checked: the named part")
    return checks


def _draw_mean_curves(harness: Harness, cases: Sequence[Seen]) -> dict[str, Any]:
    methods = [method for method in harness.methods if method.name in CURVED]
    maps = harness.maps(cases, methods)
    maps |= harness.draw_baselines(cases, [name for name in BASELINES if name in CURVED])
    sources = [seen.case.source for seen in cases]
    found: dict[str, Any] = {"steps": list(STEPS), "methods": {}}
    for name, heats in maps.items():
        curves = [draw_curves(harness, seen, heat) for seen, heat in zip(cases, heats, strict=True)]
        found["methods"][name] = {
            kind: {
                "logit": np.round(np.mean([curve[kind] for curve in curves], axis=0), 4).tolist(),
                "area": as_json(mean_by_source([area_under(curve[kind]) for curve in curves], sources)),
            }
            for kind in ("deletion", "insertion")
        }
    return found


def check_named_parts(harness: Harness, cases: Sequence[Seen]) -> dict[str, Any]:
    """Whether replacing the named part by the twin's pixels takes more than any other part of equal area.

    ``largest``: over all cases, where one without a named part counts as a failure; ``largest_named``: over those that
    name one.
    """
    heats = harness.maps(cases, [METHODS[FIRST]])[FIRST]
    falls = [try_parts(harness, seen, heat) for seen, heat in zip(cases, heats, strict=True)]
    won = [float(fall is not None and max(fall, key=fall.__getitem__) == next(iter(fall))) for fall in falls]
    sources = [seen.case.source for seen in cases]
    named = [i for i, fall in enumerate(falls) if fall is not None]
    found: dict[str, Any] = {"largest": as_json(mean_by_source(won, sources)), "n_named": len(named)}
    if named:
        found["largest_named"] = as_json(mean_by_source([won[i] for i in named], [sources[i] for i in named]))
    return found
