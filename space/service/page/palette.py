"""Colours of ``shared/palette.json`` as CSS variables: one palette for the page, a saved report and the extension."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from space.settings import SHARED

Theme = Literal["light", "dark"]

LEGEND_STEPS = 16
FULL_LIFT = 5.0  # from which a part has the scale's last colour; parts that are named reach 2 to 7
LEGEND_GROUND = "#c6aa96"  # a middle skin tone, as in render.draw_legend: heat is seen over faces


@cache
def load_palette() -> dict[str, Any]:
    """The shared palette."""
    palette: dict[str, Any] = json.loads((SHARED / "palette.json").read_text(encoding="utf-8"))
    return palette


def palette_css(*, dark: str) -> str:
    """Variables for both themes: ``--tt-page``, ``--tt-ink``, ``--tt-heat``, ``--tt-<verdict>-ink`` and ``-tint``.

    Args:
        dark: what the dark theme depends on: an at-rule, or the selector of an ancestor.
    """
    light = f":root {{ color-scheme: light; {_variables('light')} --tt-heat: {heat_gradient()}; }}"
    night = f"color-scheme: dark; {_variables('dark')}"
    rule = f":root {{ {night} }}" if dark.startswith("@") else f"{dark} {{ {night} }}"
    return f"{light}\n{dark if dark.startswith('@') else '@media screen'} {{ {rule} }}\n"  # paper is never dark


def _variables(theme: Theme) -> str:
    palette = load_palette()
    colours = dict(palette["themes"][theme])
    for code, themes in palette["verdicts"].items():
        colours |= {f"{code}-{role}": colour for role, colour in themes[theme].items()}
    return " ".join(f"--tt-{name}: {colour};" for name, colour in colours.items())


def heat_gradient() -> str:
    """The heat maps' scale over a mid-tone, from no reaction to full scale, as a CSS image."""
    steps = [heat_colour(i / LEGEND_STEPS) for i in range(LEGEND_STEPS + 1)]
    return f"linear-gradient(to right, {', '.join(steps)})"


def heat_colour(strength: float) -> str:
    """The heat maps' colour over a mid-tone, as CSS.

    Args:
        strength: [0, 1], 0 = no reaction.
    """
    heat = load_palette()["heat"]
    opacity = _interpolate(heat["opacity"], strength)
    ground = _channels(LEGEND_GROUND)
    colour = [_interpolate([(at, _channels(c)[i]) for at, c in heat["stops"]], strength) for i in range(3)]
    mixed = [round(opacity * over + (1 - opacity) * under) for over, under in zip(colour, ground, strict=True)]
    return f"rgb({mixed[0]} {mixed[1]} {mixed[2]})"


def lift_colour(lift: float) -> str:
    """The colour of a facial part: none where the reaction is what its area explains, or less.

    Args:
        lift: share of the reaction / the share that is usual, or that of the area; the scale ends at ``FULL_LIFT``.
    """
    return heat_colour(min(1.0, max(0.0, (lift - 1) / (FULL_LIFT - 1))))


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _interpolate(points: list[tuple[float, float]], at: float) -> float:
    """Linear between (position, value) points in rising order; at lies within them."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if at <= x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return points[-1][1]
