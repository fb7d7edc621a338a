"""Genuine photos and frames of clips as further faces to forge, cut out with room around the face."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from space.analysis.crops import cut_crop, invert, transform_points
from space.analysis.faces import FaceFinder
from space.contract import F32, U8, Face
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.lab.training.twins import decode_rgb
from space.settings import Limits, Settings

log = logging.getLogger(__name__)

Use = Literal["train", "calibrate", "test"]

STILL_MARGIN = 1.9  # room around the landmarks' box
MAX_STILL_PX = 320
JPEG_QUALITY = 98
CLIP_FRAMES = 8  # of a clip; a photo has one


def genuine_use(name: str) -> Use:
    """What a genuine photo or clip may be used for, by a hash of its name: half to train, then a quarter each."""
    number = int(sha256(name.encode()).hexdigest()[:8], 16) % 4
    return "train" if number < 2 else "calibrate" if number == 2 else "test"


class Stills:
    """Genuine faces in memory.

    Args:
        path: what ``prepare_stills`` wrote.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as arrays:
            ends = arrays["ends"].tolist()
            data = arrays["data"].tobytes()
            self.landmarks: F32 = arrays["landmarks"].astype(np.float32)  # (n, 478, 2) pixels of the image
        self._encoded = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def __len__(self) -> int:
        return len(self._encoded)

    def image(self, index: int) -> U8:
        """(S, S, 3) RGB, S at most ``MAX_STILL_PX``."""
        return decode_rgb(self._encoded[index])


def prepare_stills(folders: Iterable[Path], out: Path) -> Path:
    """Cut out the faces of the photos and clips that may be trained on; ``CLIP_FRAMES`` of each clip.

    Writes an npz with ``data`` (JPEG bytes end to end), ``ends`` (n,), ``landmarks`` (n, 478, 2), ``names`` (n,).

    Raises:
        ValueError: nowhere is a usable face.
    """
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".mp4")]
    names, encoded, landmarks = [], [], []
    settings = Settings()
    with FaceFinder(settings.faces) as finder:
        for path in files:
            if genuine_use(path.name) != "train":
                continue
            for face in _read_faces(path, finder):
                image, points = _cut_still(face)
                names.append(path.name)
                landmarks.append(points)
                encoded.append(cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
    if not names:
        raise ValueError("nothing to train on has a usable face")
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        out,
        data=np.concatenate([x.ravel() for x in encoded]),
        ends=np.cumsum([x.size for x in encoded]),
        landmarks=np.stack(landmarks),
        names=np.array(names),
    )
    log.info("%d faces to train on in %s", len(names), out)
    return out


def _read_faces(path: Path, finder: FaceFinder) -> Iterator[Face]:
    """The largest usable face of a photo, or of some frames of a clip, where there is one."""
    limits = Limits()
    try:
        for frame in sample_frames(open_source(path, limits=limits), CLIP_FRAMES, limits=limits):
            yield from [face for face in finder.find_faces(frame) if face.quality.usable][:1]
    except SourceError as error:
        log.warning("%s: %s", path.name, error.code)


def _cut_still(face: Face) -> tuple[U8, F32]:
    """A square picture of a face and its landmarks in it."""
    side = min(MAX_STILL_PX, round(face.quality.native_px * STILL_MARGIN))
    crop = cut_crop(face.patch, face.box_xyxy, margin=STILL_MARGIN, input_px=side)
    return crop.image, transform_points(invert(crop.frame_from_crop), face.landmarks)
