"""Crops to logits and heat maps: two layers from one forward and one partial backward.

Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) at the penultimate block (stride 16) and the last
block (stride 32). The trunk runs without gradients, so the backward pass goes through the last block
and the head only, once for the whole batch. pytorch-grad-cam does the same in one full forward and
backward per layer and rescales every map to its own maximum, which makes a genuine face glow like a
forged one; that is why these maps are computed here.

The layered map is the geometric mean of both. Where a member has a region head (a 1x1 convolution on the penultimate
block, trained to find what was manipulated), it is what each penultimate cell adds to the logit (gradient x activation
cell by cell: HiResCAM, Draelos and Carin 2020, arXiv 2011.08891), let through by the head's probability: heat where the
logit reacts *and* the network places a manipulation. The gradient comes through the last block, so what that leaves out
stays cold. Single cells' gradients are noisy, so heat is gathered where neighbours agree. On 800 forgeries of a single
part the hottest point lies on the forged region in 66 of 100 cases, without gathering in 61, with Grad-CAM of the
penultimate block in 27, with the region head alone in 53.

All magnitudes are logit units per cell. At the last block, with its pooling and linear head, the cells'
contributions and the bias add up to the logit exactly; at the penultimate block they do to first order. Where
the logit is held against that of the face without fine detail, so is every map, cell by cell: what the surroundings
and the light would draw anyway is taken off before what is left of it counts as heat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from space.contract import F32, Crop, FaceMap, MemberMaps, MemberScores
from space.models.cards import DetailReference
from space.models.member import FrameMember, drop_detail, find_linear, normalise, see_trunk
from space.models.weights import LoadedMember

LAYERS = ("penultimate", "last", "layered")
GATHER_SIGMA = 1.0  # cells
GATHER_REACH = 2  # cells on either side


def map_crops(member: LoadedMember, crops: Iterable[list[Crop]]) -> tuple[MemberScores, MemberMaps]:
    """One member's logits and heat maps.

    Args:
        member: frozen, in evaluation mode.
        crops: batches of the member's margin and input size. One that scores sequences takes each crop for a track
            of one frame; ``sequences.py`` maps whole ones.

    Returns:
        Logits as ``score_crops`` gives them, and raw maps >= 0 in the crops' order.
    """
    rows = [_map_batch(member, batch) for batch in crops]
    names = ("logits", *LAYERS, "contributions")
    if not rows:
        cells = member.card.input_px // 16
        fine, coarse = (0, cells, cells), (0, cells // 2, cells // 2)
        shapes = {"logits": (0,), "penultimate": fine, "last": coarse, "layered": fine, "contributions": coarse}
        arrays = {name: np.zeros(shapes[name], np.float32) for name in names}
    else:
        arrays = {name: np.concatenate([row[i] for row in rows]) for i, name in enumerate(names)}
    scores = MemberScores(member=member.card.name, logits=arrays["logits"])
    linear = find_linear(member.module.head) if isinstance(member.module, FrameMember) else None
    reference = _reference(member)
    share = reference.share if reference else 0.0
    maps = MemberMaps(
        member=member.card.name,
        **{layer: arrays[layer] for layer in LAYERS},
        contributions=None if linear is None else arrays["contributions"],
        bias=None if linear is None else float(linear.bias[0]) * (1 - share),
    )
    return scores, maps


def _reference(member: LoadedMember) -> DetailReference | None:
    return member.module.reference if isinstance(member.module, FrameMember) else None


def _map_batch(member: LoadedMember, crops: list[Crop]) -> tuple[F32, F32, F32, F32, F32]:
    module = member.module
    pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(member.device)
    images = normalise(pixels, member.card.mean, member.card.std)
    n, versions, shares = len(images), [images], [1.0]
    if reference := _reference(member):
        versions.append(drop_detail(images, reference.detail_px))
        shares.append(-reference.share)
    with torch.no_grad():  # one version at a time: larger batches leave the processor's cache
        penultimate = torch.cat([see_trunk(module.trunk, version) for version in versions])
    penultimate.requires_grad_(True)
    with torch.enable_grad():
        last = module.tail(penultimate)
        if isinstance(module, FrameMember):
            found = module.head(last).flatten()
        else:
            found = module.score_features(module.pool(last)[:, None])
        signed = found * torch.tensor(shares, device=images.device).repeat_interleave(n)
        gradients = torch.autograd.grad(signed.sum(), [penultimate, last])
    with torch.no_grad():
        logits = add_versions(signed, n)
        fine, coarse = (grad_cam(a, g, n) for a, g in zip((penultimate, last), gradients, strict=True))
        contributions = add_versions((gradients[1] * last).sum(dim=1), n)  # exact where the head is linear
        if isinstance(module, FrameMember) and module.region is not None:
            cells = add_versions((gradients[0] * penultimate).sum(dim=1), n)
            layered = locate(cells, torch.sigmoid(module.region(penultimate[:n])[:, 0]))
        else:
            layered = filter_by_last(fine, coarse)
    results = (logits, fine, coarse, layered, contributions)
    return tuple(x.detach().float().cpu().numpy() for x in results)  # type: ignore[return-value]


def add_versions(rows: Tensor, n: int) -> Tensor:
    """(k n, ...) of k versions of n faces, one version after the other -> (n, ...) their sums."""
    return rows.reshape(-1, n, *rows.shape[1:]).sum(dim=0)


def grad_cam(activation: Tensor, gradient: Tensor, n: int) -> Tensor:
    """(k n, C, h, w) activations and gradients of n faces -> (n, h, w), equations 1 and 2 of the paper."""
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return torch.relu(add_versions((weights * activation).sum(dim=1), n))


def locate(contributions: Tensor, region: Tensor) -> Tensor:
    """The layered map of a member with a region head: what raises the logit where it places a manipulation.

    Args:
        contributions: (n, h, w) signed, what the penultimate block's cells add to the logit.
        region: (n, h, w) in [0, 1].

    Returns:
        (n, h, w) >= 0.
    """
    return gather(torch.relu(contributions) * region)


def gather(cells: Tensor) -> Tensor:
    """Heat moved to where neighbouring cells agree: smoothed over a cell, squared, and scaled to the sum it had.

    Gradients of single cells are noisy; what holds of a place holds of its neighbours, too.

    Args:
        cells: (n, h, w) >= 0.

    Returns:
        (n, h, w) >= 0 with each map's sum.
    """
    reach = torch.arange(-GATHER_REACH, GATHER_REACH + 1, dtype=cells.dtype, device=cells.device)
    bell = torch.exp(-reach.square() / (2 * GATHER_SIGMA**2))
    bell = bell / bell.sum()
    padded = nn.functional.pad(cells[:, None], (GATHER_REACH,) * 4, mode="replicate")
    smooth = nn.functional.conv2d(nn.functional.conv2d(padded, bell[None, None, None]), bell[None, None, :, None])
    squares = smooth[:, 0].square()
    sums = squares.sum(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(cells.dtype).tiny)
    return squares * (cells.sum(dim=(1, 2), keepdim=True) / sums)


def filter_by_last(penultimate: Tensor, last: Tensor) -> Tensor:
    """The layered map of a member without a region head: fine where the coarse layer agrees.

    The geometric mean of the penultimate map and the last one spread over its cells: zero where either is
    zero, and still in logit units per fine cell.

    Args:
        penultimate: (n, 2h, 2w) >= 0.
        last: (n, h, w) >= 0.

    Returns:
        (n, 2h, 2w) >= 0.
    """
    size = penultimate.shape[-2:]
    spread = torch.nn.functional.interpolate(last[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    cells_per_cell = (size[0] * size[1]) / (last.shape[-2] * last.shape[-1])
    return torch.sqrt(penultimate * spread / cells_per_cell)


def lay_maps(
    picture: Crop, crops: Mapping[str, Crop], maps: Mapping[str, Mapping[str, F32]], scales: Mapping[str, float]
) -> FaceMap:
    """Lay the members' maps over one picture of the face and combine them.

    Args:
        picture: what the maps are laid over.
        crops: member -> the crop its maps belong to.
        maps: member -> layer -> (h, w) raw map.
        scales: member -> its weight in the ensemble / its temperature, so that the members' logit units
            are the ensemble's before they are added.
    """
    laid = {
        member: {layer: _lay(cells, crops[member], picture) * scales[member] for layer, cells in layers.items()}
        for member, layers in maps.items()
    }
    combined = np.sum([layers["layered"] for layers in laid.values()], axis=0, dtype=np.float32)
    return FaceMap(crop=picture, layered=combined, members=laid)


def _lay(cells: F32, crop: Crop, picture: Crop) -> F32:
    """A member's cells on the picture's pixels: smooth inside the crop, zero outside it."""
    side = picture.image.shape[0]
    px_per_cell = crop.image.shape[0] / cells.shape[0]
    shift = (px_per_cell - 1) / 2
    crop_from_cell = np.array([[px_per_cell, 0, shift], [0, px_per_cell, shift], [0, 0, 1]])
    frame_from_crop, frame_from_picture = (np.vstack([c.frame_from_crop, [0, 0, 1]]) for c in (crop, picture))
    cell_from_picture = np.linalg.inv(frame_from_crop @ crop_from_cell) @ frame_from_picture
    smooth = cv2.warpAffine(
        cells,
        cell_from_picture[:2],
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = cv2.warpAffine(
        np.ones_like(cells),
        cell_from_picture[:2],
        (side, side),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(np.maximum(smooth, 0) * inside, np.float32)


def face_maps(member_maps: Sequence[MemberMaps], index: int) -> dict[str, dict[str, F32]]:
    """All members' maps of one face: member -> layer -> (h, w)."""
    return {maps.member: {layer: getattr(maps, layer)[index] for layer in LAYERS} for maps in member_maps}


def total_heat(maps: Mapping[str, Mapping[str, F32]], scales: Mapping[str, float]) -> float:
    """Sum of the layered cells over members, in the ensemble's logit units."""
    return float(sum(layers["layered"].sum() * scales[member] for member, layers in maps.items()))
