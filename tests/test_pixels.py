"""Colours of decoded frames as an ordinary screen shows them, and frames made of two fields."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import U8
from space.intake.frames import sample_frames
from space.intake.pixels import TRC_HLG, TRC_PQ, PixelConverter, composite, deinterlace, displayed_wh, to_sdr
from space.intake.source import open_source
from space.settings import Limits
from tests import media

LIMITS = Limits()
SIZE = (64, 48)
SKIN = (224, 172, 105)


def plain(colour: tuple[int, ...]) -> U8:
    return np.full((SIZE[1], SIZE[0], len(colour)), colour, np.uint8)


def yuv_frame(colour: tuple[float, float, float], pixel_format: str, matrix: str, *, full_range: bool) -> av.VideoFrame:
    """A plain frame, computed from the matrix' definition (ITU-R BT.601, BT.709, BT.2020)."""
    red, green, blue = (value / 255 for value in colour)
    k_red, k_blue = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}[matrix]
    luma = k_red * red + (1 - k_red - k_blue) * green + k_blue * blue
    differences = (blue - luma) / (2 - 2 * k_blue), (red - luma) / (2 - 2 * k_red)
    depth = 1 << (2 if "10" in pixel_format else 0)
    levels = [
        (luma * 255 if full_range else 16 + luma * 219) * depth,
        *((128 + difference * (255 if full_range else 224)) * depth for difference in differences),
    ]
    frame = av.VideoFrame(*SIZE, pixel_format)
    for plane, level in zip(frame.planes, levels, strict=True):
        dtype = np.uint16 if depth > 1 else np.uint8
        count = plane.buffer_size // np.dtype(dtype).itemsize
        plane.update(np.full(count, min(round(level), 256 * depth - 1), dtype))
    frame.colorspace = {"601": 6, "709": 1, "2020": 9}[matrix]
    frame.color_range = 2 if full_range else 1
    return frame


@pytest.mark.parametrize("matrix", ["601", "709", "2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), SKIN, (255, 255, 255), (0, 0, 0)])
def test_colours_follow_their_tags(colour: tuple[int, ...], pixel_format: str, full_range: bool, matrix: str) -> None:
    frame = yuv_frame(colour, pixel_format, matrix, full_range=full_range)  # type: ignore[arg-type]
    image = PixelConverter(SIZE).to_rgb(frame)
    assert image.shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(image[24, 32].astype(int) - colour).max() <= 3


def test_untagged_colours_are_read_as_bt601() -> None:
    frame = yuv_frame(SKIN, "yuv420p", "601", full_range=False)
    frame.colorspace, frame.color_range = 2, 0
    assert np.abs(PixelConverter(SIZE).to_rgb(frame)[24, 32].astype(int) - SKIN).max() <= 3


@pytest.mark.parametrize("size_wh", [(64, 48), (128, 48), (32, 24), (33, 77)])
def test_pictures_have_the_clips_size_whatever_the_frames(size_wh: tuple[int, int]) -> None:
    frame = yuv_frame(SKIN, "yuv420p", "709", full_range=False)
    image = PixelConverter(size_wh).to_rgb(frame)
    assert image.shape == (size_wh[1], size_wh[0], 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert np.abs(image[size_wh[1] // 2, size_wh[0] // 2].astype(int) - SKIN).max() <= 3


@given(st.integers(1, 4000), st.integers(1, 4000), st.floats(0.1, 10))
def test_square_pixels_lose_none(width: int, height: int, pixel_aspect: float) -> None:
    frame = av.VideoFrame(width, height, "gray")
    shown_width, shown_height = displayed_wh(frame, pixel_aspect)
    assert shown_width >= width
    assert shown_height >= height
    assert shown_width == width or shown_height == height
    assert shown_width / shown_height == pytest.approx(width / height * pixel_aspect, rel=1 / min(width, height))


# --- transparency -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgba", "rgb"),
    [
        ((10, 20, 30, 255), (10, 20, 30)),
        ((10, 20, 30, 0), (255, 255, 255)),
        ((0, 100, 200, 128), (127, 177, 227)),
        ((0, 0, 0, 51), (204, 204, 204)),
    ],
)
def test_transparent_pixels_show_white(rgba: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    assert np.array_equal(composite(plain(rgba)), plain(rgb))
    frame = av.VideoFrame.from_ndarray(plain(rgba), format="rgba")
    assert np.array_equal(PixelConverter(SIZE).to_rgb(frame), plain(rgb))


def test_transparent_clips_show_white(tmp_path: Path) -> None:
    picture = np.dstack([media.draw(3), np.full((media.HEIGHT, media.WIDTH), 255, np.uint8)])
    picture[:20, :20, 3] = 0
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = media.WIDTH, media.HEIGHT, "bgra"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format="bgra")))
        container.mux(stream.encode(None))
    for frame in sample_frames(open_source(path, limits=LIMITS), 4, limits=LIMITS):
        assert np.array_equal(frame.image, np.where(picture[:, :, 3:] == 0, 255, picture[:, :, :3]))


# --- high dynamic range -----------------------------------------------------------------------


def gray(level: float) -> np.ndarray:
    return np.full((200, 8, 3), round(level * 65535), np.uint16)


@pytest.mark.parametrize(
    ("transfer", "signal", "expected"),
    [
        (TRC_PQ, 0.0, 0),
        (TRC_PQ, 0.5807, 255),  # 203 cd/m2, HDR reference white (ITU-R BT.2408, table 1)
        (TRC_PQ, 0.38, 100),  # 26 cd/m2, a gray card of 18 %: sRGB's value of 26 / 203
        (TRC_PQ, 1.0, 255),
        (TRC_HLG, 0.0, 0),
        (TRC_HLG, 0.75, 255),  # HDR reference white
        (TRC_HLG, 0.38, 100),  # the gray card
        (TRC_HLG, 1.0, 255),
    ],
)
def test_reference_levels_of_high_dynamic_range(transfer: int, signal: float, expected: int) -> None:
    image = to_sdr(gray(signal), transfer)
    assert (image.shape, image.dtype) == ((200, 8, 3), np.uint8)
    assert np.ptp(image) <= 1
    assert int(image[0, 0, 0]) == pytest.approx(expected, abs=3)


@given(st.integers(0, 65535), st.integers(0, 65535), st.sampled_from([TRC_PQ, TRC_HLG]))
def test_brighter_stays_brighter(first: int, second: int, transfer: int) -> None:
    low, high = sorted((first, second))
    assert to_sdr(gray(low / 65535), transfer)[0, 0, 0] <= to_sdr(gray(high / 65535), transfer)[0, 0, 0]


@pytest.mark.parametrize("transfer", [TRC_PQ, TRC_HLG])
def test_high_dynamic_range_clips_are_shown_as_on_an_ordinary_screen(tmp_path: Path, transfer: int) -> None:
    colours = {"color_primaries": 9, "color_trc": transfer, "colorspace": 9, "color_range": 1}
    path = media.write_clip(
        tmp_path / "a.mp4",
        n_frames=4,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"preset": "ultrafast", "x265-params": "log-level=none"},
        images=[plain((128, 128, 128))] * 4,
        size_wh=SIZE,
        colours=colours,
    )
    frames = list(sample_frames(open_source(path, limits=LIMITS), 4, limits=LIMITS))
    expected = to_sdr(gray(128 / 255), transfer)[0, 0].astype(int)
    assert len(frames) == 4
    for frame in frames:
        assert np.abs(frame.image.astype(int) - expected).max() <= 6
    assert abs(int(expected[0]) - 128) > 8  # it is not what the plain levels would be


# --- two fields -------------------------------------------------------------------------------


def combed(height: int = 96) -> U8:
    """A bar that has moved between the two fields: each stands in every other row."""
    image = np.full((height, 160, 3), 40, np.uint8)
    image[0::2, 40:60] = 220
    image[1::2, 70:90] = 220
    return image


def combing(image: U8) -> float:
    rows = image[8:-8].astype(int)
    return float(np.abs(rows[1:-1] * 2 - rows[:-2] - rows[2:]).mean())


def test_two_fields_are_not_shown_as_a_comb(tmp_path: Path) -> None:
    options = {"preset": "veryfast", "crf": "4", "x264-params": "tff=1"}
    path = media.write_clip(tmp_path / "a.mp4", images=[combed()] * 6, interlaced=True, options=options)
    clip = open_source(path, limits=LIMITS)
    frames = list(sample_frames(clip, 4, limits=LIMITS))
    assert len(frames) == 4
    for frame in frames:
        assert combing(frame.image) < 0.15 * combing(combed())
        one, other = sorted((frame.image[48, 50].mean(), frame.image[48, 80].mean()))
        assert one < 80
        assert other > 180  # one field's bar stands, the other's is gone


def test_progressive_frames_keep_all_their_rows(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.mp4", images=[combed()] * 6, options={"preset": "veryfast", "crf": "4"})
    (frame, *_) = sample_frames(open_source(path, limits=LIMITS), 4, limits=LIMITS)
    assert combing(frame.image) > 0.8 * combing(combed())


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv420p10le", "yuv444p"])
def test_a_filled_field_keeps_the_frames_shape(pixel_format: str) -> None:
    frame = yuv_frame(SKIN, pixel_format, "709", full_range=False)
    filled = deinterlace(frame)
    assert (filled.width, filled.height, filled.format.name) == (*SIZE, pixel_format)
    assert np.abs(PixelConverter(SIZE).to_rgb(filled)[24, 32].astype(int) - SKIN).max() <= 3
