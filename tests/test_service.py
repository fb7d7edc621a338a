"""A server's parts put together: its data folder, its sweeps, its end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from space.errors import RequestError, ServiceError
from space.service.callers import EXEMPT
from space.service.jobs import UploadSource
from space.service.service import LOCK, PREFIX, Service, delete_abandoned, open_service, repeating, sweep
from space.service.settings import ServiceSettings
from tests.services import PLAINTEXT, Clock, Gate, bytes_below, new_id, no_fetch, seal, until, walk


def serve(settings: ServiceSettings, clock: Clock | None = None, analyse: Any = walk) -> Any:
    return open_service(settings, prepare=lambda: analyse, fetch=no_fetch, clock=clock or Clock())


def check(service: Service) -> str:
    job_id = new_id()
    service.jobs.accept(job_id, UploadSource(seal(service.vault)), caller=EXEMPT)
    until(lambda: service.jobs.view(job_id).is_last)
    return job_id


# --- the data folder --------------------------------------------------------------------------


def test_a_chosen_folder_keeps_reports_over_a_restart(tmp_path: Path) -> None:
    settings = ServiceSettings(data=tmp_path / "new" / "data")
    with serve(settings) as service:
        job_id = check(service)
    with serve(settings) as service:
        assert service.jobs.view(job_id).stage == "done"
        assert service.jobs.analysis(job_id).pictures


def test_a_folder_of_its_own_is_private_and_goes_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serve(ServiceSettings()) as service:
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
        check(service)
    assert list(tmp_path.iterdir()) == []


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    settings = ServiceSettings(data=tmp_path)
    with serve(settings), pytest.raises(RequestError) as refusal:
        serve(settings).__enter__()
    assert refusal.value.code == "bad_setting"
    with serve(settings):
        pass


def test_a_folder_that_cannot_be_used_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError) as refusal:
        serve(ServiceSettings(data=tmp_path / "file")).__enter__()
    assert refusal.value.code == "bad_setting"


def test_only_abandoned_folders_of_ours_are_deleted(tmp_path: Path) -> None:
    abandoned, strange, other = (tmp_path / name for name in (f"{PREFIX}a", f"{PREFIX}b", "other"))
    for folder in (abandoned, strange, other):
        folder.mkdir()
    for folder in (abandoned, other):
        (folder / LOCK).touch()
    delete_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", f"{PREFIX}b"]


# --- sweeps and the end -----------------------------------------------------------------------


def test_after_thirty_minutes_nothing_unshared_is_left(tmp_path: Path) -> None:
    clock = Clock()
    with serve(ServiceSettings(data=tmp_path), clock) as service:
        unshared, shared_id = check(service), check(service)
        shared = service.share(shared_id)
        with service.uploads.receive(EXEMPT) as coming:
            coming.writer.write(PLAINTEXT)
            upload = service.uploads.keep(coming)
        clock.now += 30 * 60
        sweep(service, now=clock())
        assert list((tmp_path / "vault").iterdir()) == []
        assert list((tmp_path / "reports").iterdir()) == []
        assert not {trace for trace in (unshared, shared_id, upload.id) if trace.encode() in bytes_below(tmp_path)}
        assert service.shares.report(shared["id"]), "what was shared stays"
        clock.now += 31 * 24 * 60 * 60
        sweep(service, now=clock())
        with pytest.raises(ServiceError, match="report_unknown"):
            service.shares.report(shared["id"])


def test_a_server_that_ends_ends_its_jobs(tmp_path: Path) -> None:
    gate, settings, job_id = Gate(), ServiceSettings(data=tmp_path), new_id()
    with serve(settings, analyse=gate) as service:
        service.jobs.accept(job_id, UploadSource(seal(service.vault)), caller=EXEMPT)
        assert gate.reached.wait(10)
    assert list((tmp_path / "vault").iterdir()) == []
    with serve(settings) as service:
        error = service.jobs.view(job_id).error
        assert error is not None
        assert error.code == "server_restarted"


def test_what_is_done_regularly_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    rounds, secret = list[int](), "a-secret"
    enough = threading.Event()

    def act() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise OSError(secret)
        enough.set()

    with repeating(0.01, act):
        assert enough.wait(10)
    n_rounds = len(rounds)
    assert "OSError" in caplog.text
    assert secret not in caplog.text
    assert len(rounds) == n_rounds, "it ends with the block"


def test_time_limits_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("space.service.service.WATCH_S", 0.01)
    gate, clock, job_id = Gate(), Clock(), new_id()
    with serve(ServiceSettings(data=tmp_path), clock, gate) as service:
        service.jobs.accept(job_id, UploadSource(seal(service.vault)), caller=EXEMPT)
        assert gate.reached.wait(10)
        clock.now += 1000
        until(lambda: service.jobs.view(job_id).stage == "failed")
