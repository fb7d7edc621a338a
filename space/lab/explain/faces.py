"""A case as the ensemble sees it: every member's crop, one picture for all maps to lie over, truth and parts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_square, invert, scale_box, square_box, transform_points
from space.analysis.maps import lay_maps
from space.analysis.parts import part_masks
from space.analysis.verdict import Combination
from space.contract import F32, U8, Crop
from space.lab.explain.cases import Case
from space.lab.explain.methods import Method
from space.lab.explain.truths import Truth, find_truth
from space.lab.explain.views import FaceView, view_faces
from space.models.weights import Ensemble, LoadedMember

PICTURE_PX = 112  # side of the picture that maps are judged on: eight pixels for each of the finest cells


@dataclass(frozen=True)
class Seen:
    """One case, cut."""

    case: Case
    forged: Mapping[str, Crop]  # member -> crop
    genuine: Mapping[str, Crop]
    picture: Crop  # (112, 112) of the forged face, with the widest member's margin
    twin: U8  # the same of the genuine twin
    truth: Truth
    mask: F32  # (112, 112) in [0, 1]
    parts: Mapping[str, NDArray[np.bool_]]  # part -> (112, 112)
    landmarks: F32  # (478, 2) in the picture's pixels


def combine(ensemble: Ensemble) -> Combination:
    """How the ensemble's members answer together."""
    cards = [member.card for member in ensemble.members]
    return Combination(
        members=tuple(card.name for card in cards),
        weights=ensemble.weights,
        calibrations=tuple(card.calibration for card in cards),
        record=ensemble.record,
    )


def cut_case(case: Case, ensemble: Ensemble) -> Seen:
    """Crops as in service: around the landmarks, with each member's margin and size."""
    box = square_box(case.landmarks)
    margins = {member.card.name: member.card.margin for member in ensemble.members}
    sizes = {member.card.name: member.card.input_px for member in ensemble.members}

    def cut(image: U8) -> dict[str, Crop]:
        return {name: Crop(*cut_square(image, scale_box(box, margins[name]), sizes[name])) for name in margins}

    around = scale_box(box, max(margins.values()))
    picture = Crop(*cut_square(case.forged, around, PICTURE_PX))
    twin, _ = cut_square(case.genuine, around, PICTURE_PX)
    mask = _lay_mask(case.mask, picture)
    landmarks = transform_points(invert(picture.frame_from_crop), case.landmarks)
    return Seen(
        case=case,
        forged=cut(case.forged),
        genuine=cut(case.genuine),
        picture=picture,
        twin=twin,
        truth=find_truth(mask, picture.image, twin),
        mask=mask,
        parts=part_masks(landmarks, PICTURE_PX),
        landmarks=landmarks,
    )


def _lay_mask(mask: F32, picture: Crop) -> F32:
    scale = float(picture.frame_from_crop[0, 0])
    smooth = cv2.GaussianBlur(mask, (0, 0), scale / 3) if scale > 1.5 else mask
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(smooth, picture.frame_from_crop, (PICTURE_PX, PICTURE_PX), flags=flags), np.float32
    )


# --- members on faces -------------------------------------------------------------------------


def view_crops(member: LoadedMember, crops: Sequence[Crop]) -> list[tuple[FaceView, U8]]:
    """Views of a member on faces that have nothing to do with each other: each is a track of its own."""
    pixels = np.stack([crop.image for crop in crops])
    if member.kind == "frame":
        return list(view_faces(member, pixels))
    return [view for i in range(len(pixels)) for view in view_faces(member, pixels[i : i + 1])]


def draw_cells(views: Sequence[tuple[FaceView, U8]], method: Method) -> F32 | None:
    """(n, h, w) cells of the faces that views were made for; None where the method does not fit."""
    if not all(method.fits(view) for view, _ in views):
        return None
    return np.concatenate([method.draw(view, faces) for view, faces in views])


def score_crops_of(views: Sequence[tuple[FaceView, U8]]) -> F32:
    """(n,) raw logits."""
    return np.concatenate([view.score(faces).cpu().numpy() for view, faces in views])


def lay_cells(cells: Mapping[str, F32], crops: Mapping[str, Crop], picture: Crop, scales: Mapping[str, float]) -> F32:
    """One face's cells of several members as one map over the picture, (112, 112).

    Args:
        cells: member -> (h, w); members that the method does not fit are left out.
        scales: member -> factor, as the service's for logit units, else the ensemble's weight.
    """
    maps = {member: {"layered": _shrink(heat)} for member, heat in cells.items()}
    return lay_maps(picture, crops, maps, scales).layered


def _shrink(heat: F32) -> F32:
    """Maps of pixels are averaged to the picture's grain, so that laying them skips none."""
    if heat.shape[0] <= PICTURE_PX:
        return heat
    return np.asarray(cv2.resize(heat, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA), np.float32)
