"""Opens and closes MediaPipe's models without their chatter on standard error."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11

# What MediaPipe 0.10.21 writes whenever its graphs start; every other line is passed on.
NOISE = re.compile(
    rb"^(INFO: Created TensorFlow Lite XNNPACK delegate"
    rb"|WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|I\d{4} "
    rb"|W\d{4} .*(inference_feedback_manager|landmark_projection_calculator)\.cc)"
)

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


class Opened:
    """A context manager that closes models."""

    def __init__(self, *models: Any) -> None:
        self._models = models

    def close(self) -> None:
        """Release the models."""
        for model in self._models:
            model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
