"""Grad-CAM's relatives, through pytorch-grad-cam; every one of its maps is scaled to [0, 1] by itself.

The library runs the whole network once and again for each map. Here it is given what follows the layer only, and the
layer's activations as the input: the same map for a fraction of the cost. Score-CAM masks pictures and needs it all.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytorch_grad_cam as library
import torch
from torch import Tensor, nn

from space.contract import F32, U8
from space.lab.explain.views import FaceView, split_faces


class Rest(nn.Module):
    """What follows the penultimate block, or the last one: activations in, logits out.

    Args:
        from_last: begin after the tail.
    """

    def __init__(self, view: FaceView, *, from_last: bool) -> None:
        super().__init__()
        self.penultimate, self.last = nn.Identity(), nn.Identity()
        self.tail = nn.Identity() if from_last else view.tail
        self.head = view.head

    def forward(self, activations: Tensor) -> Tensor:
        """(n, C, h, w) -> (n, 1) logits."""
        logits: Tensor = self.head(self.last(self.tail(self.penultimate(activations)))).reshape(-1, 1)
        return logits


def _logit(output: Tensor) -> Tensor:
    return output.reshape(-1)[0]


def _probability(output: Tensor) -> Tensor:
    """For Ablation-CAM, which divides by it: a logit below zero would turn its maps over."""
    return torch.sigmoid(output.reshape(-1)[0])


@contextlib.contextmanager
def hide_progress() -> Iterator[None]:
    """These libraries draw progress bars on standard error, and cannot be told not to."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def draw_relative(kind: str, layers: Sequence[str]) -> Callable[[FaceView, U8], F32]:
    """Maps of one of the library's methods.

    Args:
        kind: the name of its class.
        layers: "penultimate", "last", or both where the method combines layers.

    Returns:
        A function from a view and (n, S, S, 3) faces to (n, h, w) maps in [0, 1], on the first layer's cells.
    """
    from_last = tuple(layers) == ("last",)
    target = _probability if kind == "AblationCAM" else _logit

    def draw(view: FaceView, pixels: U8) -> F32:
        rest = Rest(view, from_last=from_last).eval()
        method = getattr(library, kind)(rest, [getattr(rest, layer) for layer in layers])
        maps = []
        for batch in split_faces(pixels):
            activations = view.read_last(batch) if from_last else view.read_penultimate(batch)
            maps.append(_run(method, activations, target))
        return np.concatenate(maps)

    return draw


def draw_score_cam(view: FaceView, pixels: U8) -> F32:
    """Score-CAM (Wang et al. 2020, arXiv 1910.01279) at the last block, (n, S, S): a forward pass for every channel."""
    method = library.ScoreCAM(view, [view.tail])
    return np.concatenate([_run(method, view.prepare(pixels[i : i + 1]), _logit) for i in range(len(pixels))])


def _run(method: Any, signal: Tensor, target: Callable[[Tensor], Tensor]) -> F32:
    with hide_progress(), torch.enable_grad():
        maps = method(signal.detach().clone().requires_grad_(True), [target] * len(signal))
    return np.asarray(maps, np.float32)
