"""What a run is determined by."""

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
    photometry_share: float = 1.0  # of all pairs: scale, blur, light and compression as in the wild, and the next two
    h264_share: float = 0.0  # of all pairs: compressed as a video is
    camera_share: float = 0.0  # of all pairs: colours, curve, sharpness and noise of another camera
    inside_share: float = 0.0  # of all pairs: cut no wider than the picture
    scene_share: float = 0.0  # of all pairs: things, backdrops and coloured light around the face
    film_share: float = 0.0  # of all pairs: filmed while they move, and encoded as clips are
    jitter_scale: tuple[float, float] = (0.82, 1.15)  # of the margin
    paired: bool = True  # a genuine face beside its own forgery; else faces of different sources, changed differently
    source_share: float = 1.0  # of the training split's sources: for learning curves
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
    member: str = ""  # what its member is called; "": by its architecture
    note: str = ""  # cost and result, once run

    @property
    def n_images(self) -> int:
        """Seen in training, both twins counted."""
        return sum(phase.n_images for phase in self.phases)
