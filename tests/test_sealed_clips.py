"""Sealed files as clips: the same as from a plain file, hardly slower, and never a byte of it on a disk."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from space.contract import Clip, Frame, SourceKind
from space.errors import InternalError, SourceError
from space.intake.frames import sample_frames
from space.intake.sealed import SEGMENT_BYTES, TAG_BYTES
from space.intake.source import open_sealed, open_source
from space.intake.vault import Sealed, Vault
from space.settings import MIB, Limits
from tests import media

LIMITS = Limits()
RAW: dict[str, Any] = {"codec": "rawvideo", "options": {}}  # as large as its pictures: many segments
MAKERS: dict[str, dict[str, Any]] = {
    "mp4": {"with_sound": True},
    "mkv": {"with_sound": True},
    "webm": {"codec": "libvpx", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "avi": RAW,
    "mov": {},
    "ts": {"container_format": "mpegts"},
}


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with Vault(tmp_path / "vault") as vault:
        yield vault


def seal(vault: Vault, data: bytes) -> Sealed:
    with vault.writer(max_bytes=200 * MIB) as writer:
        writer.write(data)
        return writer.seal()


def sample(clip: Clip, n_frames: int = 8) -> list[Frame]:
    return list(sample_frames(clip, n_frames, limits=LIMITS))


@pytest.mark.parametrize("suffix", MAKERS)
def test_a_sealed_clip_is_the_plain_one(vault: Vault, tmp_path: Path, suffix: str) -> None:
    path = media.write_clip(tmp_path / f"clip.{suffix}", **MAKERS[suffix])
    plain = open_source(path, limits=LIMITS)
    sealed = open_sealed(seal(vault, path.read_bytes()), limits=LIMITS, kind="upload")
    assert sealed.info == plain.info
    for theirs, ours in zip(sample(plain), sample(sealed), strict=True):
        assert (theirs.index, theirs.time_s) == (ours.index, ours.time_s)
        assert np.array_equal(theirs.image, ours.image)


@pytest.mark.parametrize(
    ("kind", "host", "method"),
    [("upload", None, None), ("url", "example.org", None)],
)
def test_where_it_came_from_is_kept_where_it_may_be(
    vault: Vault, tmp_path: Path, kind: SourceKind, host: str | None, method: str | None
) -> None:
    video = seal(vault, media.write_clip(tmp_path / "a.mp4", n_frames=2).read_bytes())
    info = open_sealed(video, limits=LIMITS, kind=kind, host="example.org", capture_method="canvas").info
    assert (info.kind, info.host, info.capture_method) == (kind, host, method)
    photo = seal(vault, media.encode_image(media.draw(5), "JPEG"))
    clip = open_sealed(photo, limits=LIMITS, kind=kind, host="example.org", capture_method="canvas")
    assert (clip.info.kind, clip.info.host, clip.info.capture_method) == ("image", None, None)
    assert media.number_of(sample(clip)[0].image) == 5


@pytest.mark.parametrize(
    ("data", "limits", "code"),
    [
        (b"", LIMITS, "empty"),
        (b"PK\x03\x04 a Word file", LIMITS, "unsupported_type"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", LIMITS, "unsupported_type"),
        (bytes(2 * MIB), Limits(max_bytes=MIB), "too_large"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(100), LIMITS, "unreadable"),
    ],
)
def test_what_a_plain_file_is_refused_for_is_refused_sealed(
    vault: Vault, data: bytes, limits: Limits, code: str
) -> None:
    with pytest.raises(SourceError) as refused:
        open_sealed(seal(vault, data), limits=limits, kind="upload")
    assert refused.value.code == code


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_touched_clip_is_our_error_and_not_a_damaged_file(vault: Vault, tmp_path: Path, place: str) -> None:
    """FFmpeg would take a lost stretch for damage and go on: the error must come through it."""
    path = media.write_clip(tmp_path / "a.avi", **RAW)
    sealed = seal(vault, path.read_bytes())
    clip = open_sealed(sealed, limits=LIMITS, kind="upload")
    stored = bytearray(sealed.handle().path.read_bytes())
    n_segments = len(stored) // (SEGMENT_BYTES + TAG_BYTES)
    assert n_segments > 8
    segment = {"start": 0, "middle": n_segments // 2, "end": n_segments}[place]
    stored[segment * (SEGMENT_BYTES + TAG_BYTES) + 9] ^= 1
    sealed.handle().path.write_bytes(stored)
    with pytest.raises(InternalError):
        sample(clip, 16)


def test_a_photo_that_was_touched_is_our_error(vault: Vault) -> None:
    sealed = seal(vault, media.encode_image(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8), "PNG"))
    clip = open_sealed(sealed, limits=LIMITS, kind="upload")
    stored = bytearray(sealed.handle().path.read_bytes())
    stored[-1] ^= 1
    sealed.handle().path.write_bytes(stored)
    with pytest.raises(InternalError):
        sample(clip)


def test_a_deleted_clip_is_not_found(vault: Vault, tmp_path: Path) -> None:
    sealed = seal(vault, media.write_clip(tmp_path / "a.mp4", n_frames=4).read_bytes())
    clip = open_sealed(sealed, limits=LIMITS, kind="upload")
    sealed.delete()
    with pytest.raises(SourceError, match="not_found"):
        sample(clip)


def test_nothing_of_a_clip_lies_on_the_disk_while_it_is_read(vault: Vault, tmp_path: Path) -> None:
    path = media.write_clip(tmp_path / "a.avi", n_frames=8, **RAW)
    data = path.read_bytes()
    path.unlink()
    pieces = [data[:16], *(data[start : start + 16] for start in range(40_000, len(data), 40_000))]
    sealed = seal(vault, data)
    clip = open_sealed(sealed, limits=LIMITS, kind="upload")
    for _ in sample_frames(clip, 8, limits=LIMITS):
        for file in (file for file in tmp_path.rglob("*") if file.is_file()):
            stored = file.read_bytes()
            assert not any(piece in stored for piece in pieces)
    sealed.delete()
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


# --- cost -------------------------------------------------------------------------------------


def test_reading_holds_a_few_segments_only(vault: Vault) -> None:
    sealed = seal(vault, bytes(20 * MIB))
    tracemalloc.start()
    try:
        with sealed.open() as stream:
            while stream.read(256 * 1024):
                pass
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * MIB


def test_writing_holds_a_few_segments_only(vault: Vault) -> None:
    piece = bytes(MIB)
    tracemalloc.start()
    try:
        with vault.writer(max_bytes=100 * MIB) as writer:
            for _ in range(20):
                writer.write(piece)
            writer.seal()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * MIB


@pytest.mark.timed
@pytest.mark.parametrize("name", ["519_515.mp4", "lynaeydofd.mp4"])
def test_decoding_sealed_takes_hardly_longer(vault: Vault, shared_data: Path, name: str) -> None:
    path = shared_data / "clips" / name
    plain = open_source(path, limits=LIMITS)
    sealed = open_sealed(seal(vault, path.read_bytes()), limits=LIMITS, kind="upload")

    def seconds(function: Callable[[], object]) -> float:
        start = time.process_time()
        function()
        return time.process_time() - start

    ratios = [seconds(lambda: sample(sealed, 16)) / seconds(lambda: sample(plain, 16)) for _ in range(5)]
    assert statistics.median(ratios) <= 1.15
