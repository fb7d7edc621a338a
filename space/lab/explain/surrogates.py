"""Explanations that only ask the model: LIME and SHAP, through their libraries. Pieces of the picture are left out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from lime import lime_image
from lime.wrappers.scikit_image import SegmentationAlgorithm
from skimage.segmentation import mark_boundaries

from space.contract import F32, U8
from space.lab.explain.relatives import hide_progress
from space.lab.explain.views import FaceView

LIME_SAMPLES = 400
LIME_POSITIVE, LIME_SIGNED = 5, 10  # features shown
SUPERPIXELS = 60  # about as large as a cell of the last block
SHAP_EVALUATIONS = 400
SHAP_BLUR = "blur(32,32)"  # what stands for a piece that is left out


def _logits(view: FaceView, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(n, S, S, 3), of any number type in [0, 255] -> (n, 1)."""
    return view.score(np.clip(np.round(pixels), 0, 255).astype(np.uint8)).cpu().numpy()[:, None]


def explain_with_lime(view: FaceView, image: U8, *, seed: int = 0) -> tuple[np.ndarray[Any, Any], dict[int, float]]:
    """LIME (Ribeiro et al. 2016, arXiv 1602.04938) of one face.

    Args:
        image: (S, S, 3) RGB.

    Returns:
        (S, S) int numbers of superpixels, and each one's weight in logit units.
    """
    segment = SegmentationAlgorithm("slic", n_segments=SUPERPIXELS, compactness=10, sigma=1, start_label=0)
    with hide_progress():
        explanation = lime_image.LimeImageExplainer(random_state=seed).explain_instance(
            image.astype(np.double),
            partial(_logits, view),
            labels=(0,),
            top_labels=None,
            num_samples=LIME_SAMPLES,
            batch_size=50,
            segmentation_fn=lambda picture: segment(picture.astype(np.uint8)),
            random_seed=seed,
        )
    return explanation.segments, {int(number): float(weight) for number, weight in explanation.local_exp[0]}


def pick_features(weights: dict[int, float], *, positive_only: bool) -> dict[int, float]:
    """The superpixels shown: the 5 that speak most for a forgery, or the 10 with most weight of either sign."""
    if positive_only:
        kept = sorted(((n, w) for n, w in weights.items() if w > 0), key=lambda pair: -pair[1])[:LIME_POSITIVE]
    else:
        kept = sorted(weights.items(), key=lambda pair: -abs(pair[1]))[:LIME_SIGNED]
    return dict(kept)


def paint(segments: np.ndarray[Any, Any], weights: dict[int, float]) -> F32:
    """(S, S) map of superpixels' weights; 0 where none is shown."""
    table = np.zeros(int(segments.max()) + 1, np.float32)
    for number, weight in weights.items():
        table[number] = weight
    return np.asarray(table[segments], np.float32)


def draw_lime(*, positive_only: bool) -> Callable[[FaceView, U8], F32]:
    """LIME's map of each face, (n, S, S), logit units: positive only, or of both signs."""

    def draw(view: FaceView, pixels: U8) -> F32:
        maps = []
        for image in pixels:
            segments, weights = explain_with_lime(view, image)
            maps.append(paint(segments, pick_features(weights, positive_only=positive_only)))
        return np.stack(maps)

    return draw


def mark_features(image: U8, weights: F32) -> U8:
    """A face with the boundaries of LIME's features drawn: warm where they speak for a forgery, cold where against."""
    tint = image.astype(np.float32)
    for sign, colour in ((1, (255, 120, 60)), (-1, (70, 130, 255))):
        chosen = np.sign(weights) == sign
        tint[chosen] = 0.65 * tint[chosen] + 0.35 * np.array(colour, np.float32)
    levels = np.unique(weights, return_inverse=True)[1].reshape(weights.shape)
    marked = mark_boundaries(  # type: ignore[no-untyped-call]
        tint.astype(np.uint8), levels, color=(1, 1, 0.4), mode="inner"
    )
    return np.asarray(np.round(marked * 255), np.uint8)


def draw_shap(view: FaceView, pixels: U8) -> F32:
    """What speaks for a forgery by SHAP (Lundberg & Lee 2017, arXiv 1705.07874): (n, S, S) >= 0, logit units a pixel.

    Pieces of the picture, halved again and again, are left out in turn.
    """
    with warnings.catch_warnings():  # its colour maps are made in a way that matplotlib is about to drop
        warnings.simplefilter("ignore")
        import shap

        masker = shap.maskers.Image(SHAP_BLUR, pixels.shape[1:])
        explainer = shap.Explainer(partial(_logits, view), masker, seed=0)
        values = explainer(pixels, max_evals=SHAP_EVALUATIONS, batch_size=50, silent=True).values
    per_pixel = np.asarray(values).reshape(pixels.shape).sum(axis=-1)
    return np.asarray(per_pixel.clip(min=0), np.float32)
