"""Photos to what is seen: upright, eight bits, no transparency."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin
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
TURNED = {5, 6, 7, 8}  # its values that swap width and height
# What Pillow's readers raise on damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, struct.error)


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
        is_turned = image.getexif().get(ORIENTATION) in TURNED
    except DAMAGED as error:
        raise SourceError("unreadable") from error
    return (image.height, image.width) if is_turned else image.size


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
        upright = ImageOps.exif_transpose(image)
        if "A" in upright.getbands() or "transparency" in upright.info:
            return composite(np.asarray(upright.convert("RGBA")))
        if upright.mode.startswith("I"):  # 16-bit gray
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        return np.asarray(upright.convert("RGB")).copy()
    except DAMAGED as error:
        raise SourceError("unreadable") from error


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
