"""A small data set of real-looking faces, all made from scikit-image's astronaut: crops, landmarks and forged twins."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from space.analysis.crops import cut_square, invert, scale_box, square_box, transform_points
from space.analysis.parts import part_masks
from space.lab.training.twins import REGION_PX, manipulated_region

SIDE = 224
LANDMARKS = np.loadtxt(Path(__file__).parent / "astronaut_landmarks.csv", delimiter=",", dtype=np.float32)
IDENTITY = np.eye(2, 3, dtype=np.float32)


def make_face(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(224, 224, 3) RGB, a crop with a margin and light of its own, and the (478, 2) landmarks in it."""
    box = scale_box(square_box(LANDMARKS) + rng.uniform(-6, 6), float(rng.uniform(1.3, 1.6)))
    image, frame_from_crop = cut_square(np.ascontiguousarray(data.astronaut()), box, SIDE)
    lit = np.clip(image * rng.uniform(0.8, 1.1) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    return lit, transform_points(invert(frame_from_crop), LANDMARKS)


def forge_mouth(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The same face with another colour about the mouth."""
    mask = part_masks(landmarks, SIDE)["mouth"].astype(np.float32)
    soft = cv2.GaussianBlur(cv2.dilate(mask, np.ones((15, 15))), (0, 0), 3)[..., None]
    return np.clip(image + soft * np.array([60, -30, 40]), 0, 255).astype(np.uint8)


def write_faces(folder: Path, *, n_sources: int = 6, n_train: int = 0) -> tuple[Path, Path]:
    """A folder in the layout of ``dfdc_faces`` with a genuine face and a forged twin of every source.

    Args:
        n_train: so many of the sources are in train, the others in val.

    Returns:
        The folder, and the ``twins.npz`` that ``prepare`` would write for it.
    """
    rng = np.random.default_rng(0)
    rows, arrays = [], {key: [] for key in ("names", "twin", "landmarks", "affines", "regions")}
    with zipfile.ZipFile(folder / "faces-00.zip", "w") as archive:
        for i in range(n_sources):
            real, landmarks = make_face(rng)
            fake = forge_mouth(real, landmarks)
            for name, label, image in ((f"real{i}", 0, real), (f"fake{i}", 1, fake)):
                archive.writestr(f"{name}.jpg", cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes())
                rows.append((name, label, f"real{i}", 200, "train" if i < n_train else "val", "faces-00.zip"))
                region = manipulated_region(fake, real, IDENTITY) if label else np.zeros((REGION_PX, REGION_PX))
                arrays["names"].append(name)
                arrays["twin"].append(f"real{i}" if label else "")
                arrays["landmarks"].append(landmarks.astype(np.float16))
                arrays["affines"].append(IDENTITY if label else np.full((2, 3), np.nan))
                arrays["regions"].append(region.astype(np.uint8))
    with (folder / "manifest.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("name", "label", "source", "native_px", "split", "shard"), *rows])
    np.savez(folder / "twins.npz", **{key: np.array(values) for key, values in arrays.items()})
    return folder, folder / "twins.npz"
