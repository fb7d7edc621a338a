"""Media made on the spot with PyAV and Pillow: clips that tell which frame they show, and hostile ones.

Every picture carries its frame's number as a row of ten black or white blocks, and a colour in each corner
(red, green; blue, yellow), so that a decoded frame says what it is and which way up it stands.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from space.contract import U8

N_BITS = 10
WIDTH, HEIGHT = 160, 96
CORNERS = {"top_left": (255, 0, 0), "top_right": (0, 255, 0), "bottom_left": (0, 0, 255), "bottom_right": (255, 255, 0)}
X264 = {"preset": "veryfast", "crf": "18"}
IDENTITY = (1, 0, 0, 1)


def draw(index: int, width: int = WIDTH, height: int = HEIGHT) -> U8:
    """The picture of a frame: (height, width, 3) RGB."""
    ramp = (np.arange(width)[None, :] * 3 + np.arange(height)[:, None] * 5 + index * 7) % 128 + 64
    image = np.repeat(ramp[:, :, None], 3, axis=2).astype(np.uint8)
    h, w = height // 4, width // 4
    for name, (rows, columns) in _corners(h, w).items():
        image[rows, columns] = CORNERS[name]
    bits = [(index >> bit) & 1 for bit in range(N_BITS)]
    for bit, value in enumerate(bits):
        left, right = bit * width // N_BITS, (bit + 1) * width // N_BITS
        image[height // 2 - height // 8 : height // 2 + height // 8, left:right] = 255 * value
    return image


def number_of(image: U8) -> int:
    """The frame number a picture shows."""
    height, width = image.shape[:2]
    centres = [(2 * bit + 1) * width // (2 * N_BITS) for bit in range(N_BITS)]
    blocks = [image[height // 2 - 2 : height // 2 + 3, x - 1 : x + 2].mean() > 128 for x in centres]
    return sum(1 << bit for bit, value in enumerate(blocks) if value)


def corner_colours(image: U8) -> dict[str, tuple[int, ...]]:
    """The colour shown in each corner."""
    height, width = image.shape[:2]
    patches = _corners(max(2, height // 8), max(2, width // 8))
    return {
        name: tuple(int(c) for c in image[rows, columns].mean(axis=(0, 1))) for name, (rows, columns) in patches.items()
    }


def _corners(h: int, w: int) -> dict[str, tuple[slice, slice]]:
    first_h, last_h, first_w, last_w = slice(0, h), slice(-h, None), slice(0, w), slice(-w, None)
    return {
        "top_left": (first_h, first_w),
        "top_right": (first_h, last_w),
        "bottom_left": (last_h, first_w),
        "bottom_right": (last_h, last_w),
    }


# --- clips ------------------------------------------------------------------------------------


@contextmanager
def _usual_scheduling() -> Iterator[None]:
    """Undo what SVT-AV1 does to the calling thread where it runs as root: the highest real-time priority.

    Whatever a test starts afterwards would inherit it, and a browser's busy processes then wait for ever for
    those that they keep from running.
    """
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)


def write_clip(
    path: Path,
    *,
    n_frames: int = 30,
    fps: int = 10,
    size_wh: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] = X264,
    times_ms: Sequence[int] | None = None,
    container_format: str | None = None,
    container_options: Mapping[str, str] | None = None,
    pixel_aspect: Fraction | None = None,
    interlaced: bool = False,
    with_sound: bool = False,
    colours: Mapping[str, int] | None = None,
    images: Iterable[U8] | None = None,
) -> Path:
    """Encode a clip of numbered frames.

    Args:
        times_ms: presentation time of each frame; None: constant frame rate.
        colours: attributes of the codec context, such as ``color_trc``.
        images: instead of numbered frames.
    """
    with (
        _usual_scheduling(),
        av.open(str(path), "w", format=container_format, options=dict(container_options or {})) as container,
    ):
        stream = container.add_stream(codec, rate=fps, options=dict(options))
        stream.width, stream.height = size_wh
        stream.pix_fmt = pix_fmt
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for name, value in (colours or {}).items():
            setattr(stream.codec_context, name, value)
        if interlaced:
            stream.codec_context.flags |= 1 << 18 | 1 << 29  # interlaced DCT and motion estimation
        sound = container.add_stream("aac", rate=44100) if with_sound else None
        n_frames = len(times_ms) if times_ms is not None else n_frames
        pictures = images if images is not None else (draw(i, *size_wh) for i in range(n_frames))
        for i, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            frame.pts = i if times_ms is None else times_ms[i]
            frame.time_base = Fraction(1, fps) if times_ms is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_silence(container, sound, n_frames / fps)
    return path


def write_sound(path: Path, duration_s: float = 1.0) -> Path:
    """A file with sound and nothing else."""
    with av.open(str(path), "w") as container:
        _write_silence(container, container.add_stream("aac", rate=44100), duration_s)
    return path


def _write_silence(container: av.container.OutputContainer, stream: av.AudioStream, duration_s: float) -> None:
    n_samples = 1024
    for start in range(0, int(duration_s * 44100), n_samples):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, n_samples), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


# --- surgery on MP4 ---------------------------------------------------------------------------


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into an MP4's track header; (0, 1, -1, 0) turns by 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of times, ids and volume
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def add_cover(path: Path, image: U8) -> Path:
    """Append a cover picture to an MP4 whose ``moov`` box is the last one."""
    data = path.read_bytes()
    picture = encode_image(image, "JPEG")
    covr = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + picture))
    handler = box(b"hdlr", struct.pack(">II", 0, 0) + b"mdirappl" + bytes(9))
    user_data = box(b"udta", box(b"meta", struct.pack(">I", 0) + handler + box(b"ilst", covr)))
    start = data.rindex(b"moov") - 4
    moov = data[start + 8 :]
    without_old = moov[: moov.rindex(b"udta") - 4] if b"udta" in moov else moov
    path.write_bytes(data[:start] + box(b"moov", without_old + user_data))
    return path


def box(name: bytes, payload: bytes) -> bytes:
    """A box of the ISO base media format."""
    return struct.pack(">I4s", len(payload) + 8, name) + payload


# --- pictures ---------------------------------------------------------------------------------


def encode_image(image: U8 | Image.Image, image_format: str, **options: object) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def encode_animation(image_format: str, n_frames: int = 6, duration_ms: int = 100) -> bytes:
    """An animated picture of numbered frames."""
    first, *rest = (Image.fromarray(draw(i)) for i in range(n_frames))
    return encode_image(first, image_format, save_all=True, append_images=rest, duration=duration_ms, loop=0)


def spoil_packets(path: Path, copy: Path, positions: Iterable[int]) -> Path:
    """A copy of a clip in which some packets, by their place in the file, hold zeros."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for position in positions:
        if data.count(packets[position]) != 1:
            raise ValueError(f"packet {position} does not lie in the file as one piece")
        data = data.replace(packets[position], bytes(len(packets[position])))
    copy.write_bytes(data)
    return copy


# --- reading the slow way ---------------------------------------------------------------------


def decode_all(path: Path, convert: Callable[[av.VideoFrame], U8]) -> dict[int, U8]:
    """Every frame of a clip by its timestamp, decoded in one thread with nothing left out."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return {frame.pts: convert(frame) for frame in container.decode(stream) if frame.pts is not None}
