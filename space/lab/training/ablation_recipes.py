"""What each ingredient of training is worth: one small budget, and one change at a time.

``ablation-base`` and its variants see the same number of pixels; what those that were run gave is told in
``space/lab/README.md``. Larger and smaller budgets and fewer sources make the learning curves.
"""

from __future__ import annotations

from dataclasses import replace

from space.lab.training.recipe import Phase, Recipe

BASE = Recipe(
    name="ablation-base",
    architecture="efficientnet_lite0",
    phases=(Phase(112, 16_000),),
    input_px=192,
    margin=1.2,
    self_blend_share=0.35,
    swap_share=0.15,
    further_share=0.2,
    stills_share=0.5,
    h264_share=0.4,
    camera_share=0.5,
    inside_share=0.7,
    jitter_scale=(0.82, 1.4),
    peak_lr=4e-4,
    ema_decay=0.99,
    dropout=0.0,
    stochastic_depth=False,
    seed=31,
    log_every=125,
    n_validation=256,
    start="imagenet",
    head_images=800,
    body_rate=1.0,
)

OWN_TWINS = replace(BASE, name="ablation-own-twins", self_blend_share=0.0, swap_share=0.0, further_share=0.0)

ABLATIONS: tuple[Recipe, ...] = (
    BASE,
    replace(BASE, name="ablation-unpaired", paired=False, rank_weight=0.0),
    replace(BASE, name="ablation-no-region-head", region_weight=0.0),
    replace(BASE, name="ablation-no-rank-loss", rank_weight=0.0),
    OWN_TWINS,
    replace(BASE, name="ablation-self-blended", self_blend_share=0.9, swap_share=0.1, further_share=0.0),
    replace(BASE, name="ablation-no-further", self_blend_share=0.47, swap_share=0.23, further_share=0.0),
    replace(BASE, name="ablation-parts", further_share=0.4, self_blend_share=0.2, swap_share=0.1, part_share=0.8),
    replace(BASE, name="ablation-one-camera", h264_share=0.0, camera_share=0.0),
    replace(BASE, name="ablation-unchanged", photometry_share=0.0),
    replace(OWN_TWINS, name="ablation-own-twins-unchanged", photometry_share=0.0),
    replace(BASE, name="ablation-no-stills", stills_share=0.0),
    replace(BASE, name="ablation-larger", input_px=288),
    replace(BASE, name="ablation-whole-crops", phases=(Phase(192, 5_440),), log_every=85),
    replace(BASE, name="ablation-scratch", start="", head_images=0),
    # Learning curves: of images seen, and of sources.
    replace(BASE, name="ablation-images-8000", phases=(Phase(112, 8_000),)),
    replace(BASE, name="ablation-images-32000", phases=(Phase(112, 32_000),)),
    replace(BASE, name="ablation-sources-half", source_share=0.5),
    replace(BASE, name="ablation-sources-quarter", source_share=0.25),
    # Transfer in two phases, from a run of ablation-own-twins: the heads, then the last blocks at a tenth of the rate.
    replace(
        BASE,
        name="transfer-efficientnet-lite0",
        phases=(Phase(112, 8_000),),
        start="",
        head_images=1_600,
        train_from="trunk.5",
        body_rate=0.1,
        log_every=50,
    ),
)
