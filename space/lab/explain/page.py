"""What the harness found as one HTML page: tables, curves, the confusion of parts, and rows of examples."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np

from space.analysis import render
from space.contract import F32, U8
from space.lab.explain.faces import Seen
from space.lab.explain.harness import FIRST, Harness
from space.lab.explain.methods import METHODS
from space.lab.explain.sheet import draw_sheet

SHOWN = ("pointing/filled", "energy/filled", "iou/filled", "auprc/filled", "auprc/band", "auprc/difference")
EXAMPLE_METHODS = (FIRST, "layered-gate", "grad-cam", "grad-cam-penultimate", "layercam", "region")
EXAMPLE_PX = 160
STYLE = """
:root{color-scheme:light dark} body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;margin:.5rem 0 1.5rem}
th,td{padding:.25rem .6rem;border-bottom:1px solid #8884;text-align:right;white-space:nowrap}
th:first-child{text-align:left}
tr.first{font-weight:650} tr.base th{font-style:italic} .muted{opacity:.65;font-size:12px}
img{max-width:100%;height:auto}
div.wide{overflow-x:auto}
"""


# --- examples ---------------------------------------------------------------------------------


def draw_examples(harness: Harness, cases: Sequence[Seen]) -> U8:
    """A row for each case: forged, genuine, the truth, and maps; a map in logit units on the ensemble's own scale."""
    if not cases:
        return np.full((1, 1, 3), 255, np.uint8)
    methods = [method for method in harness.methods if method.name in EXAMPLE_METHODS]
    maps = harness.maps(cases, methods)
    genuine = harness.maps(cases, [METHODS[FIRST]], genuine=True)[FIRST]
    full_scale = harness.ensemble.record.heat_full_scale
    rows: dict[str, list[U8]] = {}
    for i, seen in enumerate(cases):
        pictures = [seen.picture.image, seen.twin, _show_truth(seen)]
        pictures += [_show(seen.picture.image, heats[i], name, full_scale) for name, heats in maps.items()]
        pictures.append(_show(seen.twin, genuine[i], FIRST, full_scale))
        rows[f"{i + 1}. {seen.case.group}".replace("/", "\t")] = [_enlarge(picture) for picture in pictures]
    return draw_sheet(rows, tile_px=EXAMPLE_PX)


def name_columns(document: Mapping[str, Any]) -> list[str]:
    """What the columns of ``draw_examples`` show."""
    drawn = [name for name in document["methods"] if name in EXAMPLE_METHODS and _fits(document, name)]
    return ["forged", "genuine", "truth", *drawn, f"{FIRST}, genuine"]


def _fits(document: Mapping[str, Any], name: str) -> bool:
    return any(name in table for table in document["figures"].values())


def _show(image: U8, heat: F32, name: str, full_scale: float) -> U8:
    scale = full_scale if METHODS[name].unit == "logit" and name.startswith("layered") else float(heat.max())
    return render.draw_overlay(image, np.maximum(heat, 0), full_scale=max(scale, 1e-9))


def _show_truth(seen: Seen) -> U8:
    tinted = seen.picture.image.astype(np.float32)
    tinted[seen.truth.difference] = 0.5 * tinted[seen.truth.difference] + np.array([20, 110, 60], np.float32)
    shown = np.asarray(np.clip(tinted, 0, 255), np.uint8)
    contours, _ = cv2.findContours(seen.truth.filled.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(shown, contours, -1, (255, 230, 60), 1), np.uint8)


def _enlarge(image: U8) -> U8:
    return np.asarray(cv2.resize(image, (EXAMPLE_PX, EXAMPLE_PX), interpolation=cv2.INTER_CUBIC), np.uint8)


# --- figures ----------------------------------------------------------------------------------


def _figure(width: float, height: float) -> tuple[Any, Any]:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(width, height), dpi=110)


def _finish(figure: Any) -> bytes:
    from matplotlib import pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


def draw_confusion(confusion: Mapping[str, Any]) -> bytes:
    """The parts that were forged against those named first, as PNG."""
    shares = np.array(confusion["shares"])
    figure, axes = _figure(9, 0.42 * len(confusion["forged"]) + 2.2)
    axes.imshow(shares, vmin=0, vmax=1, cmap="magma_r", aspect="auto")
    axes.set_xticks(
        range(len(confusion["named"])), [n.replace("_", " ") for n in confusion["named"]], rotation=40, ha="right"
    )
    rows = [f"{name.replace('_', ' ')} ({n})" for name, n in zip(confusion["forged"], confusion["n"], strict=True)]
    axes.set_yticks(range(len(rows)), rows)
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            if share >= 0.005:
                axes.text(
                    x, y, f"{share:.2f}", ha="center", va="center", fontsize=8, color="w" if share > 0.45 else "k"
                )
    axes.set(xlabel="part named first", ylabel="part forged")
    return _finish(figure)


def draw_curves(curves: Mapping[str, Any]) -> bytes:
    """Deletion and insertion side by side, as PNG."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, both = plt.subplots(1, 2, figsize=(9, 3.2), dpi=110, sharey=True)
    for axes, kind in zip(both, ("deletion", "insertion"), strict=True):
        for name, found in curves["methods"].items():
            axes.plot(curves["steps"], found[kind]["logit"], marker=".", label=name, lw=2 if name == FIRST else 1.2)
        axes.set(title=kind, xlabel="share of the picture replaced" if kind == "deletion" else "share that is forged")
        axes.grid(alpha=0.3)
    both[0].set_ylabel("mean logit of the ensemble")
    both[1].legend(frameon=False, fontsize=8)
    return _finish(figure)


# --- the page ---------------------------------------------------------------------------------


def _number(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "<td></td>"
    low, high = found["interval"]
    return f'<td>{found["value"]:.3f} <span class="muted">[{low:.3f}, {high:.3f}]</span></td>'


def _table(
    head: Sequence[str], rows: Mapping[str, Sequence[Mapping[str, Any] | None]], baselines: Sequence[str]
) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f'<tr class="{"first" if name == FIRST else "base" if name in baselines else ""}"><th>{html.escape(name)}</th>'
        + "".join(map(_number, cells))
        + "</tr>"
        for name, cells in rows.items()
    )
    return f'<div class="wide"><table><tr><th></th>{names}</tr>{body}</table></div>'


def _picture(data: bytes, kind: str, alt: str) -> str:
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def write_page(document: Mapping[str, Any], examples: U8, path: Path) -> None:
    """Write the page; it needs no other file."""
    baselines = document["baselines"]
    members = ", ".join(f"{m['name']} {m['weight']:.2f}" for m in document["ensemble"]["members"])
    name = f"{document['ensemble']['name']} {document['ensemble']['version']}"
    scale = "Means with 95 % intervals by source; larger is better."
    parts = [f"<p>{html.escape(name)}: {html.escape(members)}. {scale}</p>"]
    for group in (name for name in document["figures"] if "/" not in name):
        figures = document["figures"][group]
        shown = [*SHOWN, *(("hit@1", "hit@3", "named@1", "named@3") if group == "part" else ())]
        parts.append(f"<h2>{group}: {document['n'][group]} cases</h2>")
        seen = document["logits"][group]["above_twin"]
        parts.append(f"<p>Forgeries scored above their twins: <b>{seen['value']:.3f}</b> {seen['interval']}.</p>")
        parts.append(_table(shown, {m: [row.get(f) for f in shown] for m, row in figures.items()}, baselines))
        leads = document["leads"][group]
        compared = list(dict.fromkeys(name for row in leads.values() for name in row))
        parts.append(f"<h3>Lead of {FIRST} over each, case by case</h3>")
        parts.append(_table(compared, {m: [row.get(f) for f in compared] for m, row in leads.items()}, baselines))
        parts.append(f"<h3>{FIRST} by how far a forgery was scored above its twin (logits)</h3>")
        by_lead = document["by_lead"][group]
        rows = {f"{low:+.2f} to {high:+.2f}": row for row in by_lead for low, high in [row["lead"]]}
        parts.append(_table(shown, {lead: [row["figures"].get(f) for f in shown] for lead, row in rows.items()}, []))
    parts.append("<h2>Raw heat, genuine / forged</h2>")
    for group, found in document["genuine_heat"].items():
        parts.append(_table([f"{group}: ratio of medians"], {m: [row["ratio"]] for m, row in found.items()}, []))
    if "confusion" in document:
        parts.append(
            "<h2>Which part is named</h2>" + _picture(draw_confusion(document["confusion"]), "png", "confusion")
        )
    parts += _describe_checks(document["checks"])
    columns = " | ".join(name_columns(document))
    parts.append(
        f"<h2>Examples</h2><p>Columns: {html.escape(columns)}. Truth: outline of the filled mask, differing "
        "pixels green. Layered maps are on the ensemble's own scale, the others on their own maximum.</p>"
    )
    parts.append(_picture(render.encode_jpeg(examples), "jpeg", "examples"))
    body = "\n".join(parts)
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Telltale: explanations held against the truth</title>"
        f"<style>{STYLE}</style><h1>Explanations held against the truth</h1>{body}</html>\n",
        encoding="utf-8",
    )


def _describe_checks(checks: Mapping[str, Any]) -> list[str]:
    if not checks:
        return []
    stages = {"JPEG 50": checks["jpeg"], **{f"random to {s}": row for s, row in checks["randomised"].items()}}
    rows = {name: [found.get(name) for found in stages.values()] for name in checks["jpeg"]}
    parts = [f"<h2>Sanity: Spearman with the map before ({checks['n']} cases)</h2>", _table(list(stages), rows, [])]
    areas = {
        name: [found["deletion"]["area"], found["insertion"]["area"]]
        for name, found in checks["curves"]["methods"].items()
    }
    parts.append(
        "<h2>Deletion and insertion with the genuine twin</h2>"
        + _picture(draw_curves(checks["curves"]), "png", "curves")
    )
    parts.append(_table(["deletion, area", "insertion, area"], areas, ["mean-mask", "random"]))
    if "named_part" in checks:
        found = checks["named_part"]
        rows = {name: [found[name]] for name in ("largest", "largest_named") if name in found}
        parts.append("<h2>Replacing the named part takes most</h2>" + _table(["share of cases"], rows, []))
    return parts


def describe_study(document: Mapping[str, Any]) -> str:
    """The figures in words: a line for each method and group."""
    lines = []
    for group in (name for name in document["figures"] if "/" not in name):
        lines.append(f"{group} (n = {document['n'][group]})")
        for method, row in document["figures"][group].items():
            shown = [
                f"{f} {row[f]['value']:.3f}" for f in (*SHOWN[:4], "hit@1", "hit@3", "named@1", "named@3") if f in row
            ]
            lines.append(f"  {method:<26}" + "  ".join(shown))
    return "\n".join(lines)
