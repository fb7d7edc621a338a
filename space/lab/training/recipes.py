"""Published runs by name."""

from __future__ import annotations

from space.lab.training.ablation_recipes import ABLATIONS
from space.lab.training.comparison_recipes import AUGMENTED, COMPARED, compared
from space.lab.training.lite0_recipes import LITE0
from space.lab.training.lite2_recipes import LITE2
from space.lab.training.recipe import Phase, Recipe
from space.lab.training.resnet18_recipes import RESNET18

TINY = Recipe(
    name="tiny",
    architecture="efficientnet_b0",
    phases=(Phase(64, 128), Phase(96, 64)),
    input_px=96,
    batch_pairs=4,
    log_every=8,
    n_validation=32,
    note="A rehearsal: seconds, learns nothing.",
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *(compared(architecture) for architecture in COMPARED),
        *AUGMENTED,
        *ABLATIONS,
        *RESNET18,
        *LITE0,
        *LITE2,
        TINY,
    )
}
