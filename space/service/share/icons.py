"""The verdicts' icons as lines on a grid of 24 by 24, drawn with Pillow: the shapes the page draws as SVG."""

from __future__ import annotations

import json
import math
from functools import cache

from PIL import Image, ImageDraw

from space.settings import SHARED

GRID = 24
STROKE = 1.8  # of the grid
SUPERSAMPLE = 4

Point = tuple[float, float]
Line = tuple[Point, ...]


def _arc(centre: Point, radius: float, start_deg: float, end_deg: float) -> Line:
    """Points on a circle, clockwise from the right as Pillow counts."""
    n_steps = max(2, round(abs(end_deg - start_deg) / 4))
    angles = (math.radians(start_deg + (end_deg - start_deg) * step / n_steps) for step in range(n_steps + 1))
    return tuple((centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)) for angle in angles)


def _dot(x: float, y: float) -> Line:
    return ((x, y), (x, y + 0.2))


_RING = _arc((12, 12), 9.6, 0, 360)
_OCTAGON = ((7.9, 2.5), (16.1, 2.5), (21.5, 7.9), (21.5, 16.1), (16.1, 21.5), (7.9, 21.5), (2.5, 16.1), (2.5, 7.9))

DRAWINGS: dict[str, tuple[Line, ...]] = {
    "octagon-exclamation": ((*_OCTAGON, *_OCTAGON[:2]), ((12, 7.2), (12, 13.2)), _dot(12, 16.6)),
    "triangle-exclamation": (
        ((12, 3.2), (22, 20.6), (2, 20.6), (12, 3.2), (22, 20.6)),
        ((12, 9.6), (12, 14.6)),
        _dot(12, 17.6),
    ),
    "circle-question": (
        _RING,
        (*_arc((12, 9.3), 2.9, 180, 415), (12.5, 12.6), (12, 13.3), (12, 14.1)),
        _dot(12, 17.1),
    ),
    "circle-minus": (_RING, ((7.8, 12), (16.2, 12))),
    "face-slash": (
        _RING,
        ((8.8, 9.6), (8.8, 10)),
        ((15.2, 9.6), (15.2, 10)),
        _arc((12, 20.2), 5.7, 233.4, 306.6),
        ((4.6, 19.4), (19.4, 4.6)),
    ),
}


@cache
def icon_names() -> dict[str, str]:
    """Verdict code -> name of its drawing."""
    rows = json.loads((SHARED / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    return {row["code"]: row["icon"] for row in rows}


def draw_icon(name: str, size_px: int, colour: str) -> Image.Image:
    """An icon with a transparent ground.

    Args:
        name: a drawing of ``shared/verdicts.json``.
        colour: as Pillow reads it, such as "#8c1024".

    Returns:
        (size_px, size_px) RGBA.
    """
    scale = SUPERSAMPLE * size_px / GRID
    mask = Image.new("L", (SUPERSAMPLE * size_px, SUPERSAMPLE * size_px), 0)
    draw = ImageDraw.Draw(mask)
    half = STROKE * scale / 2
    for line in DRAWINGS[name]:
        points = [(x * scale, y * scale) for x, y in line]
        draw.line(points, fill=255, width=round(2 * half), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - half, y - half, x + half, y + half), fill=255)
    icon = Image.new("RGBA", (size_px, size_px), colour)
    icon.putalpha(mask.resize((size_px, size_px), Image.Resampling.LANCZOS))
    return icon
