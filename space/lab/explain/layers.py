"""Maps from activations and gradients, ours: raw logit units, several layers from one forward pass.

``layered`` is the service's own map (``space.analysis.maps``), here with a gate as an alternative to the product and
with more layers on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from space.analysis.maps import filter_by_last, locate
from space.contract import F32, U8
from space.lab.explain.views import FaceView, split_faces
from space.models.member import drop_detail, find_linear

STRIDES = (4, 8)  # of the earlier layers that can be asked for
PENULTIMATE_STRIDE, LAST_STRIDE = 16, 32


@dataclass(frozen=True)
class Layer:
    """What a block gave for n faces, and how the logit feels it."""

    activation: Tensor  # (n, C, h, w)
    gradient: Tensor  # (n, C, h, w) of the logit

    @property
    def grad_cam(self) -> Tensor:
        """(n, h, w) >= 0: Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2."""
        weights = self.gradient.mean(dim=(2, 3), keepdim=True)
        return torch.relu((weights * self.activation).sum(dim=1))

    @property
    def contributions(self) -> Tensor:
        """(n, h, w) signed: gradient x activation (HiResCAM, Draelos & Carin 2020, arXiv 2011.08891)."""
        return (self.gradient * self.activation).sum(dim=1)


class MissingLayerError(ValueError):
    """A network has no block of the stride that was asked for."""


def read_layers(view: FaceView, pixels: U8, *, earlier: Sequence[int] = ()) -> list[Layer]:
    """Layers from fine to coarse: the earlier ones asked for, the penultimate and the last.

    Args:
        pixels: (n, S, S, 3) RGB.
        earlier: strides of blocks of the trunk, of ``STRIDES``; those that it has are read (a plain CNN that shrinks by
            four has none of stride 8). Without any the trunk runs without gradients.

    Raises:
        MissingLayerError: the trunk has a block of none of these strides.
    """
    seen: list[Tensor] = []
    with torch.enable_grad():
        if earlier:
            seen += _run_trunk(view.trunk, view.prepare(pixels), earlier)
            penultimate = seen.pop()
        else:
            penultimate = view.read_penultimate(pixels).requires_grad_(True)
        last = view.tail(penultimate)
        seen += [penultimate, last]
        gradients = torch.autograd.grad(view.head(last).sum(), seen)
    return [Layer(a.detach(), g) for a, g in zip(seen, gradients, strict=True)]


def _run_trunk(trunk: nn.Module, images: Tensor, strides: Sequence[int]) -> list[Tensor]:
    """The last output of each stride asked for that there is, from fine to coarse, and the trunk's own."""
    if not isinstance(trunk, nn.Sequential):
        raise MissingLayerError(f"a {type(trunk).__name__} has no row of blocks to look into")
    side = images.shape[-1]
    outputs: dict[int, Tensor] = {}
    signal = images.clone().requires_grad_(True)
    for block in _list_blocks(trunk):
        signal = block(signal)
        outputs[round(side / signal.shape[-1])] = signal
    found = sorted(set(strides) & outputs.keys())
    if not found:
        raise MissingLayerError(f"no block of stride {', '.join(map(str, sorted(strides)))}")
    return [outputs[stride] for stride in found] + [signal]


def _list_blocks(trunk: nn.Sequential) -> Iterator[nn.Module]:
    """Its blocks in order, those of rows within the row as well (as behind a gray input)."""
    for block in trunk:
        if type(block) is nn.Sequential:
            yield from _list_blocks(block)
        else:
            yield block


# --- combining layers -------------------------------------------------------------------------


def spread(coarse: Tensor, size: Sequence[int]) -> Tensor:
    """Coarse cells over finer ones, bilinear: (n, h, w) -> (n, *size); each cell's heat is shared out."""
    larger = nn.functional.interpolate(coarse[:, None], size=list(size), mode="bilinear", align_corners=False)[:, 0]
    return larger * (coarse.shape[-2] * coarse.shape[-1]) / (size[0] * size[1])


def multiply(maps: Sequence[Tensor]) -> Tensor:
    """The product variant: the geometric mean on the finest layer's cells, zero where any layer is.

    Args:
        maps: (n, h, w) >= 0 each, fine to coarse.
    """
    if len(maps) == 2:
        return filter_by_last(*maps)
    size = maps[0].shape[-2:]
    return torch.stack([spread(m, size) for m in maps]).clamp_min(0).prod(dim=0) ** (1 / len(maps))


def gate(maps: Sequence[Tensor]) -> Tensor:
    """The gate variant: the finest layer's heat, let through by each coarser layer's share of its own peak.

    Arguments and result are those of ``multiply``; a map that is zero lets nothing through.
    """
    result, size = maps[0], maps[0].shape[-2:]
    for coarse in maps[1:]:
        larger = spread(coarse, size)
        peak = larger.amax(dim=(1, 2), keepdim=True)
        result = result * larger / peak.clamp_min(torch.finfo(larger.dtype).tiny)
    return result


# --- methods ----------------------------------------------------------------------------------


def by_batch(view: FaceView, pixels: U8, draw: Callable[[FaceView, U8], Tensor]) -> F32:
    """A map for each face: ``draw`` on (n, S, S, 3) faces, batch by batch."""
    maps = torch.cat([draw(view, batch).detach().float().cpu() for batch in split_faces(pixels)])
    return np.asarray(maps.numpy(), np.float32)


def draw_layered(combine: Callable[[Sequence[Tensor]], Tensor], *earlier: int) -> Callable[[FaceView, U8], F32]:
    """The layered map in one of its variants, on the finest layer's cells."""

    def draw(view: FaceView, batch: U8) -> Tensor:
        return combine([layer.grad_cam for layer in read_layers(view, batch, earlier=earlier)])

    return lambda view, pixels: by_batch(view, pixels, draw)


def draw_service(view: FaceView, pixels: U8) -> F32:
    """The service's layered map: what cells add to the logit where a region head is, else the product.

    It is the only one here that takes off what a face without detail would draw, where the member's logit is held
    against that.
    """

    def draw(view: FaceView, batch: U8) -> Tensor:
        fine, coarse = read_layers(view, batch)
        if view.region is None:
            return multiply([fine.grad_cam, coarse.grad_cam])
        cells = fine.contributions
        if view.reference is not None:
            cells = cells - view.reference.share * _contributions_without_detail(view, batch, view.reference.detail_px)
        return locate(cells, _find_region(view, fine.activation))

    return by_batch(view, pixels, draw)


def _contributions_without_detail(view: FaceView, pixels: U8, detail_px: int) -> Tensor:
    """(n, h, w) signed, of the penultimate block."""
    with torch.no_grad():
        penultimate = view.trunk(drop_detail(view.prepare(pixels), detail_px))
    penultimate.requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(view.head(view.tail(penultimate)).sum(), [penultimate])
    return Layer(penultimate.detach(), gradient).contributions


def draw_located_cells(view: FaceView, pixels: U8) -> F32:
    """What cells add to the logit, let through by the dense region head, each cell for itself."""

    def draw(view: FaceView, batch: U8) -> Tensor:
        fine, _ = read_layers(view, batch)
        return fine.contributions.clamp_min(0) * _find_region(view, fine.activation)

    return by_batch(view, pixels, draw)


def draw_located_product(view: FaceView, pixels: U8) -> F32:
    """The product of both layers, let through where the dense region head places the manipulation."""

    def draw(view: FaceView, batch: U8) -> Tensor:
        fine, coarse = read_layers(view, batch)
        return multiply([fine.grad_cam, coarse.grad_cam]) * _find_region(view, fine.activation)

    return by_batch(view, pixels, draw)


def draw_located_last(view: FaceView, pixels: U8) -> F32:
    """The last block's Grad-CAM, let through where the dense region head places the manipulation."""

    def draw(view: FaceView, batch: U8) -> Tensor:
        fine, coarse = read_layers(view, batch)
        return spread(coarse.grad_cam, fine.activation.shape[-2:]) * _find_region(view, fine.activation)

    return by_batch(view, pixels, draw)


def _find_region(view: FaceView, penultimate: Tensor) -> Tensor:
    """(n, h, w) probabilities that a cell is manipulated."""
    assert view.region is not None  # else the method does not fit
    with torch.no_grad():
        return torch.sigmoid(view.region(penultimate)[:, 0])


def draw_grad_cam(position: int) -> Callable[[FaceView, U8], F32]:
    """Grad-CAM of one layer: 0 the penultimate, 1 the last."""
    return lambda view, pixels: by_batch(view, pixels, lambda v, x: read_layers(v, x)[position].grad_cam)


def draw_region(view: FaceView, pixels: U8) -> F32:
    """The dense region head's probability of manipulation in each cell, [0, 1]."""
    region = view.region
    if region is None:
        raise ValueError("this member has no region head")

    def draw(seen: FaceView, batch: U8) -> Tensor:
        with torch.no_grad():
            return torch.sigmoid(region(seen.read_penultimate(batch))[:, 0])

    return by_batch(view, pixels, draw)


def draw_saliency(view: FaceView, pixels: U8) -> F32:
    """|d logit / d pixel|, the largest of the channels (Simonyan et al. 2013, arXiv 1312.6034): (n, S, S)."""

    def draw(seen: FaceView, batch: U8) -> Tensor:
        signal = seen.prepare(batch).requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(seen(signal).sum(), signal)
        return gradient.abs().amax(dim=1)

    return by_batch(view, pixels, draw)


def draw_mean_saliency(view: FaceView, pixels: U8) -> F32:
    """Saliency averaged over the faces given, which are cut alike: what the member looks at in any of them."""
    maps = draw_saliency(view, pixels)
    return np.asarray(maps.mean(axis=0, keepdims=True).repeat(len(maps), axis=0), np.float32)


# --- class activation maps: exact, where the head is linear ------------------------------------


def attribute_logit(view: FaceView, pixels: U8) -> tuple[F32, float]:
    """What each cell of the last block adds to the logit, and the bias: together they are the logit.

    Returns:
        (n, h, w) signed logit units, and the head's bias.

    Raises:
        ValueError: the head is more than a global average and a linear layer.
    """
    linear = find_linear(view.head)
    if linear is None:
        raise ValueError("only a global average and a linear layer split the logit into cells")

    def draw(seen: FaceView, batch: U8) -> Tensor:
        with torch.no_grad():
            last = seen.read_last(batch)
            cells: Tensor = torch.einsum("c,nchw->nhw", linear.weight[0], last) / last[0, 0].numel()
            return cells

    return by_batch(view, pixels, draw), float(linear.bias[0])


def draw_cam(view: FaceView, pixels: U8) -> F32:
    """CAM (Zhou et al. 2016, arXiv 1512.04150): what the last block's cells add to the logit, where it is positive."""
    return attribute_logit(view, pixels)[0].clip(min=0)
