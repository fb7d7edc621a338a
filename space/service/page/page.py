"""The page's wiring: which event runs what, and how the page is launched."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from space.errors import InternalError, TelltaleError
from space.service.page import checks
from space.service.page.checks import Checker, Event, pipeline
from space.service.page.headers import PrivacyHeaders
from space.service.page.html import (
    EXAMPLES,
    HERE,
    read_static,
    render_document,
    render_error,
    render_notice,
    render_progress,
    render_shell,
    render_template,
)
from space.service.page.languages import Words, pick_language
from space.service.page.palette import load_palette, palette_css
from space.service.page.report_html import render_report, report_title
from space.service.page.storage import MAX_AGE_S, SWEEP_S, Storage, open_storage, sweeping
from space.settings import Settings
from space.texts import FALLBACK_LANGUAGE, languages

ENSEMBLE_VARIABLE = "TELLTALE_ENSEMBLE"  # environment: folder of another ensemble than the shipped one
EXAMPLES_FOLDER = HERE / "examples"
MAX_SESSIONS = 64  # whose last report Gradio may remember
MAX_EVENTS = 64  # that Gradio queues; how many checks may wait is up to the checker
REPORT_PLACE = "<!--report-->"  # where result.js puts the report into the frame of a saved one

LOG = logging.getLogger(__name__)


def open_page() -> None:
    """Serve the page until the process is told to end."""
    signal.signal(signal.SIGTERM, _end)
    _import_pyplot()
    settings = Settings()
    folder = os.environ.get(ENSEMBLE_VARIABLE)
    checker = Checker(lambda: pipeline(settings, Path(folder) if folder else None))
    with open_storage() as storage:
        os.environ["GRADIO_TEMP_DIR"] = str(storage.uploads)  # Gradio reads it when a component is made
        page = build_page(checker, storage, settings)
        checker.warm_up()
        with sweeping(lambda now: storage.sweep(now=now), lambda now: forget_sessions(page, now=now)):
            page.launch(**launch_options(settings))


def _end(_number: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C, so that the folder of uploads is deleted."""
    raise KeyboardInterrupt


def _import_pyplot() -> None:
    """Import it while nothing is served.

    Gradio switches matplotlib's backend around every event, and fails when a check's thread is just importing
    pyplot, as mediapipe does.
    """
    if find_spec("matplotlib"):
        import_module("matplotlib.pyplot")


def build_page(checker: Checker, storage: Storage, settings: Settings) -> gr.Blocks:
    """The page with its events, not yet launched."""
    handlers = Handlers(checker, storage, settings)

    def forget_report(request: gr.Request) -> None:
        page.state_holder.session_data.pop(request.session_hash or "", None)

    page = gr.Blocks(title="Telltale", analytics_enabled=False, delete_cache=(SWEEP_S, MAX_AGE_S), fill_width=True)
    with page:
        shell = gr.HTML(
            render_shell(settings.limits, {}, lang=FALLBACK_LANGUAGE, pending=True),
            js_on_load=read_static("shell.js"),
            apply_default_css=False,
            elem_id="tt-shell",
        )
        result = gr.HTML("", js_on_load=read_static("result.js"), apply_default_css=False, elem_id="tt-result")
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        page.load(handlers.greet, outputs=shell, queue=False, **quiet)
        # The checker decides who waits and says so in words; Gradio's own queue would only show a number.
        check = shell.check(handlers.check, outputs=result, concurrency_limit=None, **quiet)
        ended = check.then(None, js="() => document.dispatchEvent(new CustomEvent('telltale:ended'))", **quiet)
        ended.then(forget_report, queue=False, **quiet)
        shell.stop(handlers.stop, queue=False, **quiet)
    page.queue(max_size=MAX_EVENTS)
    return page


def launch_options(settings: Settings) -> dict[str, Any]:
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
        "max_file_size": settings.limits.max_bytes,
        "state_session_capacity": MAX_SESSIONS,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "pwa": False,
        "app_kwargs": {
            "routes": [Mount("/examples", StaticFiles(directory=EXAMPLES_FOLDER))],
            "middleware": [Middleware(PrivacyHeaders)],
        },
    }


def forget_sessions(page: gr.Blocks, *, now: float) -> None:
    """Drop what Gradio still remembers of people who left in the middle."""
    holder = page.state_holder
    for session, used in list(holder.time_last_used.items()):
        if now - used.timestamp() > MAX_AGE_S:
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)


class Handlers:
    """What the page's events run."""

    def __init__(self, checker: Checker, storage: Storage, settings: Settings) -> None:
        self._checker = checker
        self._storage = storage
        self._settings = settings

    def greet(self, request: gr.Request) -> str:
        """The page in the person's language."""
        query = dict(request.query_params)
        lang = pick_language(query, request.headers.get("accept-language", ""))
        return render_shell(self._settings.limits, query, lang=lang)

    def check(self, event: gr.EventData) -> Iterator[str]:
        """Check an upload or an example; yields what to show."""
        lang = _ask(event, "lang")
        lang = lang if lang in languages() else FALLBACK_LANGUAGE
        try:
            source = self._source(event)
        except TelltaleError as error:
            yield render_error(error, lang=lang)
            return
        for happened in self._checker.check(source, job=_ask(event, "job")):
            yield show_event(happened, lang=lang)

    def _source(self, event: gr.EventData) -> AbstractContextManager[Path]:
        example = _ask(event, "example")
        if example in EXAMPLES:
            return nullcontext(EXAMPLES_FOLDER / f"{example}.mp4")
        return self._storage.claim(_ask(event, "path"))

    def stop(self, event: gr.EventData) -> None:
        """Stop a check."""
        self._checker.stop(_ask(event, "job"))


def _ask(event: gr.EventData, name: str) -> str:
    """What the browser sent under a name; "" if it is no text, for a browser may send anything."""
    try:
        value = getattr(event, name, "")
    except TypeError:  # what it sent is no object
        return ""
    return value if isinstance(value, str) else ""


def show_event(event: Event, *, lang: str) -> str:
    """What a person sees of an event."""
    t = Words(lang).t
    match event:
        case checks.Waiting(n_ahead):
            return render_progress(f"{t('page.waiting')}. {t('page.waiting.ahead', n_ahead=n_ahead)}", None, lang=lang)
        case checks.Loading():
            return render_progress(t("page.loading"), None, lang=lang)
        case checks.Working(stage, fraction):
            return render_progress(t("page.progress", stage=t(f"stage.{stage}")), fraction, lang=lang)
        case checks.Finished():
            return _show_report(event, lang=lang)
        case checks.Failed(error):
            return render_error(error, lang=lang)
        case checks.Busy():
            return render_notice(t("page.error"), t("page.busy"), t("page.busy.next"), drawing="waiting", lang=lang)
        case checks.Stopped():
            return render_notice(t("page.stopped"), "", lang=lang)


def _show_report(event: checks.Finished, *, lang: str) -> str:
    try:
        article = render_report(event.analysis, lang=lang)
        frame = render_document(REPORT_PLACE, title=report_title(event.analysis, lang=lang), lang=lang)
    except Exception:
        LOG.exception("a report could not be shown")
        return render_error(InternalError("internal"), lang=lang)
    return render_template("result.html", lang=lang, article=article, frame=frame)
