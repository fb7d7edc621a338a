"""Keeps known chatter of native libraries from standard error, and nothing else."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.Lock()  # standard error belongs to the whole process


@contextmanager
def drop_lines(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Hold the process's standard error during a block; then pass on every line that is no noise.

    Native code writes to the descriptor itself, so Python's ``sys.stderr`` cannot filter it. Keep the
    block short: other threads' lines wait for its end too, and those of a process that dies inside it are lost.
    """
    with _ONE_AT_A_TIME:
        try:
            own = os.dup(2)
        except OSError:  # no standard error: nothing to keep clean
            yield
            return
        with tempfile.TemporaryFile() as held:
            _flush()
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                _flush()
                os.dup2(own, 2)
                os.close(own)
                held.seek(0)
                os.write(2, b"".join(line for line in held if not noise.search(line)))


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
