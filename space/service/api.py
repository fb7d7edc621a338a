"""The plain HTTP routes: jobs, uploads, shared reports.

Errors are JSON with a status and, where waiting helps, ``Retry-After``.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from space import __version__
from space.errors import InternalError, ServiceError, TelltaleError
from space.service.documents import make_openapi, read_report_schema, render_docs
from space.service.faults import log_fault
from space.service.page.languages import pick_language
from space.service.receiving import receive_body, receive_form
from space.service.views import error_json, http_status, iso_time, view_json

if TYPE_CHECKING:
    from space.service.service import Service

PRIVATE = {"Cache-Control": "no-store"}
DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Handler = Callable[[Request], Awaitable[Response]]


def api_routes(service: Service) -> list[Route]:
    """The routes of a service, for Starlette, FastAPI or Gradio."""
    api = Api(service)
    table: list[tuple[str, list[str], Handler]] = [
        ("/healthz", ["GET"], api.health),
        ("/api/v1/uploads", ["POST", "PUT"], api.upload),
        ("/gradio_api/upload", ["POST"], api.gradio_upload),
        ("/api/v1/jobs/{job_id}", ["GET"], api.job),
        ("/api/v1/jobs/{job_id}", ["DELETE"], api.cancel),
        ("/api/v1/jobs/{job_id}/pictures/{name}", ["GET"], api.picture),
        ("/api/v1/jobs/{job_id}/share", ["POST"], api.share),
        ("/api/v1/reports/{report_id}", ["DELETE"], api.unshare),
        ("/api/v1/openapi.json", ["GET"], api.openapi),
        ("/api/v1/report.schema.json", ["GET"], api.report_schema),
        ("/api/docs", ["GET"], api.docs),
    ]
    return [Route(path, answer_errors(handler), methods=methods) for path, methods, handler in table]


def language_of(request: Request) -> str:
    """``?lang=`` where we have it, else the best of ``Accept-Language``."""
    return pick_language(dict(request.query_params), request.headers.get("accept-language", ""))


def error_response(error: TelltaleError, *, lang: str) -> JSONResponse:
    """``{"error": {"code", "message", "next"}}`` with its status."""
    body = error_json(error, lang=lang)
    retry = {"Retry-After": str(body["retry_after_s"])} if "retry_after_s" in body else {}
    return JSONResponse({"error": body}, http_status(error), headers={**PRIVATE, **retry})


def answer_errors(handler: Handler) -> Handler:
    """A handler whose errors are answered as JSON."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except TelltaleError as error:
            return error_response(error, lang=language_of(request))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # noqa: BLE001 - the door: whatever happens is answered
            log_fault("a request failed", error)
            return error_response(InternalError("internal"), lang=language_of(request))

    return handle


class Api:
    """Answers requests."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _request: Request) -> Response:
        """Whether the service is up, for those who watch it."""
        body = {"status": "ok", "version": __version__, "models_loaded": self._service.models.loaded}
        return JSONResponse(body, headers=PRIVATE)

    async def job(self, request: Request) -> Response:
        """A job as it is now."""
        view = await run_in_threadpool(self._service.jobs.view, request.path_params["job_id"])
        return JSONResponse(view_json(view, lang=language_of(request)), headers=PRIVATE)

    async def cancel(self, request: Request) -> Response:
        """Stop a job."""
        view = await run_in_threadpool(self._service.jobs.cancel, request.path_params["job_id"])
        return JSONResponse(view_json(view, lang=language_of(request)), headers=PRIVATE)

    async def picture(self, request: Request) -> Response:
        """A picture of a report."""
        name = request.path_params["name"]
        picture = await run_in_threadpool(self._service.jobs.picture, request.path_params["job_id"], name)
        kind, _ = mimetypes.guess_type(name)
        return Response(picture, media_type=kind, headers=PRIVATE)

    async def share(self, request: Request) -> Response:
        """Make a page of a report that can be passed on."""
        shared = await run_in_threadpool(self._service.share, request.path_params["job_id"])
        return JSONResponse(dict(shared), 201, headers=PRIVATE)

    async def unshare(self, request: Request) -> Response:
        """Delete a shared report."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise ServiceError("bad_token")
        await run_in_threadpool(self._service.shares.delete, request.path_params["report_id"], token.strip())
        return Response(status_code=204)

    async def openapi(self, _request: Request) -> Response:
        """The routes for machines."""
        return JSONResponse(make_openapi(base_url=self._service.settings.base_url))

    async def report_schema(self, _request: Request) -> Response:
        """What a report may hold."""
        return Response(read_report_schema(), media_type="application/schema+json")

    async def docs(self, _request: Request) -> Response:
        """The routes for people."""
        page = render_docs(base_url=self._service.settings.base_url)
        return HTMLResponse(page, headers={"Content-Security-Policy": DOCS_POLICY})

    async def upload(self, request: Request) -> Response:
        """Take in a file: the body is its bytes."""
        upload = await receive_body(request, self._service.uploads, **self._terms(request))
        body = {
            "upload_id": upload.id,
            "size_bytes": upload.sealed.size_bytes,
            "sha256": upload.sealed.sha256,
            "expires": iso_time(upload.expires),
        }
        return JSONResponse(body, 201, headers=PRIVATE)

    async def gradio_upload(self, request: Request) -> Response:
        """Stand in for Gradio's own route, which would write the file to the disk as it is.

        Answers as that does, with a list, but of ids instead of paths.
        """
        uploads = await receive_form(request, self._service.uploads, **self._terms(request))
        return JSONResponse([upload.id for upload in uploads], headers=PRIVATE)

    def _terms(self, request: Request) -> dict[str, Any]:
        return {"caller": self._service.callers.name(request), "limit_s": self._service.settings.upload_limit_s}
