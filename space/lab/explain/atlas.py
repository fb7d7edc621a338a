"""The atlas: which parts of the face give forgeries away, over the reports of a scan.

A report's shares are means over its strongest moments, so a video counts once, however long it is. Intervals draw
whole sources: forgeries of one genuine video are not independent.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from space.analysis import render
from space.analysis.parts import OUTSIDE, PART_NAMES
from space.analysis.report import from_json
from space.contract import Report
from space.lab.explain.intervals import as_json, mean_by_source
from space.lab.explain.mean_face import draw_heat

SCHEMA = "1.0"
GENUINE = "genuine"


class AtlasError(ValueError):
    """Nothing that an atlas could be made of."""


@dataclass(frozen=True)
class Label:
    """What a data set knows of a file."""

    label: int  # 1 = forged
    method: str
    source: str  # the genuine video it derives from


@dataclass(frozen=True)
class Entry:
    """One video of the atlas: its label and its report, which has parts."""

    label: Label
    report: Report


def read_labels(path: Path) -> dict[str, Label]:
    """Labels by the files' names without suffix.

    Args:
        path: CSV with the columns ``file`` (or ``name``) and ``label``, and where known ``method`` and ``pair`` (or
            ``source``).
    """
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    labels = {}
    for row in rows:
        stem = Path(row.get("file") or row["name"]).stem
        source = Path(row.get("pair") or row.get("source") or stem).stem
        labels[stem] = Label(int(row["label"]), row.get("method") or "forged", source)
    return labels


def read_entries(scan: Path, labels: Mapping[str, Label]) -> tuple[list[Entry], dict[str, int]]:
    """The videos of a scan that have a label, a face and heat maps.

    Returns:
        Entries, and how many lines were left out and why.
    """
    entries: list[Entry] = []
    left_out: dict[str, int] = defaultdict(int)
    with scan.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            label = labels.get(Path(line["path"]).stem)
            if label is None:
                left_out["without a label"] += 1
            elif "report" not in line:
                left_out["refused"] += 1
            else:
                report = from_json(line["report"])
                if report.parts is None:
                    left_out["without a face or heat maps"] += 1
                else:
                    entries.append(Entry(label, report))
    return entries, dict(left_out)


# --- statistics -------------------------------------------------------------------------------


def make_atlas(entries: Sequence[Entry], *, dataset: str, left_out: Mapping[str, int]) -> dict[str, Any]:
    """The atlas as a JSON document.

    ``methods``: forgeries by manipulation method, most videos first, then the genuine videos as a reference under
    ``genuine``. ``all``: all forgeries together. Each has ``parts`` by share, and the same per model and layer.

    Raises:
        AtlasError: no forged video among the entries.
    """
    forged = [entry for entry in entries if entry.label.label == 1]
    genuine = [entry for entry in entries if entry.label.label == 0]
    if not forged:
        raise AtlasError("no forged video with a label, a face and heat maps")
    by_method: dict[str, list[Entry]] = defaultdict(list)
    for entry in forged:
        by_method[entry.label.method].append(entry)
    methods = sorted(by_method.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    first = forged[0].report.ensemble
    return {
        "schema_version": SCHEMA,
        "dataset": dataset,
        "ensemble": {"name": first.name, "version": first.version, "members": [m.name for m in first.members]},
        "left_out": dict(left_out),
        "methods": [describe_group(name, rows) for name, rows in methods],
        "all": describe_group("all", forged),
        "genuine": describe_group(GENUINE, genuine) if genuine else None,
    }


def describe_group(name: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """Statistics of one method's videos."""
    sources = [entry.label.source for entry in entries]
    signs = [entry for entry in entries if entry.report.verdict.code in ("some", "strong")]
    areas = _areas(entries)
    parts = [_describe_part(part, entries, sources, areas[part]) for part in PART_NAMES]
    return {
        "name": name,
        "n_videos": len(entries),
        "n_sources": len(set(sources)),
        "n_with_signs": len(signs),
        "parts": sorted(parts, key=lambda part: -part["share"]),
        "models": _describe_layers(entries, areas),
    }


def _describe_part(part: str, entries: Sequence[Entry], sources: Sequence[str], area: float) -> dict[str, Any]:
    found = [_part_of(entry, part) for entry in entries]
    share = as_json(mean_by_source([p.share for p in found], sources))
    named = as_json(mean_by_source([float(p.compromising) for p in found], sources))
    verified = [p.verified for p in found if p.verified is not None]
    return {
        "name": part,
        "share": share["value"],
        "share_interval": share["interval"],
        "lift": round(share["value"] / area, 4) if area else 0.0,
        "named": named["value"],
        "named_interval": named["interval"],
        "n_verified": sum(verified),
        "n_tried": len(verified),
    }


def _part_of(entry: Entry, part: str) -> Any:
    assert entry.report.parts is not None
    return next(p for p in entry.report.parts.parts if p.name == part)


def _areas(entries: Sequence[Entry]) -> dict[str, float]:
    """Part -> mean share of the pictures' area, from the moments' shares and lifts."""
    sums: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        for moment in entry.report.evidence:
            for part in moment.parts:
                if part.lift > 0:
                    sums[part.name].append(part.share / part.lift)
    return {part: float(np.mean(sums[part])) if sums[part] else 0.0 for part in PART_NAMES}


def _describe_layers(entries: Sequence[Entry], areas: Mapping[str, float]) -> dict[str, Any]:
    """Model -> layer -> part -> share and lift, of the videos whose reports hold them."""
    rows: dict[tuple[str, str], list[tuple[str, dict[str, float]]]] = defaultdict(list)
    for entry in entries:
        for (model, layer), shares in _mean_shares(entry.report).items():
            rows[model, layer].append((entry.label.source, shares))
    models: dict[str, Any] = defaultdict(dict)
    for (model, layer), videos in rows.items():
        sources = [source for source, _ in videos]
        models[model][layer] = [
            {"name": part, "lift": round(estimate.value / areas[part], 4) if areas[part] else 0.0}
            | {"share": round(estimate.value, 4), "share_interval": as_json(estimate)["interval"]}
            for part in PART_NAMES
            for estimate in [mean_by_source([shares[part] for _, shares in videos], sources)]
        ]
    return dict(models)


def _mean_shares(report: Report) -> dict[tuple[str, str], dict[str, float]]:
    """(model, layer) -> part -> mean share over the moments that hold heat."""
    found: dict[tuple[str, str], list[Mapping[str, float]]] = defaultdict(list)
    for moment in report.evidence:
        for model, layers in (moment.shares or {}).items():
            for layer, shares in layers.items():
                if sum(shares.values()) > 0:
                    found[model, layer].append(shares)
    return {key: {part: float(np.mean([r[part] for r in rows])) for part in PART_NAMES} for key, rows in found.items()}


# --- files ------------------------------------------------------------------------------------


def write_atlas(document: Mapping[str, Any], out: Path) -> list[Path]:
    """``atlas.json`` and a mean face with the heat of every method, of all, and of every model and layer.

    Returns:
        The files.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "atlas.json"]
    paths[0].write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    groups = [document["all"], *document["methods"], *([document["genuine"]] if document["genuine"] else [])]
    paths += [_draw(group["parts"], out / f"{_file_name(group['name'])}.png") for group in groups]
    for model, layers in document["all"]["models"].items():
        for layer, parts in layers.items():
            paths.append(_draw(parts, out / f"all-{model}-{layer}.png"))
    return paths


def _draw(parts: Iterable[Mapping[str, Any]], path: Path) -> Path:
    path.write_bytes(render.encode_png(draw_heat({part["name"]: part["lift"] for part in parts})))
    return path


def _file_name(name: str) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    return kept.strip("-") or "method"


def describe_atlas(document: Mapping[str, Any]) -> str:
    """The first parts of each method in words."""
    lines = []
    for group in (*document["methods"], document["all"]):
        face = [part for part in group["parts"] if part["name"] != OUTSIDE]
        ranked = sorted(face, key=lambda part: -part["share"] * part["lift"])[:3]
        words = ", ".join(f"{p['name']} {p['share']:.2f} {p['share_interval']} x{p['lift']:.1f}" for p in ranked)
        lines.append(f"{group['name']} ({group['n_videos']} videos, {group['n_with_signs']} with signs): {words}")
    return "\n".join(lines)
