"""Frames captured from a page: what is packed comes out as frames, and what is no such file is refused."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import U8, Clip, Frame
from space.errors import RequestError, ServiceError, SourceError, TelltaleError
from space.intake.captured import MAX_TIME_S, CapturedFrame, fit_picture, pack_frames
from space.intake.frames import sample_frames
from space.intake.source import open_sealed, open_source
from space.intake.vault import Sealed, Vault
from space.settings import MAX_FRAMES, MIB, Limits
from tests import media

LIMITS = Limits()
BAD: tuple[str, dict[str, object]] = ("bad_capture", {})


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with Vault(tmp_path / "vault") as vault:
        yield vault


def seal(vault: Vault, data: bytes) -> Sealed:
    with vault.writer(max_bytes=200 * MIB) as writer:
        writer.write(data)
        return writer.seal()


def picture(number: int, image_format: str = "JPEG", size_wh: tuple[int, int] = (media.WIDTH, media.HEIGHT)) -> bytes:
    return media.encode_image(media.draw(number, *size_wh), image_format)


def open_frames(vault: Vault, data: bytes, limits: Limits = LIMITS) -> Clip:
    return open_sealed(seal(vault, data), limits=limits, kind="frames", host="example.org", capture_method="canvas")


def sample(vault: Vault, data: bytes, n_frames: int = MAX_FRAMES) -> list[Frame]:
    return list(sample_frames(open_frames(vault, data), n_frames, limits=LIMITS))


def refusal(vault: Vault, data: bytes, limits: Limits = LIMITS) -> tuple[str, dict[str, object]]:
    with pytest.raises(TelltaleError) as refused:
        list(sample_frames(open_frames(vault, data, limits), 4, limits=limits))
    return refused.value.code, dict(refused.value.params)


def pack_by_hand(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def manifest(*times_us: object) -> bytes:
    return json.dumps({"times_us": times_us}).encode()


# --- packing and reading ----------------------------------------------------------------------


def test_captured_frames_are_a_clip(vault: Vault) -> None:
    data = pack_frames([CapturedFrame(60.5 + i, picture(i)) for i in range(6)])
    clip = open_frames(vault, data)
    info = clip.info
    assert (info.kind, info.container, info.codec, info.fps) == ("frames", "frames", None, None)
    assert (info.host, info.capture_method, info.duration_s) == ("example.org", "canvas", 65.5)
    assert (info.width, info.height, info.size_bytes) == (media.WIDTH, media.HEIGHT, len(data))
    assert info.sha256 == seal(vault, data).sha256
    frames = list(sample_frames(clip, 16, limits=LIMITS))
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.time_s for frame in frames] == [60.5 + i for i in range(6)]
    assert [media.number_of(frame.image) for frame in frames] == list(range(6))


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "PNG"])
def test_every_format_a_canvas_writes_is_read(vault: Vault, image_format: str) -> None:
    (frame,) = sample(vault, pack_frames([CapturedFrame(1, picture(77, image_format))]))
    assert media.number_of(frame.image) == 77
    assert frame.image.dtype == np.uint8


def test_of_more_than_asked_for_equidistant_ones_are_taken(vault: Vault) -> None:
    data = pack_frames([CapturedFrame(i / 2, picture(i)) for i in range(32)])
    assert [media.number_of(frame.image) for frame in sample(vault, data, 4)] == [3, 11, 19, 27]


SMALL = media.encode_image(np.zeros((8, 8, 3), np.uint8), "PNG")


@given(times=st.lists(st.floats(0, 1e6), min_size=1, max_size=MAX_FRAMES))
def test_frames_come_in_order_of_time_and_each_moment_once(
    tmp_path_factory: pytest.TempPathFactory, times: list[float]
) -> None:
    frames = [CapturedFrame(time_s, SMALL) for time_s in times]
    data = pack_frames(frames)
    assert data == pack_frames(sorted(frames, key=lambda frame: frame.time_s))
    with Vault(tmp_path_factory.mktemp("captured")) as vault:
        found = [frame.time_s for frame in sample(vault, data)]
    assert found == sorted({round(time_s * 1e6) / 1e6 for time_s in times})


def test_a_moment_that_stays_counts_once(vault: Vault) -> None:
    data = pack_frames([CapturedFrame(3.0, picture(1)), CapturedFrame(3.0, picture(2)), CapturedFrame(1.0, picture(3))])
    assert [media.number_of(frame.image) for frame in sample(vault, data)] == [3, 1]


def test_pictures_of_another_size_are_brought_to_that_of_most(vault: Vault) -> None:
    sizes = [(320, 192), (160, 96), (160, 96), (96, 96)]
    frames = [CapturedFrame(i, picture(i, "PNG", size_wh)) for i, size_wh in enumerate(sizes)]
    found = sample(vault, pack_frames(frames))
    assert {frame.image.shape for frame in found} == {(96, 160, 3)}
    assert [media.number_of(frame.image) for frame in found[:3]] == [0, 1, 2]
    assert media.number_of(found[3].image[:, 32:128]) == 3
    assert not found[3].image[:, :32].any()
    assert not found[3].image[:, 128:].any()


@given(
    size_wh=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    target_wh=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_a_fitted_picture_touches_two_borders(size_wh: tuple[int, int], target_wh: tuple[int, int]) -> None:
    image: U8 = np.full((size_wh[1], size_wh[0], 3), 200, np.uint8)
    fitted = fit_picture(image, target_wh)
    assert fitted.shape == (target_wh[1], target_wh[0], 3)
    rows, columns = fitted.any(axis=(1, 2)), fitted.any(axis=(0, 2))
    assert rows.all() or columns.all()


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("n_frames", [0, MAX_FRAMES + 1])
def test_none_and_too_many_are_refused(n_frames: int) -> None:
    with pytest.raises(RequestError) as refused:
        pack_frames([CapturedFrame(i, SMALL) for i in range(n_frames)])
    assert refused.value.params == {"n_frames": n_frames, "minimum": 1, "maximum": MAX_FRAMES}


@pytest.mark.parametrize("time_s", [-0.5, math.nan, math.inf, MAX_TIME_S * 2])
def test_a_time_that_is_none_is_refused(time_s: float) -> None:
    with pytest.raises(ServiceError, match="bad_capture"):
        pack_frames([CapturedFrame(time_s, SMALL)])


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>", id="text"),
        pytest.param(picture(0)[:100], id="cut-off-header"),
        pytest.param(media.encode_image(media.draw(0), "BMP"), id="bmp"),
        pytest.param(media.encode_image(media.draw(0), "GIF"), id="gif"),
        pytest.param(media.encode_animation("WEBP"), id="animated"),
    ],
)
def test_pictures_of_another_kind_are_refused(vault: Vault, bad: bytes) -> None:
    assert refusal(vault, pack_frames([CapturedFrame(0, picture(0)), CapturedFrame(1, bad)])) == BAD


def test_a_damaged_picture_is_left_out(vault: Vault) -> None:
    whole = picture(1, "PNG")
    damaged = whole[: len(whole) // 2]
    found = sample(vault, pack_frames([CapturedFrame(0, whole), CapturedFrame(1, damaged), CapturedFrame(2, whole)]))
    assert [(frame.index, frame.time_s) for frame in found] == [(0, 0.0), (1, 2.0)]
    assert refusal(vault, pack_frames([CapturedFrame(0, damaged)])) == BAD


def test_limits_hold_for_every_picture_and_for_all(vault: Vault) -> None:
    data = pack_frames([CapturedFrame(0, SMALL), CapturedFrame(1, picture(1))])
    assert refusal(vault, data, Limits(max_pixels=1000))[0] == "too_many_pixels"
    assert refusal(vault, data, Limits(max_bytes=len(data) - 1))[0] == "too_large"


def test_time_spent_on_pictures_is_limited(vault: Vault) -> None:
    data = pack_frames([CapturedFrame(0, SMALL), CapturedFrame(1, SMALL)])
    assert refusal(vault, data, Limits(max_decode_s=-1))[0] == "decode_timeout"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no archive", id="text"),
        pytest.param(pack_by_hand({"000": SMALL}), id="no-manifest"),
        pytest.param(pack_by_hand({"manifest.json": b"[1]", "000": SMALL}), id="a-list"),
        pytest.param(pack_by_hand({"manifest.json": b"{", "000": SMALL}), id="no-json"),
        pytest.param(pack_by_hand({"manifest.json": manifest(0)}), id="no-picture"),
        pytest.param(pack_by_hand({"manifest.json": manifest("0"), "000": SMALL}), id="time-as-text"),
        pytest.param(pack_by_hand({"manifest.json": manifest(0.5), "000": SMALL}), id="part-of-a-microsecond"),
        pytest.param(pack_by_hand({"manifest.json": manifest(-1), "000": SMALL}), id="before-the-start"),
        pytest.param(pack_by_hand({"manifest.json": manifest(1, 1), "000": SMALL, "001": SMALL}), id="same-time"),
        pytest.param(pack_by_hand({"manifest.json": manifest(2, 1), "000": SMALL, "001": SMALL}), id="backwards"),
        pytest.param(pack_by_hand({"manifest.json": manifest(0), "000": SMALL}, zipfile.ZIP_DEFLATED), id="compressed"),
        pytest.param(pack_by_hand({"manifest.json": bytes(70_000), "000": SMALL}), id="huge-manifest"),
        pytest.param(pack_frames([CapturedFrame(0, SMALL)])[:-30], id="cut-off"),
        pytest.param(pack_frames([CapturedFrame(0, SMALL)])[10:], id="begins-late"),
    ],
)
def test_a_file_that_is_not_packed_so_is_refused(vault: Vault, data: bytes) -> None:
    assert refusal(vault, data) == BAD


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error_or_a_frame(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    data = bytearray(pack_frames([CapturedFrame(i, SMALL) for i in range(2)]))
    data[place % len(data)] ^= 1 << bit
    with Vault(tmp_path_factory.mktemp("flipped")) as vault:
        try:
            found: int | str = len(sample(vault, bytes(data)))
        except TelltaleError as error:
            found = error.code
    assert found in {1, 2, "bad_capture", "too_many_pixels"}


def test_an_archive_that_is_uploaded_is_no_clip(vault: Vault, tmp_path: Path) -> None:
    data = pack_frames([CapturedFrame(0, picture(0))])
    path = tmp_path / "holiday.mp4"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="unsupported_type"):
        open_source(path, limits=LIMITS)
    with pytest.raises(SourceError, match="unsupported_type"):
        open_sealed(seal(vault, data), limits=LIMITS, kind="upload")


def test_a_video_does_not_pass_for_captured_frames(vault: Vault, tmp_path: Path) -> None:
    data = media.write_clip(tmp_path / "a.mp4", n_frames=2).read_bytes()
    assert refusal(vault, data) == BAD
