"""What is reached over HTTP: shared pages, their pictures and forms, reports inside links, and the public key.

A browser may keep a page, but asks for it again each time, so that a deleted one is gone at once; a picture it may
show again for some minutes without asking.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import wraps
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from space.errors import InternalError, TelltaleError
from space.service.page.languages import Words, pick_language
from space.service.share.pages import content_policy
from space.service.share.shares import Shares
from space.service.views import error_json, http_status

MAX_FORM_BYTES = 2000  # a key for deleting, or a reason
ASKED_EACH_TIME = "private, no-cache"
FOR_MINUTES = "private, max-age=600"
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}

LOG = logging.getLogger(__name__)


def share_routes(shares: Shares) -> list[Route]:
    """All routes of shared reports."""
    door = _Door(shares)
    return [
        Route("/e/{id}", _shown(shares, door.page)),
        Route("/e/{id}/pictures/{name}", _answered(door.picture)),
        Route("/e/{id}/preview.jpg", _answered(door.preview)),
        Route("/e/{id}/report.json", _answered(door.report)),
        Route("/e/{id}/delete", _sent(shares, door.delete), methods=["POST"]),
        Route("/e/{id}/abuse", _sent(shares, door.complain), methods=["POST"]),
        Route("/v/{payload}", _shown(shares, door.linked_page)),
        Route("/v/{payload}/preview.jpg", _answered(door.linked_preview)),
        Route("/api/v1/key", door.key),
    ]


class _Door:
    """One method per route; errors are told by what is wrapped around them."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares

    def page(self, request: Request) -> Response:
        page = self._shares.page(request.path_params["id"], lang=_language(request))
        return _show(page, request)

    def linked_page(self, request: Request) -> Response:
        return _show(self._shares.linked_page(request.path_params["payload"], lang=_language(request)), request)

    def picture(self, request: Request) -> Response:
        name = request.path_params["name"]
        kind = "image/png" if name.endswith(".png") else "image/jpeg"
        return _picture(self._shares.picture(request.path_params["id"], name), kind, request)

    def preview(self, request: Request) -> Response:
        picture = self._shares.preview(request.path_params["id"], lang=_language(request))
        return _picture(picture, "image/jpeg", request)

    def linked_preview(self, request: Request) -> Response:
        picture = self._shares.linked_preview(request.path_params["payload"], lang=_language(request))
        return _picture(picture, "image/jpeg", request)

    def report(self, request: Request) -> Response:
        signed = self._shares.report(request.path_params["id"])
        response = Response(
            signed, media_type="application/json", headers={**HEADERS, "Cache-Control": ASKED_EACH_TIME}
        )
        response.headers["Content-Disposition"] = 'attachment; filename="telltale.json"'
        return _once(response, request)

    def key(self, _request: Request) -> Response:
        return JSONResponse(self._shares.public_key.to_json(), headers={**HEADERS, "Cache-Control": "no-cache"})

    def delete(self, request: Request, form: dict[str, str]) -> Response:
        self._shares.delete(request.path_params["id"], form.get("token", "").strip())
        t = Words(_language(request)).t
        return self._say(t("share.deleted"), f"{t('share.deleted.text')} {t('share.delete.copies')}", request)

    def complain(self, request: Request, form: dict[str, str]) -> Response:
        share_id = request.path_params["id"]
        self._shares.complain(share_id, form.get("reason", ""))
        t = Words(_language(request)).t
        return self._say(t("share.abuse.sent"), t("share.abuse.sent.text"), request, back=share_id)

    def _say(self, title: str, sentence: str, request: Request, back: str | None = None) -> Response:
        page = self._shares.message(title, sentence, lang=_language(request), back=back)
        return HTMLResponse(page, headers={**_page_headers(), "Cache-Control": "no-store"})


# --- errors -----------------------------------------------------------------------------------


def _shown(shares: Shares, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A page; an error is a page as well."""

    @wraps(handler)
    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - the last door: what it was goes to the log
            return _show_error(shares, error, request)

    return answer


def _sent(shares: Shares, handler: Callable[[Request, dict[str, str]], Response]) -> Callable[[Request], object]:
    """A form that was sent; the answer is a page."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            form = await _read_form(request)
            return await run_in_threadpool(handler, request, form)
        except Exception as error:  # noqa: BLE001
            return await run_in_threadpool(_show_error, shares, error, request)

    return answer


def _answered(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A file; an error is told as JSON."""

    @wraps(handler)
    def answer(request: Request) -> Response:
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001
            told = _as_ours(error)
            said = {"error": error_json(told, lang=_language(request))}
            return JSONResponse(said, http_status(told), {**HEADERS, "Cache-Control": "no-store"})

    return answer


def _show_error(shares: Shares, error: Exception, request: Request) -> Response:
    told, lang = _as_ours(error), _language(request)
    said = error_json(told, lang=lang)
    page = shares.message(Words(lang).t("share.error"), f"{said['message']} {said['next']}", lang=lang)
    return HTMLResponse(page, http_status(told), {**_page_headers(), "Cache-Control": "no-store"})


def _as_ours(error: Exception) -> TelltaleError:
    if isinstance(error, TelltaleError):
        return error
    LOG.error("a shared page failed", exc_info=error)
    return InternalError("internal")


# --- requests and answers ---------------------------------------------------------------------


def _language(request: Request) -> str:
    return pick_language(dict(request.query_params), request.headers.get("accept-language", ""))


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a small form; one that is too large, or none of ours, has none."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _page_headers() -> dict[str, str]:
    return {**HEADERS, "Content-Security-Policy": content_policy(), "Vary": "Accept-Language"}


def _show(page: str, request: Request) -> Response:
    return _once(HTMLResponse(page, headers={**_page_headers(), "Cache-Control": ASKED_EACH_TIME}), request)


def _picture(picture: bytes, kind: str, request: Request) -> Response:
    headers = {**HEADERS, "Cache-Control": FOR_MINUTES, "Content-Security-Policy": "default-src 'none'"}
    return _once(Response(picture, media_type=kind, headers=headers), request)


def _once(response: Response, request: Request) -> Response:
    """Send nothing again to whoever has it already."""
    tag = f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    response.headers["ETag"] = tag
    if tag not in request.headers.get("if-none-match", ""):
        return response
    kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")}
    return Response(status_code=304, headers=kept)
