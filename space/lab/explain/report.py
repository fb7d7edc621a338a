"""What the harness found, as one JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from space.analysis.parts import PART_NAMES
from space.lab.explain.harness import FIRST, Outcome
from space.lab.explain.intervals import as_json, estimate_by_source, mean_by_source

SCHEMA = "1.0"
COMPARED = ("energy/filled", "auprc/filled", "pointing/filled", "hit@1")
N_LEADS = 4  # groups of cases by lead
OTHER = "-"  # named where the map holds no heat


def group_outcomes(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """By kind ("part") and by group ("part/mouth")."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for name in dict.fromkeys((outcome.group.partition("/")[0], outcome.group)):
            groups.setdefault(name, []).append(outcome)
    return dict(sorted(groups.items()))


def tabulate(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Method -> figure -> mean with interval by source."""
    table: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(name for outcome in outcomes for name in outcome.figures):
        rows = [outcome for outcome in outcomes if method in outcome.figures]
        names = dict.fromkeys(name for outcome in rows for name in outcome.figures[method])
        table[method] = {name: _mean(rows, method, name) for name in names}
    return table


def _mean(rows: Sequence[Outcome], method: str, figure: str) -> dict[str, Any]:
    having = [row for row in rows if figure in row.figures[method]]
    return as_json(mean_by_source([row.figures[method][figure] for row in having], [row.source for row in having]))


def compare(outcomes: Sequence[Outcome], best: str = FIRST) -> dict[str, dict[str, Any]]:
    """Method -> figure -> how far ``best`` leads it, case by case, with interval by source: above 0 it wins."""
    found: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(name for outcome in outcomes for name in outcome.figures if name != best):
        for figure in COMPARED:
            rows = [o for o in outcomes if figure in o.figures.get(method, {}) and figure in o.figures.get(best, {})]
            if rows:
                leads = [row.figures[best][figure] - row.figures[method][figure] for row in rows]
                lead = as_json(mean_by_source(leads, [row.source for row in rows]))
                found.setdefault(method, {})[figure] = lead
    return found


def tabulate_by_lead(outcomes: Sequence[Outcome], method: str = FIRST) -> list[dict[str, Any]]:
    """Figures of a method by how far the ensemble scored the forgeries above their twins, the least first.

    Four groups of one size, each with its range of leads: a map cannot show what the models do not see.
    """
    rows = sorted(outcomes, key=lambda outcome: outcome.logit - outcome.genuine_logit)
    found = []
    for group in np.array_split(np.arange(len(rows)), N_LEADS):
        if len(group):
            picked = [rows[i] for i in group]
            leads = [picked[i].logit - picked[i].genuine_logit for i in (0, -1)]
            table = tabulate([replace(row, figures={method: row.figures[method]}) for row in picked])[method]
            found.append({"lead": [round(lead, 4) for lead in leads], "n": len(picked), "figures": table})
    return found


def confuse(outcomes: Sequence[Outcome], method: str = FIRST) -> dict[str, Any]:
    """Rows: the kind of part that was forged; columns: the part named first; shares of each row."""
    kinds = sorted({o.group.partition("/")[2] for o in outcomes})
    columns = [*(name for name in PART_NAMES if name != "outside"), OTHER]
    matrix = np.zeros((len(kinds), len(columns)))
    for outcome in outcomes:
        named = outcome.named[method] or OTHER
        matrix[kinds.index(outcome.group.partition("/")[2]), columns.index(named)] += 1
    counts = matrix.sum(axis=1, keepdims=True)
    shares = np.round(matrix / np.maximum(counts, 1), 4)
    return {
        "method": method,
        "forged": kinds,
        "named": columns,
        "shares": shares.tolist(),
        "n": counts[:, 0].astype(int).tolist(),
    }


def compare_heat(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Method -> median raw heat of genuine faces over that of forged ones, with interval by source.

    Faces are cut to one size, and a twin is as large as its forgery, so the sums compare.
    """
    found = {}
    for method in dict.fromkeys(name for outcome in outcomes for name in outcome.native_genuine):
        pairs = [(o.native_genuine[method], o.native[method]) for o in outcomes]
        ratio = estimate_by_source(_ratio_of_medians, np.array(pairs), [o.source for o in outcomes])
        medians = np.median(np.array(pairs), axis=0)
        found[method] = {
            "median_genuine": float(medians[0]),
            "median_forged": float(medians[1]),
            "ratio": as_json(ratio),
        }
    return found


def _ratio_of_medians(pairs: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    genuine, forged = np.median(pairs, axis=0)
    return float(genuine / forged) if forged > 0 else float("inf")


def summarise_lists(lists: Mapping[str, Iterable[float]], sources: Sequence[str]) -> dict[str, Any]:
    """Name -> mean with interval by source."""
    return {name: as_json(mean_by_source(list(values), sources)) for name, values in lists.items()}


def describe_logits(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How far the ensemble tells the forgeries from their twins at all: maps cannot show what it does not see."""
    sources = [o.source for o in outcomes]
    above = [float(o.logit > o.genuine_logit) for o in outcomes]
    return {
        "above_twin": as_json(mean_by_source(above, sources)),
        "lead": as_json(mean_by_source([o.logit - o.genuine_logit for o in outcomes], sources)),
    }
