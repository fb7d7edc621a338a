"""Pairs of twins for training: a genuine face and its forgery, changed alike."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_square, invert, scale_box, square_box, transform_points
from space.contract import F32, U8
from space.lab.forge.blend import Forgery, blend_with_self
from space.lab.forge.families import forge_face
from space.lab.forge.shot import NotForgeableError, Shot
from space.lab.forge.swap import blend_with_other, find_donor
from space.lab.training.augment import UNCHANGED, Photometry, draw_photometry
from space.lab.training.film import draw_film
from space.lab.training.scene import draw_scene
from space.lab.training.stills import Stills
from space.lab.training.twins import REGION_PX, Sample, Shards, read_manifest

CELL_PX = 16  # of the input per cell of the region head
WINDOW_TRIES = 6
MAX_OUTSIDE = 1.05  # side of a crop that is kept inside / shorter side of the picture
# Families of forgeries beyond self-blended, swapped and feathered ones; the parts' share of those pairs is a choice,
# the rest is shared alike.
PART_FAMILY = "part"
FEATHERED_FAMILY = "feathered"
RESHAPED_SHARE = 0.5  # of the feathered pairs, besides those drawn so: another person's face is easily told
WHOLE_FAMILIES = ("mesh_swap", "reenact", "inpaint", "decoder")
MIN_WINDOW_REGION = 0.15  # mean of the region in a window that counts as forged


@dataclass(frozen=True)
class Batch:
    """Twins side by side: rows 2i are genuine, 2i + 1 forged."""

    images: U8  # (2n, W, W, 3) RGB
    labels: F32  # (2n,) 0 or 1
    regions: F32  # (2n, W/16, W/16) in [0, 1]
    region_known: F32  # (2n,) 1 where the region is true, 0 where it could not be registered


class TwinData:
    """The prepared data set in memory.

    Args:
        folder: a ``dfdc_faces`` folder.
        twins: the ``twins.npz`` that ``prepare`` wrote for it.
        split: "train" or "val".
        stills: what ``prepare_stills`` wrote, if photos are to be forged as well.
        source_share: of the split's sources; a larger share holds every smaller one's.
    """

    def __init__(
        self, folder: Path, twins: Path, *, split: str, stills: Path | None = None, source_share: float = 1.0
    ) -> None:
        self.stills = None if stills is None else Stills(stills)
        samples = read_manifest(folder)
        with np.load(twins) as arrays:
            if [s.name for s in samples] != arrays["names"].tolist():
                raise ValueError(f"{twins} was prepared from another data set")
            keep = [i for i, s in enumerate(samples) if s.split == split and _place(s.source) < source_share]
            self.samples: list[Sample] = [samples[i] for i in keep]
            self._landmarks = arrays["landmarks"][keep]
            self._regions = arrays["regions"][keep]
            self._affines = arrays["affines"][keep]
            twin = arrays["twin"][keep].tolist()
        self._shards = Shards(folder, self.samples)
        self._index = {s.name: i for i, s in enumerate(self.samples)}
        has_face = np.isfinite(self._landmarks[:, 0, 0])
        self.faces = [s.name for s, ok in zip(self.samples, has_face, strict=True) if ok]
        self.genuine = [n for n in self.faces if self.samples[self._index[n]].label == 0]
        self.genuine_landmarks = self._landmarks[[self._index[n] for n in self.genuine]]  # (n, 478, 2) float16
        face_names = set(self.faces)
        self.twins = [(t, s.name) for s, t in zip(self.samples, twin, strict=True) if t in face_names]

    def landmarks(self, name: str) -> F32:
        """(478, 2) pixels of the sample's image."""
        return np.asarray(self._landmarks[self._index[name]], np.float32)

    def image(self, name: str) -> U8:
        """(224, 224, 3) RGB."""
        return self._shards.image(name)

    def label(self, name: str) -> int:
        """1 = fake."""
        return self.samples[self._index[name]].label

    def source(self, name: str) -> str:
        """The genuine video it derives from."""
        return self.samples[self._index[name]].source

    def registration(self, fake: str) -> tuple[F32, U8] | None:
        """Real-to-fake affine and region map of a fake; None where it was not registered."""
        i = self._index[fake]
        return None if np.isnan(self._affines[i, 0, 0]) else (self._affines[i], self._regions[i])


def _place(source: str) -> float:
    """Where a source stands in [0, 1), by a hash of its name."""
    return int.from_bytes(sha256(source.encode()).digest()[:4], "big") / 2**32


@dataclass(frozen=True)
class PairChoices:
    """How pairs are drawn."""

    input_px: int
    margin: float  # the member's
    self_blend_share: float  # of the pairs
    window_px: int  # side of the window of the crop that is trained on; input_px: all of it
    swap_share: float = 0.0  # of the pairs
    further_share: float = 0.0  # of the pairs: parts and ``WHOLE_FAMILIES``; the rest are DFDC twins
    part_share: float = 0.4  # of those further pairs: single parts
    feathered_share: float = 0.0  # of the pairs: as sharp as their surroundings, but for the contour
    stills_share: float = 0.0  # of all pairs that are forged here
    photometry_share: float = 1.0  # of all pairs: scale, blur, light and compression as in the wild, and the next two
    h264_share: float = 0.0  # of all pairs: compressed as a video is
    camera_share: float = 0.0  # of all pairs: colours, curve, sharpness and noise of another camera
    inside_share: float = 0.0  # of all pairs: cut no wider than the picture
    scene_share: float = 0.0  # of all pairs: things, backdrops and coloured light around the face
    film_share: float = 0.0  # of all pairs: filmed while they move, and encoded as clips
    paired: bool = True  # twins side by side; else a genuine face and a forgery drawn each for itself
    jitter_shift: float = 0.05  # of the box side
    jitter_scale: tuple[float, float] = (0.82, 1.15)  # of the margin


@dataclass(frozen=True)
class Twins:
    """A genuine face and its forgery, before they are cut."""

    images: tuple[U8, U8]  # genuine, forged
    boxes: tuple[F32, F32]  # (4,) the square around the face in either
    landmarks: F32  # (478, 2) of the genuine image
    region: F32  # (R, R) in [0, 1], on the genuine image's pixels, of any resolution
    known: bool  # whether the region is


def draw_pair(data: TwinData, choices: PairChoices, *, rng: np.random.Generator) -> tuple[U8, U8, F32, bool]:
    """One pair of twins.

    Returns:
        Genuine and forged (W, W, 3), the region (W/16, W/16) in [0, 1], whether it is known.
    """
    twins = _draw_twins(data, choices, rng)
    shift = rng.uniform(-choices.jitter_shift, choices.jitter_shift, size=2).astype(np.float32)
    scale = choices.margin * float(rng.uniform(*choices.jitter_scale))
    if choices.inside_share and rng.random() < choices.inside_share:
        scale = _limit_scale(scale, twins, choices)
    photometry = UNCHANGED
    if choices.photometry_share == 1 or rng.random() < choices.photometry_share:
        photometry = draw_photometry(rng, choices.h264_share, choices.camera_share)
    cut = [
        cut_square(image, _jitter(box, shift, scale), choices.input_px)
        for image, box in zip(twins.images, twins.boxes, strict=True)
    ]
    region_box = twins.boxes[0] * (twins.region.shape[0] / twins.images[0].shape[0])
    cells = _cut_region(twins.region, _jitter(region_box, shift, scale), choices)
    crops = [crop for crop, _ in cut]
    if choices.scene_share and rng.random() < choices.scene_share:
        scene = draw_scene(crops[0], transform_points(invert(cut[0][1]), twins.landmarks), rng)
        crops, cells = [scene.apply(crop) for crop in crops], scene.uncover(cells)
    if choices.film_share and rng.random() < choices.film_share:
        photometry = _filmed(photometry, transform_points(invert(cut[0][1]), twins.landmarks), choices.input_px, rng)
    crops = [photometry.apply(crop) for crop in crops]
    cells = cells[:, ::-1] if photometry.flip else cells
    rows, columns = _pick_window(cells, choices.window_px // CELL_PX, rng)
    pixels = tuple(slice(s.start * CELL_PX, s.stop * CELL_PX) for s in (rows, columns))
    return crops[0][pixels], crops[1][pixels], cells[rows, columns], twins.known


def _draw_twins(data: TwinData, choices: PairChoices, rng: np.random.Generator) -> Twins:
    kind = rng.random()
    if kind < choices.self_blend_share:
        image, landmarks = _draw_genuine(data, choices, rng)
        return _forged_twins(blend_with_self(image, landmarks, rng=rng), landmarks)
    if kind < choices.self_blend_share + choices.swap_share:
        image, landmarks = _draw_genuine(data, choices, rng)
        donor = data.genuine[find_donor(data.genuine_landmarks, landmarks, rng)]
        return _forged_twins(
            blend_with_other(image, landmarks, data.image(donor), data.landmarks(donor), rng=rng), landmarks
        )
    if kind < choices.self_blend_share + choices.swap_share + choices.further_share:
        return _further_twins(data, choices, rng)
    if kind < choices.self_blend_share + choices.swap_share + choices.further_share + choices.feathered_share:
        return _further_twins(data, choices, rng, FEATHERED_FAMILY)
    return _given_twins(data, *data.twins[rng.integers(len(data.twins))])


def _further_twins(data: TwinData, choices: PairChoices, rng: np.random.Generator, family: str | None = None) -> Twins:
    """A forgery of another family, drawn unless given; self-blended where this face cannot be forged so."""
    image, landmarks = _draw_genuine(data, choices, rng)
    donor = data.genuine[find_donor(data.genuine_landmarks, landmarks, rng)]
    if family is None:
        whole = (1 - choices.part_share) / len(WHOLE_FAMILIES)
        shares = [choices.part_share, *[whole] * len(WHOLE_FAMILIES)]
        family = str(rng.choice([PART_FAMILY, *WHOLE_FAMILIES], p=shares))
    try:
        other = Shot(data.image(donor), data.landmarks(donor))
        kind = "reshaped" if family == FEATHERED_FAMILY and rng.random() < RESHAPED_SHARE else None
        forgery = forge_face(family, Shot(image, landmarks), rng=rng, donor=other, kind=kind)
    except NotForgeableError:
        forgery = blend_with_self(image, landmarks, rng=rng)
    return _forged_twins(forgery, landmarks)


def _draw_genuine(data: TwinData, choices: PairChoices, rng: np.random.Generator) -> tuple[U8, F32]:
    """A genuine face and its landmarks."""
    if choices.stills_share and rng.random() < choices.stills_share:
        if data.stills is None:
            raise ValueError("the recipe asks for photos; give the file that the stills command wrote")
        index = int(rng.integers(len(data.stills)))
        return data.stills.image(index), data.stills.landmarks[index]
    name = data.genuine[rng.integers(len(data.genuine))]
    return data.image(name), data.landmarks(name)


def _forged_twins(forgery: Forgery, landmarks: F32) -> Twins:
    region = forgery.mask / max(float(forgery.mask.max()), 1e-3)  # where, not how much
    box = square_box(landmarks)
    return Twins((forgery.genuine, forgery.forged), (box, box), landmarks, region, known=True)


def _given_twins(data: TwinData, genuine: str, fake: str) -> Twins:
    """Twins of the data set, registered if they could be."""
    images = data.image(genuine), data.image(fake)
    registration = data.registration(fake)
    landmarks = data.landmarks(genuine)
    box = square_box(landmarks)
    if registration is None:
        other = square_box(data.landmarks(fake))
        region = np.zeros((REGION_PX, REGION_PX), np.float32)
        return Twins(images, (box, other if np.isfinite(other).all() else box), landmarks, region, known=False)
    affine, soft = registration
    other = transform_points(affine, box.reshape(2, 2)).reshape(4)
    return Twins(images, (box, other), landmarks, soft.astype(np.float32) / 255, known=True)


def _filmed(photometry: Photometry, landmarks: F32, input_px: int, rng: np.random.Generator) -> Photometry:
    """The changes with a film in place of resampling and compression."""
    x1, y1, x2, y2 = (float(side) for side in square_box(landmarks))
    across = (x1 + x2) / 2
    middle = (input_px - 1 - across if photometry.flip else across, (y1 + y2) / 2)
    return replace(photometry, scale=1.0, crf=None, jpeg=(), film=draw_film(middle, x2 - x1, rng))


def _limit_scale(scale: float, twins: Twins, choices: PairChoices) -> float:
    """Wide crops only where the picture has room around the face, not a repeated border."""
    room = MAX_OUTSIDE * min(twins.images[0].shape[:2]) / float(twins.boxes[0][2] - twins.boxes[0][0])
    return min(scale, max(choices.margin * choices.jitter_scale[0], room))


def _jitter(box: F32, shift: F32, scale: float) -> F32:
    return scale_box(box + np.tile(shift * (box[2] - box[0]), 2), scale)


def _cut_region(region: F32, box: F32, choices: PairChoices) -> F32:
    """The region seen through the crop: (S/16, S/16); outside the image nothing is manipulated."""
    size = choices.input_px // CELL_PX
    scale = float(box[2] - box[0]) / size
    shift = (scale - 1) / 2
    affine = np.array([[scale, 0, box[0] + shift], [0, scale, box[1] + shift]], np.float32)
    smooth = cv2.GaussianBlur(region, (0, 0), scale / 3) if scale > 1.5 else region
    cells = cv2.warpAffine(smooth, affine, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(cells, np.float32)


def _pick_window(cells: F32, n: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """A random window of n x n cells in which something is manipulated, if any of a few tries shows it.

    A window keeps the crop's scale at a fraction of its cost, where a reduced crop would lose the fine
    traces; the networks pool over whatever they get.
    """
    room = cells.shape[0] - n
    corners = rng.integers(0, room + 1, size=(WINDOW_TRIES, 2))
    for top, left in corners:
        window = slice(int(top), int(top) + n), slice(int(left), int(left) + n)
        if cells[window].mean() >= MIN_WINDOW_REGION:
            return window
    middle = slice(room // 2, room // 2 + n)
    return middle, middle


def draw_batch(data: TwinData, choices: PairChoices, n_pairs: int, *, seed: tuple[int, ...]) -> Batch:
    """A batch that depends on its seed only, so that a run can resume at any step."""
    pairs = [draw_pair(data, choices, rng=np.random.default_rng((*seed, i))) for i in range(n_pairs)]
    if not choices.paired:
        others = [draw_pair(data, choices, rng=np.random.default_rng((*seed, n_pairs + i))) for i in range(n_pairs)]
        pairs = [(other[0], *pair[1:]) for pair, other in zip(pairs, others, strict=True)]
    cells = choices.window_px // CELL_PX
    regions = np.zeros((2 * n_pairs, cells, cells), np.float32)
    known = np.ones(2 * n_pairs, np.float32)
    regions[1::2] = np.stack([region for _, _, region, _ in pairs])
    known[1::2] = [float(is_known) for *_, is_known in pairs]
    images = np.stack([image for genuine, forged, _, _ in pairs for image in (genuine, forged)])
    return Batch(
        images=images, labels=np.tile(np.array([0, 1], np.float32), n_pairs), regions=regions, region_known=known
    )


def stream_batches(
    data: TwinData, choices: PairChoices, n_pairs: int, *, seed: int, steps: range, threads: int = 2, ahead: int = 6
) -> Generator[Batch]:
    """Batches of the given steps, in order, drawn ahead in threads; at most ``ahead`` are held."""
    with ThreadPoolExecutor(threads) as pool:
        pending = []
        for step in steps:
            pending.append(pool.submit(draw_batch, data, choices, n_pairs, seed=(seed, step)))
            if len(pending) >= ahead:
                yield pending.pop(0).result()
        while pending:
            yield pending.pop(0).result()


def frame_crops(data: TwinData, names: list[str], *, margin: float, input_px: int) -> NDArray[np.uint8]:
    """The crops a member sees in service, for evaluation: (n, S, S, 3)."""
    return np.stack(
        [cut_square(data.image(n), scale_box(square_box(data.landmarks(n)), margin), input_px)[0] for n in names]
    )
