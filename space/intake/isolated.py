"""Clips measured and decoded in a child process, so that a hostile file costs one check and not the server.

The child has little memory, little time and no files to write to (``decoder.confine``); a crash, a hang or a hunger
for memory is an error of that one clip. The key travels to it through a pipe. What comes back is never unpickled,
and believed only where it is plausible: a decoder that was taken over can lie about pictures, not do more.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import IO, Any, TypeGuard, cast

import numpy as np

from space.contract import Clip, Frame, SourceInfo, SourceKind
from space.errors import InternalError, RequestError, ServiceError, SourceError, TelltaleError
from space.intake.captured import CONTAINER as CAPTURED
from space.intake.containers import CONTAINERS
from space.intake.vault import Sealed
from space.intake.video import CODECS
from space.settings import MIB, PROJECT_ROOT, Limits

COMMAND = (sys.executable, "-m", "space.intake.decoder")
START_S = 60.0  # for Python and its libraries to load, on a busy machine
GRACE_S = 5.0  # for the child to notice by itself that its time is up
# Of address space. The largest pictures let in, at 10 bits without chroma subsampling and with 16 others to refer
# to, take 2 GiB of it on two cores, and 0.1 GiB for each core more.
MEMORY_BYTES = 4096 * MIB
PIPE_BYTES = MIB  # the most that Linux gives without privileges
MAX_MESSAGE_BYTES = 64 * 1024
# Of the environment nothing else is handed on: tokens and passwords are none of a decoder's business.
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "LANG", "LC_ALL")
# One thread for sums; few arenas, for each reserves 64 MiB of addresses.
SET_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
ERRORS: dict[str, type[TelltaleError]] = {
    kind.__name__: kind for kind in (SourceError, RequestError, ServiceError, InternalError)
}

LOG = logging.getLogger(__name__)


@contextmanager
def isolated_clip(
    sealed: Sealed,
    *,
    n_frames: int,
    limits: Limits,
    kind: SourceKind,
    host: str | None = None,
    capture_method: str | None = None,
) -> Iterator[tuple[Clip, Iterator[Frame]]]:
    """Open a sealed file as ``open_sealed`` does and sample it as ``sample_frames`` does, both in a child process.

    The child decodes one frame ahead of the caller. It is gone when the block ends.

    Returns:
        The clip, and its frames; what these raise, they raise while iterating.

    Raises:
        SourceError: as in one process; ``unreadable``: a codec crashed or wanted too much memory;
            ``decode_timeout``: it hangs.
        RequestError: ``bad_frames``.
        ServiceError: ``bad_capture``.
        InternalError: the child could not be started, or failed by a fault of ours.
    """
    origin = {"kind": kind, "host": host, "capture_method": capture_method}
    handle = sealed.handle()
    request = {
        "sealed": {**asdict(handle), "path": str(handle.path.absolute()), "key": handle.key.hex()},
        "origin": origin,
        "n_frames": n_frames,
        "limits": asdict(limits),
        "memory_bytes": MEMORY_BYTES,
        # A second line of defence: measuring and sampling may each take their time on every core.
        "cpu_s": math.ceil(2 * limits.max_decode_s * (os.cpu_count() or 1) + START_S),
    }
    with _start_child() as process:
        child = _Child(process, sealed.id, limits)
        child.ask(request)
        info = _read_info(child.expect("clip").get("info"), sealed, origin, limits)
        yield Clip(info=info, open=sealed.open), _read_frames(child, info, n_frames)


@contextmanager
def _start_child() -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    process = subprocess.Popen(  # noqa: S603 - our own module, by the running Python
        COMMAND,
        cwd=PROJECT_ROOT,
        env={**environment, **SET_VARIABLES},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def _read_frames(child: _Child, info: SourceInfo, n_frames: int) -> Iterator[Frame]:
    child.grant_time()
    last_s = -math.inf
    for index in range(n_frames + 1):
        message = child.receive()
        if message["is"] == "end" and index:
            return
        time_s, size_wh = message.get("time_s"), (message.get("width"), message.get("height"))
        is_frame = message["is"] == "frame" and size_wh == (info.width, info.height)
        if not is_frame or index == n_frames or not _is_number(time_s) or time_s <= last_s:
            break
        last_s = float(time_s)
        image = np.empty((info.height, info.width, 3), np.uint8)
        child.fill(image.data.cast("B"))
        yield Frame(index=index, time_s=last_s, image=image)
    raise child.implausible("frames")


def _read_info(info: Any, sealed: Sealed, origin: Mapping[str, str | None], limits: Limits) -> SourceInfo:
    """What the child says of the clip, as far as it can be."""
    try:
        read = SourceInfo(**info)
        is_plausible = _is_of(read, sealed, origin) and _is_measured(read, limits)
    except TypeError as error:  # other fields, or values that no set can hold
        raise _damaged("described no clip") from error
    if not is_plausible:
        raise _damaged("described another clip")
    return read


def _is_of(info: SourceInfo, sealed: Sealed, origin: Mapping[str, str | None]) -> bool:
    """Whether it says what was known before."""
    return (
        (info.size_bytes, info.sha256) == (sealed.size_bytes, sealed.sha256)
        and info.kind in {origin["kind"], "image"}
        and info.host in {origin["host"], None}
        and info.capture_method in {origin["capture_method"], None}
    )


def _is_measured(info: SourceInfo, limits: Limits) -> bool:
    """Whether what it adds could be, and fits into memory."""
    return (
        info.container in {*CONTAINERS, CAPTURED}
        and info.codec in {*CODECS, None}
        and info.credentials in {"present", "absent", None}
        and _is_number(info.duration_s)
        and info.duration_s >= 0
        and (info.fps is None or (_is_number(info.fps) and info.fps > 0))
        and all(type(side) is int and side > 0 for side in (info.width, info.height))
        and info.width * info.height <= limits.max_pixels
    )


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in {int, float} and math.isfinite(cast("float", value))


def _damaged(what: str) -> SourceError:
    """A child that misbehaves has been made to by the file; the log says how."""
    LOG.warning("a decoder %s", what)
    return SourceError("unreadable")


# --- talking to the child ---------------------------------------------------------------------


class _Child:
    """A decoder and the time it is waited for.

    Args:
        process: just started.
        sealed_id: the only name that an error may hold.
        limits: ``max_decode_s`` for measuring, and once more for sampling.
    """

    def __init__(self, process: subprocess.Popen[bytes], sealed_id: str, limits: Limits) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input: IO[bytes] = process.stdin
        self._output = process.stdout.fileno()
        self._sealed_id = sealed_id
        self._limits = limits
        self._left_s = START_S
        self._is_ready = False
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        if sys.platform == "linux":
            with suppress(PermissionError):  # this account has enough large pipes; they work as they are
                fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def ask(self, request: Mapping[str, object]) -> None:
        """Send the request and wait until the child has begun with it.

        Raises:
            InternalError: it does not.
        """
        data = json.dumps(request).encode()
        with suppress(BrokenPipeError):  # that it died is told where its answer is missing
            self._input.write(struct.pack(">I", len(data)) + data)
        self.expect("ready")
        self._is_ready = True
        self.grant_time()

    def grant_time(self) -> None:
        """Wait as long as the limits allow, from now on in all."""
        self._left_s = self._limits.max_decode_s + GRACE_S

    def expect(self, what: str) -> dict[str, Any]:
        """The next message, which must be of one kind."""
        message = self.receive()
        if message["is"] != what:
            raise self.implausible(what)
        return message

    def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            TelltaleError: the one that the child raised, or what its end means.
        """
        size = bytearray(4)
        self.fill(memoryview(size))
        n_bytes = int.from_bytes(size, "big")
        if n_bytes > MAX_MESSAGE_BYTES:
            raise self.implausible("a message")
        data = bytearray(n_bytes)
        self.fill(memoryview(data))
        try:
            message = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self.implausible("a message") from error
        if not isinstance(message, dict) or not isinstance(message.get("is"), str):
            raise self.implausible("a message")
        if message["is"] == "error":
            raise self._read_error(message)
        if message["is"] == "fault":
            raise InternalError("internal") from RuntimeError(str(message.get("details")))
        return message

    def fill(self, buffer: memoryview) -> None:
        """Read as many bytes as the buffer holds."""
        while buffer:
            self._wait()
            n_read = os.readv(self._output, [buffer])
            if not n_read:
                raise self._end()
            buffer = buffer[n_read:]

    def implausible(self, what: str) -> TelltaleError:
        """What it means that something else came than what was waited for."""
        return _damaged(f"sent something else than {what}") if self._is_ready else InternalError("internal")

    def _wait(self) -> None:
        began = time.monotonic()
        ready = self._poll.poll(max(0.0, self._left_s) * 1000)
        self._left_s -= time.monotonic() - began
        if not ready:
            raise self._timeout()

    def _timeout(self) -> TelltaleError:
        if not self._is_ready:
            return InternalError("internal")
        return SourceError("decode_timeout", limit_s=round(self._limits.max_decode_s, 1))

    def _end(self) -> TelltaleError:
        """The child said nothing more."""
        try:
            status = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:  # it closed the pipe and lives on
            status = None
        if not self._is_ready:
            return InternalError("internal")
        return self._timeout() if status == -signal.SIGXCPU else _damaged(f"ended with status {status}")

    def _read_error(self, message: Mapping[str, Any]) -> TelltaleError:
        known, code, params = ERRORS.get(str(message.get("kind"))), str(message.get("code")), message.get("params")
        if known is None or code not in known.codes or not isinstance(params, dict):
            return self.implausible("an error")
        if not all(_is_number(value) or value == self._sealed_id for value in params.values()):
            return self.implausible("an error")
        return known(code, **params)
