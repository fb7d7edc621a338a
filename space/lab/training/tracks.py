"""Twin tracks for members that read frames in order of time: a genuine face over some frames, and its forgery.

Where videos are few, photos move: a smooth path of shifts, turns and growth, and noise of its own in every frame, the
same for both twins. Forgeries are consistent over time, with the faults that tools leave, and both twins are
compressed by one draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from space.analysis.crops import cut_square, scale_box, square_box, transform_points
from space.contract import U8
from space.lab.forge.compress import decode_clip, draw_compression
from space.lab.forge.families import forge_track
from space.lab.forge.faults import draw_faults
from space.lab.forge.shot import NotForgeableError, Shot
from space.lab.forge.sources import Source
from space.lab.forge.swap import find_donor
from space.lab.training.film import FPS, smooth_path
from space.lab.training.pairs import TwinData
from space.lab.training.sequence_recipes import SequenceRecipe

FAMILIES = {
    "swap": 0.3,
    "self_blend": 0.25,
    "feathered": 0.2,
    "mesh_swap": 0.1,
    "reenact": 0.15,
}  # shares of the tracks
TRIES = 24  # of face, donor and family, for one track
NOISE = 3.0  # at most, sigma in steps of 255
LANDMARK_ERROR = 0.004  # of the face, per frame: what the detector makes of a face that stands still


@dataclass(frozen=True)
class TwinTrack:
    """Crops of both twins in order of time."""

    genuine: U8  # (t, S, S, 3) RGB
    forged: U8
    family: str
    source: str  # whatever shares one is not independent


def draw_track(
    data: TwinData, clips: Sequence[Source], recipe: SequenceRecipe, *, n_frames: int, rng: np.random.Generator
) -> TwinTrack:
    """One pair of twin tracks.

    Args:
        data: genuine faces; also the donors of swaps.
        clips: tracks of faces that were filmed; without any, none of the tracks come from clips.
        n_frames: at most; compression may lose some.

    Raises:
        ValueError: none of ``TRIES`` faces could be forged, or the recipe asks for photos and there are none.
    """
    names, shares = list(FAMILIES), np.array(list(FAMILIES.values()))
    for _ in range(TRIES):
        shots, source = _draw_shots(data, clips, recipe, n_frames, rng)
        family = str(rng.choice(names, p=shares / shares.sum()))
        donor = data.genuine[find_donor(data.genuine_landmarks, shots[0].landmarks, rng)]
        faults = draw_faults(rng, len(shots)) if rng.random() < recipe.fault_share else None
        try:
            forgeries = forge_track(
                family, shots, rng=rng, donor=Shot(data.image(donor), data.landmarks(donor)), faults=faults, fps=FPS
            )
        except NotForgeableError:
            continue
        compression = draw_compression(rng, len(shots), fps=FPS)
        seen = [
            decode_clip(compression.encode([_even(image) for image in images]))
            for images in ([f.genuine for f in forgeries], [f.forged for f in forgeries])
        ]
        landmarks = [shots[index].landmarks for index in compression.kept]
        error = rng.normal(0, LANDMARK_ERROR, size=(len(landmarks), 2)).astype(np.float32)
        scale = seen[0][0].shape[1] / _even(shots[0].image).shape[1]
        boxes = [
            scale_box(square_box((points + shift * shots[0].face_px + 0.5) * scale - 0.5), recipe.margin)
            for points, shift in zip(landmarks, error, strict=True)
        ]
        genuine, forged = (
            np.stack([cut_square(image, box, recipe.input_px)[0] for image, box in zip(images, boxes, strict=True)])
            for images in seen
        )
        return TwinTrack(genuine, forged, family, source)
    raise ValueError(f"none of {TRIES} faces could be forged over time")


def _draw_shots(
    data: TwinData, clips: Sequence[Source], recipe: SequenceRecipe, n_frames: int, rng: np.random.Generator
) -> tuple[Sequence[Shot], str]:
    kind = rng.random()
    if clips and kind < recipe.clips_share:
        clip = clips[rng.integers(len(clips))]
        first = int(rng.integers(max(1, len(clip.shots) - n_frames + 1)))
        return clip.shots[first : first + n_frames], clip.name
    if kind < recipe.clips_share + recipe.stills_share:
        if data.stills is None:
            raise ValueError("the recipe asks for photos; give the file that the stills command wrote")
        index = int(rng.integers(len(data.stills)))
        return move_face(Shot(data.stills.image(index), data.stills.landmarks[index]), n_frames, rng), f"still {index}"
    name = data.genuine[rng.integers(len(data.genuine))]
    return move_face(Shot(data.image(name), data.landmarks(name)), n_frames, rng), data.source(name)


def move_face(shot: Shot, n_frames: int, rng: np.random.Generator) -> list[Shot]:
    """A photo as so many frames of a camera and a head that move."""
    path = smooth_path(rng, n_frames)
    middle, face_px = shot.landmarks.mean(axis=0), shot.face_px
    sigma = float(rng.uniform(0, NOISE))
    height, width = shot.size_hw
    shots = []
    for right, down, growth, turn in path:
        linear = (1 + growth) * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        shift = middle - linear @ middle + np.array([right, down]) * face_px
        affine = np.column_stack([linear, shift]).astype(np.float32)
        moved = cv2.warpAffine(shot.image, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        grain = np.float32(sigma) * rng.standard_normal(moved.shape, np.float32)
        image = np.asarray(cv2.add(moved, grain, dtype=cv2.CV_8U), np.uint8)
        shots.append(Shot(image, transform_points(affine, shot.landmarks)))
    return shots


def _even(image: U8) -> U8:
    height, width = (side // 2 * 2 for side in image.shape[:2])
    return image[:height, :width]
