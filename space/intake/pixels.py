"""Decoded frames to what is seen: upright, square pixels, eight bits, no transparency, no combing."""

from __future__ import annotations

import struct
from fractions import Fraction
from functools import cache

import av
import av.filter
import av.video.reformatter
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData

from space.contract import F32, U8

PAPER = 255  # what shows through a transparent picture: white
SDR_WHITE_NITS = 203.0  # diffuse white of HDR programmes, ITU-R BT.2408
HLG_PEAK_NITS = 1000.0  # of the display HLG is graded on, ITU-R BT.2100
TRC_PQ, TRC_HLG = 16, 18  # transfer characteristics, ITU-T H.273
# Linear light of ITU-R BT.2020's primaries to BT.709's, ITU-R BT.2087.
BT709_FROM_BT2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
N_LEVELS = 4096  # of linear light, for the way back to eight bits
BAND_PX = 128  # rows converted at a time


class PixelConverter:
    """Converts a clip's frames.

    Untagged colours are read as ITU-R BT.601, as the extraction tools do that the field's data sets were
    made with.

    Args:
        size_wh: of the pictures that come out, whatever a frame's own size is.
    """

    def __init__(self, size_wh: tuple[int, int]) -> None:
        self._size_wh = size_wh
        self._reformatter = av.video.reformatter.VideoReformatter()

    def to_rgb(self, frame: av.VideoFrame) -> U8:
        """A decoded frame as displayed: (H, W, 3) RGB uint8."""
        a, b, c, d = display_matrix(frame)
        is_turned = _is_turned((a, b, c, d))
        width, height = reversed(self._size_wh) if is_turned else self._size_wh
        image = self._to_rgb(deinterlace(frame) if frame.interlaced_frame else frame, width, height)
        if is_turned:  # (x, y) is shown at (c y, b x)
            image, flip_x, flip_y = image.transpose(1, 0, 2), c < 0, b < 0
        else:  # at (a x, d y)
            flip_x, flip_y = a < 0, d < 0
        return np.ascontiguousarray(image[:: -1 if flip_y else 1, :: -1 if flip_x else 1])

    def _to_rgb(self, frame: av.VideoFrame, width: int, height: int) -> U8:
        is_hdr = frame.color_trc in {TRC_PQ, TRC_HLG}
        pixel_format = "rgb48le" if is_hdr else "rgba" if has_alpha(frame) else "rgb24"
        # One thread: setting up more takes longer than the conversion.
        converted = self._reformatter.reformat(frame, width=width, height=height, format=pixel_format, threads=1)
        image = converted.to_ndarray()
        if is_hdr:
            return to_sdr(np.asarray(image, np.uint16), frame.color_trc)
        picture = np.asarray(image, np.uint8)
        return composite(picture) if pixel_format == "rgba" else picture


# --- geometry ---------------------------------------------------------------------------------


def displayed_wh(frame: av.VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """The size of a frame as shown.

    Pixels that are not square are stretched along their shorter side, as browsers do: none is lost.

    Args:
        frame: as decoded.
        pixel_aspect: width of a pixel / its height.
    """
    width = round(frame.width * max(1.0, pixel_aspect))
    height = round(frame.height / min(1.0, pixel_aspect))
    return (height, width) if _is_turned(display_matrix(frame)) else (width, height)


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Where pixels are shown: (x, y) at (a x + c y, b x + d y), up to a shift; 16.16 fixed point."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    return (a, b, c, d) if (a, b, c, d) != (0, 0, 0, 0) else (1, 0, 0, 1)


def _is_turned(matrix: tuple[int, int, int, int]) -> bool:
    """Whether the matrix is nearer to a quarter turn than to none."""
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def deinterlace(frame: av.VideoFrame) -> av.VideoFrame:
    """One field, filled up to a frame: two fields show a moving face as a comb."""
    graph = av.filter.Graph()
    # Any time base will do for one frame; one that comes out of a drained decoder has none of its own.
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    field = graph.add("estdif", "mode=frame:deint=all")
    sink = graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    filled = graph.pull()
    assert isinstance(filled, av.VideoFrame)
    return filled


# --- colours ----------------------------------------------------------------------------------


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether some of a frame's pixels may be transparent."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def composite(image: U8) -> U8:
    """A transparent picture over white.

    Args:
        image: (H, W, 4) RGBA, straight alpha.

    Returns:
        (H, W, 3) RGB uint8.
    """
    colour, alpha = image[:, :, :3].astype(np.uint16), image[:, :, 3:].astype(np.uint16)
    return ((colour * alpha + PAPER * (255 - alpha) + 127) // 255).astype(np.uint8)


def to_sdr(image: npt.NDArray[np.uint16], transfer: int) -> U8:
    """A high dynamic range picture as an ordinary screen shows it; brighter than white is white.

    Args:
        image: (H, W, 3) RGB uint16, full range, BT.2020 primaries.
        transfer: ``TRC_PQ`` or ``TRC_HLG``.

    Returns:
        (H, W, 3) sRGB uint8.
    """
    shown = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), BAND_PX):  # floats of a whole large picture would take hundreds of megabytes
        rows = slice(top, top + BAND_PX)
        shown[rows] = _band_to_sdr(image[rows], transfer)
    return shown


def _band_to_sdr(band: npt.NDArray[np.uint16], transfer: int) -> U8:
    light = np.take(_light_levels(transfer), band >> 4)
    if transfer == TRC_HLG:  # the display's part of the curve: BT.2100, system gamma 1.2 on luminance
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (luminance**0.2)[:, :, None] * (HLG_PEAK_NITS / SDR_WHITE_NITS)
    light = np.clip(light @ BT709_FROM_BT2020.T, 0, 1)
    return np.take(_srgb_levels(), (light * (N_LEVELS - 1) + 0.5).astype(np.uint16))


@cache
def _light_levels(transfer: int) -> F32:
    """Linear light of 12-bit signal levels: of the scene, peak 1 (HLG), or on the screen, SDR white 1 (PQ)."""
    signal = np.arange(N_LEVELS) / (N_LEVELS - 1)
    if transfer == TRC_HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10_000 / SDR_WHITE_NITS
    return light.astype(np.float32)


@cache
def _srgb_levels() -> U8:
    """The 8-bit values in sRGB of ``N_LEVELS`` levels of linear light."""
    light = np.arange(N_LEVELS) / (N_LEVELS - 1)
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(signal * 255), np.uint8)
