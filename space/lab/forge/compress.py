"""What happens to twins after forging: scaled, frames lost or shown twice, and encoded as platforms do.

One draw serves both twins, so that none of it can be the label. Everything stays in memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from space.contract import U8

CRFS = (23, 28, 32, 40)
CPU_AVX512 = 13  # OpenCV's number of the feature
# x264's AVX-512 code for its macroblock tree reads memory that nothing was written to, so that the same frames are
# encoded differently from one time to the next; its AVX2 code does not.
REPEATABLE = {"x264-params": "asm=AVX2"} if cv2.checkHardwareSupport(CPU_AVX512) else {}
MIN_SIDE_PX = 96  # what is scaled keeps at least this along its shorter side


@dataclass(frozen=True)
class Compression:
    """One draw; apply it to both twins and to their masks."""

    crf: int  # of H.264
    scale: float  # of the sides; 1 = as it is
    kept: tuple[int, ...]  # the frames written, by index, in order; one may stand twice
    fps: float

    def select(self, frames: Sequence[U8]) -> list[U8]:
        """The frames that are kept, scaled to even sides; masks (H, W) are treated like images (H, W, 3)."""
        return [self._scaled(frames[index]) for index in self.kept]

    def _scaled(self, frame: U8) -> U8:
        height, width = frame.shape[:2]
        scale = max(self.scale, min(1.0, MIN_SIDE_PX / min(height, width)))
        size = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
        if size == (width, height):
            return frame
        if scale == 1:  # an odd side loses its last row or column
            return np.ascontiguousarray(frame[: size[1], : size[0]])
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)

    def encode(self, frames: Sequence[U8], *, comment: str = "") -> bytes:
        """``select`` and encode.

        Args:
            frames: (H, W, 3) RGB, all of one size.
            comment: goes into the file's metadata.

        Returns:
            An MP4 file.
        """
        return encode_clip(self.select(frames), crf=self.crf, fps=self.fps, comment=comment)

    def apply(self, frames: Sequence[U8]) -> list[U8]:
        """What is seen after ``encode``."""
        return decode_clip(self.encode(frames))


def draw_compression(rng: np.random.Generator, n_frames: int, *, fps: float = 25.0) -> Compression:
    """Draw how twins of so many frames are compressed."""
    scale = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.5, 0.95))
    kept = np.arange(n_frames)
    if n_frames > 1 and rng.random() < 0.3:  # a recorder that does not keep up, or a change of the frame rate
        share = float(rng.uniform(0.05, 0.35))
        is_late = rng.random(n_frames) < share
        is_late[0] = False
        shown_again = np.maximum.accumulate(np.where(is_late, 0, kept))
        kept = kept[~is_late] if rng.random() < 0.5 else shown_again
    return Compression(crf=int(rng.choice(CRFS)), scale=scale, kept=tuple(int(k) for k in kept), fps=fps)


def encode_clip(frames: Sequence[U8], *, crf: int, fps: float, comment: str = "") -> bytes:
    """Encode frames (H, W, 3) RGB with even sides as H.264 in MP4, in memory.

    Args:
        crf: constant rate factor.
        comment: goes into the metadata.
    """
    pictures = (
        av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p", threads=1) for image in frames
    )
    return _encode(pictures, frames, {"crf": str(crf)}, fps, comment)


def encode_masks(masks: Sequence[U8], *, fps: float, comment: str = "") -> bytes:
    """Encode masks (H, W) with even sides as the luma of H.264 without loss, full range."""
    gray = [np.concatenate([mask, np.full((mask.shape[0] // 2, mask.shape[1]), 128, np.uint8)]) for mask in masks]
    pictures = (av.VideoFrame.from_ndarray(image, format="yuv420p") for image in gray)
    return _encode(pictures, masks, {"qp": "0"}, fps, comment)


def _encode(
    pictures: Iterable[av.VideoFrame], frames: Sequence[U8], options: dict[str, str], fps: float, comment: str
) -> bytes:
    if not frames:
        raise ValueError("no frames to encode")
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"preset": "veryfast", "threads": "1", **REPEATABLE, **options},
        )
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if "qp" in options:
            stream.codec_context.color_range = ColorRange.JPEG
        for picture in pictures:
            if "qp" in options:
                picture.color_range = ColorRange.JPEG
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return target.getvalue()


def decode_clip(data: bytes) -> list[U8]:
    """The frames of an encoded clip: (H, W, 3) RGB."""
    return [np.asarray(frame.reformat(format="rgb24", threads=1).to_ndarray(), np.uint8) for frame in _decode(data)]


def decode_masks(data: bytes) -> list[U8]:
    """The masks (H, W) that ``encode_masks`` was given."""
    return [np.ascontiguousarray(frame.to_ndarray()[: frame.height]) for frame in _decode(data)]


def _decode(data: bytes) -> Iterator[av.VideoFrame]:
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        yield from container.decode(stream)
