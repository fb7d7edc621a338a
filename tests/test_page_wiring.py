"""How the page is put together: headers, events, routes, launch."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from space.analysis.report import to_json
from space.errors import ServiceError
from space.models.weights import SHIPPED
from space.service.page.headers import HEADERS, PrivacyHeaders
from space.service.page.html import EXAMPLES, About
from space.service.page.measured import read_models
from space.service.page.page import Handlers, build_page, forget_sessions, launch_options, tell_about
from space.service.page.routes import EXAMPLES_FOLDER, page_routes, show_page_instead
from space.service.service import Service, open_service
from space.service.settings import KEPT_S, ServiceSettings
from space.service.views import JobView
from space.settings import PROJECT_ROOT, Settings
from tests.analyses import Outline
from tests.services import ANALYSIS, PLAINTEXT, Gate, end_of, new_id, no_fetch, walk

ABOUT = About(Settings(), models=read_models(SHIPPED))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = ServiceSettings(data=tmp_path / "data", exempt_loopback=True)
    with open_service(settings, prepare=lambda: walk, fetch=no_fetch) as found:
        yield found


@pytest.fixture
def handlers(service: Service) -> Handlers:
    return Handlers(service, ABOUT)


@pytest.fixture
def client(service: Service) -> TestClient:
    app = Starlette(routes=page_routes(service, ABOUT), exception_handlers={404: show_page_instead})
    return TestClient(app, client=("127.0.0.1", 5000))


def caller() -> gr.Request:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
    }
    return gr.Request(Request(scope))


def begin(handlers: Handlers, data: Any) -> str:
    return handlers.begin(gr.EventData(None, data), caller())


def send(service: Service) -> str:
    with service.uploads.receive("somebody") as coming:
        coming.writer.write(PLAINTEXT)
        return service.uploads.keep(coming).id


# --- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [None, "default-src 'none'"])
def test_every_answer_keeps_the_page_to_itself(own: str | None) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-security-policy", own.encode())] if own else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(PrivacyHeaders(app)({"type": "http"}, lambda: None, send))  # type: ignore[arg-type]
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert headers["content-security-policy"] == (own or HEADERS["Content-Security-Policy"])
    assert headers["referrer-policy"] == "no-referrer"
    assert sent[1] == {"type": "http.response.body", "body": b"x"}


# --- events -----------------------------------------------------------------------------------


def test_an_upload_is_checked(handlers: Handlers, service: Service) -> None:
    job = new_id()
    assert begin(handlers, {"job": job, "lang": "ru", "upload": send(service), "n_frames": 8}) == ""
    assert end_of(service.jobs, job).stage == "done"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_checked_and_stays(handlers: Handlers, service: Service, name: str) -> None:
    job = new_id()
    assert begin(handlers, {"job": job, "lang": "en", "example": name}) == ""
    assert end_of(service.jobs, job).stage == "done"
    assert (EXAMPLES_FOLDER / f"{name}.mp4").is_file()


def test_a_link_is_checked(handlers: Handlers, service: Service) -> None:
    job = new_id()
    assert begin(handlers, {"job": job, "url": "https://example.org/clip"}) == ""
    assert end_of(service.jobs, job).stage == "failed", "this service fetches nothing"


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        "job",
        [],
        {},
        {"upload": None},
        {"job": "x" * 32, "upload": "0" * 32},
        {"job": "0" * 32, "upload": {"path": "https://example.org/clip.mp4", "meta": {"_type": "gradio.FileData"}}},
        {"job": "0" * 32, "upload": "/etc/passwd", "lang": "en"},
        {"job": "0" * 32, "example": "../examples/forged"},
        {"job": "0" * 32, "example": ["forged"], "n_frames": "many"},
        {"job": "0" * 32, "lang": "../ru", "upload": "x"},
    ],
)
def test_whatever_a_browser_asks_it_gets_a_clear_answer(handlers: Handlers, service: Service, data: Any) -> None:
    shown = begin(handlers, data)
    assert "This could not be checked" in shown
    with pytest.raises(ServiceError, match="job_unknown"):
        service.jobs.view("0" * 32)
    assert list((service.settings.data or Path()).glob("vault/*")) == []


def test_a_refusal_names_its_check_and_speaks_the_persons_language(handlers: Handlers) -> None:
    page = Outline(begin(handlers, {"job": "0" * 32, "upload": "gone", "lang": "ru"}))
    (notice,) = [a for _, a in page.elements if a.get("data-outcome") == "notice"]
    assert notice["data-job"] == "0" * 32
    assert notice["lang"] == "ru"


@pytest.mark.parametrize(("sent", "n_frames"), [(4, 4), (128, 128), (3, None), (129, None), ("8", None), (None, None)])
def test_frames_are_as_asked_or_as_usual(service: Service, sent: Any, n_frames: int | None) -> None:
    asked: list[int | None] = []

    class Listening:
        def accept(self, job_id: str, source: Any, *, caller: str, n_frames: int | None) -> JobView:
            asked.append(n_frames)
            return JobView(job_id, "accepted", 0.0, 0.0, 0.0)

    handlers = Handlers(service, ABOUT)
    handlers._service = type("Fake", (), {"jobs": Listening(), "callers": service.callers})()
    begin(handlers, {"job": new_id(), "upload": "x", "n_frames": sent})
    assert asked == [n_frames]


@pytest.fixture
def page(service: Service) -> gr.Blocks:
    """A page made inside an event loop: outside of one Gradio makes its own and leaves them open."""

    async def build() -> gr.Blocks:
        return build_page(service, ABOUT)

    return asyncio.run(build())


def test_page_offers_no_door_but_the_endpoints(page: gr.Blocks) -> None:
    config = page.get_config_file()
    public = [event for event in config["dependencies"] if event["api_visibility"] != "private"]
    assert {event["api_name"] for event in public} == {"check_upload", "check_url", "check_frames"}
    own = [event for event in config["dependencies"] if event["api_visibility"] == "private"]
    assert all(event["inputs"] == [] for event in own), "an input can name a file on the web"
    assert page.analytics_enabled is False


def test_sessions_are_forgotten(page: gr.Blocks) -> None:
    holder = page.state_holder
    for session in ("old", "new"):
        holder[session]
    now = time.time()
    holder.time_last_used["old"] -= timedelta(seconds=KEPT_S + 1)
    forget_sessions(page, now=now)
    assert list(holder.session_data) == ["new"]
    assert list(holder.time_last_used) == ["new"]


# --- launch -----------------------------------------------------------------------------------


def test_launch_measures_and_keeps_nothing(service: Service) -> None:
    options = launch_options(service, ABOUT)
    off = {"run_history": False, "enable_monitoring": False, "pwa": False, "ssr_mode": False, "footer_links": []}
    assert {name: options[name] for name in off} == off
    assert options["max_file_size"] == Settings().limits.max_bytes
    assert "server_name" not in options, "Gradio's own default is this machine alone"
    assert "share" not in options
    assert options.keys() <= inspect.signature(gr.Blocks.launch).parameters.keys()


def test_the_page_tells_of_the_ensemble_in_use(service: Service) -> None:
    models = tell_about(service).models
    assert models is not None
    assert models.record.name == "telltale"
    assert sum(models.weights.values()) == pytest.approx(1)


def test_the_launcher_only_launches() -> None:
    lines = (PROJECT_ROOT / "app.py").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith(('"""', "#", "import os", "os."))][-2:] == [
        'if __name__ == "__main__":',
        "    open_page()",
    ]
    assert "GRADIO_SERVER_PORT" not in os.environ


# --- routes -----------------------------------------------------------------------------------


def finished(service: Service) -> str:
    job = new_id()
    begin(Handlers(service, ABOUT), {"job": job, "upload": send(service)})
    assert end_of(service.jobs, job).stage == "done"
    return job


def test_a_check_is_shown_while_it_runs_and_when_it_is_done(tmp_path: Path) -> None:
    gate = Gate("faces")
    settings = ServiceSettings(data=tmp_path / "data", exempt_loopback=True)
    with open_service(settings, prepare=lambda: gate, fetch=no_fetch) as service:
        client = TestClient(Starlette(routes=page_routes(service, ABOUT)))
        job = new_id()
        begin(Handlers(service, ABOUT), {"job": job, "upload": send(service)})
        assert gate.reached.wait(20)
        running = client.get(f"/page/jobs/{job}?lang=ru")
        assert 'data-outcome="running"' in running.text
        assert "Ищем лица" in running.text
        gate.opened.set()
        end_of(service.jobs, job)
        done = client.get(f"/page/jobs/{job}", headers={"accept-language": "ru"})
    assert 'data-outcome="report"' in done.text
    assert "Признаков подделки лица почти нет" in done.text
    for answer in (running, done):
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("job", ["0" * 32, "nonsense", "%2e%2e"])
def test_an_unknown_check_is_told_as_such(client: TestClient, job: str) -> None:
    answer = client.get(f"/page/jobs/{job}")
    (piece,) = [a for _, a in Outline(answer.text).elements if "data-outcome" in a]
    assert piece["data-outcome"] == ("unknown" if job == "0" * 32 else "notice")


def test_a_report_is_taken_along(client: TestClient, service: Service) -> None:
    job = finished(service)
    report = to_json(ANALYSIS.report)
    document = client.get(f"/page/jobs/{job}/report.json")
    assert document.json() == report
    saved = client.get(f"/page/jobs/{job}/report.html?lang=ru")
    assert '<html lang="ru"' in saved.text
    for answer, ending in ((document, "json"), (saved, "html")):
        name = f"telltale-{report['id'][:8]}.{ending}"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    for path in ("report.json", "report.html"):
        assert client.get(f"/page/jobs/{'0' * 32}/{path}").status_code == 404


def test_scripts_are_asked_for_each_time(client: TestClient) -> None:
    answer = client.get("/page/static/main.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    assert "javascript" in answer.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/nowhere", "text/html,*/*", 303),
        ("/deep/er/nowhere", "text/html", 303),
        ("/nowhere", "application/json", 404),
        ("/api/v1/nowhere", "text/html", 404),
        ("/gradio_api/nowhere", "text/html", 404),
        ("/page/static/nowhere.js", "text/html", 404),
        ("/examples/nowhere.mp4", "text/html", 404),
    ],
)
def test_an_unknown_path_leads_to_the_page(client: TestClient, path: str, accept: str, status: int) -> None:
    answer = client.get(path, headers={"accept": accept}, follow_redirects=False)
    assert answer.status_code == status
    if status == 303:
        assert answer.headers["location"] == "/"
