"""What survives: clients that vanish, a server that is killed at any stage, and twenty clients at once."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from space.analysis.report import to_json
from space.service.service import delete_abandoned
from tests.servers import ANSWER_S, Server, running
from tests.services import ANALYSIS, PLAINTEXT, bytes_below, new_id, until

pytestmark = pytest.mark.slow

STAGES = ("download", "loading", "source", "frames", "faces", "scores", "verdict", "pictures")
SECRET = PLAINTEXT[:21]
URL = "https://example.org/a-secret-video"


def source_of(server: Server, stage: str) -> dict[str, str]:
    return {"url": URL} if stage == "download" else {"upload": server.send()}


def wait_at(server: Server, stage: str, job_id: str) -> None:
    server.wait_for(f"at-{stage}")
    until(lambda: server.view(job_id)["stage"] == stage)


# --- the server is killed ---------------------------------------------------------------------


def test_a_server_killed_at_any_stage_leaves_no_stuck_job_and_no_plaintext(tmp_path: Path) -> None:
    server = Server(tmp_path, plain=True)
    ends: dict[str, Any] = {}
    try:
        server.start()
        done = new_id()
        assert server.check_plainly(job_id=done, upload=server.send())["stage"] == "done"
        for stage in STAGES:
            if stage == "loading":  # which is done once by every server
                server.kill()
                server.start()
            job_id = new_id()
            server.hold(stage)
            server.begin_plainly(job_id=job_id, **source_of(server, stage))
            wait_at(server, stage, job_id)
            waiting = server.send()
            assert SECRET not in bytes_below(tmp_path)
            server.kill()
            assert SECRET not in bytes_below(tmp_path)
            server.release()
            server.start()
            ends[stage] = server.view(job_id)
            assert list((server.data / "vault").iterdir()) == [], "what no key is left for goes"
            refused = server.check_plainly(job_id=new_id(), upload=waiting)
            assert refused["error"]["code"] == "upload_unknown"
            assert server.view(done)["report"] == to_json(ANALYSIS.report)
            assert server.check_plainly(job_id=new_id(), upload=server.send())["stage"] == "done"
    finally:
        server.stop()
    assert {stage: view["error"]["code"] for stage, view in ends.items()} == dict.fromkeys(STAGES, "server_restarted")
    left = bytes_below(tmp_path)
    assert SECRET not in left
    assert b"a-secret-video" not in left, "links are in no database and no log"


def test_a_server_killed_without_a_data_folder_of_its_own_leaves_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = Server(tmp_path / "server", plain=True, private=True)
    try:
        server.start()
        job_id = new_id()
        server.hold("faces")
        server.begin_plainly(job_id=job_id, upload=server.send())
        wait_at(server, "faces", job_id)
        (left,) = tmp_path.glob("telltale-*")
        delete_abandoned(tmp_path)
        assert left.exists(), "it is in use"
        server.kill()
        server.release()
        server.start()
        (now,) = tmp_path.glob("telltale-*")
        assert now != left
    finally:
        server.stop()
    assert list(tmp_path.glob("telltale-*")) == []


# --- clients vanish ---------------------------------------------------------------------------


def test_a_client_that_vanishes_at_any_stage_finds_its_report(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for stage in STAGES[:1] + STAGES[2:]:  # models are loaded once
            name, job_id = "check_url" if stage == "download" else "check_upload", new_id()
            server.hold(stage)
            views = server.events(name, server.begin(name, job_id=job_id, **source_of(server, stage)))
            wait_at(server, stage, job_id)
            assert next(views)["job_id"] == job_id
            views.close()  # type: ignore[attr-defined]
            server.release()
            assert server.end(job_id)["report"] == to_json(ANALYSIS.report), stage
        assert SECRET not in bytes_below(tmp_path)


@pytest.mark.parametrize("path", ["/api/v1/uploads", "/gradio_api/upload"])
def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path, path: str) -> None:
    with running(tmp_path, plain=True) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            head = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 50000000\r\nHost: localhost\r\n"
            connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode())
            connection.sendall(b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n')
            connection.sendall(PLAINTEXT * 10)
            until(lambda: list((server.data / "vault").iterdir()))
            assert SECRET not in bytes_below(tmp_path)
        until(lambda: not list((server.data / "vault").iterdir()))
        assert SECRET not in bytes_below(tmp_path)


# --- many at once -----------------------------------------------------------------------------


def test_twenty_clients_at_once_are_all_served(tmp_path: Path) -> None:
    """As many as fit are checked, one after the other; the others are told so and come back."""
    with running(tmp_path, max_jobs=12, max_uploads=40) as server:
        uploads = [server.send() for _ in range(20)]
        server.hold("faces")
        refusals: list[dict[str, Any]] = []
        lock = threading.Lock()
        ends: dict[str, dict[str, Any]] = {}

        def check(upload: str) -> None:
            job_id = new_id()
            while True:
                last = server.call("check_upload", job_id=job_id, upload=upload)[-1]
                with lock:
                    if not last["error"]:
                        ends[job_id] = last
                        return
                    refusals.append(last["error"])
                threading.Event().wait(1.0)

        threads = [threading.Thread(target=check, args=(upload,)) for upload in uploads]
        for thread in threads:
            thread.start()
        until(lambda: len(refusals) >= 8, limit_s=ANSWER_S)
        server.release()
        for thread in threads:
            thread.join(2 * ANSWER_S)
        assert Counter(view["stage"] for view in ends.values()) == {"done": 20}
        assert all(view["report"] == to_json(ANALYSIS.report) for view in ends.values())
        assert {error["code"] for error in refusals} == {"busy"}
        assert "Too many checks are waiting" in refusals[0]["message"]
        assert list((server.data / "vault").iterdir()) == []
        assert peak_mib(server) < 1500


def test_beyond_its_size_the_service_answers_503_and_429_with_retry_after(tmp_path: Path) -> None:
    with running(tmp_path, max_jobs=2, max_uploads=2, exempt_loopback=False, jobs_per_window=1) as server:
        for _ in range(2):
            server.send()
        busy = httpx.post(f"{server.url}/api/v1/uploads", content=PLAINTEXT)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "60")
        assert busy.json()["error"]["message"].startswith("Too many")
    with running(tmp_path, exempt_loopback=False, jobs_per_window=1) as server:
        assert server.call("check_upload", job_id=new_id(), upload=server.send())[-1]["stage"] == "done"
        (refused,) = server.call("check_upload", job_id=new_id(), upload=server.send())
        assert refused["error"]["code"] == "rate_limited"
        assert 500 < refused["error"]["retry_after_s"] <= 601
        server.send()
        limited = httpx.post(f"{server.url}/api/v1/uploads", content=PLAINTEXT)
        assert limited.status_code == 429
        assert 500 < int(limited.headers["retry-after"]) <= 601


def peak_mib(server: Server) -> float:
    """The most memory the server has had."""
    status = Path(f"/proc/{server.pid}/status")
    if not status.exists():
        pytest.skip("no /proc on this machine")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
