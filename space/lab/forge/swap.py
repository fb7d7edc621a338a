"""Swaps: a face blended with another one, brought into its place.

What tools of the swapping kind leave behind, whatever network makes the face: a face of a lower native resolution
than its surroundings, colours matched by statistics only, other noise and sharpness, and the soft border of an eroded
mask. The other face is drawn by a seed from a pool of like poses; nobody chooses it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.parts import FACE_OVAL
from space.contract import F32, U8
from space.lab.forge.blend import Forgery, soften_mask

F64 = NDArray[np.float64]

# Landmarks that say where a face's features are; the mesh's other ones lie between them.
KEY_LANDMARKS = (
    *FACE_OVAL[::2],
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(33, 160, 158, 133, 153, 144, 263, 387, 385, 362, 380, 373),  # eyes
    *(9, 168, 195, 4, 2, 98, 327, 64, 294),  # nose
    *(61, 40, 0, 270, 291, 321, 17, 91, 13, 14),  # mouth
    *(50, 280, 205, 425),  # cheeks
)
MAX_POSE_DISTANCE = 0.035  # beyond it faces are seen from sides too different: the warp folds
N_CANDIDATES = 96  # donors looked at per face: more make poses alike, fewer make donors differ
GRID = 25  # nodes along the longer side of the image in which the warp is computed; smooth in between
SMOOTHING = 1e-3  # of the thin plate: landmarks are not exact


def blend_with_other(
    image: U8,
    landmarks: F32,
    donor: U8,
    donor_landmarks: F32,
    *,
    rng: np.random.Generator,
    strength: float = 1.0,
    noise_rng: np.random.Generator | None = None,
) -> Forgery:
    """Put another face in the place of a face.

    Args:
        image: (H, W, 3) RGB uint8, a genuine face.
        landmarks: (478, 2) in its pixels, finite.
        donor: (H', W', 3) RGB uint8, another face in a like pose (see ``find_donor``).
        donor_landmarks: (478, 2) in the donor's pixels, finite.
        strength: 0 is the identity, 1 the full forgery.
        noise_rng: for the sensor's noise alone, which differs between the frames of a clip; ``rng`` unless given.

    Returns:
        The forgery; its genuine twin is the image itself.
    """
    size_hw = image.shape[0], image.shape[1]
    mask = soft_swap_mask(landmarks, size_hw, rng)
    foreign, is_seen = bring_into_place(donor, donor_landmarks, landmarks, size_hw, rng)
    mask = mask * is_seen
    foreign = match_colours(change_sensor(foreign, rng, noise_rng), image, mask, rng)
    ratio = 1.0 if rng.random() < 0.8 else float(rng.uniform(0.5, 1.0))
    mask = mask * np.float32(ratio * strength)
    return Forgery(genuine=image, forged=blend(image, foreign, mask), mask=mask)


def blend(image: U8, foreign: U8, mask: F32) -> U8:
    """The foreign image where the mask is 1, the image where it is 0."""
    return np.asarray(cv2.blendLinear(foreign, image, mask, 1 - mask), np.uint8)


def find_donor(pool: NDArray[np.float16] | F32, landmarks: F32, rng: np.random.Generator) -> int:
    """The index of a face in a like pose, out of a random handful of the pool.

    Args:
        pool: (n, 478, 2) landmarks, NaN where there is no face.
        landmarks: (478, 2) of the face that gets the donor. A face of the pool with exactly these landmarks is
            the same picture and is not returned.

    Raises:
        ValueError: none of the candidates can be a donor.
    """
    candidates = rng.integers(len(pool), size=N_CANDIDATES)
    distances = pose_distances(pool[candidates][:, np.array(KEY_LANDMARKS)], landmarks[np.array(KEY_LANDMARKS)])
    distances[~np.isfinite(distances) | (distances < 1e-7)] = np.inf
    best = int(distances.argmin())
    if not np.isfinite(distances[best]):
        raise ValueError("the pool has no other face")
    return int(candidates[best])


def pose_distances(poses: NDArray[np.float16] | F32, wanted: F32) -> F32:
    """How unlike landmarks (n, k, 2) are to others (k, 2), whatever their place and size: (n,).

    The mean squared distance in units of the landmarks' spread; NaN where there are none. See ``MAX_POSE_DISTANCE``.
    """
    apart = _normalise(poses.astype(np.float32)) - _normalise(wanted.astype(np.float32)[None])
    return np.asarray((apart**2).mean(axis=(1, 2)), np.float32)


def _normalise(landmarks: F32) -> F32:
    """Landmarks (n, k, 2) about their mean, in units of their spread."""
    centred = landmarks - landmarks.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=(1, 2), keepdims=True))
    return np.asarray(centred / spread, np.float32)


def swap_mask(landmarks: F32, size_hw: tuple[int, int], *, rng: np.random.Generator) -> F32:
    """The hull that swapping tools fill: the face, the face below the brows, or eyes, nose and mouth only.

    Returns:
        (H, W) float32 of 0 and 1.
    """
    keys = np.array(KEY_LANDMARKS)
    n_oval = len(FACE_OVAL[::2])
    kind = rng.random()
    if kind < 0.35:
        points = landmarks[keys]
    elif kind < 0.8:  # the oval's lower part and the brows
        oval = landmarks[keys[:n_oval]]
        low, high = landmarks[:, 1].min(), landmarks[:, 1].max()
        below = oval[oval[:, 1] > low + rng.uniform(0.2, 0.4) * (high - low)]
        points = np.concatenate([below, landmarks[keys[n_oval:]]])
    else:
        points = landmarks[keys[n_oval:]]
    points = (points - points.mean(axis=0)) * rng.uniform(0.92, 1.06) + points.mean(axis=0)
    mask = np.zeros(size_hw, np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).astype(np.int32), (1.0,))
    return mask


def warp_coordinates(
    landmarks: F32,
    donor_landmarks: F32,
    size_hw: tuple[int, int],
    *,
    keys: Sequence[int] = KEY_LANDMARKS,
    grid: int = GRID,
    smoothing: float = SMOOTHING,
) -> tuple[F32, F32]:
    """Where in the donor's picture each pixel of the target's picture comes from.

    A thin-plate spline through the key landmarks (Bookstein 1989), computed on a coarse grid: it is smooth.

    Args:
        keys: indices of the landmarks that it goes through.
        grid: nodes along the image's longer side.
        smoothing: how far it may miss them; in units of the kernel.

    Returns:
        x and y, each (H, W) float32, in the donor's pixels.
    """
    source, wanted = (points[np.array(keys)].astype(np.float64) for points in (landmarks, donor_landmarks))
    unit = float((source.max(axis=0) - source.min(axis=0)).max())
    middle = source.mean(axis=0)
    weights = _fit_plate((source - middle) / unit, wanted, smoothing)
    height, width = size_hw
    cell = -(-max(size_hw) // grid)
    rows, columns = -(-height // cell) + 2, -(-width // cell) + 2  # a ring beyond the image, for the cubic to look at
    xs, ys = ((np.arange(n) - 0.5) * cell - 0.5 for n in (columns, rows))  # centres of the cells
    nodes = (np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2) - middle) / unit
    placed = (_plate_terms(nodes, (source - middle) / unit) @ weights).astype(np.float32).reshape(rows, columns, 2)
    dense = cv2.resize(placed, (columns * cell, rows * cell), interpolation=cv2.INTER_CUBIC)
    inside = dense[cell : cell + height, cell : cell + width]
    return np.ascontiguousarray(inside[:, :, 0]), np.ascontiguousarray(inside[:, :, 1])


def _plate_terms(points: F64, centres: F64) -> F64:
    """(n, k + 3): the thin plate's kernels about the centres, then 1, x, y."""
    squared = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * points @ centres.T
    kernels = 0.5 * squared * np.log(np.maximum(squared, 1e-12))
    return np.concatenate([kernels, np.ones((len(points), 1)), points], axis=1)


def _fit_plate(centres: F64, values: F64, smoothing: float) -> F64:
    """(k + 3, 2) weights of the terms above that bring the centres to the values."""
    k = len(centres)
    system = np.zeros((k + 3, k + 3))
    system[:k] = _plate_terms(centres, centres)
    system[:k, :k] += smoothing * np.eye(k)
    system[k:, :k] = system[:k, k:].T
    return np.asarray(np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))])), np.float64)


def soft_swap_mask(landmarks: F32, size_hw: tuple[int, int], rng: np.random.Generator) -> F32:
    """The soft border is drawn at half the size: it holds nothing finer, and blurs are what costs."""
    height, width = size_hw
    half = swap_mask(landmarks / 2, (-(-height // 2), -(-width // 2)), rng=rng)
    face_px = float((landmarks.max(axis=0) - landmarks.min(axis=0)).max())
    soft = soften_mask(half, face_px / 2, rng)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def bring_into_place(
    donor: U8, donor_landmarks: F32, landmarks: F32, size_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[U8, F32]:
    """The donor's picture on the target's pixels, seldom at their resolution, and where it has any: (H, W)."""
    xs, ys = warp_coordinates(landmarks, donor_landmarks, size_hw)
    height, width = donor.shape[:2]
    is_seen = find_seen(xs, ys, (height, width))
    scale = 1.0 if rng.random() < 0.15 else float(rng.uniform(0.3, 0.9))
    if scale < 1:
        reduced = max(8, round(width * scale)), max(8, round(height * scale))
        donor = np.asarray(cv2.resize(donor, reduced, interpolation=cv2.INTER_AREA), np.uint8)
        small = max(8, round(size_hw[1] * scale)), max(8, round(size_hw[0] * scale))
        xs, ys = ((cv2.resize(x, small, interpolation=cv2.INTER_AREA) + 0.5) * scale - 0.5 for x in (xs, ys))
    placed = cv2.remap(donor, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if scale < 1:
        how = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
        placed = cv2.resize(placed, (size_hw[1], size_hw[0]), interpolation=how)
    return np.asarray(placed, np.uint8), is_seen


def find_seen(xs: F32, ys: F32, size_hw: tuple[int, int]) -> F32:
    """Where coordinates (H, W) lie inside a picture of a size: 1, falling softly to 0 where the picture ends."""
    height, width = size_hw
    is_seen = ((xs >= 0) & (ys >= 0) & (xs <= width - 1) & (ys <= height - 1)).astype(np.float32)
    if is_seen.all():
        return is_seen
    return np.asarray(cv2.blur(cv2.erode(is_seen, np.ones((7, 7), np.uint8)), (7, 7)), np.float32)


def change_sensor(image: U8, rng: np.random.Generator, noise_rng: np.random.Generator | None = None) -> U8:
    """Other sharpness and noise than the surroundings have."""
    kind = rng.random()
    changed = image
    if kind < 0.3:
        changed = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    elif kind < 0.55:
        more = float(rng.uniform(0.3, 1.2))
        changed = np.asarray(cv2.addWeighted(image, 1 + more, cv2.GaussianBlur(image, (0, 0), 1.5), -more, 0), np.uint8)
    if rng.random() < 0.25:
        noise = np.float32(rng.uniform(1, 5)) * (noise_rng or rng).standard_normal(image.shape, np.float32)
        changed = np.asarray(cv2.add(changed, noise, dtype=cv2.CV_8U), np.uint8)
    return changed


def match_colours(foreign: U8, target: U8, mask: F32, rng: np.random.Generator) -> U8:
    """Bring the colours inside the mask towards the target's: by their statistics, or their slow changes too."""
    height, width = mask.shape
    small = max(4, width // 4), max(4, height // 4)
    inside = (cv2.resize(mask, small, interpolation=cv2.INTER_NEAREST) > 0.3).astype(np.uint8)
    if not inside.any():
        return foreign
    few, few_target = (cv2.resize(x, small, interpolation=cv2.INTER_AREA) for x in (foreign, target))
    mean, spread = (x.ravel() for x in cv2.meanStdDev(few, mask=inside))
    wanted_mean, wanted_spread = (x.ravel() for x in cv2.meanStdDev(few_target, mask=inside))
    gain = np.clip((wanted_spread + 1) / (spread + 1), 0.5, 2.0) if rng.random() < 0.7 else np.ones(3)
    amount = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.6, 1.0))
    gain = 1 + amount * (gain - 1)
    shift = mean + amount * (wanted_mean - mean) - gain * mean
    linear = np.column_stack([np.diag(gain), shift])
    matched = np.asarray(cv2.transform(foreign, linear), np.uint8)
    if rng.random() < 0.3:  # light from the other side, and the like
        sigma = float(rng.uniform(0.06, 0.2)) * small[0]
        slow = [cv2.GaussianBlur(x.astype(np.float32), (0, 0), sigma) for x in (few_target, cv2.transform(few, linear))]
        difference = cv2.resize(amount * (slow[0] - slow[1]), (width, height), interpolation=cv2.INTER_LINEAR)
        matched = np.asarray(cv2.add(matched, difference, dtype=cv2.CV_8U), np.uint8)
    return matched
