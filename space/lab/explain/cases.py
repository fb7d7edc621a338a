"""Forgeries whose manipulated region is known, with their genuine twins on the same pixels."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from space.analysis.crops import cut_square, scale_box, square_box, transform_points
from space.analysis.faces import FaceFinder
from space.analysis.parts import OUTSIDE, part_masks
from space.contract import F32, U8
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.lab.evaluation.items import open_set
from space.lab.forge.families import FAMILIES, forge_face
from space.lab.forge.part import PART_KINDS
from space.lab.forge.shot import NotForgeableError, Shot
from space.lab.forge.swap import find_donor
from space.lab.training.pairs import TwinData
from space.lab.training.twins import manipulated_region
from space.settings import Settings

log = logging.getLogger(__name__)

TWINS, PART, BLEND, CLIPS = "twins", "part", "blend", "clips"
BLENDS = ("self_blend", "swap")
TRIES = 40  # faces and donors tried for one forgery
MIN_REGION, MAX_REGION = 0.01, 0.7  # of the picture: less is nothing to find, more is a picture that was not registered
MIN_COVERED = 0.5  # of a part, for it to count as manipulated
JPEG = (70, 96)  # quality of both twins of a forgery, drawn
CLIP_PX = 320


@dataclass(frozen=True)
class Case:
    """A forgery, its genuine twin, and where they differ."""

    name: str
    group: str  # "twins", "part/mouth", "blend/swap", "clips/FaceSwap", …
    source: str  # the genuine video or photo it derives from
    forged: U8  # (H, W, 3) RGB
    genuine: U8  # (H, W, 3) RGB, on the forged picture's pixels
    landmarks: F32  # (478, 2) of the forged face
    mask: F32  # (H, W) in [0, 1]
    parts: frozenset[str]  # manipulated parts; empty where the whole face is


def covered_parts(mask: F32, landmarks: F32) -> frozenset[str]:
    """The parts of the face of which at least half is forged.

    Args:
        mask: (H, W) in [0, 1].
        landmarks: (478, 2) in its pixels.
    """
    side = max(mask.shape)
    hard = np.zeros((side, side), np.bool_)
    hard[: mask.shape[0], : mask.shape[1]] = mask > 0.25 * max(float(mask.max()), 1e-6)
    masks = part_masks(landmarks, side)
    return frozenset(
        name
        for name, part in masks.items()
        if name != OUTSIDE and part.any() and (hard & part).sum() >= MIN_COVERED * part.sum()
    )


# --- registered twins of the data set ---------------------------------------------------------


def read_twins(data: TwinData, n: int, rng: np.random.Generator) -> Iterator[Case]:
    """Up to n registered fakes of the data, drawn at random."""
    found = (_read_twin(data, *data.twins[index]) for index in rng.permutation(len(data.twins)))
    yield from islice((case for case in found if case is not None), n)


def _read_twin(data: TwinData, genuine: str, fake: str) -> Case | None:
    registration = data.registration(fake)
    landmarks = data.landmarks(fake)
    if registration is None or not np.isfinite(landmarks).all():
        return None
    affine, region = registration
    forged, real = data.image(fake), data.image(genuine)
    size = forged.shape[1], forged.shape[0]
    placed = cv2.warpAffine(real, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.resize(region.astype(np.float32) / 255, (real.shape[1], real.shape[0]), interpolation=cv2.INTER_LINEAR)
    mask = np.asarray(cv2.warpAffine(soft, affine, size, flags=cv2.INTER_LINEAR), np.float32)
    if not MIN_REGION <= float((mask >= 0.5).mean()) <= MAX_REGION:
        return None
    return Case(fake, TWINS, data.source(fake), forged, np.asarray(placed, np.uint8), landmarks, mask, frozenset())


# --- forgeries of our own ---------------------------------------------------------------------


def forge_cases(data: TwinData, group: str, kind: str, n: int, *, seed: int) -> Iterator[Case]:
    """Forgeries of one kind from genuine faces of the data, compressed like their twins.

    Args:
        group: "part" or "blend".
        kind: of ``PART_KINDS``, or of ``BLENDS``.
        seed: the same faces and forgeries whatever else is asked for.
    """
    family, part = (PART, kind) if group == PART else (kind, None)
    for number in range(n):
        rng = np.random.default_rng((seed, zlib.crc32(f"{group}/{kind}".encode()), number))
        case = _forge(data, f"{group}/{kind}", family, part, number, rng)
        if case is not None:
            yield case


def _forge(
    data: TwinData, group: str, family: str, part: str | None, number: int, rng: np.random.Generator
) -> Case | None:
    for _ in range(TRIES):
        name = data.genuine[int(rng.integers(len(data.genuine)))]
        landmarks = data.landmarks(name)
        shot = Shot(data.image(name), landmarks)
        donor = data.genuine[find_donor(data.genuine_landmarks, landmarks, rng)]
        other = Shot(data.image(donor), data.landmarks(donor)) if donor != name else None
        try:
            forgery = forge_face(family, shot, rng=rng, donor=other, kind=part)
        except NotForgeableError:
            continue
        quality = int(rng.integers(*JPEG))
        forged, genuine = (compress(x, quality) for x in (forgery.forged, forgery.genuine))
        parts = covered_parts(forgery.mask, landmarks) if family == PART else frozenset()
        if family == PART and not parts:
            continue
        return Case(f"{group}-{number}", group, data.source(name), forged, genuine, landmarks, forgery.mask, parts)
    log.warning("%s %d: none of %d faces could be forged", group, number, TRIES)
    return None


def compress(image: U8, quality: int) -> U8:
    """(H, W, 3) RGB through JPEG and back."""
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1], dtype=np.uint8)


KINDS = {PART: tuple(PART_KINDS), BLEND: tuple(name for name in BLENDS if name in FAMILIES)}


# --- whole clips ------------------------------------------------------------------------------


def read_clip_pairs(folder: Path, *, n_frames: int) -> Iterator[Case]:
    """The largest face in the frames of forged clips that have a genuine twin frame by frame.

    Args:
        folder: clips and their ``manifest.csv`` (file, label, method, pair).
        n_frames: of each pair, spread evenly; at least 4.
    """
    for entry in open_set(folder).entries:
        if entry.label == 1 and entry.pair:
            yield from _read_pair(folder / entry.name, folder / entry.pair, f"{CLIPS}/{entry.method}", n_frames)


def _read_pair(forged: Path, genuine: Path, group: str, n_frames: int) -> Iterator[Case]:
    settings = Settings()
    clips = [open_source(path, limits=settings.limits) for path in (forged, genuine)]
    with FaceFinder(settings.faces) as finder:
        frames = [sample_frames(clip, n_frames, limits=settings.limits) for clip in clips]
        for fake, real in zip(*frames, strict=False):
            faces = finder.find_faces(real)
            if not faces or fake.image.shape != real.image.shape:
                continue
            landmarks = faces[0].landmarks
            box = scale_box(square_box(landmarks), 1.5)
            (shown, affine), (twin, _) = (cut_square(x.image, box, CLIP_PX) for x in (fake, real))
            region = manipulated_region(shown, twin, np.eye(2, 3, dtype=np.float32))
            mask = cv2.resize(region.astype(np.float32) / 255, (CLIP_PX, CLIP_PX), interpolation=cv2.INTER_LINEAR)
            if not MIN_REGION <= float((mask >= 0.5).mean()) <= MAX_REGION:
                continue
            inside = transform_points(np.asarray(cv2.invertAffineTransform(affine), np.float32), landmarks)
            name = f"{forged.stem}-{fake.index}"
            yield Case(name, group, genuine.stem, shown, twin, inside, np.asarray(mask, np.float32), frozenset())


def count_groups(cases: Sequence[Case]) -> dict[str, int]:
    """Group -> number of cases."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.group] = counts.get(case.group, 0) + 1
    return counts
