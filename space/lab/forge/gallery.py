"""Pictures of forgeries to look at: one sheet per kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from space.contract import U8

CELL_PX = 168
TITLE_PX = 26
MAX_EXAMPLES = 4  # per sheet
N_MOMENTS = 6  # of a clip
GAIN = 4  # of the difference, to be seen


@dataclass(frozen=True)
class Example:
    """Twins as written, frame by frame."""

    genuine: Sequence[U8]  # each (H, W, 3) RGB
    forged: Sequence[U8]
    masks: Sequence[U8]  # each (H, W), 255 = foreign


def draw_sheet(title: str, examples: Sequence[Example]) -> U8:
    """Genuine, forged, mask and |forged - genuine|: a row per still, four rows per clip.

    Raises:
        ValueError: no examples.
    """
    if not examples:
        raise ValueError("nothing to show")
    rows = [row for example in examples[:MAX_EXAMPLES] for row in _rows(example)]
    sheet = np.concatenate(rows, axis=0)
    band = np.full((TITLE_PX, sheet.shape[1], 3), 24, np.uint8)
    cv2.putText(band, title, (6, TITLE_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
    return np.concatenate([band, sheet], axis=0)


def _rows(example: Example) -> list[U8]:
    n = len(example.genuine)
    moments = np.unique(np.linspace(0, n - 1, min(n, N_MOMENTS)).round().astype(int))
    columns = [_views(example, int(moment)) for moment in moments]
    if n == 1:
        return [np.concatenate(columns[0], axis=1)]
    return [np.concatenate([column[i] for column in columns], axis=1) for i in range(4)]


def _views(example: Example, index: int) -> list[U8]:
    genuine, forged = example.genuine[index], example.forged[index]
    mask = np.repeat(example.masks[index][:, :, None], 3, axis=2)
    difference = cv2.convertScaleAbs(cv2.absdiff(forged, genuine), alpha=GAIN)
    return [_fit(view) for view in (genuine, forged, mask, np.asarray(difference, np.uint8))]


def _fit(image: U8) -> U8:
    """The whole image in a square cell."""
    height, width = image.shape[:2]
    scale = CELL_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cell = np.zeros((CELL_PX, CELL_PX, 3), np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cell[: size[1], : size[0]] = cv2.resize(image, size, interpolation=how)
    return cell
