"""Links faces of sampled frames into tracks: one per person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_crop
from space.contract import F32, Face, Track

# Sampled frames may lie seconds and cuts apart, so colour says who it is and place only helps. Colour is the
# Hellinger distance, [0, 1], of the Lab histograms of two face boxes. On 328 faces of 37 clips it is
# 0.17 (median) and 0.43 (99 %) for the same person in one clip, 0.35 at least for two people side by
# side, 0.41 (1 %) and 0.75 (median) for different clips. Finer or smoothed histograms bear more change of
# light, but take more strangers for each other, and cuts are commoner than flickering light.
LOOK_PX = 56
LOOK_BINS = 8
AB_RANGE = (96, 176)  # of OpenCV's 8-bit a and b: skin and what surrounds it; what lies beyond counts at the edge
N_LOOKS = 5  # the latest of a track, the most similar counts: people turn and light changes

MAX_COST = 0.45  # beyond it two faces are two people
PLACE_COST = 0.1  # of a move by FAR sides or more
FAR = 2.0
SIZE_COST = 0.05  # of becoming four times as large, or a quarter


@dataclass
class _Trail:
    faces: list[Face] = field(default_factory=list)
    looks: list[F32] = field(default_factory=list)

    def add(self, face: Face, look: F32) -> None:
        self.faces.append(face)
        self.looks = [*self.looks[1 - N_LOOKS :], look]

    def cost(self, face: Face, look: F32) -> float:
        """How little a face looks like the next one of this trail, from 0."""
        colour = min(_colour_distance(look, other) for other in self.looks)
        return colour + _move_cost(self.faces[-1].box_xyxy, face.box_xyxy)


def link_tracks(faces: Iterable[Face]) -> tuple[Track, ...]:
    """Tracks of one person each, at most one face per frame, in order of first appearance.

    Frame by frame, faces are assigned to the tracks so far at the least total cost; a face that costs
    too much everywhere starts a track. A person who leaves and comes back continues their track. A false
    detection ends up as a short track of low confidence; nothing is dropped.

    Args:
        faces: of any number of frames, in any order.
    """
    trails: list[_Trail] = []
    ordered = sorted(faces, key=lambda face: (face.time_s, face.frame_index))
    for _, group in groupby(ordered, key=lambda face: face.frame_index):
        _extend(trails, list(group))
    return tuple(Track(track_id=i, faces=tuple(trail.faces)) for i, trail in enumerate(trails, start=1))


def _extend(trails: list[_Trail], faces: Sequence[Face]) -> None:
    looks = [_describe_look(face) for face in faces]
    costs = np.array([[trail.cost(*face) for trail in trails] for face in zip(faces, looks, strict=True)])
    for face, look, trail in zip(faces, looks, _assign(costs, len(faces)), strict=True):
        if trail is None:
            trails.append(_Trail())
        trails[-1 if trail is None else trail].add(face, look)


def _assign(costs: NDArray[np.float64], n_faces: int) -> list[int | None]:
    """The trail of each face; None where every one costs too much or is taken.

    Args:
        costs: (faces, trails).
    """
    assigned: list[int | None] = [None] * n_faces
    if not costs.size:
        return assigned
    from scipy.optimize import linear_sum_assignment  # takes long to import

    # MAX_COST is the price of a new track: no good pair is broken up to spare a stranger one.
    rows, columns = linear_sum_assignment(np.minimum(costs, MAX_COST))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if costs[row, column] < MAX_COST:
            assigned[row] = column
    return assigned


def _describe_look(face: Face) -> F32:
    """Square roots of the frequencies of Lab colours in the face's box: (LOOK_BINS ** 3,), unit length."""
    crop = cut_crop(face.patch, face.box_xyxy, margin=1.0, input_px=LOOK_PX).image
    lab = np.clip(cv2.cvtColor(crop, cv2.COLOR_RGB2LAB), (0, *[AB_RANGE[0]] * 2), (255, *[AB_RANGE[1] - 1] * 2))
    ranges = [0, 256, *AB_RANGE, *AB_RANGE]
    counts = cv2.calcHist([lab.astype(np.uint8)], [0, 1, 2], None, [LOOK_BINS] * 3, ranges)
    return np.asarray(np.sqrt(counts.ravel() / LOOK_PX**2), np.float32)


def _colour_distance(first: F32, second: F32) -> float:
    return float(np.sqrt(max(0.0, 1.0 - float(first @ second))))


def _move_cost(before_xyxy: F32, after_xyxy: F32) -> float:
    """What a change of place and size between two square boxes says against the same person."""
    sides = [float(box[2] - box[0]) for box in (before_xyxy, after_xyxy)]
    moved = float(np.linalg.norm((after_xyxy[:2] + after_xyxy[2:] - before_xyxy[:2] - before_xyxy[2:]) / 2))
    far = min(1.0, moved / (FAR * float(np.mean(sides))))
    resized = min(1.0, abs(float(np.log2(sides[1] / sides[0]))) / 2)
    return PLACE_COST * far + SIZE_COST * resized
