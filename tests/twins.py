"""A small data set of twins: pictures with structure, half of them forged."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np

from space.lab.training.twins import IDENTITY, REGION_PX, manipulated_region

N_SOURCES = 6
SIDE = 224


def draw_face(rng: np.random.Generator) -> np.ndarray:
    """A picture with structure at every scale, so that registration has something to hold on to."""
    noise = sum(
        cv2.resize(rng.normal(0, 40, (n, n, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for n in (4, 12, 40)
    )
    return np.clip(128 + noise, 0, 255).astype(np.uint8)


def oval_landmarks() -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 478)
    return (SIDE / 2 + 90 * np.stack([np.cos(angles) * 0.8, np.sin(angles)], axis=1)).astype(np.float32)


def write_twins(folder: Path) -> tuple[Path, Path]:
    """A data set in the layout of ``dfdc_faces``, and the file that ``prepare`` writes."""
    rng = np.random.default_rng(0)
    rows, names, twins, regions, affines = [], [], [], [], []
    with zipfile.ZipFile(folder / "faces-00.zip", "w") as archive:
        for i in range(N_SOURCES):
            real = draw_face(rng)
            fake = real.copy()
            fake[70:150, 70:150] = 255 - fake[70:150, 70:150]
            split = "val" if i >= N_SOURCES - 2 else "train"
            for name, label, image in ((f"real{i}", 0, real), (f"fake{i}", 1, fake)):
                archive.writestr(f"{name}.jpg", cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes())
                rows.append((name, label, f"real{i}", 200, split, "faces-00.zip"))
                names.append(name)
                twins.append(f"real{i}" if label else "")
                affines.append(IDENTITY if label else np.full((2, 3), np.nan))
                regions.append(
                    manipulated_region(fake, real, IDENTITY) if label else np.zeros((REGION_PX, REGION_PX), np.uint8)
                )
    with (folder / "manifest.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["name", "label", "source", "native_px", "split", "shard"])
        writer.writerows(rows)
    landmarks = np.repeat(oval_landmarks()[None].astype(np.float16), len(names), axis=0)
    path = folder / "twins.npz"
    np.savez(path, names=names, twin=twins, landmarks=landmarks, affines=affines, regions=regions)
    return folder, path
