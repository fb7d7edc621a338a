"""Prepared faces: landmarks of every crop, and the manipulated region of every fake that has a twin.

A DFDC fake and its genuine twin show the same frame in crops that differ by a few per cent in
position and scale. Once registered (affine, ECC: Evangelidis & Psarakis 2008), |fake - real| is the
true manipulated region.
"""

from __future__ import annotations

import csv
import logging
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.faces import FaceMesh
from space.contract import F32, U8

log = logging.getLogger(__name__)

REGION_PX = 56  # side of a region map; four cells of the region head at 224 px
IDENTITY = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@dataclass(frozen=True)
class Sample:
    """One face crop of the data set."""

    name: str
    label: int  # 1 = fake
    source: str  # the genuine video it derives from
    native_px: int
    split: str  # "train" or "val"
    shard: str
    frame: int = 0  # of the sampled ones of its video, where there are several


def read_manifest(folder: Path) -> list[Sample]:
    """The samples of a ``dfdc_faces`` folder, in its order."""
    with (folder / "manifest.csv").open(newline="") as lines:
        return [
            Sample(
                *(r["name"], int(r["label"]), r["source"], int(r["native_px"]), r["split"], r["shard"]),
                frame=int(r.get("frame") or 0),
            )
            for r in csv.DictReader(lines)
        ]


def decode_rgb(data: bytes) -> U8:
    """An encoded image as (H, W, 3) RGB uint8."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not an image")
    return np.ascontiguousarray(image[:, :, ::-1])


class Shards:
    """Random access to the images of a ``dfdc_faces`` folder; encoded bytes are kept in memory."""

    def __init__(self, folder: Path, samples: list[Sample]) -> None:
        self._data: dict[str, bytes] = {}
        for shard in sorted({sample.shard for sample in samples}):
            with zipfile.ZipFile(folder / shard) as archive:
                for sample in (s for s in samples if s.shard == shard):
                    self._data[sample.name] = archive.read(f"{sample.name}.jpg")

    def encoded(self, name: str) -> bytes:
        """JPEG bytes."""
        return self._data[name]

    def image(self, name: str) -> U8:
        """(224, 224, 3) RGB."""
        return decode_rgb(self._data[name])


def register_twin(fake: U8, real: U8) -> F32 | None:
    """The affine from the real crop's pixels to the fake's, or None where ECC finds none."""
    gray = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (fake, real)]
    gray_fake, gray_real = (cv2.resize(x, None, fx=0.5, fy=0.5) for x in gray)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    try:
        score, affine = cv2.findTransformECC(
            gray_real,
            gray_fake,
            IDENTITY.copy(),
            cv2.MOTION_AFFINE,
            stop,
            None,
            5,  # type: ignore[call-overload]
        )
    except cv2.error:  # ECC's way of saying that it did not converge
        return None
    affine = np.asarray(affine, np.float32)
    affine[:, 2] *= 2
    if score < 0.85 or np.abs(affine - IDENTITY)[:, :2].max() > 0.15:
        return None
    return affine


def manipulated_region(fake: U8, real: U8, fake_from_real: F32) -> U8:
    """|fake - real| as a soft map on the real crop's pixels.

    Returns:
        (REGION_PX, REGION_PX) uint8, 255 = surely manipulated.
    """
    size = real.shape[1], real.shape[0]
    warped = cv2.warpAffine(
        fake, fake_from_real, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    blurred = [cv2.GaussianBlur(x, (0, 0), 1.5).astype(np.float32) for x in (warped, real)]
    difference = np.abs(blurred[0] - blurred[1]).max(axis=2)
    difference = cv2.GaussianBlur(difference, (0, 0), 5.0)
    soft = np.clip((difference - 5.0) / 12.0, 0, 1)  # JPEG and resampling alone stay below 5 grey levels
    return np.asarray(
        cv2.resize((soft * 255).astype(np.uint8), (REGION_PX, REGION_PX), interpolation=cv2.INTER_AREA), np.uint8
    )


def _find_landmarks(images: Iterator[bytes]) -> Iterator[F32]:
    with FaceMesh() as mesh:
        for data in images:
            image = decode_rgb(data)
            side = float(image.shape[0])
            found = mesh.landmarks(image, np.array([0, 0, side, side], np.float32))
            yield np.full((478, 2), np.nan, np.float32) if found is None else found


def _prepare_chunk(folder: Path, samples: list[Sample], twins: Mapping[str, Sample]) -> dict[str, NDArray[np.generic]]:
    cv2.setNumThreads(1)
    shards = Shards(folder, samples + [twins[s.name] for s in samples if s.name in twins])
    n = len(samples)
    regions = np.zeros((n, REGION_PX, REGION_PX), np.uint8)
    affines = np.full((n, 2, 3), np.nan, np.float32)
    for i, sample in enumerate(samples):
        if sample.name not in twins:
            continue
        fake, real = shards.image(sample.name), shards.image(twins[sample.name].name)
        affine = register_twin(fake, real)
        if affine is not None:
            affines[i], regions[i] = affine, manipulated_region(fake, real, affine)
    landmarks = np.stack(list(_find_landmarks(shards.encoded(s.name) for s in samples)))
    return {"landmarks": landmarks.astype(np.float16), "affines": affines, "regions": regions}


def prepare(folder: Path, out: Path, *, workers: int = 2, chunk: int = 500) -> Path:
    """Find landmarks and manipulated regions of a ``dfdc_faces`` folder; resumable chunk by chunk.

    Writes ``chunk-NNNN.npz`` and, at the end, ``twins.npz`` with arrays ``names`` (n,), ``twin`` (n,;
    name of a fake's genuine crop, else empty), ``landmarks`` (n, 478, 2; NaN without a face),
    ``affines`` (n, 2, 3; real -> fake pixels, NaN where not registered), ``regions`` (n, 56, 56).

    Returns:
        The path of ``twins.npz``.
    """
    samples = read_manifest(folder)
    genuine = {(s.source, s.frame): s for s in samples if s.label == 0}
    twins = {s.name: genuine[s.source, s.frame] for s in samples if s.label and (s.source, s.frame) in genuine}
    out.mkdir(parents=True, exist_ok=True)
    starts = list(range(0, len(samples), chunk))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:  # a fork would copy held locks
        jobs = {}
        for start in starts:
            path = out / f"chunk-{start // chunk:04d}.npz"
            if not path.exists():
                part = samples[start : start + chunk]
                jobs[path] = pool.submit(_prepare_chunk, folder, part, twins)
        for done, (path, job) in enumerate(jobs.items(), start=1):
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, **job.result())
            partial.rename(path)
            log.info("prepared %d of %d chunks", done, len(jobs))
    chunks = [np.load(out / f"chunk-{start // chunk:04d}.npz") for start in starts]
    np.savez(
        out / "twins.npz",
        names=np.array([s.name for s in samples]),
        twin=np.array([twins[s.name].name if s.name in twins else "" for s in samples]),
        **{key: np.concatenate([c[key] for c in chunks]) for key in ("landmarks", "affines", "regions")},
    )
    return out / "twins.npz"
