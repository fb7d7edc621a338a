"""Content Credentials: found wherever a container holds them, and nowhere else."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.intake.containers import CONTAINERS
from space.intake.credentials import C2PA_UUID, JUMBF_C2PA, MAX_PIECES, find_credentials
from space.intake.source import open_source
from space.settings import PROJECT_ROOT, Limits

EXAMPLES = PROJECT_ROOT / "space" / "service" / "page" / "examples"
JUMBF = struct.pack(">I4s", 33, b"jumd") + JUMBF_C2PA + b"\x03c2pa\0"


def box(kind: bytes, body: bytes = b"", *, large: bool = False) -> bytes:
    if large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body), kind) + body


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + b"crc!"


def piece(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)


ISO_HEAD = box(b"ftyp", b"isom\0\0\2\0isom")
MANIFEST = box(b"uuid", C2PA_UUID + b"\0\0\0\0manifest\0" + JUMBF)
JPEG_HEAD = b"\xff\xd8" + segment(0xE0, b"JFIF\0")
PNG_HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0" * 13)
RIFF_HEAD = struct.pack("<4sI4s", b"RIFF", 100, b"WEBP")
JP = b"JP\0\1\0\0\0\1"


@pytest.mark.parametrize(
    ("container", "content", "found"),
    [
        ("mp4", ISO_HEAD + box(b"moov", b"x" * 40) + MANIFEST + box(b"mdat"), "present"),
        ("mov", ISO_HEAD + box(b"mdat", b"x" * 40, large=True) + MANIFEST, "present"),
        ("mp4", ISO_HEAD + box(b"uuid", C2PA_UUID, large=True), "present"),
        ("mp4", ISO_HEAD + box(b"mdat", MANIFEST), "absent"),
        ("mp4", ISO_HEAD + box(b"uuid", b"another one, 16b"), "absent"),
        ("mp4", ISO_HEAD + struct.pack(">I4s", 0, b"mdat") + MANIFEST, "absent"),
        ("mp4", ISO_HEAD + struct.pack(">I4s", 3, b"free") + MANIFEST, "absent"),
        ("jpeg", JPEG_HEAD + segment(0xEB, JP + JUMBF) + segment(0xDA, b"") + b"data", "present"),
        ("jpeg", JPEG_HEAD + segment(0xEB, JP + b"another jumbf box") + segment(0xDA, b""), "absent"),
        ("jpeg", JPEG_HEAD + segment(0xE1, JP + JUMBF) + segment(0xDA, b""), "absent"),
        ("jpeg", JPEG_HEAD + segment(0xDA, b"") + segment(0xEB, JP + JUMBF), "absent"),
        ("png", PNG_HEAD + chunk(b"caBX", JUMBF) + chunk(b"IEND", b""), "present"),
        ("png", PNG_HEAD + chunk(b"IDAT", b"caBX") + chunk(b"IEND", b""), "absent"),
        ("webp", RIFF_HEAD + piece(b"VP8 ", b"odd") + piece(b"C2PA", JUMBF), "present"),
        ("webp", RIFF_HEAD + piece(b"VP8 ", b"C2PA"), "absent"),
        ("avi", RIFF_HEAD + piece(b"LIST", b"x" * 20) + piece(b"C2PA", JUMBF), "present"),
        ("webm", MANIFEST, "absent"),
    ],
)
def test_a_manifest_is_found_where_it_belongs(container: str, content: bytes, found: str) -> None:
    assert find_credentials(io.BytesIO(content), container) == found


@given(container=st.sampled_from(sorted(CONTAINERS)), content=st.binary(max_size=300))
def test_whatever_the_bytes_there_is_an_answer(container: str, content: bytes) -> None:
    assert find_credentials(io.BytesIO(content), container) in {"present", "absent"}


def test_a_file_of_nothing_but_small_boxes_comes_to_an_end() -> None:
    content = box(b"free") * (MAX_PIECES + 5) + MANIFEST
    assert find_credentials(io.BytesIO(content), "mp4") == "absent"


@pytest.mark.parametrize(("extra", "found"), [(b"", "absent"), (MANIFEST, "present")])
def test_the_report_says_so(tmp_path: Path, extra: bytes, found: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes((EXAMPLES / "genuine.mp4").read_bytes() + extra)
    assert open_source(path, limits=Limits()).info.credentials == found
