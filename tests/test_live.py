"""Whether a stream could be checked while it plays."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import space.models.weights
from space.cli import app
from space.live import Rate, pick_largest
from space.models.weights import load_ensemble
from space.settings import PROJECT_ROOT
from tests.ensembles import write_ensemble

CLIP = PROJECT_ROOT / "space" / "service" / "page" / "examples" / "genuine.mp4"


def rate(members: str, every: int, fps: float) -> Rate:
    return Rate(tuple(members), every, fps, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ([rate("a", 1, 9), rate("ab", 1, 6), rate("ab", 3, 8)], 1),
        ([rate("a", 1, 9), rate("ab", 1, 4), rate("ab", 3, 5)], 2),
        ([rate("a", 1, 5.1), rate("b", 1, 7), rate("ab", 1, 4.9), rate("ab", 3, 4.99)], 1),
        ([rate("a", 1, 4.9)], None),
    ],
)
def test_the_largest_that_holds(rates: list[Rate], best: int | None) -> None:
    assert pick_largest(rates) == (None if best is None else rates[best])


def test_a_stream_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = load_ensemble(folder=write_ensemble(tmp_path))
    monkeypatch.setattr(space.models.weights, "load_ensemble", lambda _members: ensemble)
    result = CliRunner().invoke(app, ["bench", str(CLIP), "--live", "--stream-frames", "6", "--quiet"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    found = [(tuple(c["members"]), c["detect_every"]) for c in document["configurations"]]
    assert found == [(m, e) for m in (("small",), ("other",), ("small", "other")) for e in (1, 3)]
    for row in document["configurations"]:
        total_ms = row["detect_ms"] + row["score_and_map_ms"] + row["draw_ms"]
        assert row["fps"] == pytest.approx(1000 / total_ms, rel=0.05)
        assert row["holds"] == (row["fps"] >= 5)
    assert document["clip"]["n_frames"] == 6


def test_a_photo_is_no_stream() -> None:
    result = CliRunner().invoke(app, ["bench", str(CLIP.with_suffix(".jpg")), "--live", "--quiet"])
    assert result.exit_code == 2
    assert "is a photo" in re.sub(r"[\s│]+", " ", result.output)
