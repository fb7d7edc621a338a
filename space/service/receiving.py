"""Files on their way from a request's body into the vault: never whole in memory, never as they are on the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import TypeVar

import anyio
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from space.errors import ServiceError, SourceError, TelltaleError
from space.service.uploads import Coming, Upload, Uploads
from space.settings import MIB

BATCH_BYTES = MIB // 4  # handed to the thread that encrypts and writes

FORM_BYTES = 64 * 1024  # what a form may add to its file
READ_ON = 2  # times the limit: a longer body is not read to its end

Body = AsyncIterator[bytes]
Taken = TypeVar("Taken")


async def receive_body(request: Request, uploads: Uploads, *, caller: str, limit_s: float) -> Upload:
    """Take in a file whose bytes are the request's body.

    Args:
        caller: a name of ``callers``.
        limit_s: for all of it.

    Raises:
        SourceError: ``too_large``, ``empty``.
        ServiceError: ``busy``, ``rate_limited``, ``upload_timeout``.
    """

    async def take_in(body: Body) -> Upload:
        with uploads.receive(caller) as coming:
            await _pass_on(body, coming.writer.write)
            return _keep(uploads, coming)

    return await _within_limits(request, take_in, max_bytes=uploads.max_bytes, limit_s=limit_s)


async def receive_form(request: Request, uploads: Uploads, *, caller: str, limit_s: float) -> list[Upload]:
    """Take in the files of a form (``multipart/form-data``), as browsers and Gradio's clients send them.

    Args:
        caller: a name of ``callers``.
        limit_s: for all of it.

    Raises:
        SourceError: ``too_large``, ``empty``; ``unsupported_type``: no such form.
        ServiceError: ``busy``, ``rate_limited``, ``upload_timeout``.
    """

    async def take_in(body: Body) -> list[Upload]:
        with ExitStack() as stack:
            form = _Form(lambda: stack.enter_context(uploads.receive(caller)))
            parser = form.parser(request.headers.get("content-type", ""))
            try:
                await _pass_on(body, parser.write)
                parser.finalize()
            except MultipartParseError as error:
                raise SourceError("unsupported_type") from error
            if not form.files:
                raise SourceError("empty")
            return [_keep(uploads, coming) for coming in form.files]

    return await _within_limits(request, take_in, max_bytes=uploads.max_bytes, limit_s=limit_s)


class _Form:
    """The files of a form, begun as their parts begin; fields without a file name are passed over."""

    def __init__(self, begin: Callable[[], Coming]) -> None:
        self.files: list[Coming] = []
        self._begin = begin
        self._is_file = False
        self._header = (b"", b"")
        self._has_name = False

    def parser(self, content_type: str) -> MultipartParser:
        """A parser that writes files as it meets them.

        Raises:
            SourceError: ``unsupported_type``: the request has no form.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise SourceError("unsupported_type")
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_begin": self._header_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
            },
        )

    def _part_begins(self) -> None:
        self._has_name = self._is_file = False

    def _header_begins(self) -> None:
        self._header = (b"", b"")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_ends(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._has_name = b"filename" in parse_options_header(value)[1]

    def _headers_end(self) -> None:
        self._is_file = self._has_name
        if self._is_file:
            self.files.append(self._begin())

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.files[-1].writer.write(data[start:end])


def _keep(uploads: Uploads, coming: Coming) -> Upload:
    if coming.writer.size_bytes == 0:
        raise SourceError("empty")
    return uploads.keep(coming)


async def _pass_on(body: Body, write: Callable[[bytes], object]) -> None:
    """Hand a body on in batches, in a thread of its own: encrypting and writing take time."""
    batch = bytearray()
    async for chunk in body:
        batch += chunk
        if len(batch) >= BATCH_BYTES:
            await run_in_threadpool(write, bytes(batch))
            batch.clear()
    if batch:
        await run_in_threadpool(write, bytes(batch))


async def _within_limits(
    request: Request, take_in: Callable[[Body], Awaitable[Taken]], *, max_bytes: int, limit_s: float
) -> Taken:
    """Take in a body of bounded size in bounded time.

    What is refused is read to its end all the same, within bounds: many clients see an answer only when they
    have sent everything.
    """
    body = request.stream()
    length = _length(request)
    try:
        with anyio.fail_after(limit_s):
            try:
                if length > max_bytes + FORM_BYTES:
                    raise too_large(length, max_bytes)
                return await take_in(body)
            except TelltaleError:
                if length <= READ_ON * max_bytes:
                    await _read_on(body, max_bytes)
                raise
    except TimeoutError as error:
        raise ServiceError("upload_timeout", limit_s=limit_s) from error


def _length(request: Request) -> int:
    """What the request says; 0 where it does not."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdecimal() else 0


def too_large(size_bytes: int, max_bytes: int) -> SourceError:
    """The refusal of a file."""
    return SourceError("too_large", limit_mb=round(max_bytes / MIB, 1), actual_mb=round(size_bytes / MIB, 1))


async def _read_on(body: Body, max_bytes: int) -> None:
    n_read = 0
    async for chunk in body:
        n_read += len(chunk)
        if n_read > max_bytes:
            return
