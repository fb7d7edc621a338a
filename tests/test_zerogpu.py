"""A processor that is lent for a call: one call a video, and a quick check here when it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from space.analysis.pipeline import QUICK_FACES, check_clip
from space.analysis.scoring import ComputeRefusedError, Scorer, thin_tracks
from space.analysis.tracks import link_tracks
from space.contract import Analysis
from space.intake.source import open_source
from space.models.weights import Ensemble, load_ensemble
from space.service import zerogpu
from space.service.analyses import Models
from space.service.page.html import EXAMPLES
from space.service.zerogpu import MAX_SECONDS, compute_on_gpu, is_lent, seconds_needed
from space.settings import PROJECT_ROOT, Settings
from tests.ensembles import write_ensemble
from tests.test_scoring import meet, same

N_FRAMES = 16


class Lender(ModuleType):
    """Stands for the platform's package."""

    def __init__(self) -> None:
        super().__init__("spaces")
        self.durations: list[int] = []
        self.refuses = False

    def GPU(self, duration: Callable[..., int]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: N802
        def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                self.durations.append(duration(*arguments))
                if self.refuses:
                    raise RuntimeError("quota exceeded")
                return task(*arguments)

            return call

        return decorate


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Lender:
    package = Lender()
    monkeypatch.setitem(sys.modules, "spaces", package)
    return package


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load_ensemble(folder=write_ensemble(tmp_path_factory.mktemp("ensemble")))


@pytest.mark.parametrize("maps", [True, False])
def test_the_lent_processor_gives_the_same_scores(lender: Lender, ensemble: Ensemble, maps: bool) -> None:
    tracks = link_tracks(meet({"A": range(zerogpu.BATCH_SIZE), "B": range(3)}))
    n_faces = zerogpu.BATCH_SIZE + 3
    here = Scorer(ensemble, batch_size=zerogpu.BATCH_SIZE, maps=maps).score(tracks, lambda _: None)
    compute = compute_on_gpu(ensemble, device="cpu")
    steps: list[float] = []
    there = Scorer(ensemble, batch_size=sys.maxsize, maps=maps, compute=compute).score(tracks, steps.append)
    assert same(here, there)
    assert lender.durations == [seconds_needed(2 * n_faces)]
    assert steps == [0.0]


@pytest.mark.parametrize(("n_crops", "seconds"), [(1, 6), (16, 10), (32, 14), (1000, MAX_SECONDS)])
def test_a_call_asks_for_what_it_needs(n_crops: int, seconds: float) -> None:
    assert seconds_needed(n_crops) == seconds


def check_example(ensemble: Ensemble, compute: Any, told: list[Any] | None = None) -> Analysis:
    settings = Settings(n_frames=N_FRAMES, maps=False)
    path = PROJECT_ROOT / "space" / "service" / "page" / "examples" / f"{EXAMPLES[0]}.mp4"
    clip = open_source(path, limits=settings.limits)
    return check_clip(
        clip,
        settings=settings,
        ensemble=ensemble,
        progress=lambda *_: None,
        on_preliminary=None if told is None else told.append,
        compute=compute,
    )


def test_a_refused_call_is_a_quick_check_that_says_so(lender: Lender, ensemble: Ensemble) -> None:
    compute = compute_on_gpu(ensemble, device="cpu")
    whole = check_example(ensemble, compute)
    lender.refuses = True
    told: list[Any] = []
    quick = check_example(ensemble, compute, told)
    n_scored = [sum(len(track.frames) for track in analysis.report.tracks) for analysis in (whole, quick)]
    assert n_scored == [N_FRAMES, QUICK_FACES]
    marks = [[text.id for text in analysis.report.limits] for analysis in (whole, quick)]
    assert ["limit.quick_check" in ids for ids in marks] == [False, True]
    assert told
    assert len(lender.durations) == 2


def test_only_a_refusal_is_answered_by_a_quick_check(ensemble: Ensemble) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check_example(ensemble, broken)


def test_a_failed_call_is_a_refusal(lender: Lender, ensemble: Ensemble) -> None:
    lender.refuses = True
    with pytest.raises(ComputeRefusedError):
        compute_on_gpu(ensemble, device="cpu")({}, False)


def test_thinned_tracks_keep_everybody_and_their_time() -> None:
    tracks = link_tracks(meet({"A": range(40), "B": range(10), "C": [5, 6]}))
    thin = thin_tracks(tracks, 12)
    assert [track.track_id for track in thin] == [track.track_id for track in tracks]
    assert [len(track.faces) for track in thin] == [9, 2, 1]
    assert [thin[0].faces[i].frame_index for i in (0, -1)] == [0, 39]
    assert thin_tracks(tracks, 52) == tracks


@pytest.mark.parametrize(("value", "lent"), [("true", True), ("1", True), ("", False), ("false", False)])
def test_the_platform_says_whether_it_lends(value: str, lent: bool) -> None:
    assert is_lent({"SPACES_ZERO_GPU": value}) is lent
    assert not is_lent({})


def test_models_are_there_before_a_launch_that_lends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(zerogpu.VARIABLE, "true")
    models = Models(object)  # type: ignore[arg-type,return-value]
    models.warm_up()
    assert models.loaded == "yes"
