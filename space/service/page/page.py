"""The page's wiring: which event runs what, and how the page is launched."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from space.errors import TelltaleError
from space.models.weights import SHIPPED
from space.service.jobs import JobSource, LinkSource, UploadSource
from space.service.page.atlas import read_atlas
from space.service.page.endpoints import add_endpoints
from space.service.page.found import read_found
from space.service.page.headers import PrivacyHeaders
from space.service.page.html import EXAMPLES, HERE, About, read_static, render_error, render_shell
from space.service.page.languages import pick_language
from space.service.page.measured import read_models
from space.service.page.palette import load_palette, palette_css
from space.service.page.routes import EXAMPLES_FOLDER, page_routes, show_page_instead
from space.service.service import Service, open_service, repeating, service_routes
from space.service.settings import KEPT_S, SWEEP_S, settings_from
from space.settings import MAX_FRAMES, MIN_FRAMES
from space.texts import FALLBACK_LANGUAGE, languages

MAX_SESSIONS = 64  # whose last answers Gradio may remember
MAX_EVENTS = 64  # that Gradio queues; how many checks may wait is up to the jobs


def open_page() -> None:
    """Serve the page until the process is told to end."""
    signal.signal(signal.SIGTERM, _end)
    _import_pyplot()
    with open_service(settings_from(os.environ)) as service:
        service.models.warm_up()
        about = tell_about(service)
        page = build_page(service, about)
        with repeating(SWEEP_S, lambda: forget_sessions(page, now=time.time())):
            page.launch(**launch_options(service, about))


def _end(_number: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C, so that what is held is deleted."""
    raise KeyboardInterrupt


def _import_pyplot() -> None:
    """Import it while nothing is served.

    Gradio switches matplotlib's backend around every event, and fails when a check's thread is just importing
    pyplot, as mediapipe does.
    """
    if find_spec("matplotlib"):
        import_module("matplotlib.pyplot")


def tell_about(service: Service) -> About:
    """What the page tells of this server.

    Raises:
        WeightsError: the ensemble's cards cannot be read.
    """
    folder: Path = service.settings.ensemble or SHIPPED
    return About(service.choices, models=read_models(folder), atlas=read_atlas(), found=read_found())


def build_page(service: Service, about: About) -> gr.Blocks:
    """The page with its events, not yet launched."""
    handlers = Handlers(service, about)
    page = gr.Blocks(title="Telltale", analytics_enabled=False, fill_width=True)
    with page:
        shell = gr.HTML(
            render_shell(about, {}, lang=FALLBACK_LANGUAGE, pending=True),
            js_on_load=read_static("load.js"),
            apply_default_css=False,
            elem_id="tt-shell",
        )
        # Why a check could not begin. All else about it is asked for over plain HTTP: see static/job.js.
        refusal = gr.HTML("", js_on_load=read_static("refusal.js"), apply_default_css=False, elem_id="tt-refusal")
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        page.load(handlers.greet, outputs=shell, queue=False, **quiet)
        shell.check(handlers.begin, outputs=refusal, concurrency_limit=None, **quiet)
        add_endpoints(service)
    page.queue(max_size=MAX_EVENTS)
    return page


def launch_options(service: Service, about: About) -> dict[str, Any]:
    """How the page is launched: nothing is measured, kept or loaded from elsewhere."""
    themes = load_palette()["themes"]
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_background_fill=themes["light"]["page"], body_background_fill_dark=themes["dark"]["page"]
    )
    styles = palette_css(dark=".dark") + read_static("report.css", "page.css")
    return {
        "theme": theme,
        "head": f"<style>\n{styles}</style>",
        "favicon_path": HERE / "static" / "favicon.svg",
        "footer_links": [],
        "max_file_size": service.choices.limits.max_bytes,
        "state_session_capacity": MAX_SESSIONS,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "mcp_server": True,
        "app_kwargs": {
            "routes": [*service_routes(service), *page_routes(service, about)],
            "middleware": [Middleware(PrivacyHeaders)],
            "exception_handlers": {404: show_page_instead},
        },
    }


def forget_sessions(page: gr.Blocks, *, now: float) -> None:
    """Drop what Gradio remembers of sessions: the last answer of each endpoint, which may be a report.

    Args:
        now: seconds since the epoch.
    """
    holder = page.state_holder
    for session, used in list(holder.time_last_used.items()):
        if now - used.timestamp() > KEPT_S:
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)


class Handlers:
    """What the page's events run."""

    def __init__(self, service: Service, about: About) -> None:
        self._service = service
        self._about = about

    def greet(self, request: gr.Request) -> str:
        """The page in the person's language."""
        query = dict(request.query_params)
        lang = pick_language(query, request.headers.get("accept-language", ""))
        return render_shell(self._about, query, lang=lang, base_url=self._service.settings.base_url)

    def begin(self, event: gr.EventData, request: gr.Request) -> str:
        """Begin a check; the answer is empty, or says why there is none.

        It must begin in an event of Gradio's: on ZeroGPU the caller's quota travels with it.
        """
        lang = _ask(event, "lang")
        try:
            self._service.jobs.accept(
                _ask(event, "job"),
                lambda: self._source(event),
                caller=self._service.callers.name(request),
                n_frames=_ask_frames(event),
            )
        except TelltaleError as error:
            return render_error(error, lang=lang if lang in languages() else FALLBACK_LANGUAGE, job=_ask(event, "job"))
        return ""

    def _source(self, event: gr.EventData) -> JobSource:
        """What is to be checked: an upload, a link or an example.

        Raises:
            ServiceError: ``upload_unknown``.
        """
        example, url = _ask(event, "example"), _ask(event, "url")
        if example in EXAMPLES:
            return self._example(EXAMPLES_FOLDER / f"{example}.mp4")
        if url:
            return LinkSource(url)
        return UploadSource(self._service.uploads.take(_ask(event, "upload")))

    def _example(self, path: Path) -> UploadSource:
        content = path.read_bytes()
        with self._service.vault.writer(max_bytes=len(content)) as writer:
            writer.write(content)
            return UploadSource(writer.seal())


def _ask(event: gr.EventData, name: str) -> str:
    """What the browser sent under a name; "" if it is no text, for a browser may send anything."""
    value = _sent(event, name)
    return value if isinstance(value, str) else ""


def _ask_frames(event: gr.EventData) -> int | None:
    value = _sent(event, "n_frames")
    return value if isinstance(value, int) and MIN_FRAMES <= value <= MAX_FRAMES else None


def _sent(event: gr.EventData, name: str) -> object:
    try:
        return getattr(event, name, "")
    except TypeError:  # what it sent is no object
        return ""
