"""What the page asks for beside its events: a check as HTML, its report to take along, and the page's own files."""

from __future__ import annotations

import json

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from space.analysis.report import to_json
from space.errors import TelltaleError
from space.service.jobs import Jobs
from space.service.page.html import HERE, About, render_error
from space.service.page.job_html import render_job
from space.service.page.languages import pick_language
from space.service.page.report_html import render_saved
from space.service.service import Service
from space.service.views import http_status

EXAMPLES_FOLDER = HERE / "examples"
PRIVATE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
PROGRAMS = ("/api/", "/gradio_api/", "/e/", "/v/", "/page/", "/examples/")  # whose unknown paths are not pages


class FreshFiles(StaticFiles):
    """Files of which a browser asks each time whether they have changed, so that no page runs half old scripts."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def page_routes(service: Service, about: About) -> list[BaseRoute]:
    """The page's own routes."""
    views = PageViews(service.jobs, about)
    return [
        Route("/page/jobs/{job_id}", views.job),
        Route("/page/jobs/{job_id}/report.html", views.saved),
        Route("/page/jobs/{job_id}/report.json", views.document),
        Mount("/page/static", FreshFiles(directory=HERE / "static")),
        Mount("/examples", StaticFiles(directory=EXAMPLES_FOLDER)),
    ]


class PageViews:
    """A check as the page shows it."""

    def __init__(self, jobs: Jobs, about: About) -> None:
        self._jobs = jobs
        self._about = about

    async def job(self, request: Request) -> Response:
        """How far a check is, or what came of it, as a piece of HTML."""
        return await run_in_threadpool(self._job, request)

    def _job(self, request: Request) -> Response:
        job_id, lang = request.path_params["job_id"], _language(request)
        try:
            view = self._jobs.view(job_id)
            html = render_job(view, lambda: self._jobs.analysis(job_id), lang=lang, models=self._about.models)
        except TelltaleError as error:  # told by the piece itself: a browser writes other statuses into its console
            html = render_error(error, lang=lang, outcome="unknown" if error.code == "job_unknown" else "notice")
        return HTMLResponse(html, headers=PRIVATE)

    async def saved(self, request: Request) -> Response:
        """A report as a file that needs nothing else."""
        return await run_in_threadpool(self._saved, request)

    def _saved(self, request: Request) -> Response:
        job_id, lang = request.path_params["job_id"], _language(request)
        try:
            analysis = self._jobs.analysis(job_id)
        except TelltaleError as error:
            return HTMLResponse(render_error(error, lang=lang), http_status(error), PRIVATE)
        content = render_saved(analysis, lang=lang, models=self._about.models)
        return HTMLResponse(content, headers=PRIVATE | _attached(f"telltale-{analysis.report.id[:8]}.html"))

    async def document(self, request: Request) -> Response:
        """A report as JSON."""
        return await run_in_threadpool(self._document, request)

    def _document(self, request: Request) -> Response:
        try:
            report = self._jobs.analysis(request.path_params["job_id"]).report
        except TelltaleError as error:
            return HTMLResponse(render_error(error, lang=_language(request)), http_status(error), PRIVATE)
        content = json.dumps(to_json(report), ensure_ascii=False, indent=2) + "\n"
        headers = PRIVATE | _attached(f"telltale-{report.id[:8]}.json")
        return Response(content, headers=headers, media_type="application/json")


def _language(request: Request) -> str:
    return pick_language(request.query_params, request.headers.get("accept-language", ""))


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


async def show_page_instead(request: Request, error: Exception) -> Response:
    """An unknown path leads to the page; a program is told that there is nothing."""
    path = request.url.path
    is_visit = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")
    if is_visit and not path.startswith(PROGRAMS):
        return RedirectResponse(request.scope.get("root_path", "") + "/", status_code=303)
    detail = error.detail if isinstance(error, HTTPException) else "Not Found"
    return JSONResponse({"detail": detail}, status_code=404)
