"""The lines of a scan on the disk.

A line is written whole and reaches the disk before the next source is looked at, so that a kill at
any moment costs at most the source in hand.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from space.errors import RequestError

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11

Line = dict[str, Any]


class ScanError(ValueError):
    """A scan that cannot begin: a list without paths, lines of something else in the output, no engine."""


@dataclass
class LineFile:
    """The output of one scan, locked against a second one. A context manager.

    Args:
        path: is created if absent.
        resume: keep the lines that are there, but for a torn one at the end; else begin anew.

    Raises:
        ScanError: on entering: another scan is writing to it, or it holds other lines.
        RequestError: on entering, ``bad_output``: it cannot be opened.
    """

    path: Path
    resume: bool
    done: set[str] = field(default_factory=set, init=False)  # paths that have their line
    _handle: int = field(default=-1, init=False)

    def __enter__(self) -> Self:
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RequestError("bad_output", name=str(self.path)) from error
        try:
            self._begin()
        except BaseException:
            os.close(self._handle)
            raise
        return self

    def _begin(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ScanError(f"another scan is writing to {self.path}") from error
        os.ftruncate(self._handle, self._read_done() if self.resume else 0)
        os.fsync(self._handle)

    def _read_done(self) -> int:
        """Collect the paths that have their line, and return where the last whole line ends, in bytes."""
        end = 0
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.endswith(b"\n"):
                    self.done.add(self._read_path(line, number))
                    end += len(line)
        return end

    def _read_path(self, line: bytes, number: int) -> str:
        try:
            path = json.loads(line)["path"]
        except (ValueError, KeyError, TypeError) as error:
            raise ScanError(f"{self.path}, line {number}: not a line of a scan") from error
        return str(path)

    def append(self, line: Line) -> None:
        """Write one line; it is on the disk when this returns.

        Raises:
            RequestError: ``bad_output``.
        """
        rest = json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            os.fsync(self._handle)
        except OSError as error:  # the disk is full: what is torn now is mended on resuming
            raise RequestError("bad_output", name=str(self.path)) from error

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)
