"""What is usual on genuine faces: the heat each part draws, and what blurring it takes from the logit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_crop, cut_square, scale_box, square_box
from space.analysis.maps import face_maps, lay_maps, map_crops
from space.analysis.occlusion import measure_crop_drops, measure_drops
from space.analysis.parts import FACE_PARTS, OUTSIDE, measure_parts
from space.analysis.scores import batched
from space.analysis.verdict import Combination
from space.contract import F32, Crop, Face
from space.lab.training.pairs import TwinData
from space.models.weights import Ensemble

PICTURE_PX = 112  # side of the picture that parts are measured on
BATCH = 8
Usual = tuple[tuple[str, float], ...]  # part of the face, value
LEAST = 0.005  # of a face's heat: no part is so cold that next to nothing would be many times its usual share


def usual_shares(sets: Sequence[NDArray[np.float64]]) -> Usual:
    """Parts of the face and their mean shares, sets counting alike however many faces they hold.

    Args:
        sets: (n, parts) shares of faces, as ``share_faces`` and ``share_crops`` give them; at least one with a face.
    """
    mean = np.mean([shares.mean(axis=0) for shares in sets if len(shares)], axis=0)
    return tuple((name, round(max(float(share), LEAST), 5)) for name, share in zip(FACE_PARTS, mean, strict=True))


def share_faces(faces: Sequence[Face], ensemble: Ensemble, scales: Mapping[str, float]) -> NDArray[np.float64]:
    """Shares of the heat on faces that were found in pictures or clips.

    Args:
        scales: member -> factor from its logit units to the ensemble's.

    Returns:
        (n, parts), in the order of ``FACE_PARTS``; faces whose map is empty are left out.
    """
    crops = {
        m.card.name: [cut_crop(f.patch, f.box_xyxy, margin=m.card.margin, input_px=m.card.input_px) for f in faces]
        for m in ensemble.members
    }
    margin = max(member.card.margin for member in ensemble.members)
    pictures = [cut_crop(face.patch, face.box_xyxy, margin=margin, input_px=PICTURE_PX) for face in faces]
    return _share(crops, pictures, [face.landmarks for face in faces], ensemble, scales)


def share_crops(
    data: TwinData, names: Sequence[str], ensemble: Ensemble, scales: Mapping[str, float]
) -> NDArray[np.float64]:
    """The same of faces of the data set."""
    crops = {m.card.name: _cut_names(data, names, m.card.margin, m.card.input_px) for m in ensemble.members}
    pictures = _cut_names(data, names, max(member.card.margin for member in ensemble.members), PICTURE_PX)
    return _share(crops, pictures, [data.landmarks(name) for name in names], ensemble, scales)


def usual_drops(sets: Sequence[NDArray[np.float64]]) -> Usual:
    """Parts of the face and what blurring them takes on average, sets counting alike.

    Args:
        sets: (n, parts) as ``drop_faces`` and ``drop_crops`` give them. A part that no face shows is left out.
    """
    rows = np.array([[_mean(column) for column in drops.T] for drops in sets if len(drops)])
    means = [_mean(column) for column in rows.T]
    pairs = zip(FACE_PARTS, means, strict=False)
    return tuple((name, round(drop, 4)) for name, drop in pairs if not np.isnan(drop))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def drop_faces(faces: Sequence[Face], ensemble: Ensemble, combination: Combination) -> NDArray[np.float64]:
    """What blurring each part takes from the logits of faces that were found in pictures or clips.

    Returns:
        (n, parts) calibrated logit units, in the order of ``FACE_PARTS``; NaN where a part is not to be seen.
    """
    return _as_rows(measure_drops(face, ensemble, combination) for face in faces)


def drop_crops(
    data: TwinData, names: Sequence[str], ensemble: Ensemble, combination: Combination
) -> NDArray[np.float64]:
    """The same of faces of the data set."""
    crops = {m.card.name: _cut_names(data, names, m.card.margin, m.card.input_px) for m in ensemble.members}
    return _as_rows(
        measure_crop_drops(
            {member: cut[i] for member, cut in crops.items()}, data.landmarks(name), ensemble, combination
        )
        for i, name in enumerate(names)
    )


def _as_rows(drops: Iterable[Mapping[str, float]]) -> NDArray[np.float64]:
    rows = [[of_face.get(name, np.nan) for name in FACE_PARTS] for of_face in drops]
    return np.array(rows, np.float64).reshape(-1, len(FACE_PARTS))


def _cut_names(data: TwinData, names: Sequence[str], margin: float, side_px: int) -> list[Crop]:
    boxes = [scale_box(square_box(data.landmarks(name)), margin) for name in names]
    return [Crop(*cut_square(data.image(name), box, side_px)) for name, box in zip(names, boxes, strict=True)]


def _share(
    crops: Mapping[str, Sequence[Crop]],
    pictures: Sequence[Crop],
    landmarks: Sequence[F32],
    ensemble: Ensemble,
    scales: Mapping[str, float],
) -> NDArray[np.float64]:
    maps = [map_crops(member, batched(crops[member.card.name], BATCH))[1] for member in ensemble.members]
    rows = []
    for i, (picture, points) in enumerate(zip(pictures, landmarks, strict=True)):
        of_face = {name: crops[name][i] for name in crops}
        parts = measure_parts(lay_maps(picture, of_face, face_maps(maps, i), scales), points)
        found = {part.name: part.share for part in parts if part.name != OUTSIDE}
        if total := sum(found.values()):
            rows.append([found[name] / total for name in FACE_PARTS])
    return np.array(rows, np.float64).reshape(-1, len(FACE_PARTS))
