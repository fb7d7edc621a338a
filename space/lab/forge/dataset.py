"""Forged twins of every kind as files: genuine, forged and mask, a manifest, and a sheet per kind to look at.

Faces and donors are drawn by the seed from the data; there is no way to ask for a certain face in a certain picture.
Whatever is written says in its metadata what it is.
"""

from __future__ import annotations

import csv
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from space.contract import U8
from space.lab.forge.blend import Forgery
from space.lab.forge.compress import Compression, decode_clip, draw_compression, encode_masks
from space.lab.forge.families import FAMILIES, forge_track
from space.lab.forge.faults import draw_faults
from space.lab.forge.gallery import GAIN, MAX_EXAMPLES, Example, draw_sheet
from space.lab.forge.shot import NotForgeableError
from space.lab.forge.sources import Source, read_clips, read_stills
from space.lab.forge.swap import find_donor

log = logging.getLogger(__name__)

MARK = {True: "forged by Telltale's lab for training and testing", False: "genuine twin of a forgery by Telltale's lab"}
MIN_SOURCES = 8  # fewer are no pool: a donor must not be a choice
MAX_SOURCES = 160
FAULT_SHARE = 0.5
TRIES = 24  # of face and donor, for one forgery


@dataclass(frozen=True)
class Row:
    """One file of the manifest."""

    file: str
    label: int  # 0 genuine, 1 forged
    method: str  # family/kind; "" for genuine
    pair: str  # file of the genuine twin; "" for genuine
    mask: str  # file of the mask; "" for genuine
    source: str
    donor: str  # "" without
    seed: int
    crf: int
    scale: float
    n_frames: int
    change: float  # mean |forged - genuine| as written, inside the mask, 8-bit steps
    noise: float  # outside of it: what compression makes of twins that are alike there


@dataclass(frozen=True)
class Made:
    """One forgery of a track, before it is written."""

    forgeries: Sequence[Forgery]
    source: Source
    donor: str
    compression: Compression


def forge_dataset(
    data: Path, out: Path, *, families: Sequence[str], videos: bool, seed: int, count: int, n_frames: int = 50
) -> Path:
    """Forge ``count`` twins of every kind and write them.

    Args:
        data: a folder of genuine faces; see ``sources``.
        out: folder for ``manifest.csv``, the files and ``gallery/``.
        families: names of ``FAMILIES``.
        videos: clips of up to ``n_frames`` instead of stills.
        seed: the same data, families and seed give the same files.

    Returns:
        The manifest's path.

    Raises:
        ValueError: an unknown family, or too few genuine faces in the data.
    """
    if unknown := set(families) - set(FAMILIES):
        raise ValueError(f"no such family: {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    rng = np.random.default_rng(seed)
    sources = read_clips(data, MAX_SOURCES, rng, n_frames=n_frames) if videos else read_stills(data, MAX_SOURCES, rng)
    if len(sources) < MIN_SOURCES:
        raise ValueError(f"{len(sources)} genuine faces in the data; donors are drawn from at least {MIN_SOURCES}")
    (out / "gallery").mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for family in families:
        for kind in FAMILIES[family].kinds:
            rows += _forge_kind(sources, out, family, kind, seed=seed, count=count)
    with (out / "manifest.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([getattr(row, field.name) for field in fields(Row)] for row in rows)
    return out / "manifest.csv"


def _forge_kind(
    sources: Sequence[Source], out: Path, family: str, kind: str, *, seed: int, count: int
) -> Iterator[Row]:
    shown: list[Example] = []
    for index in range(count):
        number = zlib.crc32(f"{family}/{kind}/{index}".encode())  # so that a kind does not depend on the others asked
        made = _forge_one(sources, family, kind, np.random.default_rng((seed, number)))
        stem = f"{family}-{kind}-{index:03d}"
        example = write_twins(out, stem, made)
        if len(shown) < MAX_EXAMPLES:
            shown.append(example)
        yield from _rows(stem, f"{family}/{kind}", made, seed, example)
    if shown:
        sheet = draw_sheet(
            f"{family} / {kind}: genuine, FORGED for training and testing, mask, difference x{GAIN}", shown
        )
        _write_png(out / "gallery" / f"{family}-{kind}.png", sheet, MARK[True])
    log.info("%s/%s: %d", family, kind, count)


def _forge_one(sources: Sequence[Source], family: str, kind: str, rng: np.random.Generator) -> Made:
    """Draw faces and donors until one can be forged in this way."""
    pool = [source.shots[len(source.shots) // 2] for source in sources]
    landmarks = np.stack([shot.landmarks for shot in pool])
    for _ in range(TRIES):
        chosen = int(rng.integers(len(sources)))
        source = sources[chosen]
        donor_index = _draw_donor(landmarks, chosen, rng)
        faults = draw_faults(rng, len(source.shots)) if rng.random() < FAULT_SHARE else None
        try:
            forgeries = forge_track(
                family, source.shots, rng=rng, donor=pool[donor_index], kind=kind, faults=faults, fps=source.fps
            )
        except NotForgeableError as reason:
            log.debug("%s: %s", source.name, reason)
            continue
        compression = draw_compression(rng, len(source.shots), fps=source.fps)
        uses_donor = FAMILIES[family].needs_donor or FAMILIES[family].may_use_donor
        return Made(forgeries, source, sources[donor_index].name if uses_donor else "", compression)
    raise ValueError(f"none of {TRIES} faces could be forged by {family}/{kind}")


def _draw_donor(
    landmarks: np.ndarray[tuple[int, ...], np.dtype[np.float32]], chosen: int, rng: np.random.Generator
) -> int:
    others = np.array(landmarks)
    others[chosen] = np.nan  # a face is not its own donor
    return find_donor(others, landmarks[chosen], rng)


def write_twins(out: Path, stem: str, made: Made) -> Example:
    """Write the genuine and the forged twin, compressed alike, and the mask; return what the files show."""
    compression = made.compression
    masks = compression.select([np.rint(forgery.mask * 255).astype(np.uint8) for forgery in made.forgeries])
    shown: dict[bool, list[U8]] = {}
    for is_forged in (False, True):
        frames = [forgery.forged if is_forged else forgery.genuine for forgery in made.forgeries]
        comment = f"{MARK[is_forged]}; {stem}"
        encoded = compression.encode(frames, comment=comment)
        shown[is_forged] = decode_clip(encoded)
        path = out / _file(stem, "forged" if is_forged else "genuine", len(frames))
        if len(frames) > 1:
            path.write_bytes(encoded)
        else:
            _write_png(path, shown[is_forged][0], comment)
    mask_path, comment = out / _file(stem, "mask", len(made.forgeries)), f"mask of a forgery; {stem}"
    if len(made.forgeries) > 1:
        mask_path.write_bytes(encode_masks(masks, fps=compression.fps, comment=comment))
    else:
        _write_png(mask_path, masks[0], comment)
    return Example(genuine=shown[False], forged=shown[True], masks=masks)


def _file(stem: str, role: str, n_frames: int) -> str:
    return f"{stem}-{role}.{'mp4' if n_frames > 1 else 'png'}"


def _rows(stem: str, method: str, made: Made, seed: int, example: Example) -> Iterator[Row]:
    n_frames, compression = len(made.forgeries), made.compression
    genuine, forged, mask = (_file(stem, role, n_frames) for role in ("genuine", "forged", "mask"))
    shared = (seed, compression.crf, round(compression.scale, 3), len(compression.kept), *_differences(example))
    yield Row(genuine, 0, "", "", "", made.source.name, "", *shared)
    yield Row(forged, 1, method, genuine, mask, made.source.name, made.donor, *shared)


def _differences(example: Example) -> tuple[float, float]:
    """How much the twins differ inside and outside of the mask."""
    apart = np.stack([cv2.absdiff(f, g).mean(axis=2) for f, g in zip(example.forged, example.genuine, strict=True)])
    masks = np.stack(example.masks)
    inside, outside = masks > masks.max() // 2, masks == 0
    change, noise = (round(float(apart[where].mean()), 2) if where.any() else 0.0 for where in (inside, outside))
    return change, noise


def _write_png(path: Path, image: U8, comment: str) -> None:
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", comment)
    Image.fromarray(image).save(path, pnginfo=about)
