"""Pictures: one absolute scale, no ringing, deterministic encoding."""

from __future__ import annotations

import json
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from space.analysis.render import draw_legend, draw_map, draw_overlay, encode_jpeg, encode_png, make_thumbnail
from space.contract import F32, U8
from space.settings import SHARED

SIZE_PX = 112
PALETTE = json.loads((SHARED / "palette.json").read_text(encoding="utf-8"))


def gray(value: int = 128, size: int = SIZE_PX) -> U8:
    return np.full((size, size, 3), value, np.uint8)


def even(level: float) -> F32:
    return np.full((14, 14), level, np.float32)


def bump(height: float = 1.0, size: int = SIZE_PX) -> F32:
    axis = np.linspace(-3, 3, size)
    return (height * np.exp(-(axis[None] ** 2 + axis[:, None] ** 2))).astype(np.float32)


def change(before: U8, after: U8) -> NDArray[np.float64]:
    return np.abs(after.astype(float) - before).max(axis=2)


def clearness(heat: F32) -> NDArray[np.intp]:
    """What the heat lets through, per pixel: the difference between a white and a black face under it."""
    white, black = (draw_overlay(gray(value), heat, full_scale=1.0)[..., 0].astype(int) for value in (255, 0))
    return white - black


def photo(seed: int = 0) -> U8:
    noise = np.random.default_rng(seed).uniform(0, 255, (SIZE_PX, SIZE_PX, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


# --- one absolute scale -----------------------------------------------------------------------


def test_a_map_without_heat_leaves_the_face_as_it_is() -> None:
    face = photo()
    assert (draw_overlay(face, even(0.0), full_scale=1.0) == face).all()


def test_levels_have_the_palettes_colours_and_opacities() -> None:
    heat = PALETTE["heat"]
    levels, opacities = zip(*heat["opacity"], strict=True)
    for level, code in heat["stops"]:
        colour = np.array([int(code[place : place + 2], 16) for place in (1, 3, 5)])
        opacity = np.interp(level, levels, opacities)
        expected = colour * opacity + 128 * (1 - opacity)
        drawn = draw_overlay(gray(), even(5.0 * level), full_scale=5.0)
        assert np.abs(drawn - expected).max() <= 1, level


def test_the_scales_colours_grow_lighter_so_that_no_hue_is_needed() -> None:
    bar = draw_map(np.zeros((40, 400, 3), np.uint8), np.linspace(0, 1, 400, dtype=np.float32)[None], full_scale=1.0)
    lightness = cv2.cvtColor(bar, cv2.COLOR_RGB2LAB)[20, 8:-8, 0].astype(int)
    assert (np.diff(lightness) >= -1).all()
    assert lightness[-1] - lightness[0] > 150


def test_a_dim_map_stays_dim() -> None:
    face = photo()
    dim, bright = (draw_overlay(face, bump(height), full_scale=1.0) for height in (0.1, 1.0))
    assert change(face, dim).max() < 0.35 * change(face, bright).max()
    # Scaled to its own maximum the dim map would look like the bright one.
    assert (draw_overlay(face, bump(0.1), full_scale=0.1) == bright).mean() > 0.99


@given(st.floats(0, 2), st.floats(0, 2))
def test_more_heat_is_never_less_opaque(first: float, second: float) -> None:
    low, high = (clearness(even(level)) for level in sorted((first, second)))
    assert low.min() >= high.max() - 1
    assert high.min() >= 255 * (1 - max(opacity for _, opacity in PALETTE["heat"]["opacity"])) - 2


@given(st.floats(1e-3, 1e3))
def test_only_the_ratio_to_the_full_scale_matters(unit: float) -> None:
    face = photo()
    expected = draw_overlay(face, bump(0.7), full_scale=1.0).astype(int)
    assert np.abs(draw_overlay(face, bump(0.7) * np.float32(unit), full_scale=unit) - expected).max() <= 2


def test_beyond_the_full_scale_all_looks_alike() -> None:
    face = photo()
    assert (draw_overlay(face, even(1.0), full_scale=1.0) == draw_overlay(face, even(50.0), full_scale=1.0)).all()


# --- enlarging --------------------------------------------------------------------------------


def test_enlarging_does_not_ring() -> None:
    cells = np.zeros((14, 14), np.float32)
    cells[4:8, 4:8] = 0.9
    clear, cell = clearness(cells), SIZE_PX // 14
    assert (clear[: 3 * cell] == 255).all()  # a cell away from the hot ones there is nothing
    assert (np.diff(clear[6 * cell, : 6 * cell]) <= 0).all()
    assert clear.min() >= clearness(even(0.9)).max() - 1


def test_a_map_lies_where_its_cells_are() -> None:
    cells = np.zeros((14, 14), np.float32)
    cells[3, 10] = 1
    face = gray()
    y, x = np.unravel_index(change(face, draw_overlay(face, cells, full_scale=1.0)).argmax(), face.shape[:2])
    cell = SIZE_PX / 14
    assert (y // cell, x // cell) == (3, 10)


def test_detail_of_the_face_shows_under_full_heat() -> None:
    face = gray()
    face[::4, ::4] = 255  # fine structure
    drawn = draw_overlay(face, even(1.0), full_scale=1.0)[52:60, 52:60, 2]  # blue: far from saturated
    assert np.ptp(drawn.astype(int)) > 60


# --- lines ------------------------------------------------------------------------------------


def square_mask() -> NDArray[np.bool_]:
    mask = np.zeros((SIZE_PX, SIZE_PX), bool)
    mask[30:80, 40:90] = True
    return mask


def test_an_outline_is_thin_and_runs_along_the_mask() -> None:
    face = gray(60)
    drawn = change(face, draw_overlay(face, even(0.0), full_scale=1.0, outlines=[square_mask()])) > 20
    away = cv2.distanceTransform((~drawn).astype(np.uint8), cv2.DIST_L2, 3)
    assert away[30, 45:85].max() <= 1.5
    assert away[35:75, 89].max() <= 1.5
    assert not drawn[35:75, 45:85].any()
    assert not drawn[:26].any()
    assert drawn.sum() < 5 * 200
    assert np.argwhere(drawn).mean(axis=0) == pytest.approx([54.5, 64.5], abs=0.2)


def test_no_line_runs_along_the_pictures_edge() -> None:
    face = gray(60)
    left_half = np.zeros((SIZE_PX, SIZE_PX), bool)
    left_half[:, :56] = True
    drawn = change(face, draw_overlay(face, even(0.0), full_scale=1.0, outlines=[left_half])) > 20
    assert drawn[:, 54:58].any(axis=1).all()
    assert not drawn[:, :50].any()
    assert not drawn[:, 62:].any()


def test_a_contour_surrounds_what_is_above_its_level() -> None:
    face = gray(60)
    plain = draw_overlay(face, bump(), full_scale=1.0)
    drawn = change(plain, draw_overlay(face, bump(), full_scale=1.0, contour_level=0.5)) > 20
    y, x = np.nonzero(drawn)
    radius = np.hypot(y - 55.5, x - 55.5).mean() / (SIZE_PX - 1) * 6
    assert radius == pytest.approx(np.sqrt(np.log(2)), abs=0.1)


def test_a_contour_above_the_maximum_draws_nothing() -> None:
    face = photo()
    plain = draw_overlay(face, bump(0.3), full_scale=1.0)
    assert (draw_overlay(face, bump(0.3), full_scale=1.0, contour_level=0.5) == plain).all()


def test_arguments_are_not_changed() -> None:
    face, heat, mask = photo(), bump(), square_mask()
    before = [array.copy() for array in (face, heat, mask)]
    draw_overlay(face, heat, full_scale=1.0, outlines=[mask], contour_level=0.5)
    draw_map(face, heat, full_scale=1.0)
    assert all((array == copy).all() for array, copy in zip((face, heat, mask), before, strict=True))


# --- other pictures ---------------------------------------------------------------------------


def test_a_map_alone_is_drawn_over_gray() -> None:
    face = photo()
    cold = draw_map(face, even(0.0), full_scale=1.0)
    assert (np.ptp(cold, axis=2) == 0).all()
    assert (cold[..., 0] == cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)).all()
    assert np.ptp(draw_map(face, even(0.6), full_scale=1.0), axis=2).min() > 30


@pytest.mark.parametrize(("side", "size_px", "expected"), [(112, 64, 64), (112, 112, 112), (40, 64, 40)])
def test_thumbnails_are_reduced_never_enlarged(side: int, size_px: int, expected: int) -> None:
    picture = gray(77, side)
    thumbnail = make_thumbnail(picture, size_px)
    assert thumbnail.shape == (expected, expected, 3)
    assert (thumbnail == 77).all()
    assert not np.shares_memory(thumbnail, picture)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("words", [("weak", "strong"), ("none", "weak", "strong")])
def test_the_legend_shows_the_scale_and_its_words(words: tuple[str, ...], theme: str) -> None:
    legend = draw_legend(words, width_px=320, theme=theme)
    page = int(PALETTE["themes"][theme]["page"][1:3], 16)
    assert legend.shape[1] == 320
    written = np.abs(legend[24:, :, 0].astype(int) - page).max(axis=0) > 60
    assert written[:30].any()
    assert written[-30:].any()
    assert written[140:180].any() == (len(words) == 3)
    bar = legend[4].astype(int)
    last, opacity = PALETTE["heat"]["stops"][-1][1], PALETTE["heat"]["opacity"][-1][1]
    skin = bar[0]
    expected = [int(last[place : place + 2], 16) * opacity for place in (1, 3, 5)] + skin * (1 - opacity)
    assert np.abs(bar[-1] - expected).max() <= 2


@pytest.mark.parametrize("words", [(), ("strong",), ("слабо", "сильно")], ids=["none", "one", "not Latin"])
def test_legends_that_cannot_be_drawn_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"word|letters"):
        draw_legend(words)


# --- encoding ---------------------------------------------------------------------------------


def decode(data: bytes) -> U8:
    return np.asarray(cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_png_keeps_every_pixel(picture: U8) -> None:
    data = encode_png(picture)
    assert data.startswith(b"\x89PNG")
    assert (decode(data) == picture).all()


def test_jpeg_keeps_channels_and_gets_smaller_with_quality() -> None:
    red = gray(0)
    red[..., 0] = 200
    assert np.abs(decode(encode_jpeg(red)).astype(int) - red).max() <= 4
    sizes = [len(encode_jpeg(photo(), quality)) for quality in (30, 60, 90)]
    assert sizes == sorted(sizes)
    assert encode_jpeg(photo()).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("encode", [encode_jpeg, encode_png])
def test_pictures_are_repeatable_to_the_byte(encode: Callable[[U8], bytes]) -> None:
    def draw() -> bytes:
        return encode(draw_overlay(photo(), bump(), full_scale=1.0, outlines=[square_mask()], contour_level=0.5))

    assert draw() == draw()


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda: draw_overlay(gray()[..., 0], even(1), full_scale=1), "picture"),
        (lambda: draw_overlay(gray().astype(np.float32), even(1), full_scale=1), "picture"),
        (lambda: draw_overlay(gray(), -even(1), full_scale=1), "heat map"),
        (lambda: draw_overlay(gray(), even(np.nan), full_scale=1), "heat map"),
        (lambda: draw_overlay(gray(), even(1)[None], full_scale=1), "heat map"),
        (lambda: draw_overlay(gray(), even(1), full_scale=0), "full scale"),
        (lambda: draw_map(gray(), even(1), full_scale=float("nan")), "full scale"),
        (lambda: draw_overlay(gray(), even(1), full_scale=1, contour_level=1.5), "contour"),
        (lambda: draw_overlay(gray(), even(1), full_scale=1, outlines=[np.ones((5, 5), bool)]), "mask"),
        (lambda: make_thumbnail(gray()[:50], 20), "square"),
        (lambda: encode_jpeg(gray(), 0), "quality"),
        (lambda: encode_png(gray()[:0]), "picture"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        draw()
