"""Correct interpretations: made from the astronaut alone, and only what was explained correctly."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from space.contract import F32
from space.lab.explain.faces import Seen
from space.lab.explain.harness import Harness
from space.lab.explain.interpretations import ARCHIVE, MARK, collect_interpretations, find_astronaut, forge_astronaut
from space.models.cards import UNCALIBRATED
from space.models.weights import Ensemble
from tests.ensembles import RECORD
from tests.explained import tiny_member


class Knowing(Harness):
    """Sees every second forgery and points at it; of the others its map points at the forehead."""

    n_seen = 0

    def maps(self, cases: list[Seen], *_: object, **__: object) -> dict[str, list[F32]]:  # type: ignore[override]
        self.n_seen += len(cases)
        is_right = self.n_seen % 2 == 0
        return {"layered": [seen.mask if is_right else np.float32(seen.parts["forehead"]) for seen in cases]}

    def logits(self, cases: list[Seen], *, genuine: bool = False) -> np.ndarray:  # type: ignore[override]
        return np.full(len(cases), -1.0 if genuine else 1.0)


def test_only_what_was_explained_correctly_is_kept(tmp_path: Path) -> None:
    harness = Knowing(Ensemble(replace(RECORD, calibration=UNCALIBRATED), (tiny_member(),), (1.0,)), ["layered"])
    kept = collect_interpretations(harness, tmp_path, tries=2, count=6)
    document = json.loads((tmp_path / "examples.json").read_text())
    assert len(kept) == len(document["examples"]) == 6
    assert document["n_correct"] < document["n_tried"]
    assert all(found.named in found.forged for found in kept)
    assert len({found.kind for found in kept}) >= 5, "as many kinds as there are"
    with zipfile.ZipFile(tmp_path / ARCHIVE) as archive:
        names = archive.namelist()
    assert len(names) == 3 * 6 + 1
    for name in names[1:4]:
        if name.endswith(".jpg"):
            with Image.open(tmp_path / name) as picture:
                assert picture.size == (288, 288)
                assert picture.info["comment"].decode() == MARK


def test_the_same_seeds_forge_the_same_faces() -> None:
    shot = find_astronaut()
    first, second = (next(forge_astronaut(shot, tries=1)) for _ in range(2))
    assert (first[0].forged == second[0].forged).all()
    assert first[0].parts
    assert first[1:] == second[1:]


@pytest.mark.parametrize("side", [0, 1])
def test_the_face_lies_in_the_picture(side: int) -> None:
    shot = find_astronaut()
    assert 0 < shot.landmarks[:, side].min() < shot.landmarks[:, side].max() < 288
