"""Jobs: what is left of them after a restart, after thirty minutes, and at any stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from space.analysis.report import to_json
from space.errors import ServiceError
from space.service.settings import KEPT_S, SWEEP_S
from space.service.views import LAST, STAGES
from tests.services import ANALYSIS, PLAINTEXT, STEPS, Clock, Gate, World, bytes_below, new_id, open_world, walk

REPORT = to_json(ANALYSIS.report)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        yield world


# --- restarts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in LAST])
def test_what_a_restart_finds_unfinished_has_ended(tmp_path: Path, stage: str) -> None:
    with open_world(tmp_path) as world:
        done, begun = world.begin(), world.begin()
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
        job_id = world.begin()
        assert gate.reached.wait(10)
        world.jobs.close()
        last = world.jobs.view(job_id)
        assert last.error is not None
        assert last.error.code == "server_restarted"


# --- what is left -----------------------------------------------------------------------------


def test_nothing_of_a_job_is_left_after_thirty_minutes(tmp_path: Path) -> None:
    clock = Clock()
    with open_world(tmp_path, clock=clock) as world:
        ids = [world.begin(caller=f"caller-{number}") for number in range(4)]
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
        job_id = world.begin()
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
        assert world.end(world.begin()).stage == "done"
        assert PLAINTEXT[:21] not in bytes_below(tmp_path)
    assert seen == [stage for stage, _ in STEPS]
