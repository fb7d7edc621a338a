"""Plots as self-contained SVG pictures for a page. Every plot tells contenders apart by colour and by dash."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from space.lab.evaluation.disturb import LEVELS, UNDISTURBED, Kind
from space.lab.evaluation.metrics import balance, count_above
from space.lab.evaluation.results import Result, has_both

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito 2008: told apart by colour-blind readers; the baseline is always gray.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#1b1e22")
DASHES = ("-", "--", "-.", ":")
GRAY = "#8a8f96"
INK = "#1b1e22"
N_BINS, MIN_PER_BIN = 10, 8  # of the reliability diagram
DET_TICKS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
STYLE = {"linewidth": 1.6}


def colour_of(index: int, kind: str) -> dict[str, Any]:
    """Line style of the index-th contender."""
    if kind == "baseline":
        return {"color": GRAY, "linestyle": ":", **STYLE}
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index // len(COLOURS) % len(DASHES)],
        **STYLE,
    }


def embed(figure: Figure) -> str:
    """A figure as a data URI."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def new_axes(*, width: float = 4.2, height: float = 3.5, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with plain axes, row by row."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#e4e7ea", linewidth=0.7)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=8)
    return figure, axes


def name_axes(ax: Axes, title: str, x: str, y: str) -> None:
    """Title and labels in one size everywhere."""
    ax.set_title(title, fontsize=10, color=INK, loc="left")
    ax.set_xlabel(x, fontsize=8.5)
    ax.set_ylabel(y, fontsize=8.5)


def draw_legend(figure: Figure, ax: Axes) -> None:
    """Below the axes, so that it hides nothing."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        columns = min(5 if figure.get_figwidth() > 6 else 2, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


# --- telling apart --------------------------------------------------------------------------------


def draw_curves(results: Sequence[Result], level: str) -> Figure:
    """ROC, DET and precision-recall side by side."""
    figure, (roc, det, recall) = new_axes(columns=3)
    for index, result in enumerate(results):
        labels, p, _ = result.at_level(level)
        if not has_both(labels):
            continue
        style = {**colour_of(index, result.kind), "label": result.name}
        alarms, hits = count_above(labels, p)
        roc.plot(alarms, hits, **style)
        inside = (alarms > 0) & (alarms < 1) & (hits > 0) & (hits < 1)
        det.plot(norm.ppf(alarms[inside]), norm.ppf(1 - hits[inside]), **style)
        n_found, n_wrong = hits[1:] * (labels == 1).sum(), alarms[1:] * (labels == 0).sum()
        recall.plot(hits[1:], n_found / (n_found + n_wrong), **style)
    roc.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
    name_axes(roc, f"ROC, {level} level", "false alarm rate", "detection rate")
    _set_det_axes(det)
    name_axes(det, "DET (normal deviates)", "false alarm rate", "miss rate")
    labels, _, _ = results[0].at_level(level)
    recall.axhline(float(labels.mean()), color=GRAY, linewidth=0.8)
    recall.set_ylim(0, 1.03)
    name_axes(recall, "Precision and recall", "recall", "precision")
    draw_legend(figure, roc)
    return figure


def _set_det_axes(ax: Axes) -> None:
    ticks = norm.ppf(DET_TICKS)
    names = [f"{tick:.0%}" for tick in DET_TICKS]
    ax.set_xticks(ticks, names)
    ax.set_yticks(ticks, names)
    ax.set_xlim(norm.ppf(0.005), norm.ppf(0.9))
    ax.set_ylim(norm.ppf(0.005), norm.ppf(0.9))
    ax.plot(ax.get_xlim(), ax.get_ylim(), color="#e4e7ea", linewidth=0.8)  # equal error rates lie on it


def draw_reliability(results: Sequence[Result], level: str) -> Figure:
    """Share of forged ones over p_fake, in up to ten bins of as many samples each, both classes weighted alike."""
    figure, (ax,) = new_axes()
    ax.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
    for index, result in enumerate(results):
        labels, p, _ = result.at_level(level)
        if not has_both(labels):
            continue
        weights = balance(labels)
        n_bins = max(1, min(N_BINS, len(p) // MIN_PER_BIN))
        bins = np.array_split(np.argsort(p, kind="stable"), n_bins)
        x = [float(np.average(p[part], weights=weights[part])) for part in bins]
        y = [float(np.average(labels[part], weights=weights[part])) for part in bins]
        ax.plot(x, y, marker="o", markersize=3.5, label=result.name, **colour_of(index, result.kind))
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    name_axes(ax, f"Reliability, {level} level", "p_fake", "share forged")
    draw_legend(figure, ax)
    return figure


def draw_histograms(results: Sequence[Result], level: str) -> Figure:
    """p_fake of genuine and of forged ones, a panel per contender."""
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure, axes = new_axes(columns=columns, rows=rows, height=2.3)
    for ax, result in zip(axes, results, strict=False):
        labels, p, _ = result.at_level(level)
        for label, name, colour in ((0, "genuine", COLOURS[0]), (1, "forged", COLOURS[1])):
            if (labels == label).any():
                shares = np.full(int((labels == label).sum()), 1 / max(1, int((labels == label).sum())))
                ax.hist(p[labels == label], bins=20, range=(0, 1), weights=shares, color=colour, alpha=0.6, label=name)
        name_axes(ax, result.name, "p_fake", f"share of {level}s")
    for ax in axes[len(results) :]:
        ax.set_visible(False)
    draw_legend(figure, axes[0])
    return figure


def draw_confusion(results: Sequence[Result], level: str) -> Figure:
    """Counts at p_fake 0.5, a panel per contender."""
    figure, axes = new_axes(columns=len(results), width=2.1, height=2.2)
    for ax, result in zip(axes, results, strict=True):
        labels, p, _ = result.at_level(level)
        counts = np.array([[((labels == t) & ((p >= 0.5) == c)).sum() for c in (0, 1)] for t in (0, 1)])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.grid(visible=False)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in (0, 1):
            for column in (0, 1):
                ink = "white" if shares[row, column] > 0.55 else INK
                text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
                ax.text(column, row, text, ha="center", va="center", fontsize=9, color=ink)
        ax.set_xticks([0, 1], ["genuine", "forged"])
        ax.set_yticks([0, 1], ["genuine", "forged"], rotation=90, va="center")
        name_axes(ax, result.name, "said", "is")
        ax.title.set_fontsize(8.5)
    return figure


# --- under disturbance ----------------------------------------------------------------------------

KIND_NAMES: dict[Kind, str] = {
    "jpeg": "JPEG quality",
    "crf": "H.264 CRF",
    "filmed": "CRF of H.264, moving face",
    "scale": "scale of the sides",
    "blur": "blur, sigma in px",
    "margin": "crop margin / the member's own",
}


def draw_robustness(results: dict[str, Any], styles: dict[str, dict[str, Any]], *, forged: bool) -> Figure:
    """AUC over the strength of each disturbance; on genuine sets the mean p_fake.

    Args:
        results: contender -> figures, as ``summarise`` gives them.
        styles: contender -> line style.
        forged: whether the set holds forgeries.
    """
    figure, axes = new_axes(columns=4, rows=2, width=3.6, height=2.7)
    for ax, kind in zip(axes, LEVELS, strict=False):
        for name, figures in results.items():
            points = [entry for entry in figures["robustness"] if entry["kind"] == kind]
            points.sort(key=lambda entry: float(entry["value"]))
            if points:
                x = [entry["value"] for entry in points]
                ax.plot(x, [_height(entry, forged) for entry in points], marker="o", label=name, **styles[name])
        ax.axvline(UNDISTURBED[kind], color=GRAY, linewidth=0.8)
        if kind in ("jpeg", "scale"):
            ax.invert_xaxis()
        _set_height(ax, forged)
        name_axes(ax, "", KIND_NAMES[kind], "video AUC" if forged else "mean p_fake")
    _draw_counts(axes[len(LEVELS)], results, styles, forged)
    axes[-1].set_visible(False)
    draw_legend(figure, axes[0])
    return figure


def _draw_counts(ax: Axes, results: dict[str, Any], styles: dict[str, dict[str, Any]], forged: bool) -> None:
    for name, figures in results.items():
        points = figures["frame_counts"]
        if points:
            heights = [_height(entry, forged) for entry in points]
            ax.plot([entry["n_frames"] for entry in points], heights, marker="o", label=name, **styles[name])
    if not ax.lines:
        ax.set_visible(False)
        return
    ax.set_xscale("log", base=2)
    ax.set_xticks([1, 2, 4, 8, 16, 32, 64, 100], ["1", "2", "4", "8", "16", "32", "64", "100"])
    _set_height(ax, forged)
    name_axes(ax, "", "frames looked at", "video AUC" if forged else "mean p_fake")


def _height(entry: dict[str, Any], forged: bool) -> float:
    if forged:
        return float(entry["auc"]["value"]) if "auc" in entry else float("nan")
    return float(entry["mean_p"])


def _set_height(ax: Axes, forged: bool) -> None:
    if forged:
        ax.axhline(0.5, color=GRAY, linewidth=0.8)
        ax.set_ylim(0.35, 1.02)
    else:
        ax.set_ylim(0, 1)


def draw_methods(results: dict[str, Any], styles: dict[str, dict[str, Any]]) -> Figure:
    """AUC per manipulation method with its interval."""
    methods = list(dict.fromkeys(m for figures in results.values() for m in figures.get("methods", {})))
    figure, (ax,) = new_axes(width=7.5, height=0.9 + 0.34 * len(methods))
    shown = [name for name, figures in results.items() if figures.get("methods")]
    for index, name in enumerate(shown):
        found = results[name]["methods"]
        offset = (index - (len(shown) - 1) / 2) * 0.7 / max(1, len(shown))
        for row, method in enumerate(methods):
            if "auc" not in found.get(method, {}):
                continue
            estimate = found[method]["auc"]
            label = name if row == 0 else None
            colour = styles[name]["color"]
            ax.plot([estimate["low"], estimate["high"]], [row + offset] * 2, color=colour, linewidth=1.2)
            ax.plot(estimate["value"], row + offset, "o", color=colour, markersize=4, label=label)
    ax.axvline(0.5, color=GRAY, linewidth=0.8)
    ax.set_yticks(range(len(methods)), methods)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.02)
    name_axes(ax, "AUC per method against all genuine samples, 95 % interval by source", "video AUC", "")
    draw_legend(figure, ax)
    return figure
