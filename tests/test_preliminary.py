"""A first word before the report is done, and frames that were decoded elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from space.analysis.pipeline import check_clip
from space.contract import Analysis, Clip, Frame, Report, Verdict
from space.errors import RequestError, SourceError
from space.intake.frames import sample_frames
from space.intake.isolated import isolated_clip
from space.intake.source import open_source
from space.intake.vault import Vault
from space.models.weights import Ensemble, load_ensemble
from space.settings import FaceSettings, Settings
from tests import media
from tests.ensembles import write_ensemble

SETTINGS = Settings(n_frames=12, batch_size=4)


def quiet(_stage: str, _fraction: float) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load_ensemble(folder=write_ensemble(tmp_path_factory.mktemp("ensemble")))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut, panned over."""
    picture = data.astronaut()
    views = [np.ascontiguousarray(picture[2 * i : 2 * i + 300, 80 + 2 * i : 380 + 2 * i]) for i in range(12)]
    path = tmp_path_factory.mktemp("clip") / "astronaut.mp4"
    return media.write_clip(path, size_wh=(300, 300), images=views)


@pytest.fixture(scope="module")
def clip(path: Path) -> Clip:
    return open_source(path, limits=SETTINGS.limits)


def check(clip: Clip, ensemble: Ensemble, settings: Settings = SETTINGS, **told: object) -> Analysis:
    return check_clip(clip, settings=settings, ensemble=ensemble, progress=quiet, **told)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def expected(clip: Clip, ensemble: Ensemble) -> Analysis:
    return check(clip, ensemble)


def content(report: Report) -> Report:
    """A report without what differs from one check to the next."""
    return replace(report, id="", created="", timing_s={})


def test_the_report_is_the_same_whether_somebody_listens(clip: Clip, ensemble: Ensemble, expected: Analysis) -> None:
    heard: list[Verdict] = []
    told = check(clip, ensemble, on_preliminary=heard.append)
    assert len(heard) == 1
    assert content(told.report) == content(expected.report)
    assert told.pictures == expected.pictures


def test_the_first_word_comes_before_all_frames_are_looked_at(clip: Clip, ensemble: Ensemble) -> None:
    n_taken = 0
    taken_when_told: list[int] = []

    def frames() -> Iterator[Frame]:
        nonlocal n_taken
        for frame in sample_frames(clip, SETTINGS.n_frames, limits=SETTINGS.limits):
            n_taken += 1
            yield frame

    verdicts: list[Verdict] = []

    def hear(verdict: Verdict) -> None:
        verdicts.append(verdict)
        taken_when_told.append(n_taken)

    check(clip, ensemble, frames=frames(), on_preliminary=hear)
    assert taken_when_told == [SETTINGS.batch_size]
    assert verdicts[0].p_fake is not None
    assert verdicts[0].code != "not_applicable"


def test_progress_grows_and_nothing_is_drawn_before_the_first_word(clip: Clip, ensemble: Ensemble) -> None:
    seen: list[tuple[str, float]] = []
    check_clip(
        clip,
        settings=SETTINGS,
        ensemble=ensemble,
        progress=lambda stage, fraction: seen.append((stage, fraction)),
        on_preliminary=lambda _: seen.append(("told", seen[-1][1])),
    )
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    stages = [stage for stage, _ in seen]
    assert stages.index("told") < stages.index("scores") < stages.index("verdict") < stages.index("pictures")


def test_faces_that_cannot_be_used_wait_for_the_verdict(clip: Clip, ensemble: Ensemble) -> None:
    settings = replace(SETTINGS, faces=FaceSettings(min_native_px=1000))
    heard: list[Verdict] = []
    analysis = check(clip, ensemble, settings, on_preliminary=heard.append)
    assert heard == [analysis.report.verdict]


def test_a_photo_is_told_by_its_verdict_and_no_face_by_nothing(ensemble: Ensemble, tmp_path: Path) -> None:
    for image, n_heard in ((data.astronaut(), 1), (np.full((200, 200, 3), 120, np.uint8), 0)):
        path = tmp_path / "a.png"
        Image.fromarray(image).save(path)
        heard: list[Verdict] = []
        analysis = check(open_source(path, limits=SETTINGS.limits), ensemble, on_preliminary=heard.append)
        assert heard == [analysis.report.verdict] * n_heard


def test_a_listener_that_stops_ends_the_check(clip: Clip, ensemble: Ensemble) -> None:
    def stop(_: Verdict) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        check(clip, ensemble, on_preliminary=stop)


# --- frames decoded elsewhere -----------------------------------------------------------------


def test_a_clip_decoded_in_a_child_process_gives_the_same_report(
    path: Path, ensemble: Ensemble, expected: Analysis, tmp_path: Path
) -> None:
    with Vault(tmp_path) as vault, vault.writer(max_bytes=10**7) as writer:
        writer.write(path.read_bytes())
        with isolated_clip(writer.seal(), n_frames=SETTINGS.n_frames, limits=SETTINGS.limits, kind="upload") as (
            isolated,
            frames,
        ):
            analysis = check(isolated, ensemble, frames=frames)
    assert content(analysis.report) == content(expected.report)
    assert analysis.pictures == expected.pictures


def test_frames_that_fail_on_the_way_end_the_check(clip: Clip, ensemble: Ensemble) -> None:
    def frames() -> Iterator[Frame]:
        yield from list(sample_frames(clip, 4, limits=SETTINGS.limits))[:2]
        raise SourceError("unreadable")

    with pytest.raises(SourceError, match="unreadable"):
        check(clip, ensemble, frames=frames())


def test_without_frames_their_number_is_checked(clip: Clip, ensemble: Ensemble) -> None:
    with pytest.raises(RequestError, match="bad_frames"):
        check(clip, ensemble, replace(SETTINGS, n_frames=3))
