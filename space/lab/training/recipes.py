"""Published runs. Each one's note states what it cost and what it gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Phase:
    """A stretch of training on windows of one size, cut from crops at the member's own scale."""

    window_px: int
    n_images: int


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a run, but the data."""

    name: str
    architecture: str
    phases: tuple[Phase, ...]
    input_px: int = 224  # what the member takes in service; windows are cut from crops of this size
    margin: float = 1.1
    self_blend_share: float = 0.4  # of the pairs
    swap_share: float = 0.0  # of the pairs: another person's face
    further_share: float = 0.0  # of the pairs: parts, reenactment and more
    feathered_share: float = 0.0  # of the pairs: swaps as sharp as their surroundings, under a wide soft border
    part_share: float = 0.4  # of those further pairs: a single part is changed
    # The rest of the pairs are the data set's own twins.
    stills_share: float = 0.0  # of self-blended and swapped pairs: made from photos with room around the face
    h264_share: float = 0.0  # of all pairs: compressed as a video is
    camera_share: float = 0.0  # of all pairs: colours, curve, sharpness and noise of another camera
    inside_share: float = 0.0  # of all pairs: cut no wider than the picture
    scene_share: float = 0.0  # of all pairs: things, backdrops and coloured light around the face
    jitter_scale: tuple[float, float] = (0.82, 1.15)  # of the margin
    batch_pairs: int = 16
    peak_lr: float = 1e-3
    weight_decay: float = 0.05
    warmup_share: float = 0.04  # of the cosine's steps
    planned_images: int | None = None  # what the cool-down is measured to, where another run takes over; None: the end
    decay: Literal["cosine", "none", "one_cycle"] = "cosine"  # before the cool-down; one_cycle rises over the warm-up
    cosine_images: int | None = None  # what the warm-up and the cosine are measured by; None: the whole run
    cooldown_images: int = 0  # at the end the rate also falls linearly to zero over these
    ema_decay: float = 0.995
    region_weight: float = 1.0  # of the region head's loss beside the logit's
    rank_weight: float = 1.0  # of the loss that wants the forgery above its twin
    clip_norm: float = 2.0
    dropout: float = 0.2
    stochastic_depth: bool = True  # as the architecture is published; it tells twins apart by chance
    bf16: bool = False
    seed: int = 1
    log_every: int = 100  # steps: validation, log line, checkpoint
    n_validation: int = 512  # faces looked at on the way
    patience: int = 0  # log lines without a better AUC on the way that end the run; 0: none do
    start: Literal["", "imagenet"] = ""  # begin with public ImageNet weights (``imagenet.py``) unless given others
    head_images: int = 0  # from a starting checkpoint: seen while only the heads are trained
    train_from: str = ""  # and then: the first block that is trained, such as "trunk.5" or "tail"; "": all of them
    body_rate: float = 0.1  # and then: of the blocks' rate / of the heads'
    note: str = ""  # cost and result, once run

    @property
    def n_images(self) -> int:
        """Seen in training, both twins counted."""
        return sum(phase.n_images for phase in self.phases)


# The members of the comparison: one budget, one kind of data, so that only the network differs.
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


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *(compared(architecture) for architecture in COMPARED),
        Recipe(
            name="strong-resnet18",
            architecture="resnet18",
            phases=(Phase(112, 168_000), Phase(160, 32_000)),
            input_px=160,
            margin=1.2,
            self_blend_share=0.3,
            swap_share=0.3,
            stills_share=0.4,
            decay="none",
            cosine_images=80_000,
            cooldown_images=80_000,
            ema_decay=0.998,
            dropout=0.0,
            bf16=True,
            log_every=250,
            n_validation=512,
            note="77 minutes on one core; val (within-dataset) frame AUC .776 [.759, .793], n = 2095. 209 photos until "
            "image 72,000, from then on 463 photos and frames of clips.",
        ),
        Recipe(
            name="strong-resnet18-blends",  # goes on from strong-resnet18
            architecture="resnet18",
            phases=(Phase(160, 40_000),),
            input_px=160,
            margin=1.2,
            self_blend_share=0.35,
            swap_share=0.4,
            stills_share=0.5,
            peak_lr=4e-4,
            ema_decay=0.998,
            dropout=0.0,
            bf16=True,
            seed=2,
            log_every=125,
            note="23 minutes on one core; val (within-dataset) frame AUC .791 [.774, .807], n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite0",
            architecture="efficientnet_lite0",
            phases=(Phase(128, 48_000),),
            cosine_images=160_000,  # what its warm-up is measured by
            input_px=192,
            margin=1.2,
            self_blend_share=0.35,
            swap_share=0.35,
            stills_share=0.5,
            h264_share=0.4,
            decay="none",
            ema_decay=0.998,
            dropout=0.0,
            stochastic_depth=False,
            log_every=250,
            n_validation=512,
            peak_lr=4e-4,
            start="imagenet",
            head_images=1_600,
            body_rate=1.0,
            note="18 minutes on two cores; val (within-dataset) frame AUC .795 [.778, .810], n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite0-wide",  # goes on from strong-efficientnet-lite0
            architecture="efficientnet_lite0",
            phases=(Phase(192, 44_000),),
            planned_images=88_000,
            cosine_images=88_000,
            input_px=192,
            margin=1.2,
            self_blend_share=0.55,
            swap_share=0.2,
            stills_share=0.5,
            h264_share=0.4,
            camera_share=0.6,
            inside_share=0.7,
            jitter_scale=(0.82, 1.4),
            peak_lr=4e-4,
            decay="none",
            cooldown_images=84_000,
            ema_decay=0.998,
            dropout=0.0,
            stochastic_depth=False,
            seed=2,
            log_every=125,
            n_validation=512,
            note="27 minutes on two cores; val (within-dataset) frame AUC .863 [.849, .877], n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite0-families",  # goes on from strong-efficientnet-lite0-wide
            architecture="efficientnet_lite0",
            phases=(Phase(192, 44_800),),
            input_px=192,
            margin=1.2,
            self_blend_share=0.35,
            swap_share=0.1,
            further_share=0.3,
            stills_share=0.5,
            h264_share=0.4,
            camera_share=0.6,
            inside_share=0.7,
            jitter_scale=(0.82, 1.4),
            peak_lr=2.2e-4,
            warmup_share=0.02,
            decay="none",
            cooldown_images=44_800,
            ema_decay=0.998,
            dropout=0.0,
            stochastic_depth=False,
            seed=3,
            log_every=100,
            n_validation=512,
            note="25 minutes on two cores; val (within-dataset) frame AUC .862 [.849, .876], n = 2095; the mean of its "
            "weights and those of the run before: .871 [.856, .884].",
        ),
        Recipe(
            name="strong-efficientnet-lite2",
            architecture="efficientnet_lite2",
            phases=(Phase(128, 48_000),),
            cosine_images=160_000,  # what its warm-up is measured by
            input_px=192,
            margin=1.2,
            self_blend_share=0.3,
            swap_share=0.25,
            further_share=0.15,
            stills_share=0.5,
            h264_share=0.4,
            camera_share=0.5,
            inside_share=0.7,
            jitter_scale=(0.82, 1.4),
            peak_lr=4e-4,
            decay="none",
            ema_decay=0.998,
            dropout=0.0,
            stochastic_depth=False,
            seed=4,
            log_every=250,
            n_validation=512,
            start="imagenet",
            head_images=1_600,
            body_rate=1.0,
            note="18 minutes on two shared cores; val (within-dataset) frame AUC .796 [.780, .812], n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite2-wide",  # goes on from strong-efficientnet-lite2
            architecture="efficientnet_lite2",
            phases=(Phase(192, 144_000),),
            input_px=192,
            margin=1.2,
            self_blend_share=0.27,
            swap_share=0.15,
            further_share=0.23,
            stills_share=0.5,
            h264_share=0.4,
            camera_share=0.6,
            inside_share=0.7,
            scene_share=0.4,
            jitter_scale=(0.82, 1.4),
            peak_lr=4e-4,
            warmup_share=0.01,
            decay="none",
            cooldown_images=72_000,
            ema_decay=0.998,
            dropout=0.0,
            stochastic_depth=False,
            seed=5,
            log_every=250,
            n_validation=512,
            note="81 minutes on two shared cores, run once as written; val (within-dataset) frame AUC .884 "
            "[.869, .896] at 192 px, .897 [.884, .909] at 224 px, n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite2-near",  # goes on from strong-efficientnet-lite2-wide
            architecture="efficientnet_lite2",
            phases=(Phase(192, 72_000), Phase(288, 20_000)),
            input_px=288,
            margin=1.2,
            self_blend_share=0.33,
            swap_share=0.12,
            further_share=0.33,
            part_share=0.5,
            stills_share=0.6,
            h264_share=0.4,
            camera_share=0.6,
            inside_share=0.7,
            scene_share=0.35,
            jitter_scale=(0.82, 1.4),
            peak_lr=3e-4,
            warmup_share=0.01,
            decay="none",
            cooldown_images=90_000,
            ema_decay=0.998,
            dropout=0.0,
            stochastic_depth=False,
            seed=6,
            log_every=250,
            n_validation=512,
            note="59 minutes on two shared cores, run once as written; val (within-dataset) frame AUC .879 "
            "[.866, .891] at 288 px, n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite2-last",  # goes on from strong-efficientnet-lite2-near
            architecture="efficientnet_lite2",
            phases=(Phase(224, 30_400),),
            input_px=224,
            margin=1.2,
            self_blend_share=0.33,
            swap_share=0.12,
            further_share=0.33,
            part_share=0.5,
            stills_share=0.6,
            h264_share=0.4,
            camera_share=0.6,
            inside_share=0.7,
            scene_share=0.35,
            jitter_scale=(0.82, 1.4),
            peak_lr=1.5e-4,
            warmup_share=0.02,
            decay="none",
            cooldown_images=29_600,
            ema_decay=0.996,
            dropout=0.0,
            stochastic_depth=False,
            seed=7,
            log_every=190,
            n_validation=512,
            note="19 minutes on two cores, run once as written; val (within-dataset) frame AUC .877 [.863, .890] at "
            "224 px, .881 [.869, .894] at 256 px, n = 2095.",
        ),
        Recipe(
            name="strong-efficientnet-lite0-feathered",  # goes on from the mean of wide and families
            architecture="efficientnet_lite0",
            phases=(Phase(224, 32_000),),
            input_px=224,
            margin=1.2,
            self_blend_share=0.2,
            swap_share=0.05,
            further_share=0.1,
            feathered_share=0.4,
            stills_share=0.6,
            h264_share=0.5,
            camera_share=0.6,
            inside_share=0.7,
            scene_share=0.2,
            jitter_scale=(0.82, 1.4),
            peak_lr=3e-4,
            warmup_share=0.02,
            decay="none",
            cooldown_images=24_000,
            ema_decay=0.997,
            dropout=0.0,
            stochastic_depth=False,
            seed=10,
            log_every=125,
            n_validation=512,
            note="45 minutes on two shared cores, run once as written; val (within-dataset) frame AUC .865 "
            "[.851, .880] at 224 px, n = 2095. No gain on other cameras: not shipped.",
        ),
        Recipe(
            name="strong-efficientnet-lite2-feathered",  # goes on from strong-efficientnet-lite2-last
            architecture="efficientnet_lite2",
            phases=(Phase(224, 20_000),),
            input_px=224,
            margin=1.2,
            self_blend_share=0.2,
            swap_share=0.05,
            further_share=0.15,
            feathered_share=0.35,
            part_share=0.5,
            stills_share=0.6,
            h264_share=0.5,
            camera_share=0.6,
            inside_share=0.7,
            scene_share=0.2,
            jitter_scale=(0.82, 1.4),
            peak_lr=2e-4,
            warmup_share=0.02,
            decay="none",
            cooldown_images=16_000,
            ema_decay=0.996,
            dropout=0.0,
            stochastic_depth=False,
            seed=12,
            log_every=125,
            n_validation=512,
            note="33 minutes on two shared cores, run once as written; val (within-dataset) frame AUC .861 "
            "[.846, .875] at 224 px, n = 2095. No gain on other cameras: not shipped.",
        ),
        Recipe(
            name="tiny",
            architecture="efficientnet_b0",
            phases=(Phase(64, 128), Phase(96, 64)),
            input_px=96,
            batch_pairs=4,
            log_every=8,
            n_validation=32,
            note="A rehearsal: seconds, learns nothing.",
        ),
    )
}
