"""Forgeries of one facial part: the rest of the face is untouched."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from space.analysis.parts import part_masks
from space.contract import F32, U8
from space.lab.forge.blend import Forgery, change_statistics, lower_resolution, slip, to_uint8
from space.lab.forge.shot import Draws, NotForgeableError, Shot, fill_hull, soften_by
from space.lab.forge.swap import blend, bring_into_place, match_colours

# Kind -> the parts it may consist of; one of the alternatives is drawn.
PART_KINDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "one_eye": (("left_eye",), ("right_eye",)),
    "both_eyes": (("left_eye", "right_eye"),),
    "brows": (("left_brow", "right_brow"),),
    "nose": (("nose",),),
    "mouth": (("mouth",),),
    "cheek": (("left_cheek",), ("right_cheek",)),
    "chin": (("chin",),),
    "jaw_line": (("left_jaw", "right_jaw", "chin"), ("left_jaw", "right_jaw")),
}
MIN_AREA = 0.004  # of the square about the face: a part seen from so far aside cannot be forged


def part_mask(shot: Shot, kind: str, rng: np.random.Generator) -> F32:
    """Where a part lies, by the polygons that the analysis names parts with.

    Returns:
        (H, W) float32 of 0 and 1; masks of different parts are disjoint.

    Raises:
        NotForgeableError: the part is hidden or beyond the picture.
    """
    height, width = shot.size_hw
    masks = part_masks(shot.landmarks, max(height, width))
    choices = PART_KINDS[kind]
    first = int(rng.integers(len(choices)))
    for names in choices[first:] + choices[:first]:
        mask = np.asarray(np.any([masks[name] for name in names], axis=0)[:height, :width], np.float32)
        if mask.sum() >= MIN_AREA * shot.face_px**2:
            return mask
    raise NotForgeableError(f"{kind} is not to be seen")


def forge_part(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    """One part out of an altered copy of the face or, half the time where there is one, out of another face."""
    rng, donor = draws.once, draws.donor
    from_donor = rng.random() < 0.5
    hard = part_mask(shot, kind, rng)
    part_px = float(np.sqrt(hard.sum()))
    soft = soften_by(hard, float(rng.uniform(0.02, 0.1)) * part_px) * np.float32(strength)
    if donor is not None and from_donor:
        placed, is_seen = bring_into_place(donor.image, donor.landmarks, shot.landmarks, shot.size_hw, rng)
        soft = soft * is_seen
        face = fill_hull(shot.landmarks, shot.size_hw) * is_seen  # a part has too few colours to match them by
        foreign = _match_mean(match_colours(placed, shot.image, face, rng), shot.image, soft, rng)
    else:
        source = change_statistics(shot.image.astype(np.float32), shot.face_px, rng, draws.each)
        source = slip(lower_resolution(source, rng), shot.face_px, rng)
        foreign = to_uint8(shot.image + np.float32(rng.uniform(0.5, 1.0)) * (source - shot.image))
    return Forgery(genuine=shot.image, forged=blend(shot.image, foreign, soft), mask=soft)


def _match_mean(foreign: U8, target: U8, mask: F32, rng: np.random.Generator) -> U8:
    """Bring a part's mean colour most of the way to that of what it replaces."""
    weights = mask / max(float(mask.sum()), 1e-6)
    apart = np.tensordot(weights, target.astype(np.float32) - foreign, axes=2)
    return to_uint8(foreign + np.float32(rng.uniform(0.5, 1.0)) * apart.astype(np.float32))
