"""The members of the comparison: one budget, one kind of data, so that only the network differs."""

from __future__ import annotations

from space.lab.training.recipe import Phase, Recipe

COMPARED = (
    *("plain_cnn", "meso4", "mesoinception4", "simplenet", "resnet18", "resnet18_mlp", "resnext50_32x4d"),
    *("efficientnet_b0", "vgg19_bn", "densenet121", "densenet121_gray", "inception_v3", "xception", "xception_mlp"),
)


def compared(architecture: str) -> Recipe:
    """The comparison's recipe for an architecture of the registry."""
    return Recipe(
        name=f"compare-{architecture.replace('_', '-')}",
        architecture=architecture,
        phases=(Phase(112, 48_000), Phase(160, 16_000)),
        input_px=160,
        margin=1.2,
        self_blend_share=0.3,
        swap_share=0.3,
        stills_share=0.4,
        decay="one_cycle",
        warmup_share=0.1,
        dropout=0.0,
        stochastic_depth=False,
        log_every=250,
    )
