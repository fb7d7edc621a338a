"""The named Gradio endpoints, on a real server: as Gradio's client, plain programs and an assistant use them."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from space.service.documents import DOCS
from space.settings import PROJECT_ROOT
from tests.servers import Server, running
from tests.services import PLAINTEXT, bytes_below, new_id, until

GOLDEN = Path(__file__).parent / "endpoints.golden.json"
MAX_JOBS = 4


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), mcp=True, max_jobs=MAX_JOBS) as server:
        yield server


@pytest.fixture
def server(whole_server: Server) -> Iterator[Server]:
    yield whole_server
    whole_server.release()


# --- what is public ---------------------------------------------------------------------------


def test_the_public_info_stays_as_it_is(server: Server) -> None:
    """What programs rely on. To change it on purpose: change the file, and say so in the changelog."""
    info = httpx.get(f"{server.url}/gradio_api/info").json()
    found = {name: endpoint for name, endpoint in info["named_endpoints"].items() if name.startswith("/check_")}
    for endpoint in found.values():
        del endpoint["code_snippets"]  # Gradio's own, with this server's address
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


# --- how a check goes -------------------------------------------------------------------------


def test_an_upload_is_checked(server: Server) -> None:
    job_id = new_id()
    views = server.call("check_upload", job_id=job_id, upload=server.send())
    assert {view["job_id"] for view in views} == {job_id}
    assert views[-1]["stage"] == "done"
    assert views[-1]["report"]["verdict"]["code"] == "little"
    assert server.view(job_id) == views[-1]


def test_a_file_sent_as_a_form_is_checked(server: Server) -> None:
    (upload,) = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("a.mp4", PLAINTEXT)}).json()
    assert server.call("check_upload", job_id=new_id(), upload=upload, n_frames=8)[-1]["stage"] == "done"


def test_a_link_is_checked(server: Server) -> None:
    job_id = new_id()
    assert server.call("check_url", job_id=job_id, url="https://example.org/video?secret")[-1]["stage"] == "done"
    assert b"secret" not in bytes_below(server.data)


def test_frames_are_checked(server: Server) -> None:
    picture = base64.b64encode(b"\xff\xd8\xff a picture").decode()
    frames = [{"time_s": 0.5 * number, "jpeg": picture} for number in range(3)]
    views = server.call(
        "check_frames", job_id=new_id(), frames=frames, capture_method="canvas", page_host="example.org"
    )
    assert views[-1]["stage"] == "done"


def test_an_id_is_chosen_for_whoever_has_none(server: Server) -> None:
    views = server.call("check_upload", job_id="", upload=server.send())
    assert views[-1]["stage"] == "done"
    assert server.view(views[-1]["job_id"]) == views[-1]


def test_the_same_call_again_is_the_same_job(server: Server) -> None:
    server.hold("faces")
    body = {"job_id": new_id(), "upload": server.send()}
    results: list[list[dict[str, Any]]] = []
    threads = [threading.Thread(target=lambda: results.append(server.call("check_upload", **body))) for _ in range(3)]
    for thread in threads:
        thread.start()
    server.wait_for("at-faces")
    server.release()
    for thread in threads:
        thread.join(20)
    assert [views[-1]["stage"] for views in results] == ["done"] * 3
    assert server.call("check_upload", **body)[-1] == results[0][-1]


def test_a_caller_who_leaves_finds_the_result_later(server: Server) -> None:
    server.hold("faces")
    job_id = new_id()
    body = {"job_id": job_id, "upload": server.send()}
    views = server.events("check_upload", server.begin("check_upload", **body))
    next(views)
    server.wait_for("at-faces")
    views.close()  # type: ignore[attr-defined]
    server.release()
    assert server.end(job_id)["stage"] == "done"


def test_a_caller_who_never_listens_finds_the_result_later(server: Server) -> None:
    job_id = new_id()
    body = {"job_id": job_id, "upload": server.send()}
    server.begin("check_upload", **body)
    assert server.end(job_id)["stage"] == "done"


# --- refusals ---------------------------------------------------------------------------------

JPEG = base64.b64encode(b"\xff\xd8\xff").decode()


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("check_upload", {"job_id": "short", "upload": "0" * 32}, "bad_job_id"),
        ("check_upload", {"job_id": 7, "upload": "0" * 32}, "bad_job_id"),
        ("check_upload", {"job_id": None, "upload": "0" * 32}, "upload_unknown"),
        ("check_upload", {"job_id": "1" * 32, "upload": "0" * 32}, "upload_unknown"),
        ("check_upload", {"job_id": "1" * 32, "upload": {"path": "https://example.org/clip.mp4"}}, "upload_unknown"),
        ("check_upload", {"job_id": "1" * 32, "upload": "/etc/passwd"}, "upload_unknown"),
        ("check_upload", {"job_id": "1" * 32, "upload": "0" * 32, "n_frames": 3}, "bad_frames"),
        ("check_upload", {"job_id": "1" * 32, "upload": "0" * 32, "n_frames": "many"}, "bad_frames"),
        ("check_url", {"job_id": "1" * 32, "url": "https://example.org", "n_frames": 4000}, "bad_frames"),
        ("check_frames", {"job_id": "1" * 32, "frames": [], "capture_method": "canvas"}, "bad_frames"),
        ("check_frames", {"job_id": "1" * 32, "frames": "none", "capture_method": "canvas"}, "bad_frames"),
        ("check_frames", {"job_id": "1" * 32, "frames": [{}], "capture_method": "canvas"}, "bad_capture"),
        ("check_frames", {"job_id": "1" * 32, "frames": [7], "capture_method": "canvas"}, "bad_capture"),
        (
            "check_frames",
            {"job_id": "1" * 32, "frames": [{"time_s": 0, "jpeg": "%"}], "capture_method": "canvas"},
            "bad_capture",
        ),
        (
            "check_frames",
            {"job_id": "1" * 32, "frames": [{"time_s": "x", "jpeg": JPEG}], "capture_method": "canvas"},
            "bad_capture",
        ),
        (
            "check_frames",
            {"job_id": "1" * 32, "frames": [{"time_s": 0, "jpeg": JPEG}], "capture_method": ["canvas"]},
            "bad_capture",
        ),
    ],
)
def test_whatever_is_asked_gets_a_clear_answer(server: Server, name: str, body: dict[str, Any], code: str) -> None:
    (view,) = server.call(name, **body)
    assert (view["stage"], view["error"]["code"], view["report"]) == ("failed", code, None)
    assert view["error"]["message"]
    assert view["error"]["next"]
    assert httpx.get(f"{server.url}/api/v1/jobs/{'1' * 32}").status_code == 404, "no job was begun"


def test_a_full_queue_refuses_and_the_upload_can_be_tried_again(server: Server) -> None:
    server.hold("faces")
    waiting = [new_id() for _ in range(MAX_JOBS)]
    for job_id in waiting:
        server.begin("check_upload", job_id=job_id, upload=server.send())
    until(lambda: all("stage" in server.view(job_id) for job_id in waiting))
    job_id, upload = new_id(), server.send()
    (refused,) = server.call("check_upload", job_id=job_id, upload=upload)
    assert (refused["error"]["code"], refused["error"]["retry_after_s"]) == ("busy", 60)
    server.release()
    assert [server.end(job_id)["stage"] for job_id in waiting] == ["done"] * MAX_JOBS
    until(lambda: server.call("check_upload", job_id=job_id, upload=upload)[-1]["stage"] == "done")


def test_refusals_are_in_the_callers_language(server: Server) -> None:
    body = {"job_id": new_id(), "upload": "gone"}
    event_id = server.begin("check_upload", headers={"accept-language": "ru"}, **body)
    (view,) = server.events("check_upload", event_id)
    assert view["error"]["message"] == "Отправленного файла здесь больше нет."


# --- uploads never lie about ------------------------------------------------------------------


def test_gradios_own_doors_for_files_are_shut(server: Server) -> None:
    """Its upload route is ours, at every address it has."""
    for path in ("/gradio_api/upload", "/upload", "/gradio_api/upload/"):
        answer = httpx.post(f"{server.url}{path}", files={"files": ("a.mp4", PLAINTEXT)})
        assert answer.status_code != 200 or all(len(upload_id) == 32 for upload_id in answer.json()), path


# --- other programs ---------------------------------------------------------------------------


def test_gradios_client_completes_a_check(server: Server) -> None:
    from gradio_client import Client

    client = Client(server.url, verbose=False)
    last = client.predict(new_id(), server.send(), api_name="/check_upload")
    assert last["report"]["verdict"]["sentence"]["en"] == "Little sign of face manipulation"


def run_example(server: Server, tmp_path: Path, *command: str, content: bytes = PLAINTEXT) -> Any:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    video = tmp_path / "video.mp4"
    video.write_bytes(content)
    return subprocess.run(
        [*command, server.url, str(video)], capture_output=True, text=True, timeout=60, check=False, cwd=PROJECT_ROOT
    )


@pytest.mark.parametrize(
    "command", [(sys.executable, str(DOCS / "check.py")), ("node", str(DOCS / "check.mjs"))], ids=["Python", "node"]
)
def test_the_documented_programs_complete_a_check(server: Server, tmp_path: Path, command: tuple[str, ...]) -> None:
    run = run_example(server, tmp_path, *command)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Little sign of face manipulation\n- ")
    refused = run_example(server, tmp_path, *command, content=b"")
    assert refused.returncode == 1
    assert "The file is empty." in refused.stderr


def test_the_documented_shell_script_completes_a_check(server: Server, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    run = run_example(server, tmp_path, "sh", str(DOCS / "check.sh"))
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["report"]["verdict"]["code"] == "little"


def test_an_assistant_completes_a_check(server: Server) -> None:
    mcp = pytest.importorskip("mcp")
    from mcp.client.streamable_http import streamable_http_client

    async def converse() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        async with (
            streamable_http_client(f"{server.url}/gradio_api/mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            good = await session.call_tool("check_upload", {"job_id": "", "upload": server.send()})
            bad = await session.call_tool("check_upload", {"job_id": "", "upload": "gone"})
            return tools, json.loads(good.content[0].text), json.loads(bad.content[0].text)

    tools, told, refused = asyncio.run(converse())
    assert set(tools) >= {"check_upload", "check_url", "check_frames"}
    for name in ("check_upload", "check_url", "check_frames"):
        assert len(tools[name].description) > 100
        assert all(item["description"] for item in tools[name].inputSchema["properties"].values())
    assert told["verdict"]["sentence"] == "Little sign of face manipulation"
    assert told["verdict"]["reasons"]
    assert told["limits"]
    assert told["whole_report"].endswith(f"/api/v1/jobs/{told['job_id']}")
    assert len(json.dumps(told)) < 8000, "an assistant reads a page, not a report"
    assert refused["error"]["code"] == "upload_unknown"
