"""A server for tests, in a process of its own: all of it is real but the analysis, which waits where a file says so.

Started by ``tests/servers.py`` as ``python -m tests.server CONFIG``.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from space.contract import Analysis, Verdict
from space.errors import TelltaleError
from space.intake.links import FetchedLink
from space.service.analyses import Progress, Video
from space.service.callers import EXEMPT
from space.service.service import Service, open_service, service_routes
from space.service.settings import ServiceSettings
from space.service.sources import JobSource, LinkSource, UploadSource
from space.service.views import refusal_json, view_json
from tests.orphans import end_with_tests
from tests.services import PATIENCE_S, PLAINTEXT, seal, walk


class Held:
    """Waits at a stage as long as there is a file ``hold-<stage>``, and says so with a file ``at-<stage>``."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def pass_by(self, stage: str, go_on: Callable[[], None]) -> None:
        go_on()
        hold = self._control / f"hold-{stage}"
        if not hold.exists():
            return
        (self._control / f"at-{stage}").touch()
        deadline = time.monotonic() + 10 * PATIENCE_S
        while hold.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
            go_on()

    def analyse(
        self, video: Video, *, n_frames: int | None, progress: Progress, on_preliminary: Callable[[Verdict], None]
    ) -> Analysis:
        def step(stage: str, fraction: float) -> None:
            self.pass_by(stage, lambda: progress(stage, fraction))

        return walk(video, n_frames=n_frames, progress=step, on_preliminary=on_preliminary)


def main() -> None:
    end_with_tests()
    config: dict[str, Any] = json.loads(sys.argv[1])
    control = Path(config["control"])
    held = Held(control)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())

    def prepare() -> Any:
        held.pass_by("loading", lambda: None)
        return held.analyse

    def fetch(url: str, progress: Callable[[float], None], stop: threading.Event) -> FetchedLink:
        held.pass_by("download", lambda: progress(0.5))
        return FetchedLink(seal(service.vault, PLAINTEXT), url.split("/")[2])

    data = None if config["data"] is None else Path(config["data"])
    settings = ServiceSettings(data=data, **config["settings"])
    with open_service(settings, prepare=prepare, fetch=fetch) as service:
        serve = serve_plainly if config["plain"] else serve_with_gradio
        url = serve(service, mcp=config["mcp"])
        (control / "url.new").write_text(url, encoding="ascii")
        (control / "url.new").rename(control / "url")
        signal.pause()


def serve_with_gradio(service: Service, *, mcp: bool) -> str:
    """As the page is served; the server's address."""
    import gradio as gr

    from space.service.page.endpoints import add_endpoints

    with gr.Blocks(analytics_enabled=False) as page:
        add_endpoints(service)
    _, url, _ = page.launch(
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=mcp,
        app_kwargs={"routes": service_routes(service)},
    )
    return str(url).rstrip("/")


def serve_plainly(service: Service, *, mcp: bool) -> str:
    """Without Gradio, which takes long to load; a job is begun with ``POST /begin``. The server's address."""

    async def begin(request: Request) -> JSONResponse:
        body = await request.json()

        def source() -> JobSource:
            return LinkSource(body["url"]) if "url" in body else UploadSource(service.uploads.take(body["upload"]))

        try:
            view = await run_in_threadpool(service.jobs.accept, body["job_id"], source, caller=EXEMPT)
        except TelltaleError as error:
            return JSONResponse(refusal_json(body["job_id"], error, now=time.time()))
        return JSONResponse(view_json(view))

    app = Starlette(routes=[*service_routes(service), Route("/begin", begin, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


if __name__ == "__main__":
    main()
