"""What happens to videos on their way, in steps: the conditions of the robustness curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from space.analysis.crops import invert, transform_points
from space.contract import U8, Face
from space.lab.forge.compress import REPEATABLE, decode_clip, encode_clip
from space.lab.training.film import film_at

Kind = Literal["jpeg", "crf", "filmed", "scale", "blur", "margin"]


@dataclass(frozen=True)
class Condition:
    """One disturbance of one strength."""

    kind: Kind
    # jpeg: quality; crf and filmed: CRF of H.264; scale: of the sides; blur: sigma, px; margin: / the member's own
    value: float


LEVELS: dict[Kind, tuple[float, ...]] = {  # from mild to strong; margin: from tight to wide
    "jpeg": (90, 70, 50, 30),
    "crf": (23, 28, 32, 40),
    "filmed": (23, 28, 32, 40),
    "scale": (0.75, 0.5, 0.25),
    "blur": (0.5, 1.0, 2.0),
    "margin": (0.8, 0.9, 1.1, 1.25),
}
# As the file is.
UNDISTURBED: dict[Kind, float] = {"jpeg": 100, "crf": 18, "filmed": 18, "scale": 1.0, "blur": 0.0, "margin": 1.0}
CONDITIONS = tuple(Condition(kind, value) for kind, values in LEVELS.items() for value in values)
FRAME_COUNTS = (1, 2, 4, 8, 16, 32, 64, 100)


def disturb_face(face: Face, condition: Condition) -> Face:
    """The face as if its picture had been disturbed at its own scale.

    ``crf`` encodes the pixels around the face as the only frame of a clip; for whole clips see ``recode_clip``.
    ``filmed`` moves the face while what is around it stands still, and encodes that. ``margin`` changes nothing here:
    it is the crop's.
    """
    if condition.kind == "filmed":
        return _film_face(face, int(condition.value))
    return replace(face, patch=replace(face.patch, image=disturb(face.patch.image, condition)))


def disturb(image: U8, condition: Condition) -> U8:
    """(H, W, 3) RGB uint8 -> the same shape and type."""
    value = condition.value
    if condition.kind == "jpeg":
        encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(value)])[1]
        return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8)
    if condition.kind == "blur":
        return np.asarray(cv2.GaussianBlur(image, (0, 0), value), np.uint8)
    if condition.kind == "scale":
        height, width = image.shape[:2]
        small = cv2.resize(image, None, fx=value, fy=value, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if condition.kind == "crf":
        return _recode_picture(image, int(value))
    return image


def _film_face(face: Face, crf: int) -> Face:
    patch = face.patch
    corners = transform_points(invert(patch.frame_from_patch), face.box_xyxy.reshape(2, 2))
    (x1, y1), (x2, y2) = corners.tolist()
    film = film_at(crf, ((x1 + x2) / 2, (y1 + y2) / 2), max(x2 - x1, y2 - y1))
    return replace(face, patch=replace(patch, image=film.apply(patch.image)))


def _recode_picture(image: U8, crf: int) -> U8:
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(decode_clip(encode_clip([even], crf=crf, fps=25.0))[0][:height, :width])


def recode_clip(path: Path, out: Path, *, crf: int) -> None:
    """Encode the first video stream of a file anew as H.264 in MP4, frame by frame; sound is left out.

    Args:
        crf: constant rate factor.
    """
    with av.open(str(path), "r") as source, av.open(str(out), "w", format="mp4") as target:
        given = source.streams.video[0]
        given.thread_type = "AUTO"
        stream = target.add_stream(
            "libx264", rate=given.average_rate or 25, options={"preset": "veryfast", "crf": str(crf), **REPEATABLE}
        )
        stream.width, stream.height = given.codec_context.width // 2 * 2, given.codec_context.height // 2 * 2
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(given):
            picture = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
            picture.pts, picture.time_base = frame.pts, frame.time_base
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
