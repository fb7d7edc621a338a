"""Pictures: heat maps over faces on one absolute scale, thumbnails, the scale's legend, encoding.

Colouring happens here and nowhere before. The scale is the caller's ``full_scale``, a property of the
ensemble, never of the map at hand: a dim map stays dim, and a genuine face keeps its own colours. Colours
and opacities are those of ``shared/palette.json``, which page and extension use as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from space.contract import F32, U8
from space.settings import SHARED

CELLS = 14  # cells along the side of the finest heat map
SMOOTHING_CELLS = (
    0.2  # sigma: rounds the creases of bilinear enlarging (cubic would ring); a lone hot cell shows at 0.7
)
DETAIL = 0.6  # of the face's fine structure kept under opaque heat, so that one sees what is marked
N_LEVELS = 1024  # steps of the colour scale
CONTOUR_LEVEL = 0.5  # of the full scale
JPEG_QUALITY = 90

_LINE = (255, 255, 255)
_LINE_SHADOW = (20, 16, 28)
_SUBPIXEL_BITS = 4
_LEGEND_SKIN = (198, 170, 150)  # a middle skin tone: the scale is seen over faces


# --- the colour scale -------------------------------------------------------------------------


@cache
def _palette() -> Mapping[str, Any]:
    palette: Mapping[str, Any] = json.loads((SHARED / "palette.json").read_text(encoding="utf-8"))
    return palette


@cache
def _scale() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours (N_LEVELS, 3) in [0, 255] and opacities (N_LEVELS, 1) in [0, 1], by level."""
    heat = _palette()["heat"]
    levels = np.linspace(0, 1, N_LEVELS)
    positions, colours = zip(*heat["stops"], strict=True)
    channels = np.array([_parse_colour(colour) for colour in colours], np.float64).T
    rgb = np.stack([np.interp(levels, positions, channel) for channel in channels], axis=1)
    opacity = np.interp(levels, *np.array(heat["opacity"], np.float64).T)
    return rgb.astype(np.float32), opacity[:, None].astype(np.float32)


def _parse_colour(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _lay_over(background: U8, levels: F32) -> U8:
    """Lay coloured levels in [0, 1], (H, W), over a picture (H, W, 3)."""
    rgb, opacity = _scale()
    index = np.round(levels * (N_LEVELS - 1)).astype(np.intp)
    alpha = opacity[index]
    blend = background * (1 - alpha) + rgb[index] * alpha
    picture = np.clip(np.round(blend + DETAIL * alpha * _find_detail(background)), 0, 255)
    return np.asarray(picture, np.uint8)


def _find_detail(image: U8) -> F32:
    """Fine structure of a picture, (H, W, 1): what is brighter or darker than its surroundings."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = gray - cv2.GaussianBlur(gray, (0, 0), max(image.shape[:2]) / 40)
    return np.asarray(detail[..., None], np.float32)


def _find_levels(heat: F32, size_hw: tuple[int, int], full_scale: float) -> F32:
    """Heat at the picture's size as a share of the full scale, clipped to [0, 1]."""
    if not (np.isfinite(full_scale) and full_scale > 0):
        raise ValueError("the full scale is a positive number")
    if heat.ndim != 2 or heat.size == 0 or not np.isfinite(heat).all() or heat.min() < 0:
        raise ValueError("a heat map is two-dimensional, finite and not negative")
    height, width = size_hw
    upsampled = cv2.resize(np.asarray(heat, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    sigma = SMOOTHING_CELLS * max(height, width) / CELLS
    smooth = cv2.GaussianBlur(upsampled, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(smooth / full_scale, 0, 1), np.float32)


# --- heat over faces --------------------------------------------------------------------------


def draw_overlay(
    image: U8,
    heat: F32,
    *,
    full_scale: float,
    outlines: Sequence[NDArray[np.bool_]] = (),
    contour_level: float | None = None,
) -> U8:
    """Lay a heat map over a face.

    Args:
        image: (H, W, 3) RGB crop.
        heat: (h, w) raw magnitudes >= 0 over the same area; enlarged where it is coarser.
        full_scale: magnitude, in the map's unit, that gets the scale's last colour; beyond it all looks alike.
        outlines: (H, W) masks of the parts that are named: each gets a thin outline.
        contour_level: share of the full scale, in (0, 1), around which a line is drawn; None draws none.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: an image, map, mask or scale of another kind.
    """
    _check_image(image)
    levels = _find_levels(heat, (image.shape[0], image.shape[1]), full_scale)
    picture = _lay_over(image, levels)
    if contour_level is not None:
        if not 0 < contour_level < 1:
            raise ValueError("a contour's level lies between 0 and 1")
        _draw_line(picture, levels - contour_level, opacity=0.55)
    for mask in outlines:
        if mask.shape != image.shape[:2]:
            raise ValueError(f"a mask of {mask.shape} does not fit a picture of {image.shape[:2]}")
        _draw_line(picture, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5) - 0.5, opacity=0.85)
    return picture


def draw_map(image: U8, heat: F32, *, full_scale: float) -> U8:
    """Draw one member's or one layer's map, for looking at the map itself.

    The face under it is reduced to gray, so that every colour is heat. Arguments, result and errors
    are those of ``draw_overlay``.
    """
    _check_image(image)
    levels = _find_levels(heat, (image.shape[0], image.shape[1]), full_scale)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return _lay_over(np.repeat(gray[..., None], 3, axis=2), levels)


def _draw_line(picture: U8, field: F32, *, opacity: float) -> None:
    """Draw the line where a field (H, W) crosses zero into a picture: light on a dark rim, to be seen on any skin."""
    zoom, border_px = 4, 4  # the border lets lines run out of the picture instead of along its edge
    bordered = np.pad(field, border_px, mode="edge")
    fine = cv2.resize(bordered, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((fine > 0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = [((contour + 0.5) / zoom - 0.5 - border_px) * 2**_SUBPIXEL_BITS for contour in contours]
    lines = [np.round(line).astype(np.int32) for line in points]
    thickness = max(1, round(min(picture.shape[:2]) / 400))
    for colour, extra, strength in ((_LINE_SHADOW, 2, 0.4 * opacity), (_LINE, 0, opacity)):
        layer = cv2.polylines(picture.copy(), lines, True, colour, thickness + extra, cv2.LINE_AA, _SUBPIXEL_BITS)
        picture[:] = cv2.addWeighted(layer, strength, picture, 1 - strength, 0)


# --- other pictures ---------------------------------------------------------------------------


def make_thumbnail(image: U8, size_px: int) -> U8:
    """Reduce a square picture to ``size_px``; a smaller one stays as it is.

    Args:
        image: (S, S, 3) RGB.
    """
    _check_image(image)
    if image.shape[0] != image.shape[1]:
        raise ValueError(f"a thumbnail is made of a square picture, not of {image.shape[:2]}")
    if image.shape[0] <= size_px:
        return image.copy()
    return np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)


def draw_legend(words: Sequence[str], *, width_px: int = 320, theme: str = "light") -> U8:
    """Draw the colour scale as it looks over skin, with words from weak to strong under it.

    Args:
        words: two or more, spread evenly from the scale's start to its end; in Latin letters.
        theme: "light" or "dark", of the page behind it.

    Returns:
        (h, width_px, 3) RGB.

    Raises:
        ValueError: fewer than two words, or letters that the built-in font lacks.
    """
    if len(words) < 2:
        raise ValueError("a scale has a word at either end")
    page, ink = (_parse_colour(_palette()["themes"][theme][key]) for key in ("page", "ink"))
    bar_px, text_px, tick_px = max(8, width_px // 20), max(11, width_px // 24), max(3, width_px // 80)
    skin = np.full((bar_px, width_px, 3), _LEGEND_SKIN, np.uint8)
    bar = _lay_over(skin, np.tile(np.linspace(0, 1, width_px, dtype=np.float32), (bar_px, 1)))
    canvas = Image.new("RGB", (width_px, bar_px + tick_px + text_px * 3 // 2), page)
    canvas.paste(Image.fromarray(bar), (0, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(text_px)
    for number, word in enumerate(words):
        _check_letters(word, font)
        x = round(number * (width_px - 1) / (len(words) - 1))
        draw.line([(x, bar_px), (x, bar_px + tick_px)], fill=ink)
        left = min(max(0.0, x - font.getlength(word) / 2), width_px - font.getlength(word))
        draw.text((left, bar_px + tick_px), word, fill=ink, font=font)
    return np.array(canvas, np.uint8)


def _check_letters(word: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
    missing = bytes(font.getmask("\U0010ffff"))
    if any(bytes(font.getmask(letter)) == missing for letter in word):
        raise ValueError(f"the built-in font has no letters for {word!r}")


# --- encoding ---------------------------------------------------------------------------------


def encode_jpeg(image: U8, quality: int = JPEG_QUALITY) -> bytes:
    """Encode an RGB picture as JPEG; the same picture gives the same bytes.

    Args:
        quality: 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise ValueError("JPEG quality lies between 1 and 100")
    return _encode(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(image: U8) -> bytes:
    """Encode an RGB picture as PNG, without loss."""
    return _encode(image, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _encode(image: U8, suffix: str, options: list[int]) -> bytes:
    _check_image(image)
    is_done, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not is_done:
        raise RuntimeError(f"OpenCV could not encode a picture as {suffix}")
    return encoded.tobytes()


def _check_image(image: U8) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"a picture is (H, W, 3) uint8, not {image.shape} {image.dtype}")
