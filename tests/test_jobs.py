"""Jobs: how they go and end, who may begin them, and what is left of them."""

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
from space.errors import LinkError, RequestError, ServiceError, SourceError, TelltaleError, WeightsError
from space.intake.links import FetchedLink
from space.service.callers import EXEMPT
from space.service.jobs import FramesSource, LinkSource, UploadSource
from space.service.settings import GRACE_S, KEPT_S, SWEEP_S, ServiceSettings
from space.service.sources import JobSource
from space.service.store import LAST_STAGES
from space.service.views import LAST, STAGES, JobView, restore_error, store_error, view_json
from tests.services import ANALYSIS, PLAINTEXT, STEPS, Clock, Gate, World, bytes_below, new_id, open_world, until, walk

REPORT = to_json(ANALYSIS.report)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


def begin(world: World, job_id: str | None = None, *, caller: str = EXEMPT) -> str:
    job_id = job_id or new_id()
    world.jobs.accept(job_id, UploadSource(world.seal()), caller=caller)
    return job_id


# --- how a job goes ---------------------------------------------------------------------------


def test_a_job_goes_through_its_stages_to_a_report(tmp_path: Path) -> None:
    gate = Gate("source")
    with open_world(tmp_path, gate) as world:
        job_id = begin(world)
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
    world.end(begin(world))
    assert written == ["loading", *(stage for stage, _ in STEPS), "done"]
    assert set(written) <= set(STAGES)
    assert set(LAST_STAGES) == LAST


def test_models_that_are_there_are_not_loaded_again(world: World) -> None:
    world.end(begin(world))
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
        fractions = [view.fraction for view in world.jobs.follow(begin(world))]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_video_is_gone_before_the_end_is_told(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        for _ in range(5):
            assert world.end(begin(world)).stage == "done"
            assert world.n_videos() == 0


def test_nobody_needs_to_listen(world: World) -> None:
    job_id = begin(world)
    follower = world.jobs.follow(job_id)
    next(follower)
    follower.close()
    until(lambda: world.jobs.view(job_id).is_last)
    assert world.jobs.view(job_id).stage == "done"


def test_a_silent_job_is_heard_of_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("space.service.jobs.BEAT_S", 0.01)
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        views = world.jobs.follow(begin(world))
        assert gate.reached.wait(10)
        stages = [next(views).stage for _ in range(9)]
        assert stages[-2:] == ["faces", "faces"]
        gate.opened.set()


def test_pictures_are_had_by_their_names(world: World) -> None:
    job_id = begin(world)
    world.end(job_id)
    assert world.jobs.analysis(job_id) == ANALYSIS
    for name, picture in ANALYSIS.pictures.items():
        assert world.jobs.picture(job_id, name) == picture


@pytest.mark.parametrize(
    "name", ["missing.jpg", "report.json", "../jobs.sqlite", "..", "", "a/b.jpg", "\0.jpg", ".jpg"]
)
def test_nothing_else_is_had(world: World, name: str) -> None:
    job_id = begin(world)
    world.end(job_id)
    with pytest.raises(ServiceError, match="picture_unknown"):
        world.jobs.picture(job_id, name)


def test_a_job_without_a_report_has_no_pictures(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        job_id = begin(world)
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
        job_id = begin(world)
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
        assert world.end(begin(world)).stage == "done"
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
        last = world.end(begin(world))
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
        assert world.end(begin(world)).stage == "failed"
        assert world.end(begin(world)).stage == "done"


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
    job_id = begin(world)
    assert world.end(job_id).report == REPORT
    assert world.store.find(job_id).stage == "pictures"  # type: ignore[union-attr]
    monkeypatch.setattr(world.store, "change", change)
    world.jobs.sweep(now=world.clock())
    assert world.store.find(job_id).stage == "done"  # type: ignore[union-attr]
    assert world.end(job_id).report == REPORT


# --- the same again ---------------------------------------------------------------------------


def test_the_same_id_is_the_same_job_whoever_asks(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        job_id = begin(world, caller="a")
        assert gate.reached.wait(10)
        again = world.jobs.accept(job_id, UploadSource(world.seal()), caller="b")
        assert again.stage == "faces"
        assert world.n_videos() == 1, "the second video is not needed"
        gate.opened.set()
        last = world.end(job_id)
        assert world.jobs.accept(job_id, UploadSource(world.seal()), caller="c") == last
        assert world.n_videos() == 0


def test_the_same_video_again_is_not_taken_from_its_job(tmp_path: Path) -> None:
    gate = Gate("source")
    with open_world(tmp_path, gate) as world:
        source, job_id = UploadSource(world.seal()), new_id()
        for _ in range(3):
            world.jobs.accept(job_id, source, caller=EXEMPT)
        gate.opened.set()
        assert world.end(job_id).stage == "done"


def test_a_source_is_asked_for_once(world: World) -> None:
    asked: list[int] = []

    def source() -> JobSource:
        asked.append(1)
        return UploadSource(world.seal())

    job_id = new_id()
    threads = [threading.Thread(target=lambda: world.jobs.accept(job_id, source, caller=EXEMPT)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.end(job_id).stage == "done"
    assert asked == [1]


def test_a_source_that_cannot_be_had_begins_nothing(world: World) -> None:
    def source() -> JobSource:
        raise ServiceError("upload_unknown")

    job_id = new_id()
    with pytest.raises(ServiceError, match="upload_unknown"):
        world.jobs.accept(job_id, source, caller=EXEMPT)
    with pytest.raises(ServiceError, match="job_unknown"):
        world.jobs.view(job_id)


# --- who may begin one ------------------------------------------------------------------------


@pytest.mark.parametrize("job_id", ["", "abc", "A" * 32, "g" * 32, "0" * 31, "0" * 33, "0" * 31 + "\n", "../" * 11])
def test_ids_are_32_hexadecimal_digits(world: World, job_id: str) -> None:
    with pytest.raises(ServiceError, match="bad_job_id"):
        world.jobs.accept(job_id, UploadSource(world.seal()), caller=EXEMPT)
    for ask in (world.jobs.view, world.jobs.cancel, world.jobs.analysis, lambda name: next(world.jobs.follow(name))):
        with pytest.raises(ServiceError, match="bad_job_id"):
            ask(job_id)
    assert world.n_videos() == 0


@pytest.mark.parametrize("n_frames", [-1, 0, 3, 129])
def test_the_number_of_frames_has_bounds(world: World, n_frames: int) -> None:
    with pytest.raises(RequestError, match="bad_frames"):
        world.jobs.accept(new_id(), UploadSource(world.seal()), caller=EXEMPT, n_frames=n_frames)
    assert world.n_videos() == 0


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate, settings=ServiceSettings(max_jobs=3)) as world:
        ids = [begin(world) for _ in range(3)]
        with pytest.raises(ServiceError) as refusal:
            begin(world)
        assert refusal.value.code == "busy"
        assert refusal.value.params["retry_after_s"] == 60
        assert world.n_videos() == 3
        gate.opened.set()
        assert [world.end(job_id).stage for job_id in ids] == ["done"] * 3
        until(lambda: world.jobs.n_busy == 0)
        assert world.end(begin(world)).stage == "done"


def test_a_caller_has_one_job_at_a_time(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        first = begin(world, caller="a")
        with pytest.raises(ServiceError) as refusal:
            begin(world, caller="a")
        assert refusal.value.code == "rate_limited"
        assert refusal.value.params["retry_after_s"] == 15
        others = [begin(world, caller=caller) for caller in ("b", EXEMPT, EXEMPT)]
        gate.opened.set()
        assert [world.end(job_id).stage for job_id in (first, *others)] == ["done"] * 4
        assert world.end(begin(world, caller="a")).stage == "done"


def test_a_caller_has_six_jobs_in_ten_minutes(world: World) -> None:
    for _ in range(6):
        world.end(begin(world, caller="a"))
        world.clock.now += 60
    with pytest.raises(ServiceError) as refusal:
        begin(world, caller="a")
    assert refusal.value.code == "rate_limited"
    assert refusal.value.params["retry_after_s"] == 241, "ten minutes after the first"
    world.clock.now += 242
    world.end(begin(world, caller="a"))


def test_a_refused_job_does_not_count_and_costs_nothing(world: World) -> None:
    for _ in range(6):
        world.end(begin(world, caller="a"))
    for _ in range(10):
        with pytest.raises(ServiceError, match="rate_limited"):
            world.jobs.accept(new_id(), pytest.fail, caller="a")  # the source is not even asked for
    world.clock.now += 601
    assert world.end(begin(world, caller="a")).stage == "done"


# --- the queue --------------------------------------------------------------------------------


def test_those_who_wait_know_how_many_come_first(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        first = begin(world)
        assert gate.reached.wait(10)
        others = []
        for n_ahead in (1, 2, 3):
            others.append(begin(world))
            until(lambda n=n_ahead: world.jobs.view(others[-1]).n_ahead == n)
            assert world.jobs.view(others[-1]).stage == "queued"
        world.jobs.cancel(others[0])
        until(lambda: [world.jobs.view(job_id).n_ahead for job_id in others] == [None, 1, 2])
        gate.opened.set()
        stages = [world.end(job_id).stage for job_id in (first, *others)]
    assert stages == ["done", "cancelled", "done", "done"]


# --- cancelling and limits --------------------------------------------------------------------


def test_a_cancelled_job_ends_at_once_and_the_next_goes_on(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        first, second = begin(world), begin(world)
        assert gate.reached.wait(10)
        assert world.jobs.cancel(first).stage == "cancelled"
        assert world.jobs.cancel(first).error is None
        gate.opened.set()
        assert world.end(second).stage == "done"
        until(lambda: world.n_videos() == 0)


def test_cancelling_what_has_ended_changes_nothing(world: World) -> None:
    job_id = begin(world)
    last = world.end(job_id)
    assert world.jobs.cancel(job_id) == last


def test_an_unknown_job_cannot_be_cancelled(world: World) -> None:
    with pytest.raises(ServiceError, match="job_unknown"):
        world.jobs.cancel(new_id())


@pytest.mark.parametrize(("settings", "limit_s"), [({"run_limit_s": 200.0}, 200.0), ({"job_limit_s": 100.0}, 100.0)])
def test_a_job_past_its_limit_ends(tmp_path: Path, settings: dict[str, float], limit_s: float) -> None:
    gate = Gate()
    with open_world(tmp_path, gate, settings=ServiceSettings(**settings)) as world:  # type: ignore[arg-type]
        job_id = begin(world)
        assert gate.reached.wait(10)
        world.clock.now += limit_s
        world.jobs.watch(now=world.clock())
        assert not world.jobs.view(job_id).is_last
        world.clock.now += 1
        world.jobs.watch(now=world.clock())
        last = world.jobs.view(job_id)
        assert last.error is not None
        assert (last.error.code, last.error.params) == ("job_timeout", {"limit_s": limit_s})
        until(lambda: world.jobs.n_busy == 0)
        assert world.n_videos() == 0


def test_waiting_counts_for_the_whole_limit_only(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        first = begin(world)
        assert gate.reached.wait(10)
        second = begin(world)
        world.clock.now += 301
        world.jobs.watch(now=world.clock())
        assert world.jobs.view(first).stage == "failed"
        assert not world.jobs.view(second).is_last
        gate.opened.set()
        assert world.end(second).stage == "done"


def test_a_job_that_does_not_notice_its_end_loses_its_turn(tmp_path: Path) -> None:
    gate = Gate(notices=False)
    analyses = iter([gate, walk])

    def one_after_the_other(video: Any, **others: Any) -> Any:
        return next(analyses)(video, **others)

    with open_world(tmp_path, one_after_the_other) as world:
        stuck = begin(world)
        assert gate.reached.wait(10)
        waiting = begin(world)
        world.jobs.cancel(stuck)
        world.clock.now += GRACE_S + 1
        assert world.n_videos() == 2
        world.jobs.watch(now=world.clock())
        assert world.end(waiting).stage == "done"
        assert world.n_videos() == 0
        gate.opened.set()
        until(lambda: world.jobs.n_busy == 0)
        assert world.jobs.view(stuck).stage == "cancelled"
        assert not (tmp_path / "reports" / stuck).exists()


def test_a_report_that_comes_too_late_is_dropped(tmp_path: Path) -> None:
    worlds: list[World] = []

    def cancelled_at_the_end(video: Any, **others: Any) -> Any:
        analysis = walk(video, **others)
        worlds[0].jobs.cancel(job_id)
        return analysis

    job_id = new_id()
    with open_world(tmp_path, cancelled_at_the_end) as world:
        worlds.append(world)
        begin(world, job_id)
        assert world.end(job_id).stage == "cancelled"
        until(lambda: world.jobs.n_busy == 0)
        assert list((tmp_path / "reports").iterdir()) == []


# --- restarts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in LAST])
def test_what_a_restart_finds_unfinished_has_ended(tmp_path: Path, stage: str) -> None:
    with open_world(tmp_path) as world:
        done, begun = begin(world), begin(world)
        world.end(done)
        world.end(begun)
        world.store.change(begun, stage=stage)
        half_written = tmp_path / "reports" / f"{new_id()}.new"
        half_written.mkdir()
    with open_world(tmp_path) as world:
        last = world.jobs.view(begun)
        assert last.stage == "failed"
        assert last.error is not None
        assert last.error.code == "server_restarted"
        assert world.jobs.view(done).report == REPORT
        assert world.jobs.analysis(done) == ANALYSIS
        assert [path.name for path in (tmp_path / "reports").iterdir()] == [done]


def test_a_server_that_ends_ends_its_jobs(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        job_id = begin(world)
        assert gate.reached.wait(10)
        world.jobs.close()
        last = world.jobs.view(job_id)
        assert last.error is not None
        assert last.error.code == "server_restarted"


# --- what is left -----------------------------------------------------------------------------


def test_nothing_of_a_job_is_left_after_thirty_minutes(tmp_path: Path) -> None:
    clock = Clock()
    with open_world(tmp_path, clock=clock) as world:
        ids = [begin(world, caller=f"caller-{number}") for number in range(4)]
        for job_id in ids:
            world.end(job_id)
        names = [name.encode() for name in ANALYSIS.pictures]
        assert all(name in bytes_below(tmp_path) for name in names)
        clock.now += KEPT_S - 1
        world.jobs.sweep(now=clock())
        assert all(world.jobs.view(job_id).report for job_id in ids)
        clock.now += SWEEP_S + 1
        assert clock.now <= 1_800_000_000 + 30 * 60
        world.jobs.sweep(now=clock())
        for job_id in ids:
            with pytest.raises(ServiceError, match="job_unknown"):
                world.jobs.view(job_id)
        left = bytes_below(tmp_path)
        traces = [*(job_id.encode() for job_id in ids), b"caller-", *names, ANALYSIS.report.id.encode()]
        assert [trace for trace in traces if trace in left] == []


def test_a_running_job_is_not_swept(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        job_id = begin(world)
        assert gate.reached.wait(10)
        world.jobs.sweep(now=world.clock() + 10 * KEPT_S)
        assert world.jobs.view(job_id).stage == "faces"
        gate.opened.set()
        assert world.end(job_id).stage == "done"


def test_no_plaintext_lies_in_the_data_folder_at_any_stage(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(video: Any, *, progress: Any, **others: Any) -> Any:
        def note(stage: str, fraction: float) -> None:
            progress(stage, fraction)
            seen.append(stage)
            assert PLAINTEXT[:21] not in bytes_below(tmp_path)

        return walk(video, progress=note, **others)

    with open_world(tmp_path, look) as world:
        assert world.end(begin(world)).stage == "done"
        assert PLAINTEXT[:21] not in bytes_below(tmp_path)
    assert seen == [stage for stage, _ in STEPS]


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
    assert (
        "retry_after_s"
        in view_json(JobView("0" * 32, "failed", 0.0, 0.0, 0.0, error=ServiceError("busy", retry_after_s=60)))["error"]
    )


@pytest.mark.parametrize(
    "error", [SourceError("too_large", limit_mb=1, actual_mb=2.5), ServiceError("job_timeout", limit_s=9.0)]
)
def test_errors_come_back_out_of_the_database(error: TelltaleError) -> None:
    kept = json.loads(json.dumps(store_error(error)))
    back = restore_error(kept)
    assert (type(back), back.code, back.params) == (type(error), error.code, error.params)


def test_an_error_nobody_knows_any_more_is_internal() -> None:
    assert restore_error({"code": "from the future", "params": {}}).code == "internal"
