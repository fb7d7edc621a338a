"""Jobs: who may begin one, how they wait, and what stops them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from space.analysis.report import to_json
from space.errors import RequestError, ServiceError
from space.service.callers import EXEMPT
from space.service.jobs import UploadSource
from space.service.settings import GRACE_S, ServiceSettings
from space.service.sources import JobSource
from tests.services import ANALYSIS, Gate, World, new_id, open_world, until, walk

REPORT = to_json(ANALYSIS.report)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


# --- the same again ---------------------------------------------------------------------------


def test_the_same_id_is_the_same_job_whoever_asks(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        job_id = world.begin(caller="a")
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
        ids = [world.begin() for _ in range(3)]
        with pytest.raises(ServiceError) as refusal:
            world.begin()
        assert refusal.value.code == "busy"
        assert refusal.value.params["retry_after_s"] == 60
        assert world.n_videos() == 3
        gate.opened.set()
        assert [world.end(job_id).stage for job_id in ids] == ["done"] * 3
        until(lambda: world.jobs.n_busy == 0)
        assert world.end(world.begin()).stage == "done"


def test_a_caller_has_one_job_at_a_time(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        first = world.begin(caller="a")
        with pytest.raises(ServiceError) as refusal:
            world.begin(caller="a")
        assert refusal.value.code == "rate_limited"
        assert refusal.value.params["retry_after_s"] == 15
        others = [world.begin(caller=caller) for caller in ("b", EXEMPT, EXEMPT)]
        gate.opened.set()
        assert [world.end(job_id).stage for job_id in (first, *others)] == ["done"] * 4
        assert world.end(world.begin(caller="a")).stage == "done"


def test_a_caller_has_six_jobs_in_ten_minutes(world: World) -> None:
    for _ in range(6):
        world.end(world.begin(caller="a"))
        world.clock.now += 60
    with pytest.raises(ServiceError) as refusal:
        world.begin(caller="a")
    assert refusal.value.code == "rate_limited"
    assert refusal.value.params["retry_after_s"] == 241, "ten minutes after the first"
    world.clock.now += 242
    world.end(world.begin(caller="a"))


def test_a_refused_job_does_not_count_and_costs_nothing(world: World) -> None:
    for _ in range(6):
        world.end(world.begin(caller="a"))
    for _ in range(10):
        with pytest.raises(ServiceError, match="rate_limited"):
            world.jobs.accept(new_id(), pytest.fail, caller="a")  # the source is not even asked for
    world.clock.now += 601
    assert world.end(world.begin(caller="a")).stage == "done"


# --- the queue --------------------------------------------------------------------------------


def test_those_who_wait_know_how_many_come_first(tmp_path: Path) -> None:
    gate = Gate()
    with open_world(tmp_path, gate) as world:
        first = world.begin()
        assert gate.reached.wait(10)
        others = []
        for n_ahead in (1, 2, 3):
            others.append(world.begin())
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
        first, second = world.begin(), world.begin()
        assert gate.reached.wait(10)
        assert world.jobs.cancel(first).stage == "cancelled"
        assert world.jobs.cancel(first).error is None
        gate.opened.set()
        assert world.end(second).stage == "done"
        until(lambda: world.n_videos() == 0)


def test_cancelling_what_has_ended_changes_nothing(world: World) -> None:
    job_id = world.begin()
    last = world.end(job_id)
    assert world.jobs.cancel(job_id) == last


def test_an_unknown_job_cannot_be_cancelled(world: World) -> None:
    with pytest.raises(ServiceError, match="job_unknown"):
        world.jobs.cancel(new_id())


@pytest.mark.parametrize(("settings", "limit_s"), [({"run_limit_s": 200.0}, 200.0), ({"job_limit_s": 100.0}, 100.0)])
def test_a_job_past_its_limit_ends(tmp_path: Path, settings: dict[str, float], limit_s: float) -> None:
    gate = Gate()
    with open_world(tmp_path, gate, settings=ServiceSettings(**settings)) as world:  # type: ignore[arg-type]
        job_id = world.begin()
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
        first = world.begin()
        assert gate.reached.wait(10)
        second = world.begin()
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
        stuck = world.begin()
        assert gate.reached.wait(10)
        waiting = world.begin()
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
        world.begin(job_id)
        assert world.end(job_id).stage == "cancelled"
        until(lambda: world.jobs.n_busy == 0)
        assert list((tmp_path / "reports").iterdir()) == []
