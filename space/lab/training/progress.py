"""Pictures of a run while it goes: curves, and a grid of predictions to look at. They stay in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure

from space.contract import F32, U8
from space.lab.evaluation.plots import COLOURS, name_axes, new_axes
from space.models.files import replacing

CURVES_FILE, GRID_FILE = "curves.png", "predictions.png"
CELL_PX = 128
N_COLUMNS = 8
N_CELLS = 32
BAND_PX = 18
RIGHT, WRONG = (0, 110, 80), (200, 50, 20)  # of the band, RGB


def draw_curves(lines: Sequence[dict[str, Any]], out: Path) -> None:
    """Loss, AUC, accuracy and rate over the images seen, from a run's log lines."""
    figure, (losses, areas, accuracies, rates) = new_axes(columns=2, rows=2, width=4.6, height=2.7)
    _plot(losses, lines, {"loss": "logit", "rank_loss": "lead over the twin", "region_loss": "region"})
    name_axes(losses, "Training loss", "images seen", "")
    _plot(areas, lines, {"val_auc": "frame AUC"})
    name_axes(areas, "Validation AUC (part of the split)", "images seen", "")
    _plot(accuracies, lines, {"val_accuracy": "at logit 0"})
    name_axes(accuracies, "Validation accuracy", "images seen", "")
    _plot(rates, lines, {"rate": "rate"})
    name_axes(rates, "Learning rate", "images seen", "")
    _write_figure(figure, out / CURVES_FILE)


def _plot(ax: Any, lines: Sequence[dict[str, Any]], keys: dict[str, str]) -> None:
    for index, (key, name) in enumerate(keys.items()):
        points = [(line["images"], line[key]) for line in lines if key in line]  # older runs logged fewer figures
        if points:
            ax.plot(*zip(*points, strict=True), color=COLOURS[index], label=name, linewidth=1.6, marker=".")
    if len(keys) > 1:
        ax.legend(fontsize=8, frameon=False)


def _write_figure(figure: Figure, path: Path) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def draw_grid(crops: U8, labels: Sequence[int], logits: F32, out: Path) -> None:
    """Crops with what they are and what is said of them; the band is green where that is right at logit 0.

    Args:
        crops: (n, S, S, 3) RGB; the first ``N_CELLS`` are shown.
        labels: n, 1 = forged.
        logits: (n,).
    """
    cells = [_cell(*each) for each in zip(crops[:N_CELLS], labels, logits.tolist(), strict=False)]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % N_COLUMNS)
    rows = [np.concatenate(cells[i : i + N_COLUMNS], axis=1) for i in range(0, len(cells), N_COLUMNS)]
    picture = np.concatenate(rows)[:, :, ::-1]
    with replacing(out / GRID_FILE) as partial:
        partial.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def _cell(crop: U8, label: int, logit: float) -> U8:
    cell = np.full((CELL_PX + BAND_PX, CELL_PX, 3), RIGHT if (logit > 0) == (label == 1) else WRONG, np.uint8)
    cell[:CELL_PX] = cv2.resize(crop, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
    text = f"{'forged' if label else 'genuine'} {1 / (1 + np.exp(-logit)):.2f}"
    cv2.putText(cell, text, (4, CELL_PX + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return cell
