"""What becomes of the logit when a part of the face is blurred: a named part that matters is missed.

Blurring looks like a forgery itself: on genuine faces it raises the logit, by more for some parts than for others. What
it takes is therefore held against what it usually takes (``EnsembleRecord.usual_drops``).
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.crops import cut_crop, invert, transform_points
from space.analysis.parts import OUTSIDE, part_masks
from space.analysis.scores import score_crops
from space.analysis.verdict import Combination
from space.contract import F32, U8, Crop, Face
from space.models.weights import Ensemble

BLUR = 0.3  # sigma / side of a square of the part's area: its detail goes, its colour stays
FEATHER = 0.05  # likewise, of the mask's border, so that the blur draws no edge of its own


def blur_part(image: U8, mask: NDArray[np.bool_]) -> U8:
    """A picture with one part blurred.

    Args:
        image: (S, S, 3) RGB.
        mask: (S, S); where nothing is set the picture stays as it is.
    """
    side = float(np.sqrt(mask.sum()))
    if side == 0:
        return image.copy()
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.5, FEATHER * side))[..., None]
    blurred = cv2.GaussianBlur(image, (0, 0), max(1.0, BLUR * side)).astype(np.float32)
    return np.asarray(np.round(image + soft * (blurred - image)), np.uint8)


def measure_drops(face: Face, ensemble: Ensemble, combination: Combination) -> dict[str, float]:
    """How much the ensemble's logit falls when a part is blurred, for every part of the face that is to be seen.

    Costs as much as scoring a face for every part.

    Returns:
        Part -> calibrated logit units; negative where blurring it looks like a forgery.
    """
    crops = {
        m.card.name: cut_crop(face.patch, face.box_xyxy, margin=m.card.margin, input_px=m.card.input_px)
        for m in ensemble.members
    }
    return measure_crop_drops(crops, face.landmarks, ensemble, combination)


def measure_crop_drops(
    crops: Mapping[str, Crop], landmarks: F32, ensemble: Ensemble, combination: Combination
) -> dict[str, float]:
    """The same of a face that was cut already.

    Args:
        crops: member -> the face's crop.
        landmarks: (478, 2) in the frame's pixels.
    """
    rows = {name: _blurred(crop, landmarks) for name, crop in crops.items()}
    seen = [name for name in next(iter(rows.values())) if all(name in crops for crops in rows.values())]
    raw = {
        member.card.name: score_crops(member, [[rows[member.card.name][name] for name in seen]]).logits
        for member in ensemble.members
    }
    logits = dict(zip(seen, combination.logits(raw).tolist(), strict=True))
    return {name: logits[""] - logit for name, logit in logits.items() if name}


def _blurred(crop: Crop, landmarks: F32) -> Mapping[str, Crop]:
    """Part -> the crop with it blurred; "" -> as it is."""
    masks = part_masks(transform_points(invert(crop.frame_from_crop), landmarks), crop.image.shape[0])
    blurred = {
        name: Crop(blur_part(crop.image, mask), crop.frame_from_crop)
        for name, mask in masks.items()
        if name != OUTSIDE and mask.any()
    }
    return {"": crop, **blurred}
