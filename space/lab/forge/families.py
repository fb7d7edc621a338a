"""Every family of forgeries, for one face or for a track of faces.

A track is forged with the same draws in every frame: one donor, one mask, one set of colours. What differs from frame
to frame is what differs in real forgeries: sensor noise, expressions over time, and the faults of ``faults``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from space.lab.forge.blend import Forgery, blend_with_self
from space.lab.forge.decoder import DECODER_KINDS, forge_decoder_traces
from space.lab.forge.faults import Faults
from space.lab.forge.feather import FEATHER_KINDS, forge_feathered_swap
from space.lab.forge.inpaint import INPAINT_KINDS, forge_local_edit
from space.lab.forge.mesh import MESH_KINDS, forge_mesh_swap
from space.lab.forge.part import PART_KINDS, forge_part
from space.lab.forge.reenact import REENACT_KINDS, forge_reenactment
from space.lab.forge.shot import Draws, NotForgeableError, Shot
from space.lab.forge.swap import KEY_LANDMARKS, MAX_POSE_DISTANCE, blend_with_other, pose_distances

MIN_CHANGE = 1.0  # 8-bit steps, the mean inside the mask: less is a genuine face that is called forged


class ForgeShot(Protocol):
    """Forges one frame. Raises ``NotForgeableError`` where this face cannot be forged in this way."""

    def __call__(self, shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
        """Strength 0 is the identity, 1 the full forgery."""


@dataclass(frozen=True)
class Family:
    """Forgeries of one principle."""

    kinds: tuple[str, ...]
    forge: ForgeShot
    needs_donor: bool = False
    may_use_donor: bool = False  # some of its kinds, or some of the time


def _forge_self_blend(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    del kind  # it has one
    return blend_with_self(shot.image, shot.landmarks, rng=draws.once, noise_rng=draws.each, strength=strength)


def _forge_swap(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    del kind
    donor = draws.donor
    if donor is None:
        raise NotForgeableError("a swap needs a donor")
    return blend_with_other(
        shot.image,
        shot.landmarks,
        donor.image,
        donor.landmarks,
        rng=draws.once,
        noise_rng=draws.each,
        strength=strength,
    )


FAMILIES: Mapping[str, Family] = {
    "self_blend": Family(("self_blend",), _forge_self_blend),
    "part": Family(tuple(PART_KINDS), forge_part, may_use_donor=True),
    "swap": Family(("swap",), _forge_swap, needs_donor=True),
    "mesh_swap": Family(tuple(MESH_KINDS), forge_mesh_swap, needs_donor=True),
    "feathered": Family(FEATHER_KINDS, forge_feathered_swap, may_use_donor=True),
    "reenact": Family(REENACT_KINDS, forge_reenactment),
    "inpaint": Family(INPAINT_KINDS, forge_local_edit),
    "decoder": Family(tuple(DECODER_KINDS), forge_decoder_traces),
}


def _is_like_posed(donor: Shot, shots: Sequence[Shot]) -> bool:
    keys = np.array(KEY_LANDMARKS)
    poses = np.stack([shot.landmarks[keys] for shot in shots])
    return float(np.median(pose_distances(poses, donor.landmarks[keys]))) <= MAX_POSE_DISTANCE


def forge_face(
    family: str,
    shot: Shot,
    *,
    rng: np.random.Generator,
    donor: Shot | None = None,
    kind: str | None = None,
    strength: float = 1.0,
    faults: Faults | None = None,
) -> Forgery:
    """Forge one face.

    Args:
        family: a name of ``FAMILIES``.
        donor: another face, left out unless its pose is alike; needed by some families, used by ``part`` too.
        kind: one of the family's; None: drawn.
        strength: 0 is the identity, 1 the full forgery.
        faults: what goes wrong besides; None: nothing.

    Raises:
        KeyError: no such family or kind.
        NotForgeableError: this face cannot be forged in this way.
    """
    return forge_track(family, [shot], rng=rng, donor=donor, kind=kind, strength=strength, faults=faults)[0]


def forge_track(
    family: str,
    shots: Sequence[Shot],
    *,
    rng: np.random.Generator,
    donor: Shot | None = None,
    kind: str | None = None,
    strength: float = 1.0,
    faults: Faults | None = None,
    fps: float = 25.0,
) -> list[Forgery]:
    """Forge a face in every frame of a track, alike; see ``forge_face``.

    Args:
        shots: frames in order, all of one size.
        fps: of the frames, for expressions over time.
    """
    chosen = FAMILIES[family]
    drawn = chosen.kinds[int(rng.integers(len(chosen.kinds)))]
    if kind is not None and kind not in chosen.kinds:
        raise KeyError(f"{family} has no kind {kind}")
    seed = int(rng.integers(2**63))
    if donor is not None and not _is_like_posed(donor, shots):
        donor = None
    if donor is None and chosen.needs_donor:
        raise NotForgeableError(f"{family} needs a donor in a like pose")
    forgeries = []
    for index, shot in enumerate(shots):
        draws = Draws(
            once=np.random.default_rng(seed),
            each=np.random.default_rng((seed, index)),
            time_s=index / fps,
            donor=donor,
        )
        seen = shot if faults is None else faults.mislead(shots, index)
        forgery = chosen.forge(seen, kind=kind or drawn, draws=draws, strength=strength)
        forgeries.append(forgery if faults is None else faults.finish(forgery, shot, index, fps))
    if _visible_change(forgeries) < MIN_CHANGE * strength:
        raise NotForgeableError(f"{family} changes nothing that can be seen here")
    return forgeries


def _visible_change(forgeries: Sequence[Forgery]) -> float:
    """The mean |forged - genuine| inside the masks, 8-bit steps."""
    total, weight = 0.0, 1e-6
    for forgery in forgeries:
        difference = cv2.absdiff(forgery.forged, forgery.genuine).mean(axis=2)
        total += float(difference[forgery.mask > 0].sum())
        weight += float(forgery.mask.max() and (forgery.mask / forgery.mask.max()).sum())
    return total / weight
