"""Jobs: how they go and how they end."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from space.analysis.report import to_json
from space.errors import LinkError, ServiceError, SourceError, TelltaleError, WeightsError
from space.intake.links import FetchedLink
from space.service.callers import EXEMPT
from space.service.jobs import FramesSource, LinkSource, UploadSource
from space.service.settings import ServiceSettings
from space.service.store import LAST_STAGES
from space.service.views import LAST, STAGES, JobView, restore_error, store_error, view_json
from tests.services import ANALYSIS, STEPS, Gate, World, bytes_below, new_id, open_world, until, walk

REPORT = to_json(ANALYSIS.report)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


# --- how a job goes ---------------------------------------------------------------------------


def test_a_job_goes_through_its_stages_to_a_report(tmp_path: Path) -> None:
    gate = Gate("source")
    with open_world(tmp_path, gate) as world:
        job_id = world.begin()
        assert gate.reached.wait(10)
        views = world.jobs.follow(job_id)
        assert next(views).stage == "source"
        gate.opened.set()
        last = list(views)[-1]
    assert (last.stage, last.fraction, last.error) == ("done", 1.0, None)
    assert last.report == REPORT
    assert last.preliminary is not None
    assert last.preliminary.sentence == ANALYSIS.report.verdict.sentence


def test_every_stage_is_written_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    change = world.store.change

    def note(job_id: str, **values: Any) -> None:
        written.extend([values["stage"]] if "stage" in values else [])
        change(job_id, **values)

    monkeypatch.setattr(world.store, "change", note)
    world.end(world.begin())
    assert written == ["loading", *(stage for stage, _ in STEPS), "done"]
    assert set(written) <= set(STAGES)
    assert set(LAST_STAGES) == LAST


def test_models_that_are_there_are_not_loaded_again(world: World) -> None:
    world.end(world.begin())
    job_id = new_id()
    world.jobs.accept(job_id, UploadSource(world.seal()), caller=EXEMPT)
    stages = [view.stage for view in world.jobs.follow(job_id)]
    assert "loading" not in stages


def test_the_fraction_never_goes_back(tmp_path: Path) -> None:
    def back_and_forth(video: Any, *, progress: Any, **others: Any) -> Any:
        for fraction in (0.5, 0.2, 0.7, 3.0):
            progress("scores", fraction)
        return walk(video, progress=lambda stage, fraction: progress(stage, 0.1), **others)

    with open_world(tmp_path, back_and_forth) as world:
        fractions = [view.fraction for view in world.jobs.follow(world.begin())]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_video_is_gone_before_the_end_is_told(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        for _ in range(5):
            assert world.end(world.begin()).stage == "done"
            assert world.n_videos() == 0


def test_nobody_needs_to_listen(world: World) -> None:
    job_id = world.begin()
    follower = world.jobs.follow(job_id)
    next(follower)
    follower.close()
    until(lambda: world.jobs.view(job_id).is_last)
    assert world.jobs.view(job_id).stage == "done"


def test_a_silent_job_is_heard_of_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("space.service.jobs.BEAT_S", 0.01)
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        views = world.jobs.follow(world.begin())
        assert gate.reached.wait(10)
        stages = [next(views).stage for _ in range(9)]
        assert stages[-2:] == ["faces", "faces"]
        gate.opened.set()


def test_pictures_are_had_by_their_names(world: World) -> None:
    job_id = world.begin()
    world.end(job_id)
    assert world.jobs.analysis(job_id) == ANALYSIS
    for name, picture in ANALYSIS.pictures.items():
        assert world.jobs.picture(job_id, name) == picture


@pytest.mark.parametrize(
    "name", ["missing.jpg", "report.json", "../jobs.sqlite", "..", "", "a/b.jpg", "\0.jpg", ".jpg"]
)
def test_nothing_else_is_had(world: World, name: str) -> None:
    job_id = world.begin()
    world.end(job_id)
    with pytest.raises(ServiceError, match="picture_unknown"):
        world.jobs.picture(job_id, name)


def test_a_job_without_a_report_has_no_pictures(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        job_id = world.begin()
        for ask in (lambda: world.jobs.picture(job_id, "a.jpg"), lambda: world.jobs.analysis(job_id)):
            with pytest.raises(ServiceError, match="job_unfinished"):
                ask()
        gate.opened.set()


def test_a_job_runs_in_the_context_of_its_acceptance(tmp_path: Path) -> None:
    quota = contextvars.ContextVar("quota", default="nobody's")
    seen: list[str] = []

    def look(video: Any, **others: Any) -> Any:
        seen.append(quota.get())
        return walk(video, **others)

    with open_world(tmp_path, look) as world:
        quota.set("the caller's")
        job_id = world.begin()
        quota.set("another's")
        world.end(job_id)
    assert seen == ["the caller's"]


def test_the_source_is_described_to_the_analysis(tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(video: Any, *, n_frames: int | None, **others: Any) -> Any:
        seen.append((video.kind, video.host, video.capture_method, n_frames))
        return walk(video, n_frames=n_frames, **others)

    with open_world(tmp_path, look) as world:
        sources = (UploadSource(world.seal()), FramesSource(world.seal(), "example.org", "canvas"))
        for source, n_frames in zip(sources, (None, 8), strict=True):
            job_id = new_id()
            world.jobs.accept(job_id, source, caller=EXEMPT, n_frames=n_frames)
            world.end(job_id)
    assert seen == [("upload", None, None, None), ("frames", "example.org", "canvas", 8)]


# --- links ------------------------------------------------------------------------------------

URL = "https://example.org/watch?v=a-secret"


def fetching(world: list[World], act: Callable[..., None] = lambda progress, stop: None) -> Any:
    def fetch(url: str, progress: Callable[[float], None], stop: threading.Event) -> FetchedLink:
        assert url == URL
        progress(0.5)
        act(progress, stop)
        return FetchedLink(world[0].seal(), "example.org")

    return fetch


def test_a_link_is_fetched_before_its_turn(tmp_path: Path) -> None:
    worlds: list[World] = []
    with open_world(tmp_path, fetch=fetching(worlds)) as world:
        worlds.append(world)
        job_id = new_id()
        world.jobs.accept(job_id, LinkSource(URL), caller=EXEMPT)
        last = world.end(job_id)
        assert last.stage == "done"
        assert world.n_videos() == 0
        assert URL.encode() not in bytes_below(tmp_path)


def test_a_download_is_part_of_the_job(tmp_path: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def act(progress: Callable[[float], None], stop: threading.Event) -> None:
        arrived.set()
        assert go_on.wait(10)

    worlds: list[World] = []
    with open_world(tmp_path, fetch=fetching(worlds, act)) as world:
        worlds.append(world)
        job_id = new_id()
        world.jobs.accept(job_id, LinkSource(URL), caller=EXEMPT)
        assert arrived.wait(10)
        view = world.jobs.view(job_id)
        assert (view.stage, view.fraction) == ("download", pytest.approx(0.15))
        go_on.set()
        assert world.end(job_id).stage == "done"


def test_a_download_does_not_hold_up_an_upload(tmp_path: Path) -> None:
    go_on = threading.Event()
    worlds: list[World] = []
    with open_world(tmp_path, fetch=fetching(worlds, lambda progress, stop: go_on.wait(10))) as world:
        worlds.append(world)
        link_id = new_id()
        world.jobs.accept(link_id, LinkSource(URL), caller=EXEMPT)
        assert world.end(world.begin()).stage == "done"
        go_on.set()
        assert world.end(link_id).stage == "done"


def test_a_cancelled_download_stops(tmp_path: Path) -> None:
    arrived, stopped = threading.Event(), threading.Event()

    def act(progress: Callable[[float], None], stop: threading.Event) -> None:
        arrived.set()
        assert stop.wait(10)
        stopped.set()
        progress(0.6)

    with open_world(tmp_path, fetch=fetching([], act)) as world:
        job_id = new_id()
        world.jobs.accept(job_id, LinkSource(URL), caller=EXEMPT)
        assert arrived.wait(10)
        assert world.jobs.cancel(job_id).stage == "cancelled"
        assert stopped.wait(10)


def test_no_more_downloads_at_once_than_may(tmp_path: Path) -> None:
    go_on, lock, n_running, most = threading.Event(), threading.Lock(), [0], [0]

    def act(progress: Callable[[float], None], stop: threading.Event) -> None:
        with lock:
            n_running[0] += 1
            most[0] = max(most[0], n_running[0])
        assert go_on.wait(10)
        with lock:
            n_running[0] -= 1

    worlds: list[World] = []
    with open_world(tmp_path, fetch=fetching(worlds, act), settings=ServiceSettings(n_downloads=2)) as world:
        worlds.append(world)
        ids = [new_id() for _ in range(4)]
        for job_id in ids:
            world.jobs.accept(job_id, LinkSource(URL), caller=EXEMPT)
        until(lambda: n_running[0] == 2)
        until(lambda: sum(world.jobs.view(job_id).n_ahead is not None for job_id in ids) == 2)
        go_on.set()
        assert [world.end(job_id).stage for job_id in ids] == ["done"] * 4
        assert most == [2]


# --- how a job fails --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (SourceError("unreadable"), "unreadable"),
        (LinkError("blocked_by_site"), "blocked_by_site"),
        (WeightsError("weights_missing", name="b0"), "weights_missing"),
        (RuntimeError("a bug"), "internal"),
        (MemoryError(), "internal"),
    ],
)
def test_a_failure_ends_the_job_with_its_code(tmp_path: Path, raised: Exception, code: str) -> None:
    def fail(video: Any, **others: Any) -> Any:
        raise raised

    with open_world(tmp_path, fail) as world:
        last = world.end(world.begin())
        assert last.stage == "failed"
        assert last.error is not None
        assert last.error.code == code
        assert last.report is None
        assert world.n_videos() == 0
        until(lambda: world.jobs.n_busy == 0)


def test_our_faults_are_logged_without_what_they_were_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(url: str, *others: Any) -> Any:
        try:
            int(url)
        except ValueError as error:
            raise RuntimeError(f"gave up on {url}") from error

    with caplog.at_level(logging.DEBUG), open_world(tmp_path, fetch=fail) as world:
        job_id = new_id()
        world.jobs.accept(job_id, LinkSource(URL), caller=EXEMPT)
        assert world.end(job_id).stage == "failed"
    assert "RuntimeError" in caplog.text
    assert "ValueError" in caplog.text
    assert "in fail" in caplog.text
    assert "a-secret" not in caplog.text
    assert "example.org" not in caplog.text


def test_models_that_could_not_be_loaded_are_tried_again(tmp_path: Path) -> None:
    outcomes: list[Any] = [WeightsError("weights_missing", name="b0"), walk]

    def prepare() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, WeightsError):
            raise outcome
        return outcome

    with open_world(tmp_path, prepare=prepare) as world:
        assert world.end(world.begin()).stage == "failed"
        assert world.end(world.begin()).stage == "done"


def test_a_job_whose_video_is_gone_fails(world: World) -> None:
    sealed = world.seal()
    sealed.delete()
    job_id = new_id()
    world.jobs.accept(job_id, UploadSource(sealed), caller=EXEMPT)
    last = world.end(job_id)
    assert last.error is not None
    assert last.error.code == "not_found"


def test_an_end_that_cannot_be_written_down_is_told_and_written_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = world.store.change

    def disk_full(job_id: str, **values: Any) -> None:
        if values.get("stage") == "done":
            raise OperationalError("UPDATE", {}, Exception("disk full"))
        change(job_id, **values)

    monkeypatch.setattr(world.store, "change", disk_full)
    job_id = world.begin()
    assert world.end(job_id).report == REPORT
    assert world.store.find(job_id).stage == "pictures"  # type: ignore[union-attr]
    monkeypatch.setattr(world.store, "change", change)
    world.jobs.sweep(now=world.clock())
    assert world.store.find(job_id).stage == "done"  # type: ignore[union-attr]
    assert world.end(job_id).report == REPORT


# --- as JSON ----------------------------------------------------------------------------------


def test_a_view_is_json_in_a_readers_language() -> None:
    error = SourceError("too_large", limit_mb=100, actual_mb=123.456)
    view = JobView("0" * 32, "failed", 1 / 3, created=0.0, expires=1800.0, error=error)
    document = view_json(view, lang="ru")
    assert json.loads(json.dumps(document)) == {
        "job_id": "0" * 32,
        "stage": "failed",
        "fraction": 0.3333,
        "n_ahead": None,
        "preliminary": None,
        "report": None,
        "error": {
            "code": "too_large",
            "message": "Файл слишком большой: 123,5 МБ, принимается не больше 100 МБ.",
            "next": document["error"]["next"],
        },
        "created": "1970-01-01T00:00:00Z",
        "expires": "1970-01-01T00:30:00Z",
    }
    busy = JobView("0" * 32, "failed", 0.0, 0.0, 0.0, error=ServiceError("busy", retry_after_s=60))
    assert view_json(busy)["error"]["retry_after_s"] == 60


@pytest.mark.parametrize(
    "error", [SourceError("too_large", limit_mb=1, actual_mb=2.5), ServiceError("job_timeout", limit_s=9.0)]
)
def test_errors_come_back_out_of_the_database(error: TelltaleError) -> None:
    kept = json.loads(json.dumps(store_error(error)))
    back = restore_error(kept)
    assert (type(back), back.code, back.params) == (type(error), error.code, error.params)


def test_an_error_nobody_knows_any_more_is_internal() -> None:
    assert restore_error({"code": "from the future", "params": {}}).code == "internal"
