"""Sheets of small pictures with a label before each row, to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from space.contract import U8

TILE_PX = 144
GAP_PX = 6
LABEL_PX = 170
PAGE, INK = (255, 255, 255), (40, 36, 48)


def draw_sheet(rows: Mapping[str, Sequence[U8]], *, tile_px: int = TILE_PX) -> U8:
    """Rows of pictures under each other.

    Args:
        rows: label -> (S, S, 3) RGB pictures; a row may be shorter than others.

    Returns:
        (H, W, 3) RGB.
    """
    n_columns = max(len(row) for row in rows.values())
    step = tile_px + GAP_PX
    size = LABEL_PX + n_columns * step + GAP_PX, len(rows) * step + GAP_PX
    canvas = Image.new("RGB", size, PAGE)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for number, (label, pictures) in enumerate(rows.items()):
        top = GAP_PX + number * step
        draw.multiline_text((GAP_PX + 4, top + tile_px // 2), label.replace("\t", "\n"), INK, font, anchor="lm")
        for column, picture in enumerate(pictures):
            shown = cv2.resize(picture, (tile_px, tile_px), interpolation=cv2.INTER_AREA)
            canvas.paste(Image.fromarray(np.asarray(shown, np.uint8)), (LABEL_PX + column * step, top))
    return np.array(canvas, np.uint8)
