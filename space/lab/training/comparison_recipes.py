"""The members of the comparison: one kind of data and two budgets, so that within each only the network differs."""

from __future__ import annotations

from dataclasses import replace

from space.lab.training.recipe import Phase, Recipe

COMPARED = (
    *("plain_cnn", "meso4", "mesoinception4", "simplenet", "resnet18", "resnet18_mlp", "resnext50_32x4d"),
    *("efficientnet_b0", "vgg19_bn", "densenet121", "densenet121_gray", "inception_v3", "xception", "xception_mlp"),
)


# Too large for the whole budget on a processor: they see a seventh of it, in bfloat16.
LARGE = {
    *("simplenet", "resnet18", "resnet18_mlp", "resnext50_32x4d", "efficientnet_b0", "vgg19_bn"),
    *("densenet121", "densenet121_gray", "inception_v3", "xception", "xception_mlp"),
}
WHOLE = (Phase(112, 48_000), Phase(160, 16_000))
SHORT = (Phase(112, 9_600),)


def compared(architecture: str) -> Recipe:
    """The comparison's recipe for an architecture of the registry."""
    is_large = architecture in LARGE
    return Recipe(
        name=f"compare-{architecture.replace('_', '-')}",
        architecture=architecture,
        phases=SHORT if is_large else WHOLE,
        input_px=160,
        margin=1.2,
        self_blend_share=0.3,
        swap_share=0.3,
        stills_share=0.4,
        decay="one_cycle",
        warmup_share=0.1,
        dropout=0.0,
        stochastic_depth=False,
        bf16=is_large,
        log_every=50 if is_large else 250,
    )


# What changed pictures bring: one network with a hidden layer and dropout, in one cycle and mixed precision, on the
# data set's own twins as they are, changed as in the wild, and half of them so.
AUGMENTED: tuple[Recipe, ...] = tuple(
    replace(
        compared("resnet18_mlp"),
        name=f"compare-resnet18-mlp-{name}",
        self_blend_share=0.0,
        swap_share=0.0,
        stills_share=0.0,
        dropout=0.4,
        photometry_share=share,
    )
    for name, share in (("base", 0.0), ("augmented", 1.0), ("both", 0.5))
)
