"""Every way to explain a member's logit with a map, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from space.contract import F32, U8
from space.lab.explain.layers import (
    STRIDES,
    draw_cam,
    draw_grad_cam,
    draw_layered,
    draw_located_cells,
    draw_located_last,
    draw_located_product,
    draw_mean_saliency,
    draw_region,
    draw_saliency,
    draw_service,
    gate,
    multiply,
)
from space.lab.explain.relatives import draw_relative, draw_score_cam
from space.lab.explain.surrogates import draw_lime, draw_shap
from space.lab.explain.views import FaceView, view_faces
from space.models.member import find_linear
from space.models.weights import LoadedMember

Unit = Literal["logit", "probability", "relative"]


@dataclass(frozen=True)
class Method:
    """One way to draw a map."""

    name: str
    about: str
    draw: Callable[[FaceView, U8], F32]  # (n, S, S, 3) RGB faces -> (n, h, w)
    unit: Unit  # "relative": every map is scaled by itself, so that magnitudes say nothing
    signed: bool = False  # whether values below zero, against a forgery, occur
    costly: bool = False  # seconds for one face, not milliseconds
    fits: Callable[[FaceView], bool] = lambda _view: True


class UnfitMethodError(ValueError):
    """A method needs something that this member has not."""


def _relative(name: str, kind: str, about: str, *, costly: bool = False) -> dict[str, Method]:
    return {
        f"{name}{suffix}": Method(
            f"{name}{suffix}", f"{about}, {layer} block", draw_relative(kind, (layer,)), "relative", costly=costly
        )
        for layer, suffix in (("last", ""), ("penultimate", "-penultimate"))
    }


def _has_region(view: FaceView) -> bool:
    return view.region is not None


def _own() -> list[Method]:
    return [
        Method(
            "layered",
            "penultimate x region head, gathered; without such a head, penultimate filtered by last",
            draw_service,
            "logit",
        ),
        Method("layered-product", "penultimate filtered by last: product", draw_layered(multiply), "logit"),
        Method("layered-gate", "penultimate filtered by last: gate", draw_layered(gate), "logit"),
        Method("layered-3", "product of three layers, from stride 8", draw_layered(multiply, STRIDES[1]), "logit"),
        Method("layered-4", "product of four layers, from stride 4", draw_layered(multiply, *STRIDES), "logit"),
        Method("layered-gate-3", "gate of three layers, from stride 8", draw_layered(gate, STRIDES[1]), "logit"),
        Method(
            "located-cells", "penultimate x region head, cell by cell", draw_located_cells, "logit", fits=_has_region
        ),
        Method("located-product", "that product x dense region head", draw_located_product, "logit", fits=_has_region),
        Method("located-last", "last block x dense region head", draw_located_last, "logit", fits=_has_region),
        Method("grad-cam", "Grad-CAM, last block", draw_grad_cam(1), "logit"),
        Method("grad-cam-penultimate", "Grad-CAM, penultimate block", draw_grad_cam(0), "logit"),
        Method("cam", "the head's weights", draw_cam, "logit", fits=lambda view: find_linear(view.head) is not None),
        Method("region", "dense region head", draw_region, "probability", fits=_has_region),
        Method("saliency", "gradient at the pixels", draw_saliency, "logit"),
        Method("saliency-mean", "its mean over the faces given", draw_mean_saliency, "logit"),
    ]


def _surrogates() -> list[Method]:
    return [
        Method("lime", "LIME, 5 positive features", draw_lime(positive_only=True), "logit", costly=True),
        Method("lime-signed", "LIME, 10 features", draw_lime(positive_only=False), "logit", signed=True, costly=True),
        Method("shap", "SHAP, positive", draw_shap, "logit", costly=True),
    ]


METHODS: Mapping[str, Method] = {
    **{method.name: method for method in _own()},
    **_relative("grad-cam++", "GradCAMPlusPlus", "Grad-CAM++"),
    **_relative("hirescam", "HiResCAM", "HiResCAM"),
    **_relative("layercam", "LayerCAM", "LayerCAM"),
    **_relative("eigencam", "EigenCAM", "EigenCAM"),
    **_relative("xgradcam", "XGradCAM", "XGradCAM"),
    **_relative("ablationcam", "AblationCAM", "Ablation-CAM", costly=True),
    "refinecam": Method(
        "refinecam", "RefineCAM, both blocks", draw_relative("RefineCAM", ("penultimate", "last")), "relative"
    ),
    "scorecam": Method("scorecam", "Score-CAM, last block", draw_score_cam, "relative", costly=True),
    **{method.name: method for method in _surrogates()},
}


def explain_faces(method: Method, member: LoadedMember, crops: U8) -> F32:
    """A map for every face.

    Args:
        crops: (n, S, S, 3) RGB, n >= 1, of the member's margin and input size; of one track in order of time, where
            the member scores sequences.

    Returns:
        (n, h, w) float32, finite; >= 0 unless the method is signed.

    Raises:
        UnfitMethodError: the member has no such head or layer.
    """
    maps = []
    for view, faces in view_faces(member, crops):
        if not method.fits(view):
            raise UnfitMethodError(f"{method.name} does not fit {member.card.name}")
        maps.append(method.draw(view, faces))
    return np.concatenate(maps)
