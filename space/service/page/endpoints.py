"""The named Gradio endpoints: begin a check and follow it. Also offered to assistants as MCP tools.

Each yields views of its job (``views.view_json``); the last one has the report or the error. Whoever stops
listening can ask ``GET /api/v1/jobs/{job_id}`` instead, or call again with the same ``job_id``.
"""

# Annotations are kept as they are: Gradio reads those of the endpoints at run time.
import asyncio
import base64
import binascii
import inspect
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import gradio as gr
from gradio.events import api

from space.errors import InternalError, RequestError, ServiceError, TelltaleError
from space.intake.captured import CapturedFrame, pack_frames
from space.service.faults import log_fault
from space.service.jobs import BEAT_S, Jobs
from space.service.page.languages import pick_language
from space.service.service import Service
from space.service.sources import FramesSource, JobSource, LinkSource, UploadSource
from space.service.summary import summarise
from space.service.views import JobView, refusal_json, view_json
from space.settings import MAX_FRAMES, MIN_FRAMES

POLL_S = 0.1
MAX_HOST_CHARS = 253  # of a host's name
MAX_METHOD_CHARS = 40
MCP_HEADER = ("x-gradio-user", "mcp")  # Gradio calls its own endpoints for a tool

View = dict[str, Any]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


# --- what Gradio and assistants are told of the endpoints -------------------------------------

ANSWER = (
    "The last answer holds the verdict in words, its reasons, the moments that stand out and what the check cannot "
    "tell, or an error with what to do next. The verdict speaks of evidence: it never proves a video genuine or "
    "forged."
)
UPLOAD = (
    "Check a video or photo file for a manipulated face. Send the file first: POST its bytes to /api/v1/uploads, "
    f"which answers with an upload_id. {ANSWER} A check takes about half a minute."
)
URL = (
    "Check the video behind a link for a manipulated face. The link may lead to a video file or to a page with one; "
    "private, live and copy-protected videos are refused, and some sites refuse this service. "
    f"{ANSWER} A check takes about a minute."
)
FRAMES = (
    "Check frames that were taken from a video while it was shown, as the browser extension does, for a manipulated "
    f"face. {ANSWER} A check takes about half a minute."
)
PARAMETERS = {
    "job_id": "32 hexadecimal digits of your choice, by which the check can be asked about at /api/v1/jobs/{job_id}; "
    "calling again with the same ones begins nothing new. Empty: they are chosen for you.",
    "upload": "The upload_id that /api/v1/uploads answered with. It is used up by the check.",
    "url": "The link, beginning with http:// or https://.",
    "n_frames": "How many frames to look at, 4 to 128; 0 for the usual number.",
    "frames": 'Up to 128 objects {"time_s", "jpeg"}: seconds from the start of the video, and the picture, a JPEG, '
    "WebP or PNG file in base64.",
    "capture_method": 'How the frames were taken, in a short word: "frames" from the video element, "screen" from the '
    "screen, where the finest traces are lost: the verdict allows for that.",
    "page_host": "The host name of the page the video was on, without the rest of its address; may be empty.",
}


def describe(summary: str) -> Callable[[Endpoint], Endpoint]:
    """Give an endpoint the docstring that Gradio takes its descriptions from: a line for each parameter."""

    def decorate(endpoint: Endpoint) -> Endpoint:
        names = [name for name in inspect.signature(endpoint).parameters if name in PARAMETERS]
        endpoint.__doc__ = "\n".join([summary, "", "Args:", *(f"    {name}: {PARAMETERS[name]}" for name in names)])
        return endpoint

    return decorate


# --- the endpoints ----------------------------------------------------------------------------


def add_endpoints(service: Service) -> None:
    """Add the endpoints to the ``gr.Blocks`` in whose block this is called."""
    for make in (_make_check_upload, _make_check_url, _make_check_frames):
        # How many may wait is up to the jobs; a listener costs nothing.
        api(make(service), concurrency_limit=None)


def _make_check_upload(service: Service) -> Callable[..., AsyncIterator[View]]:
    @describe(UPLOAD)
    async def check_upload(job_id: str, upload: str, request: gr.Request, n_frames: int = 0) -> AsyncIterator[View]:
        def source() -> JobSource:
            return UploadSource(service.uploads.take(str(upload)))

        async for view in _check(service, request, job_id, source, n_frames):
            yield view

    return check_upload


def _make_check_url(service: Service) -> Callable[..., AsyncIterator[View]]:
    @describe(URL)
    async def check_url(job_id: str, url: str, request: gr.Request, n_frames: int = 0) -> AsyncIterator[View]:
        async for view in _check(service, request, job_id, lambda: LinkSource(str(url)), n_frames):
            yield view

    return check_url


def _make_check_frames(service: Service) -> Callable[..., AsyncIterator[View]]:
    @describe(FRAMES)
    async def check_frames(
        job_id: str, frames: list[dict[str, Any]], capture_method: str, request: gr.Request, page_host: str = ""
    ) -> AsyncIterator[View]:
        def source() -> JobSource:
            return _captured(service, frames, capture_method, page_host)

        async for view in _check(service, request, job_id, source, 0):
            yield view

    return check_frames


async def _check(
    service: Service, request: gr.Request, job_id: Any, source: Callable[[], JobSource], n_frames: Any
) -> AsyncIterator[Any]:
    lang = pick_language(dict(request.query_params), request.headers.get("accept-language", ""))
    job_id = str(job_id or secrets.token_hex(16))

    def accept() -> JobView:
        caller = service.callers.name(request)
        if n_frames is not None and not isinstance(n_frames, int):
            raise RequestError("bad_frames", n_frames=str(n_frames), minimum=MIN_FRAMES, maximum=MAX_FRAMES)
        return service.jobs.accept(job_id, source, caller=caller, n_frames=n_frames or None)

    by_assistant = request.headers.get(MCP_HEADER[0]) == MCP_HEADER[1]
    try:
        await asyncio.to_thread(accept)  # in a copy of this context, which the job's thread copies in turn
        async for view in _follow(service.jobs, job_id):
            if not by_assistant:
                yield view_json(view, lang=lang)
            elif view.is_last:
                yield json.dumps(summarise(view, base_url=service.settings.base_url), ensure_ascii=False)
    except Exception as error:  # noqa: BLE001 - the door: whatever happens is answered, and Gradio logs none of it
        refusal = refusal_json(job_id, _told(error), now=time.time(), lang=lang)
        yield json.dumps(refusal, ensure_ascii=False) if by_assistant else refusal


def _told(error: Exception) -> TelltaleError:
    if isinstance(error, TelltaleError):
        return error
    log_fault("a call failed", error)
    return InternalError("internal")


async def _follow(jobs: Jobs, job_id: str) -> AsyncIterator[JobView]:
    """``Jobs.follow`` without a thread for each listener."""
    told: JobView | None = None
    told_at = 0.0
    while told is None or not told.is_last:
        view = jobs.view(job_id)
        if view != told or time.monotonic() - told_at >= BEAT_S:
            told, told_at = view, time.monotonic()
            yield view
        else:
            await asyncio.sleep(POLL_S)


def _captured(service: Service, frames: Any, capture_method: Any, page_host: Any) -> FramesSource:
    """Frames as they were sent, in the vault.

    Raises:
        ServiceError: ``bad_capture``.
        RequestError: ``bad_frames``.
        SourceError: ``too_large``.
    """
    captured = [_captured_frame(frame) for frame in frames] if isinstance(frames, list) else []
    if not isinstance(capture_method, str) or not isinstance(page_host, str):
        raise ServiceError("bad_capture")
    with service.vault.writer(max_bytes=service.choices.limits.max_bytes) as writer:
        writer.write(pack_frames(captured))
        sealed = writer.seal()
    return FramesSource(sealed, page_host[:MAX_HOST_CHARS] or None, capture_method[:MAX_METHOD_CHARS])


def _captured_frame(frame: Any) -> CapturedFrame:
    """One frame as it was sent.

    Raises:
        ServiceError: ``bad_capture``.
    """
    try:
        return CapturedFrame(float(frame["time_s"]), base64.b64decode(frame["jpeg"], validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ServiceError("bad_capture") from error
