"""What facial parts add to the logit, and how far the members agree on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import invert, transform_points
from space.analysis.named_parts import compromising_parts
from space.analysis.parts import PART_NAMES, measure_parts, part_masks
from space.contract import F32, Crop, FaceMap, PartHeat


def attribute_parts(
    contributions: Mapping[str, F32], crops: Mapping[str, Crop], scales: Mapping[str, float], landmarks_frame: F32
) -> dict[str, float]:
    """What each part's share of the last block's cells adds to the ensemble's logit.

    A cell that lies on several parts is shared out by area. Nothing is lost: the parts' sum is that of all cells.

    Args:
        contributions: member -> (h, w) signed cells, which with the head's bias add up to the member's logit.
        crops: member -> what it saw.
        scales: member -> factor from its logit units to the ensemble's.
        landmarks_frame: (478, 2) of the face, in the frame's pixels.

    Returns:
        Part -> signed logit units, in the order of ``PART_NAMES``.
    """
    sums = dict.fromkeys(PART_NAMES, 0.0)
    for member, cells in contributions.items():
        crop = crops[member]
        side = crop.image.shape[0]
        masks = part_masks(transform_points(invert(crop.frame_from_crop), landmarks_frame), side)
        for name, mask in masks.items():
            sums[name] += scales[member] * float((cells * _covered(mask, cells.shape[0])).sum())
    return sums


def _covered(mask: NDArray[np.bool_], n_cells: int) -> F32:
    """Share of each cell that a mask covers: (S, S) -> (n_cells, n_cells), in [0, 1]."""
    index = np.arange(mask.shape[0]) * n_cells // mask.shape[0]
    sums = np.zeros((n_cells, mask.shape[0]), np.float64)
    np.add.at(sums, index, mask.astype(np.float64))
    covered = np.zeros((n_cells, n_cells), np.float64)
    np.add.at(covered.T, index, sums.T)
    per_row = np.bincount(index, minlength=n_cells)
    return np.asarray(covered / np.outer(per_row, per_row), np.float32)


def measure_agreement(
    face_map: FaceMap, shares: Mapping[str, float], landmarks_frame: F32, usual: Mapping[str, float] | None = None
) -> dict[str, float] | None:
    """Part -> share of the ensemble, [0, 1], whose members' own layered maps name it; None with a single member.

    Args:
        shares: member -> its weight in the ensemble, sum 1.
        usual: as for ``measure_parts``, of the ensemble's maps.
    """
    if len(face_map.members) < 2:
        return None
    agreement = dict.fromkeys(PART_NAMES, 0.0)
    for member, layers in face_map.members.items():
        own = FaceMap(crop=face_map.crop, layered=layers["layered"], members={})
        for name in compromising_parts(measure_parts(own, landmarks_frame, usual)):
            agreement[name] += shares[member]
    return {name: min(1.0, share) for name, share in agreement.items()}


def share_by_layer(face_map: FaceMap, landmarks_frame: F32) -> dict[str, dict[str, dict[str, float]]]:
    """Member -> layer -> part -> share of that map's heat, [0, 1]; all parts 0 where the map holds none."""
    landmarks = transform_points(invert(face_map.crop.frame_from_crop), landmarks_frame)
    masks = part_masks(landmarks, face_map.crop.image.shape[0])
    return {
        member: {layer: _shares(heat, masks) for layer, heat in layers.items()}
        for member, layers in face_map.members.items()
    }


def _shares(heat: F32, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    total = float(heat.sum(dtype=np.float64))
    return {
        name: min(1.0, float(heat[mask].sum(dtype=np.float64)) / total) if total > 0 else 0.0
        for name, mask in masks.items()
    }


def add_findings(
    parts: Sequence[PartHeat], logits: Mapping[str, float] | None, agreement: Mapping[str, float] | None
) -> tuple[PartHeat, ...]:
    """The parts with what they add to the logit and how far members agree on them; None leaves them without."""
    return tuple(
        replace(
            part,
            logit=None if logits is None else logits[part.name],
            agreement=None if agreement is None else agreement[part.name],
        )
        for part in parts
    )
