"""What is evaluated: files or face crops with labels, and the faces that the service would find in them."""

from __future__ import annotations

import csv
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from space.analysis.crops import cut_patch, square_box
from space.analysis.faces import FaceFinder
from space.analysis.quality import measure_quality
from space.contract import Face, SourceInfo
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.lab.evaluation.disturb import recode_clip
from space.lab.training.pairs import TwinData
from space.lab.training.stills import Use, genuine_use
from space.settings import Settings

PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp"})
CLIPS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi"})
GENUINE = "genuine"  # method of what was not manipulated
UNNAMED = "unnamed"  # method of a forgery whose manifest does not say


@dataclass(frozen=True)
class Entry:
    """One sample of a set, not read yet."""

    name: str  # of the file or crop
    label: int  # 0 genuine, 1 forged
    method: str  # GENUINE, or how it was forged: family, or family/kind
    source: str  # whatever shares one is not independent: the genuine twin's name
    pair: str  # name of the genuine twin; "" without


@dataclass(frozen=True)
class Item:
    """One sample with its faces."""

    entry: Entry
    info: SourceInfo | None  # None where it could not be read
    faces: tuple[Face, ...]
    n_frames: int
    error: str | None = None  # code, where it could not be read


@dataclass(frozen=True)
class EvaluationSet(ABC):
    """A named collection of samples."""

    name: str
    entries: tuple[Entry, ...] = field(repr=False)

    @abstractmethod
    def read(self, entry: Entry, finder: FaceFinder, settings: Settings, *, crf: int | None = None) -> Item:
        """Decode a sample and find its faces.

        Args:
            crf: encode a clip anew as H.264 at this rate factor first; None, or a picture: as it is.
        """

    @abstractmethod
    def is_clip(self, entry: Entry) -> bool:
        """Whether a sample has more than one frame."""

    @property
    def is_genuine(self) -> bool:
        """Whether nothing in it is forged."""
        return all(entry.label == 0 for entry in self.entries)


@dataclass(frozen=True)
class FileSet(EvaluationSet):
    """Photos and clips of a folder, read as the service reads them."""

    folder: Path

    def read(self, entry: Entry, finder: FaceFinder, settings: Settings, *, crf: int | None = None) -> Item:
        """See ``EvaluationSet``."""
        path = self.folder / entry.name
        try:
            if crf is None or not self.is_clip(entry):
                return _read_file(path, entry, finder, settings)
            with tempfile.TemporaryDirectory() as scratch:
                recoded = Path(scratch) / "recoded.mp4"
                recode_clip(path, recoded, crf=crf)
                return _read_file(recoded, entry, finder, settings)
        except SourceError as error:
            return Item(entry, None, (), 0, error.code)

    def is_clip(self, entry: Entry) -> bool:
        """See ``EvaluationSet``."""
        return Path(entry.name).suffix.lower() in CLIPS


@dataclass(frozen=True)
class CropSet(EvaluationSet):
    """Face crops of a ``dfdc_faces`` folder with the landmarks that ``prepare`` found: one face per video."""

    data: TwinData = field(repr=False)

    def read(self, entry: Entry, finder: FaceFinder, settings: Settings, *, crf: int | None = None) -> Item:  # noqa: ARG002 - its faces are found already, and it is no clip
        """See ``EvaluationSet``."""
        image, landmarks = self.data.image(entry.name), self.data.landmarks(entry.name)
        box = square_box(landmarks)
        face = Face(
            frame_index=0,
            time_s=0.0,
            box_xyxy=box,
            detection_xyxy=box,
            confidence=1.0,
            landmarks=landmarks,
            quality=measure_quality(image, landmarks, settings.faces),
            patch=cut_patch(image, box, margin=settings.faces.patch_margin, max_px=settings.faces.patch_px),
        )
        height, width = image.shape[:2]
        info = SourceInfo(
            kind="image",
            host=None,
            container="jpeg",
            codec=None,
            duration_s=0.0,
            fps=None,
            width=width,
            height=height,
            size_bytes=0,
            sha256="0" * 64,
        )
        return Item(entry, info, (face,), 1)

    def is_clip(self, entry: Entry) -> bool:  # noqa: ARG002
        """See ``EvaluationSet``."""
        return False


def _read_file(path: Path, entry: Entry, finder: FaceFinder, settings: Settings) -> Item:
    clip = open_source(path, limits=settings.limits)
    faces: list[Face] = []
    n_frames = 0
    for frame in sample_frames(clip, settings.n_frames, limits=settings.limits):
        n_frames += 1
        faces += finder.find_faces(frame)
    return Item(entry, clip.info, tuple(faces), n_frames)


# --- opening sets -------------------------------------------------------------------------------


def open_set(folder: Path, *, twins: Path | None = None, split: str = "val", use: Use | None = None) -> EvaluationSet:
    """The samples of a folder.

    Args:
        folder: face crops (``manifest.csv`` with a column ``shard``); clips or stills (``manifest.csv`` with the
            columns ``file,label,method,pair``, as ``lab forge`` writes it); or, without a manifest, genuine photos
            and clips.
        twins: of face crops: the ``twins.npz`` that ``lab prepare`` wrote.
        split: of face crops.
        use: of genuine photos and clips: only those that ``genuine_use`` gives to it; None: all.

    Raises:
        ValueError: nothing to evaluate, a manifest without the columns needed, or crops without ``twins``.
    """
    columns = _read_columns(folder)
    if "shard" in columns:
        if twins is None:
            raise ValueError(f"{folder.name} holds face crops: their landmarks (twins.npz) are needed")
        return _open_crops(folder, twins, split)
    if columns and not {"file", "label"} <= set(columns):
        raise ValueError(f"{folder.name}/manifest.csv has no columns file and label")
    entries = _manifest_entries(folder) if columns else _genuine_entries(folder, use)
    if not entries:
        raise ValueError(f"{folder.name} holds no photo and no clip" + (f" to {use}" if use else ""))
    name = folder.name if columns or use is None else f"{folder.name} ({use})"
    return FileSet(name, entries, folder)


def _read_columns(folder: Path) -> tuple[str, ...]:
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return ()
    with manifest.open(newline="") as lines:
        return tuple(next(csv.reader(lines), ()))


def _open_crops(folder: Path, twins: Path, split: str) -> CropSet:
    data = TwinData(folder, twins, split=split)
    methods = _read_methods(folder)
    genuine = {fake: twin for twin, fake in data.twins}
    entries = tuple(
        Entry(
            name=name,
            label=data.label(name),
            method=methods.get(name, "DFDC") if data.label(name) else GENUINE,
            source=data.source(name),
            pair=genuine.get(name, ""),
        )
        for name in data.faces
    )
    return CropSet(f"{folder.name} {split}", entries, data)


def _read_methods(folder: Path) -> dict[str, str]:
    """Name -> method, where a manifest of crops says; DFDC's does not."""
    with (folder / "manifest.csv").open(newline="") as lines:
        return {row["name"]: row["method"] for row in csv.DictReader(lines) if row.get("method")}


def _manifest_entries(folder: Path) -> tuple[Entry, ...]:
    with (folder / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    files = {Path(row["file"]).stem: row["file"] for row in rows}  # a pair may be named without its suffix
    pairs = [files.get(Path(row.get("pair") or "").stem, "") for row in rows]
    return tuple(
        Entry(
            name=row["file"],
            label=int(row["label"]),
            method=(row.get("method") or UNNAMED) if row["label"] == "1" else GENUINE,
            source=row.get("source") or pair or row["file"],
            pair=pair,
        )
        for row, pair in zip(rows, pairs, strict=True)
    )


def _genuine_entries(folder: Path, use: Use | None) -> tuple[Entry, ...]:
    files = [path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in PHOTOS | CLIPS]
    files = [name for name in files if use is None or genuine_use(name) == use]
    return tuple(Entry(name, 0, GENUINE, name, "") for name in files)


def draw_entries(entries: Sequence[Entry], n: int, *, seed: int) -> tuple[Entry, ...]:
    """About n samples of whole sources drawn at random, so that twins stay together; all where there are no more."""
    if len(entries) <= n:
        return tuple(entries)
    sources = sorted({entry.source for entry in entries})
    chosen: set[str] = set()
    count = 0
    for index in np.random.default_rng(seed).permutation(len(sources)):
        if count >= n:
            break
        chosen.add(sources[index])
        count += sum(entry.source == sources[index] for entry in entries)
    return tuple(entry for entry in entries if entry.source in chosen)
