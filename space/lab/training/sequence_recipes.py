"""Published runs of members that read tracks. Each one's note states what it cost and what it gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SequenceRecipe:
    """Everything that determines a run, but the data and the frozen network that sees the frames."""

    name: str
    architecture: str
    input_px: int
    margin: float = 1.2
    hidden: int | None = None  # LSTM units; None: as published
    dropout: float | None = None  # before the logit; None: as published
    n_train: int = 256  # pairs of twin tracks
    n_validation: int = 40
    n_frames: int = 20  # of a track in training, at most
    validation_frames: int = 100
    stills_share: float = 0.5  # of the tracks: from photos with room around the face
    clips_share: float = 0.15  # of the tracks: from clips that were filmed
    fault_share: float = 0.5  # of the forged tracks: with faults of ``lab forge``
    bf16: bool = False  # the network that sees the frames
    epochs: int = 8
    batch_pairs: int = 16
    peak_lr: float = 5e-4
    warmup_share: float = 0.05
    weight_decay: float = 0.05
    clip_norm: float = 2.0
    seed: int = 1
    note: str = ""  # cost and result, once run


SEQUENCE_RECIPES: dict[str, SequenceRecipe] = {
    recipe.name: recipe
    for recipe in (
        SequenceRecipe(name="sequence-resnext50-lstm", architecture="resnext50_32x4d_lstm", input_px=112, bf16=True),
        SequenceRecipe(
            name="sequence-resnext50-lstm-small",
            architecture="resnext50_32x4d_lstm",
            input_px=112,
            hidden=256,
            bf16=True,
        ),
        SequenceRecipe(name="sequence-inception-gru", architecture="inception_v3_gru", input_px=112, peak_lr=2e-3),
        SequenceRecipe(
            name="sequence-efficientnet-lite0-lstm",
            architecture="efficientnet_lite0_lstm",
            input_px=192,
            hidden=128,
        ),
        SequenceRecipe(
            name="tiny-sequence",
            architecture="efficientnet_lite0_lstm",
            input_px=64,
            hidden=4,
            n_train=4,
            n_validation=3,
            n_frames=6,
            validation_frames=12,
            stills_share=0.0,
            clips_share=0.0,
            epochs=3,
            batch_pairs=2,
            note="A rehearsal: seconds, learns nothing.",
        ),
    )
}
