"""Judgements of a set as arrays, and the figures made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from space.lab.evaluation.disturb import Condition
from space.lab.evaluation.items import GENUINE, Entry
from space.lab.evaluation.metrics import (
    F64,
    I64,
    METRICS,
    Estimate,
    auc,
    bootstrap_by_source,
    bootstrap_metrics,
    estimate_share,
    share_above_twin,
)

N_DRAWS = 400
ALARMS = ("some", "strong")
UNSCORED_P = 0.5  # of a sample without a face: no opinion


@dataclass(frozen=True)
class Row:
    """What one contender says of one sample."""

    entry: Entry
    code: str  # of the verdict; "" of a baseline, which gives none; "error" where nothing could be read
    p_fake: float | None
    frame_p: F64  # (n,) may be empty

    @property
    def p(self) -> float:
        """``p_fake``, or no opinion."""
        return UNSCORED_P if self.p_fake is None else self.p_fake


@dataclass
class Result:
    """One contender on one set."""

    name: str
    kind: str  # "member", "ensemble", "baseline"
    rows: list[Row] = field(default_factory=list)
    disturbed: dict[Condition, list[Row]] = field(default_factory=dict)
    by_count: dict[int, list[Row]] = field(default_factory=dict)  # frames looked at -> rows

    def at_level(self, level: str) -> tuple[I64, F64, list[str]]:
        """Labels, p_fake and sources of all samples ("video"), or of all their faces ("frame")."""
        if level == "video":
            return _arrays(self.rows)
        labels = np.concatenate([np.full(len(r.frame_p), r.entry.label, np.int64) for r in self.rows])
        p = np.concatenate([r.frame_p for r in self.rows])
        return labels, p, [r.entry.source for r in self.rows for _ in range(len(r.frame_p))]


def _arrays(rows: Sequence[Row]) -> tuple[I64, F64, list[str]]:
    labels = np.array([r.entry.label for r in rows], np.int64)
    return labels, np.array([r.p for r in rows]), [r.entry.source for r in rows]


def has_both(labels: I64) -> bool:
    """Whether there is something to tell apart."""
    return 0 < int(labels.sum()) < len(labels)


# --- figures ------------------------------------------------------------------------------------


def summarise(result: Result, *, seed: int = 0) -> dict[str, Any]:
    """Every figure of a contender on a set, rounded, as JSON values. Each estimate: value, low, high, n."""
    figures: dict[str, Any] = {"kind": result.kind}
    for level in ("video", "frame"):
        labels, p, sources = result.at_level(level)
        if has_both(labels):
            found = bootstrap_metrics(METRICS, labels, p, sources, rng=np.random.default_rng(seed), n_draws=N_DRAWS)
            figures[level] = {name: encode_estimate(estimate) for name, estimate in found.items()}
    figures["clips"] = summarise_verdicts(result.rows)
    if result.rows and any(row.entry.label for row in result.rows):
        figures["methods"] = _by_method(result, seed)
    figures["robustness"] = [
        {"kind": condition.kind, "value": condition.value, **_short(rows, seed)}
        for condition, rows in result.disturbed.items()
    ]
    figures["frame_counts"] = [{"n_frames": n, **_short(rows, seed)} for n, rows in result.by_count.items()]
    return figures


def encode_estimate(estimate: Estimate) -> dict[str, float | int]:
    """As JSON values with four decimals."""
    values = {key: round(getattr(estimate, key), 4) for key in ("value", "low", "high")}
    return {**values, "n": estimate.n}


def summarise_verdicts(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of samples: twins in order, false alarms, forgeries found, abstentions."""
    by_name = {row.entry.name: row.p for row in rows}
    twins = [(r.p, by_name[r.entry.pair]) for r in rows if r.entry.label and r.entry.pair in by_name]
    sides = np.array(twins, np.float64).reshape(-1, 2)
    genuine = [row for row in rows if row.entry.label == 0]
    false_alarms = sum(row.code in ALARMS for row in genuine)
    judged = any(row.code for row in rows)
    return {
        "n": len(rows),
        "n_unscored": sum(row.p_fake is None for row in rows),
        "twins": len(twins),
        "share_above_twin": round(share_above_twin(sides[:, 0], sides[:, 1]), 4) if twins else None,
        "false_alarms": false_alarms if judged else None,
        "false_alarm_rate": encode_estimate(estimate_share(false_alarms, len(genuine))) if judged and genuine else None,
        "n_genuine": len(genuine),
        "found": sum(row.entry.label == 1 and row.code in ALARMS for row in rows) if judged else None,
        "n_forged": len(rows) - len(genuine),
        "abstained": sum(row.code == "inconclusive" for row in rows) if judged else None,
        "mean_genuine_p": round(float(np.mean([row.p for row in genuine])), 4) if genuine else None,
    }


def _by_method(result: Result, seed: int) -> dict[str, Any]:
    """AUC of each method's forgeries against all genuine samples, by family and by kind."""
    methods = sorted({row.entry.method for row in result.rows} - {GENUINE})
    families = sorted({method.partition("/")[0] for method in methods})
    found = {}
    grouped = [(family, *(m for m in methods if m.startswith(f"{family}/"))) for family in families]
    for name in (name for group in grouped for name in group):
        rows = [r for r in result.rows if r.entry.label == 0 or r.entry.method == name or _family(r) == name]
        if has_both(_arrays(rows)[0]):
            found[name] = {**_short(rows, seed), "n_forged": sum(row.entry.label for row in rows)}
    return found


def _family(row: Row) -> str:
    return row.entry.method.partition("/")[0]


def _short(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """AUC, accuracy and false alarms of part of the samples."""
    labels, p, sources = _arrays(rows)
    figures: dict[str, Any] = {"n": len(rows), "mean_p": round(float(p.mean()), 4) if len(p) else None}
    genuine = [row for row in rows if row.entry.label == 0]
    if genuine and any(row.code for row in genuine):
        alarms = sum(row.code in ALARMS for row in genuine)
        figures["false_alarm_rate"] = encode_estimate(estimate_share(alarms, len(genuine)))
    if has_both(labels):
        rng = np.random.default_rng(seed)
        figures["auc"] = encode_estimate(bootstrap_by_source(auc, labels, p, sources, rng=rng, n_draws=N_DRAWS // 2))
        figures["accuracy"] = round(float(METRICS["accuracy"](labels, p)), 4)
    return figures


def describe_results(document: dict[str, Any]) -> Iterator[str]:
    """A line per set and contender, for the terminal."""
    for one in document["sets"]:
        yield f"{one['name']}: {one['n_genuine']} genuine, {one['n_forged']} forged"
        for name, figures in one["results"].items():
            words = []
            if "video" in figures:
                area = figures["video"]["auc"]
                words.append(f"video AUC {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]")
            if figures["clips"]["twins"]:
                words.append(f"above twin {figures['clips']['share_above_twin']:.2f}")
            if figures["clips"]["false_alarms"] is not None:
                words.append(f"false alarms {figures['clips']['false_alarms']} of {figures['clips']['n_genuine']}")
            yield f"  {name}: {', '.join(words)}"
