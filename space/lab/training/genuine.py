"""Genuine photos and clips that calibrate: their faces, what is said of them, and how sharp outlines usually are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_crop
from space.analysis.faces import FaceFinder
from space.analysis.outline import measure_outlines
from space.analysis.scores import batched, score_crops
from space.analysis.verdict import Combination
from space.contract import Face
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.lab.training.augment import Photometry, draw_photometry
from space.lab.training.stills import genuine_use
from space.models.cards import OutlineEvidence
from space.models.weights import Ensemble
from space.settings import Limits, Settings

log = logging.getLogger(__name__)

CALIBRATION_SEED = 0
N_CAMERAS = 4  # that each genuine file is also seen by, for thresholds that hold elsewhere
LEAST_FILES = 30  # that show what surrounds the face, for two coefficients and a deviation
OUTLINE_LIMIT = 2.0  # deviations


@dataclass(frozen=True)
class GenuineFile:
    """The usable faces of a genuine photo or clip."""

    faces: tuple[Face, ...]  # at least one
    is_clip: bool


def read_genuine(folders: Sequence[Path]) -> list[GenuineFile]:
    """Every genuine photo and clip in the calibration quarter.

    A file without a usable face, or that cannot be read, is left out: it says nothing about false alarms.
    """
    settings = Settings(n_frames=8)
    files = sorted(path for folder in folders for path in folder.iterdir() if path.suffix != ".csv")
    chosen = [path for path in files if genuine_use(path.name) == "calibrate"]
    with FaceFinder(settings.faces) as finder:
        read = [_read_file(path, finder, settings.n_frames) for path in chosen]
    return [file for file in read if file is not None]


def _read_file(path: Path, finder: FaceFinder, n_frames: int) -> GenuineFile | None:
    limits = Limits()
    try:
        clip = open_source(path, limits=limits)
        frames = sample_frames(clip, n_frames, limits=limits)
        faces = [face for frame in frames for face in finder.find_faces(frame)[:1] if face.quality.usable]
    except SourceError as error:
        log.warning("%s: %s", path.name, error.code)
        return None
    return GenuineFile(tuple(faces), clip.info.kind != "image") if faces else None


def score_genuine(files: Sequence[GenuineFile], ensemble: Ensemble, combination: Combination) -> NDArray[np.float64]:
    """The logit of every file as the service judges it: of a clip the mean over its faces, and what outlines say.

    Returns:
        (n, 1 + ``N_CAMERAS``) by the combination's record: the file as it is, and as other cameras and codecs would
        have left it.
    """
    rng = np.random.default_rng(CALIBRATION_SEED)
    rows = []
    for file in files:
        changes = [replace(draw_photometry(rng, 0.5, 1.0), flip=False) for _ in range(N_CAMERAS)]
        seen = [file.faces, *([_change_face(face, change) for face in file.faces] for change in changes)]
        outline = combination.record.outline if file.is_clip else None
        rows.append([_mean_logit(shown, ensemble, combination, outline) for shown in seen])
    return np.array(rows, np.float64).reshape(-1, 1 + N_CAMERAS)


def _mean_logit(
    faces: Sequence[Face], ensemble: Ensemble, combination: Combination, outline: OutlineEvidence | None
) -> float:
    said = float(combination.logits(score_faces(faces, ensemble)).mean())
    return said if outline is None else said + outline.weight * float(outline.softness(measure_outlines(faces)).mean())


def fit_outline(files: Sequence[GenuineFile], weight: float) -> OutlineEvidence:
    """What is usual along the outlines of genuine faces, by least squares; every file counts once.

    Args:
        weight: what one deviation adds to the ensemble's calibrated logit.

    Raises:
        ValueError: too few files show what surrounds the face.
    """
    measured = [measure_outlines(file.faces) for file in files]
    means = np.array([rows[~np.isnan(rows[:, 0])].mean(axis=0) for rows in measured if not np.isnan(rows[:, 0]).all()])
    if len(means) < LEAST_FILES:
        raise ValueError(f"{len(means)} genuine files show the surroundings of a face; outlines need {LEAST_FILES}")
    outline, within = means[:, 0].astype(np.float64), means[:, 1].astype(np.float64)
    slope, offset = np.polyfit(within, outline, 1)
    deviation = float(np.std(outline - slope * within - offset))
    return OutlineEvidence(
        slope=round(float(slope), 4),
        offset=round(float(offset), 4),
        deviation=round(deviation, 4),
        weight=weight,
        limit=OUTLINE_LIMIT,
    )


def _change_face(face: Face, change: Photometry) -> Face:
    height, width = (side // 2 * 2 for side in face.patch.image.shape[:2])  # H.264 takes even sides only
    image = change.apply(face.patch.image[:height, :width])
    return replace(face, patch=replace(face.patch, image=image))


def score_faces(faces: Sequence[Face], ensemble: Ensemble) -> dict[str, NDArray[np.float32]]:
    """Member -> raw logits (n,)."""
    raw = {}
    for member in ensemble.members:
        crops = (cut_crop(f.patch, f.box_xyxy, margin=member.card.margin, input_px=member.card.input_px) for f in faces)
        raw[member.card.name] = score_crops(member, batched(crops, 8)).logits
    return raw
