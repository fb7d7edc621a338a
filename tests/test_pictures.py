"""Photos and frames as they are seen: upright, square pixels, eight bits, over white."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from space.contract import U8, Clip
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.settings import Limits
from tests import media

LIMITS = Limits()
PICTURE = media.draw(5)


@pytest.fixture(scope="session")
def clip_mp4(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return media.write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", n_frames=8).read_bytes()


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def photo(clip: Clip) -> U8:
    (frame,) = sample_frames(clip, 16, limits=LIMITS)
    assert frame.image.shape == (clip.info.height, clip.info.width, 3)
    assert frame.image.dtype == np.uint8
    return frame.image


# --- how pictures stand -----------------------------------------------------------------------

CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
RED, GREEN, BLUE, YELLOW = (media.CORNERS[corner] for corner in CORNERS)
# What is seen in the corners, by the value of Exif's orientation tag (CIPA DC-008, table 6).
ORIENTATIONS = {
    1: (RED, GREEN, BLUE, YELLOW),
    2: (GREEN, RED, YELLOW, BLUE),
    3: (YELLOW, BLUE, GREEN, RED),
    4: (BLUE, YELLOW, RED, GREEN),
    5: (RED, BLUE, GREEN, YELLOW),
    6: (BLUE, RED, YELLOW, GREEN),
    7: (YELLOW, GREEN, BLUE, RED),
    8: (GREEN, YELLOW, RED, BLUE),
}
# The same turns as display matrices of a video: (x, y) is shown at (a x + c y, b x + d y).
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def assert_corners(image: U8, colours: tuple[tuple[int, ...], ...]) -> None:
    found = media.corner_colours(image)
    for corner, colour in zip(CORNERS, colours, strict=True):
        assert np.abs(np.subtract(found[corner], colour)).max() < 40, (corner, found)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_photos_stand_upright(tmp_path: Path, picture_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = media.encode_image(PICTURE, picture_format, exif=exif)
    clip = open_source(save(tmp_path / "a", data), limits=LIMITS)
    size = (media.HEIGHT, media.WIDTH) if orientation >= 5 else (media.WIDTH, media.HEIGHT)
    assert (clip.info.width, clip.info.height) == size
    assert_corners(photo(clip), ORIENTATIONS[orientation])


@pytest.mark.parametrize("orientation", MATRICES)
def test_videos_stand_upright(clip_mp4: bytes, tmp_path: Path, orientation: int) -> None:
    path = media.set_matrix(save(tmp_path / "a.mp4", clip_mp4), MATRICES[orientation])
    clip = open_source(path, limits=LIMITS)
    size = (media.HEIGHT, media.WIDTH) if orientation >= 5 else (media.WIDTH, media.HEIGHT)
    assert (clip.info.width, clip.info.height) == size
    for frame in sample_frames(clip, 4, limits=LIMITS):
        assert frame.image.shape == (size[1], size[0], 3)
        assert_corners(frame.image, ORIENTATIONS[orientation])


@pytest.mark.parametrize("orientation", MATRICES)
def test_videos_stand_as_ffmpeg_shows_them(clip_mp4: bytes, tmp_path: Path, orientation: int) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on this machine")
    path = media.set_matrix(save(tmp_path / "a.mp4", clip_mp4), MATRICES[orientation])
    first = tmp_path / "first.png"
    subprocess.run([ffmpeg, "-v", "error", "-i", path, "-frames:v", "1", first], check=True)
    ours = next(iter(sample_frames(open_source(path, limits=LIMITS), 128, limits=LIMITS))).image
    theirs = np.asarray(Image.open(first).convert("RGB"), np.int16)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 3


@pytest.mark.parametrize(
    ("pixel_aspect", "size_wh"), [(Fraction(2), (320, 96)), (Fraction(1, 2), (160, 192)), (Fraction(12, 11), (175, 96))]
)
def test_pixels_are_shown_square(tmp_path: Path, pixel_aspect: Fraction, size_wh: tuple[int, int]) -> None:
    clip = open_source(media.write_clip(tmp_path / "a.mp4", n_frames=8, pixel_aspect=pixel_aspect), limits=LIMITS)
    assert (clip.info.width, clip.info.height) == size_wh
    frames = list(sample_frames(clip, 4, limits=LIMITS))
    assert [frame.image.shape for frame in frames] == [(size_wh[1], size_wh[0], 3)] * 4
    assert_corners(frames[0].image, ORIENTATIONS[1])
    turned = open_source(media.set_matrix(tmp_path / "a.mp4", MATRICES[6]), limits=LIMITS)
    assert (turned.info.height, turned.info.width) == size_wh
    assert_corners(next(iter(sample_frames(turned, 4, limits=LIMITS))).image, ORIENTATIONS[6])


# --- what photos are made of ------------------------------------------------------------------

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
HIDDEN_GRAY = (GRAY.astype(np.uint16) << 8) + 7


def over_white(image: Image.Image) -> U8:
    rgba = np.asarray(image.convert("RGBA"), np.float64)
    alpha = rgba[:, :, 3:] / 255
    return np.round(rgba[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def rgb(gray: U8) -> U8:
    return np.repeat(gray[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (media.encode_image(Image.fromarray(GRAY), "PNG"), rgb(GRAY)),
        (media.encode_image(Image.fromarray(HIDDEN_GRAY), "PNG"), rgb(GRAY)),
        (
            media.encode_image(Image.fromarray(HIDDEN_GRAY), "PNG", transparency=(40 << 8) + 7),
            rgb(np.where(GRAY == 40, 255, GRAY).astype(np.uint8)),
        ),
        (media.encode_image(Image.fromarray(GRAY), "PNG", transparency=40), rgb(np.where(GRAY == 40, 255, GRAY))),
        (
            media.encode_image(Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1].copy())]), "PNG"),
            over_white(Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1].copy())])),
        ),
        (media.encode_image(Image.fromarray(GRAY > 99), "PNG"), rgb(np.where(GRAY > 99, 255, 0))),
        (media.encode_image(Image.fromarray(GRAY), "BMP"), rgb(GRAY)),
    ],
    ids=["gray", "16 bits", "16 bits, a hidden level", "a hidden level", "alpha", "1 bit", "bitmap"],
)
def test_photos_of_every_kind_become_rgb_over_white(tmp_path: Path, data: bytes, expected: U8) -> None:
    assert np.array_equal(photo(open_source(save(tmp_path / "a", data), limits=LIMITS)), expected)


def test_print_colours_become_rgb(tmp_path: Path) -> None:
    data = media.encode_image(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95)
    image = photo(open_source(save(tmp_path / "a", data), limits=LIMITS))
    assert media.number_of(image) == 5
    assert_corners(image, ORIENTATIONS[1])


def test_a_second_picture_inside_a_photo_does_not_make_it_an_animation(tmp_path: Path) -> None:
    """Phones keep a depth or gain map there."""
    second = Image.fromarray(media.draw(9, 32, 32))
    data = media.encode_image(PICTURE, "MPO", save_all=True, append_images=[second])
    clip = open_source(save(tmp_path / "a.jpg", data), limits=LIMITS)
    assert (clip.info.kind, clip.info.container) == ("image", "jpeg")
    assert media.number_of(photo(clip)) == 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_a_damaged_tag_does_not_hide_a_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = media.encode_image(PICTURE, "JPEG", exif=exif)
    position = data.index(b"Exif\0\0") + 6
    broken = data[:position] + b"XX\xff\xff" + data[position + 4 :]
    assert_corners(photo(open_source(save(tmp_path / "a.jpg", broken), limits=LIMITS)), ORIENTATIONS[1])
