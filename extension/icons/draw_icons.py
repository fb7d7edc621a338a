"""Draws the extension's icons from the page's favicon: ``python -m extension.icons.draw_icons``.

Pillow reads no SVG, so the few shapes of that file (a rounded rectangle, strokes along the axes, a circle) are drawn
here, larger than needed, and made smaller.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from PIL import Image, ImageDraw

from space.settings import PROJECT_ROOT

FAVICON = PROJECT_ROOT / "space" / "service" / "page" / "static" / "favicon.svg"
FOLDER = Path(__file__).parent
SIZES = (16, 32, 48, 128)  # px
FINER = 8  # drawn this many times larger

Point = tuple[float, float]


def draw_icon(size: int) -> Image.Image:
    """The favicon as an RGBA picture, ``size`` pixels wide and high."""
    drawing = ET.parse(FAVICON).getroot()  # noqa: S314 - our own file
    width = float(drawing.attrib["viewBox"].split()[2])
    scale = size * FINER / width
    image = Image.new("RGBA", (size * FINER, size * FINER))
    pen = ImageDraw.Draw(image)
    for shape in drawing:
        _DRAW[shape.tag.rpartition("}")[2]](pen, shape.attrib, scale)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _draw_rect(pen: ImageDraw.ImageDraw, shape: dict[str, str], scale: float) -> None:
    right, bottom, radius = (float(shape[name]) * scale for name in ("width", "height", "rx"))
    pen.rounded_rectangle((0, 0, right - 1, bottom - 1), radius, fill=shape["fill"])


def _draw_circle(pen: ImageDraw.ImageDraw, shape: dict[str, str], scale: float) -> None:
    x, y, radius = (float(shape[name]) * scale for name in ("cx", "cy", "r"))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shape["fill"])


def _draw_path(pen: ImageDraw.ImageDraw, shape: dict[str, str], scale: float) -> None:
    """Strokes with round ends."""
    half = float(shape["stroke-width"]) * scale / 2
    for start, end in read_strokes(shape["d"]):
        (x0, y0), (x1, y1) = ((x * scale, y * scale) for x, y in (start, end))
        box = (min(x0, x1) - half, min(y0, y1) - half, max(x0, x1) + half, max(y0, y1) + half)
        pen.rounded_rectangle(box, half, fill=shape["stroke"])


def read_strokes(path: str) -> list[tuple[Point, Point]]:
    """Strokes along the axes of a path made of ``M``, ``h`` and ``v``.

    Raises:
        ValueError: the path has other commands.
    """
    steps = re.findall(r"([A-Za-z])([^A-Za-z]*)", path)
    if {command for command, _ in steps} - {"M", "h", "v"}:
        raise ValueError(f"only M, h and v can be drawn: {path}")
    strokes: list[tuple[Point, Point]] = []
    at: Point = (0.0, 0.0)
    for command, numbers in steps:
        values = [float(number) for number in numbers.replace(",", " ").split()]
        if command == "M":
            at = (values[0], values[1])
            continue
        to = (at[0] + values[0], at[1]) if command == "h" else (at[0], at[1] + values[0])
        strokes.append((at, to))
        at = to
    return strokes


_DRAW = {"rect": _draw_rect, "circle": _draw_circle, "path": _draw_path}


def main() -> None:
    """Write the icons."""
    for size in SIZES:
        draw_icon(size).save(FOLDER / f"icon-{size}.png", optimize=True)


if __name__ == "__main__":
    main()
