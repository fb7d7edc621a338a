"""Colours that can be read and told apart, in both themes and by eyes that see fewer of them."""

from __future__ import annotations

import itertools
import json
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from space.contract import VerdictCode
from space.settings import SHARED

PALETTE = json.loads((SHARED / "palette.json").read_text(encoding="utf-8"))

RGB = NDArray[np.float64]

# Linear sRGB as people with dichromacy see it: Machado, Oliveira and Fernandes 2009, severity 1.
VISION: dict[str, RGB] = {
    "full": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ_FROM_RGB.sum(axis=1)


def linear(color: str) -> RGB:
    srgb = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: ratio of relative luminances."""
    low, high = sorted(float(XYZ_FROM_RGB[1] @ linear(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(color: str, vision: str) -> RGB:
    """CIE L*a*b* of a colour as seen."""
    xyz = XYZ_FROM_RGB @ np.clip(VISION[vision] @ linear(color), 0, 1) / WHITE
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distances(colors: list[str], vision: str) -> list[float]:
    """CIE 1976 colour differences of all pairs; 2.3 is just noticeable."""
    seen = [lab(color, vision) for color in colors]
    return [float(np.linalg.norm(one - other)) for one, other in itertools.combinations(seen, 2)]


def test_contrast_knows_its_ends() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", PALETTE["themes"])
@pytest.mark.parametrize("code", get_args(VerdictCode))
def test_verdict_can_be_read(code: str, theme: str) -> None:
    colors = PALETTE["verdicts"][code][theme]
    page = PALETTE["themes"][theme]
    assert contrast(colors["ink"], colors["tint"]) >= 4.5
    assert contrast(colors["ink"], page["page"]) >= 4.5, "also as a badge: page colour on ink"
    assert contrast(page["ink"], colors["tint"]) >= 4.5
    assert contrast(page["ink"], page["page"]) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", PALETTE["themes"])
def test_verdicts_can_be_told_apart(theme: str, vision: str) -> None:
    inks = [colors[theme]["ink"] for colors in PALETTE["verdicts"].values()]
    assert min(distances(inks, vision)) >= 10


@pytest.mark.parametrize("vision", VISION)
def test_parts_can_be_told_apart(vision: str) -> None:
    assert min(distances(list(PALETTE["parts"].values()), vision)) >= 10


@pytest.mark.parametrize("vision", VISION)
def test_heat_grows_lighter_in_even_steps(vision: str) -> None:
    lightness = [lab(color, vision)[0] for _, color in PALETTE["heat"]["stops"]]
    steps = np.diff(lightness)
    assert steps.min() >= 0.5 * steps.mean()
    assert steps.max() <= 1.5 * steps.mean()


@pytest.mark.parametrize("ramp", ["stops", "opacity"])
def test_heat_covers_the_whole_range(ramp: str) -> None:
    places = [place for place, _ in PALETTE["heat"][ramp]]
    assert (places[0], places[-1]) == (0, 1)
    assert places == sorted(set(places))


def test_heat_hides_nothing_and_covers_nothing() -> None:
    opacity = [value for _, value in PALETTE["heat"]["opacity"]]
    assert opacity[0] == 0, "a picture without heat is the picture itself"
    assert opacity == sorted(opacity)
    assert opacity[-1] < 1, "the face stays visible under the hottest heat"
