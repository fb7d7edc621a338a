"""Genuine faces to forge: stills of a folder of photos or face crops, tracks of a folder of clips."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from space.analysis.crops import overlap, scale_box, square_box
from space.analysis.detections import FaceDetector
from space.analysis.faces import FaceMesh
from space.contract import F32, U8
from space.lab.forge.shot import Shot
from space.lab.training.stills import Use, genuine_use
from space.lab.training.twins import Shards, decode_rgb, read_manifest

log = logging.getLogger(__name__)

PHOTOS, CLIPS = (".jpg", ".jpeg", ".png", ".webp"), (".mp4", ".mov", ".mkv", ".webm")
MARGIN = 1.9  # room around the face's landmarks
MAX_SIDE_PX = 288  # forgeries are small: they are for training and testing
MIN_FACE_PX = 72
MIN_FRAMES = 12  # of a track
SAME_FACE = 0.4  # overlap of a face's boxes in two frames that follow each other


@dataclass(frozen=True)
class Source:
    """One genuine face: a still, or a track."""

    name: str
    shots: tuple[Shot, ...]  # all of one size
    fps: float


def read_stills(folder: Path, n: int, rng: np.random.Generator) -> list[Source]:
    """Up to n genuine stills of a folder, drawn at random.

    Args:
        folder: face crops (a manifest with a column ``shard``), or photos; where a manifest gives labels, only
            those with label 0.
    """
    with FaceDetector() as detector, FaceMesh() as mesh:
        found = _find_stills(_draw_pictures(folder, rng), detector, mesh)
        return list(islice(found, n))


def read_clips(
    folder: Path, n: int, rng: np.random.Generator, *, n_frames: int, use: Use | None = None
) -> list[Source]:
    """The largest face's track in up to n genuine clips of a folder, drawn at random.

    Args:
        n_frames: consecutive ones, from a random place in the first half of the clip; less where the face is lost.
        use: only those that ``genuine_use`` gives to it; None: all.
    """
    files = [path for path in _genuine_files(folder, CLIPS) if use is None or genuine_use(path.name) == use]
    tracks = []
    with FaceDetector() as detector, FaceMesh() as mesh:
        for index in rng.permutation(len(files)):
            track = _read_track(files[index], n_frames, rng, detector, mesh)
            if track is None:
                log.warning("%s: no face to forge", files[index].name)
                continue
            tracks.append(track)
            if len(tracks) == n:
                break
    return tracks


def _genuine_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes]
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return files
    with manifest.open(newline="") as lines:
        genuine = {row["file"] for row in csv.DictReader(lines) if row.get("label", "0") == "0"}
    return [path for path in files if path.name in genuine]


def _draw_pictures(folder: Path, rng: np.random.Generator) -> Iterator[tuple[str, U8]]:
    if _is_sharded(folder):
        samples = [sample for sample in read_manifest(folder) if sample.label == 0]
        for index in rng.permutation(len(samples)):
            yield samples[index].name, Shards(folder, [samples[index]]).image(samples[index].name)
        return
    files = _genuine_files(folder, PHOTOS)
    for index in rng.permutation(len(files)):
        yield files[index].stem, decode_rgb(files[index].read_bytes())


def _is_sharded(folder: Path) -> bool:
    manifest = folder / "manifest.csv"
    return manifest.exists() and "shard" in manifest.read_text().partition("\n")[0].strip().split(",")


def _find_stills(pictures: Iterator[tuple[str, U8]], detector: FaceDetector, mesh: FaceMesh) -> Iterator[Source]:
    for name, image in pictures:
        landmarks = _find_face(image, detector, mesh)
        if landmarks is not None and _side(landmarks) >= MIN_FACE_PX:
            yield Source(name, (_cut(image, landmarks, scale_box(square_box(landmarks), MARGIN)),), fps=1.0)


def _find_face(image: U8, detector: FaceDetector, mesh: FaceMesh, near: F32 | None = None) -> F32 | None:
    """The landmarks of the largest face, or of the one that lies where a face was."""
    for box, _ in detector.detect(image):
        landmarks = mesh.landmarks(image, box)
        if landmarks is None:
            continue
        if near is None or overlap(square_box(landmarks), square_box(near)) >= SAME_FACE:
            return landmarks
    return None


def _side(landmarks: F32) -> float:
    box = square_box(landmarks)
    return float(box[2] - box[0])


def _cut(image: U8, landmarks: F32, box_xyxy: F32) -> Shot:
    """What there is of the picture within a box, reduced where it is large."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (round(float(v)) for v in np.clip(box_xyxy, 0, (width, height, width, height)))
    part = image[y0:y1, x0:x1]
    scale = min(1.0, MAX_SIDE_PX / max(part.shape[:2]))
    size = round(part.shape[1] * scale / 2) * 2, round(part.shape[0] * scale / 2) * 2
    factors = np.array([size[0] / part.shape[1], size[1] / part.shape[0]], np.float32)
    moved = (landmarks - np.array([x0, y0], np.float32) + 0.5) * factors - 0.5
    return Shot(np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8), moved.astype(np.float32))


def _read_track(
    path: Path, n_frames: int, rng: np.random.Generator, detector: FaceDetector, mesh: FaceMesh
) -> Source | None:
    images: list[U8] = []
    landmarks: list[F32] = []
    with av.open(str(path), "r") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or 25)
        first = int(rng.integers(0, max(1, stream.frames // 2 - n_frames)))
        for frame in islice(container.decode(stream), first, first + n_frames):
            image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            found = _find_face(image, detector, mesh, near=landmarks[-1] if landmarks else None)
            if found is None:
                break
            images.append(image)
            landmarks.append(found)
    if len(images) < MIN_FRAMES or _side(landmarks[0]) < MIN_FACE_PX:
        return None
    middle = square_box(np.concatenate(landmarks))  # one box for all frames: the camera does not move with the face
    box = scale_box(middle, MARGIN * max(_side(points) for points in landmarks) / float(middle[2] - middle[0]))
    box = scale_box(box, max(1.0, 1.1 * float(middle[2] - middle[0]) / float(box[2] - box[0])))
    shots = tuple(_cut(image, points, box) for image, points in zip(images, landmarks, strict=True))
    return Source(path.stem, shots, fps)
