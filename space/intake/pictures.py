"""Photos to what is seen: upright, eight bits, no transparency."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin
from PIL import WebPImagePlugin as WebpImagePlugin

from space.contract import U8
from space.errors import SourceError
from space.intake.containers import BMP, GIF, JPEG, PNG, WEBP, Container
from space.intake.pixels import composite
from space.settings import Limits

# The readers themselves, not `Image.open`, which tries others and takes a phone's JPEG with a gain map for an album.
READERS: dict[Container, type[ImageFile.ImageFile]] = {
    JPEG: JpegImagePlugin.JpegImageFile,
    PNG: PngImagePlugin.PngImageFile,
    WEBP: WebpImagePlugin.WebPImageFile,
    BMP: BmpImagePlugin.BmpImageFile,
    GIF: GifImagePlugin.GifImageFile,
}
ORIENTATION = 0x0112  # Exif tag
# How to turn a picture upright, by the tag's value.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPPED = {5, 6, 7, 8}  # those that swap width and height
# What Pillow's readers raise on damaged files.
DAMAGED = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error),
    Image.DecompressionBombError,  # a GIF's first picture may be larger than its screen
)


def measure_picture(stream: BinaryIO, container: Container, *, limits: Limits) -> tuple[int, int]:
    """Width and height of a photo as shown, from its header.

    Raises:
        SourceError: ``unreadable``, ``too_many_pixels``, ``unsupported_type`` (animated WebP or PNG: one of
            its pictures would stand for all of them).
    """
    image = _open(stream, container)
    try:
        check_pixels(image.width, image.height, limits)
        if getattr(image, "is_animated", False):
            raise SourceError("unsupported_type")
    except DAMAGED as error:
        raise SourceError("unreadable") from error
    return (image.height, image.width) if _orientation(image) in SWAPPED else image.size


def read_picture(stream: BinaryIO, container: Container) -> U8:
    """A photo as shown: Exif orientation applied, transparency over white.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        SourceError: ``unreadable``.
    """
    image = _open(stream, container)
    try:
        image.load()
        pixels = _on_paper(image)
    except DAMAGED as error:
        raise SourceError("unreadable") from error
    turn = TURNS.get(_orientation(image))
    return np.array(pixels if turn is None else pixels.transpose(turn))


def _on_paper(image: Image.Image) -> Image.Image:
    """A picture of any mode in RGB, transparency over white."""
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if "A" in image.getbands() or "transparency" in image.info:
        return Image.fromarray(composite(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray in eight, with alpha where one gray level is transparent."""
    levels = np.asarray(image)
    gray = Image.fromarray((levels >> 8).astype(np.uint8))
    if isinstance(hidden := image.info.get("transparency"), int):
        gray.putalpha(Image.fromarray(np.where(levels == hidden, 0, 255).astype(np.uint8)))
    return gray


def _orientation(image: Image.Image) -> int:
    """The Exif tag's value; 1, upright, where it is missing or damaged: viewers show such a picture as it is."""
    try:
        value = image.getexif().get(ORIENTATION)
    except DAMAGED:
        return 1
    return value if value in TURNS else 1


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse pictures that would need too much memory.

    Raises:
        SourceError: ``too_many_pixels``.
    """
    if width * height > limits.max_pixels:
        megapixels = {"limit_mp": limits.max_pixels / 1e6, "actual_mp": width * height / 1e6}
        raise SourceError("too_many_pixels", **{key: round(value, 1) for key, value in megapixels.items()})


def _open(stream: BinaryIO, container: Container) -> ImageFile.ImageFile:
    try:
        return READERS[container](stream)
    except DAMAGED as error:
        raise SourceError("unreadable") from error
