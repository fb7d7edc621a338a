"""The door for local files: what it lets in, what it says of it, and what it refuses with which code."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from space.contract import U8, Clip
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.settings import MIB, Limits
from tests import media

LIMITS = Limits()
FAST_VPX = {"cpu-used": "8", "deadline": "realtime"}
PICTURE = media.draw(5)
MAKERS: dict[str, dict[str, Any]] = {
    "mp4": {},
    "mov": {},
    "mkv": {},
    "webm": {"codec": "libvpx-vp9", "options": FAST_VPX},
    "avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "ts": {"container_format": "mpegts"},
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same three seconds in every container, 10 frames per second, by the container's suffix."""
    folder = tmp_path_factory.mktemp("corpus")
    for suffix, choices in MAKERS.items():
        media.write_clip(folder / f"clip.{suffix}", with_sound=suffix in {"mp4", "mkv"}, **choices)
    (folder / "clip.gif").write_bytes(media.encode_animation("GIF", n_frames=30))
    return folder


def code_of(path: str | Path, limits: Limits = LIMITS) -> str:
    """What a source is refused with, at the door or when its frames are asked for."""
    with pytest.raises(SourceError) as refusal:
        list(sample_frames(open_source(path, limits=limits), 4, limits=limits))
    return refusal.value.code


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def photo(clip: Clip) -> U8:
    (frame,) = sample_frames(clip, 16, limits=LIMITS)
    assert (frame.index, frame.time_s) == (0, 0.0)
    assert frame.image.shape == (clip.info.height, clip.info.width, 3)
    assert frame.image.dtype == np.uint8
    return frame.image


# --- recognised by content --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "container", "codec"),
    [
        ("mp4", "mp4", "h264"),
        ("mov", "mov", "h264"),
        ("mkv", "mkv", "h264"),
        ("webm", "webm", "vp9"),
        ("avi", "avi", "mpeg4"),
        ("ts", "mpegts", "h264"),
        ("gif", "gif", "gif"),
    ],
)
def test_a_video_is_known_by_its_content(corpus: Path, tmp_path: Path, suffix: str, container: str, codec: str) -> None:
    disguised = tmp_path / "holiday.txt"
    shutil.copy(corpus / f"clip.{suffix}", disguised)
    info = open_source(disguised, limits=LIMITS).info
    assert (info.kind, info.container, info.codec) == ("upload", container, codec)
    assert (info.width, info.height) == (media.WIDTH, media.HEIGHT)
    assert info.duration_s == pytest.approx(3, abs=0.101)
    assert info.fps == pytest.approx(10, rel=0.04)
    assert (info.size_bytes, info.host) == (disguised.stat().st_size, None)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "BMP", "WEBP", "GIF"])
def test_a_picture_with_a_videos_name_is_a_picture(tmp_path: Path, picture_format: str) -> None:
    clip = open_source(save(tmp_path / "a.mp4", media.encode_image(PICTURE, picture_format)), limits=LIMITS)
    assert (clip.info.kind, clip.info.container) == ("image", picture_format.lower())
    assert (clip.info.codec, clip.info.fps, clip.info.duration_s) == (None, None, 0.0)
    assert media.number_of(photo(clip)) == 5


def test_the_callers_kind_is_kept_for_videos_only(corpus: Path, tmp_path: Path) -> None:
    assert open_source(corpus / "clip.mp4", limits=LIMITS, kind="url").info.kind == "url"
    picture = save(tmp_path / "a.png", media.encode_image(PICTURE, "PNG"))
    assert open_source(picture, limits=LIMITS, kind="url").info.kind == "image"


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
NOT_READ = {
    "text": b"Dear reader,\nthis is no video.\n" * 50,
    "text that begins like a bitmap": b"BMW sells cars, and this is no picture of one.\n" * 20,
    "playlist": PLAYLIST,
    "playlist of files": b"ffconcat version 1.0\nfile /etc/hostname\n",
    "stream description": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "drawing": b'<svg xmlns="http://www.w3.org/2000/svg"></svg>',
    "archive": b"PK\x03\x04" + bytes(100),
    "heic": media.box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + bytes(100),
    "zeros": bytes(5000),
    "one byte": b"G",
    "sync byte": b"G" * 100,
}


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_no_medium_is_not_read(tmp_path: Path, name: str) -> None:
    assert code_of(save(tmp_path / "a.mp4", NOT_READ[name])) == "unsupported_type"


@pytest.mark.parametrize("picture_format", ["WEBP", "PNG"])
def test_animated_pictures_are_refused(tmp_path: Path, picture_format: str) -> None:
    assert code_of(save(tmp_path / "a.webp", media.encode_animation(picture_format))) == "unsupported_type"


@pytest.mark.parametrize(
    "url",
    ["https://example.org/a.mp4", "http://[::1]/", "file:///etc/hostname", "rtmp://example.org/x", "hls+http://a"],
)
def test_links_are_for_another_door(url: str) -> None:
    assert code_of(url) == "url_unsupported"


@pytest.mark.parametrize(
    "name", ["missing.mp4", "", "x" * 300, "a\0b.mp4", "concat:a.mp4|b.mp4", "data:video/mp4;base64,AA"]
)
def test_what_is_no_file_is_not_found(tmp_path: Path, name: str) -> None:
    assert code_of(tmp_path / name) == "not_found"


def test_nothing_in_it(tmp_path: Path) -> None:
    assert code_of(save(tmp_path / "a.mp4", b"")) == "empty"


# --- damaged ----------------------------------------------------------------------------------


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    assert code_of(media.write_sound(tmp_path / "a.mp4")) == "no_video"
    assert code_of(media.write_sound(tmp_path / "a.mkv")) == "no_video"


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    cover = media.draw(1, 640, 480)
    assert code_of(media.add_cover(media.write_sound(tmp_path / "song.mp4"), cover)) == "no_video"
    clip = open_source(media.add_cover(media.write_clip(tmp_path / "film.mp4"), cover), limits=LIMITS)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert [s.width for s in container.streams.video] == [media.WIDTH, 640]  # the cover is really in there
    assert (clip.info.width, clip.info.height) == (media.WIDTH, media.HEIGHT)


def without(name: bytes) -> Callable[[bytes], bytes]:
    """Rename a box, so that nobody finds it."""
    return lambda data: data.replace(name, b"zzzz")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        ("mp4", lambda data: data[: len(data) * 3 // 4]),  # the index comes last and is lost
        ("mp4", without(b"moov")),
        ("mp4", without(b"stco")),
        ("mp4", lambda data: data[:40]),
        ("webm", lambda data: data[:60]),
        ("avi", lambda data: data[:300]),
        ("png", lambda data: data[: len(data) // 2]),
        ("jpg", lambda data: data[: len(data) // 2]),
        ("gif", lambda data: data[:20]),
    ],
)
def test_nothing_to_decode(corpus: Path, tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
    pictures = {"png": "PNG", "jpg": "JPEG"}
    whole = (
        media.encode_image(PICTURE, pictures[suffix])
        if suffix in pictures
        else (corpus / f"clip.{suffix}").read_bytes()
    )
    assert code_of(save(tmp_path / f"a.{suffix}", damage(whole))) == "unreadable"


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi", "ts", "gif"])
def test_the_beginning_of_a_cut_off_file_is_read(corpus: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "cut"
    if suffix == "mp4":
        options = {"movflags": "faststart"}
        whole = media.write_clip(tmp_path / "whole.mp4", container_options=options).read_bytes()
    else:
        whole = (corpus / f"clip.{suffix}").read_bytes()
    clip = open_source(save(path, whole[: len(whole) * 3 // 4]), limits=LIMITS)
    frames = list(sample_frames(clip, 8, limits=LIMITS))
    assert len(frames) == 8
    numbers = [media.number_of(frame.image) for frame in frames]
    assert numbers[:-1] == [round(frame.time_s * 10) for frame in frames[:-1]]  # AVI's last may stand for cut off ones
    assert 10 <= numbers[-1] < 28


def test_an_unknown_codec_is_refused(corpus: Path, tmp_path: Path) -> None:
    data = (corpus / "clip.mp4").read_bytes().replace(b"avc1", b"zzz1")
    assert code_of(save(tmp_path / "a.mp4", data)) == "unsupported_type"


# --- limits -----------------------------------------------------------------------------------


def refusal(path: Path, limits: Limits) -> tuple[str, dict[str, Any]]:
    with pytest.raises(SourceError) as caught:
        open_source(path, limits=limits)
    return caught.value.code, dict(caught.value.params)


def test_too_many_bytes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp4", bytes(3 * MIB // 2))
    assert refusal(path, Limits(max_bytes=MIB)) == ("too_large", {"limit_mb": 1.0, "actual_mb": 1.5})
    assert refusal(path, Limits(max_bytes=3 * MIB // 2))[0] == "unsupported_type"


def spoil(path: Path, copy: Path) -> Path:
    """A copy of a clip whose coded pictures are zeros: decoding one would fail."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in packets:
        data[position : position + size] = bytes(size)
    return save(copy, bytes(data))


@pytest.mark.parametrize(
    ("limits", "code", "params"),
    [
        (Limits(max_duration_s=2), "too_long", {"limit_s": 2, "actual_s": 3}),
        (Limits(max_pixels=10_000), "too_many_pixels", {"limit_mp": 0.0, "actual_mp": 0.0}),
        (Limits(max_fps=5), "too_many_fps", {"limit_fps": 5, "actual_fps": 10.0}),
    ],
)
def test_limits_come_before_decoding(
    corpus: Path, tmp_path: Path, limits: Limits, code: str, params: dict[str, float]
) -> None:
    spoilt = spoil(corpus / "clip.mp4", tmp_path / "a.mp4")
    assert code_of(spoilt) == "unreadable"
    assert refusal(spoilt, limits) == (code, params)


@pytest.mark.parametrize("suffix", ["mov", "webm", "avi", "ts", "gif"])
@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_duration_s=2), "too_long"),
        (Limits(max_pixels=10_000), "too_many_pixels"),
        (Limits(max_fps=5), "too_many_fps"),
    ],
)
def test_limits_hold_in_every_container(corpus: Path, suffix: str, limits: Limits, code: str) -> None:
    assert refusal(corpus / f"clip.{suffix}", limits)[0] == code


def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    header = struct.pack(">II5B", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    found = refusal(save(tmp_path / "a.png", png + end), LIMITS)
    assert found == ("too_many_pixels", {"limit_mp": 16.7, "actual_mp": 900.0})
    bitmap = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 12_288, 12_288, 1, 24, 0, 0, 0, 0, 0, 0)
    assert refusal(save(tmp_path / "a.bmp", bitmap), LIMITS)[0] == "too_many_pixels"


def test_the_larger_of_the_coded_size_and_the_headers_counts(tmp_path: Path) -> None:
    """FFmpeg decodes a VP9 picture while it opens a file: a huge one must not get that far."""
    size_wh, limits = (320, 272), Limits(max_pixels=50_000)
    path = media.write_clip(tmp_path / "a.webm", size_wh=size_wh, n_frames=2, codec="libvpx-vp9", options=FAST_VPX)
    assert refusal(path, limits) == ("too_many_pixels", {"limit_mp": 0.1, "actual_mp": 0.1})
    data = path.read_bytes()
    assert data.count(matroska_size(*size_wh)) == 1
    path.write_bytes(data.replace(matroska_size(*size_wh), matroska_size(12_288, 12_288)))
    assert refusal(path, LIMITS) == ("too_many_pixels", {"limit_mp": 16.7, "actual_mp": 151.0})
    path.write_bytes(data.replace(matroska_size(*size_wh), matroska_size(64, 48)))
    assert refusal(path, limits)[0] == "unreadable"


def matroska_size(width: int, height: int) -> bytes:
    """The elements PixelWidth and PixelHeight with two bytes each."""
    return struct.pack(">BBHBBH", 0xB0, 0x82, width, 0xBA, 0x82, height)


def test_hours_in_two_frames_are_too_long(tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.mp4", times_ms=[0, 6 * 3600 * 1000])
    code, params = refusal(path, LIMITS)
    assert (code, params["limit_s"]) == ("too_long", 600)
    assert params["actual_s"] >= 6 * 3600


def test_duration_is_measured_where_the_file_does_not_say(tmp_path: Path) -> None:
    options = {"live": "1"}
    path = media.write_clip(tmp_path / "a.webm", codec="libvpx", options=FAST_VPX, container_options=options)
    with av.open(str(path)) as container:
        assert container.duration is None
    info = open_source(path, limits=LIMITS).info
    assert info.duration_s == pytest.approx(3, abs=0.101)
    assert info.fps == pytest.approx(10, rel=0.04)
    assert refusal(path, Limits(max_duration_s=2))[0] == "too_long"
