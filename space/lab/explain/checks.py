"""Whether an explanation follows the model: deletion and insertion, randomised weights, JPEG, and the named part."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from space.analysis.parts import OUTSIDE
from space.contract import F32, Crop
from space.lab.explain.cases import compress
from space.lab.explain.faces import Seen, cut_case
from space.lab.explain.harness import Harness
from space.lab.explain.judge import rank_parts
from space.lab.explain.measures import rank_correlation
from space.lab.explain.methods import METHODS
from space.models.weights import Ensemble, LoadedMember

STEPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0)  # share of the picture that is replaced
FEATHER_PX = 1.5  # of the border of what is replaced, on the picture
JPEG_QUALITY = 50
STAGES = ("head", "tail", "trunk")  # randomised from the top

Mask = NDArray[np.bool_]


# --- replacing pixels by the genuine twin's ----------------------------------------------------


def replace_pixels(seen: Seen, region: F32, *, keep: bool = False) -> Seen:
    """The case with a region of its forged crops replaced by the twin's pixels, or with only that region kept.

    Args:
        region: (112, 112) in [0, 1], on the picture.
    """
    crops: dict[str, Crop] = {}
    for member, crop in seen.forged.items():
        soft = _lay_region(region, seen.picture, crop)[..., None]
        soft = 1 - soft if keep else soft
        mixed = crop.image + soft * (seen.genuine[member].image.astype(np.float32) - crop.image)
        crops[member] = Crop(np.asarray(np.round(mixed), np.uint8), crop.frame_from_crop)
    return replace(seen, forged=crops)


def _lay_region(region: F32, picture: Crop, crop: Crop) -> F32:
    """A region of the picture on a crop's pixels, (S, S); beyond the picture its border is repeated."""
    matrices = [np.vstack([x.frame_from_crop, [0, 0, 1]]) for x in (picture, crop)]
    picture_from_crop = (np.linalg.inv(matrices[0]) @ matrices[1])[:2]
    side = crop.image.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(region, picture_from_crop, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def _soften(mask: Mask) -> F32:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), FEATHER_PX), np.float32)


def draw_curves(harness: Harness, seen: Seen, heat: F32) -> dict[str, list[float]]:
    """Logits while the hottest pixels are replaced by the twin's (deletion), or are all that is forged (insertion).

    Returns:
        "deletion" and "insertion" -> the ensemble's logit at each of ``STEPS``; logit units.
    """
    order = np.argsort(-heat.ravel(), kind="stable")
    regions = []
    for step in STEPS:
        mask = np.zeros(heat.size, np.bool_)
        mask[order[: round(step * heat.size)]] = True
        regions.append(_soften(mask.reshape(heat.shape)) if 0 < step < 1 else np.full(heat.shape, step, np.float32))
    return {
        name: harness.logits([replace_pixels(seen, region, keep=keep) for region in regions]).tolist()
        for name, keep in (("deletion", False), ("insertion", True))
    }


def area_under(curve: Sequence[float]) -> float:
    """Mean height of a curve over ``STEPS``: 0 at the height of its beginning, 1 at that of its end."""
    values = np.asarray(curve, np.float64)
    span = values[-1] - values[0]
    if abs(span) < 1e-6:
        return 0.0
    heights = (values - values[0]) / span
    widths = np.diff(np.asarray(STEPS))
    return float((widths * (heights[1:] + heights[:-1]) / 2).sum())


# --- the named part ---------------------------------------------------------------------------


def regions_of_equal_area(masks: Mapping[str, Mask], name: str) -> dict[str, Mask]:
    """Part -> as many pixels as the named part has: the innermost of a larger part, a smaller one and around it."""
    area = int(masks[name].sum())
    regions = {}
    for part, mask in masks.items():
        if part == OUTSIDE or not mask.any():
            continue
        solid = mask.astype(np.uint8)
        depth = cv2.distanceTransform(solid, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
        region = np.zeros(mask.size, np.bool_)
        region[np.argsort(-depth.ravel(), kind="stable")[:area]] = True
        regions[part] = region.reshape(mask.shape)
    return regions


def try_parts(harness: Harness, seen: Seen, heat: F32) -> dict[str, float] | None:
    """How far the logit falls when each part is replaced by the twin's pixels, all of one area.

    Returns:
        Part -> fall, the named part first; None where the map names none.
    """
    ranked = rank_parts(np.maximum(heat, 0), seen.parts, harness.usual)
    if not ranked:
        return None
    regions = regions_of_equal_area(seen.parts, ranked[0])
    names = [ranked[0], *(name for name in regions if name != ranked[0])]
    logits = harness.logits([seen, *(replace_pixels(seen, _soften(regions[name])) for name in names)])
    return {name: float(logits[0] - logit) for name, logit in zip(names, logits[1:], strict=True)}


# --- sanity -----------------------------------------------------------------------------------


def correlate_under_jpeg(harness: Harness, cases: Sequence[Seen], names: Sequence[str]) -> dict[str, list[float]]:
    """Method -> Spearman of each case's map and that of the same face at JPEG quality 50."""
    again = [
        cut_case(replace(seen.case, forged=compress(seen.case.forged, JPEG_QUALITY)), harness.ensemble)
        for seen in cases
    ]
    return _correlate(harness, cases, harness, again, names)


def correlate_under_randomising(
    harness: Harness, cases: Sequence[Seen], names: Sequence[str], *, seed: int = 0
) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Stage, and method -> Spearman of each case's map before and after that stage and those above are randomised.

    The cascade of Adebayo et al. 2018 (arXiv 1810.03292): the heads, then tail as well, then all of the network.
    """
    for stop in range(1, len(STAGES) + 1):
        members = tuple(_randomise(m, STAGES[:stop], seed=seed) for m in harness.ensemble.members)
        ensemble = Ensemble(harness.ensemble.record, members, harness.ensemble.weights)
        changed = Harness(ensemble, [method.name for method in harness.methods])
        yield STAGES[stop - 1], _correlate(harness, cases, changed, cases, names)


def _correlate(
    first: Harness, cases: Sequence[Seen], second: Harness, again: Sequence[Seen], names: Sequence[str]
) -> dict[str, list[float]]:
    methods = [METHODS[name] for name in names]
    before, after = first.maps(cases, methods), second.maps(again, methods)
    return {name: [rank_correlation(a, b) for a, b in zip(before[name], after[name], strict=True)] for name in before}


def _randomise(member: LoadedMember, stages: Sequence[str], *, seed: int) -> LoadedMember:
    """A copy of a member with some stages' weights shuffled: their distribution stays, their sense goes."""
    module = copy.deepcopy(member.module)
    generator = torch.Generator().manual_seed(seed)
    for stage in stages:
        for part in _parts_of(module, stage):
            for values in part.parameters():
                order = torch.randperm(values.numel(), generator=generator)
                values.data = values.data.flatten()[order].reshape(values.shape)
    return LoadedMember(card=member.card, module=module.eval().requires_grad_(False))


def _parts_of(module: nn.Module, stage: str) -> Iterator[nn.Module]:
    yield module.get_submodule(stage)
    beside = {"lstm", "region"} if stage == "head" else set()  # what stands at the top beside the head
    yield from (child for name, child in module.named_children() if name in beside)
