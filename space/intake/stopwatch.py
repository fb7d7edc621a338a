"""Wall-clock limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from space.errors import SourceError


class Stopwatch:
    """Counts the time from its making, except where it is paused.

    Args:
        limit_s: when it runs out.
        clock: seconds, from any start.
    """

    def __init__(self, limit_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._start = clock()

    def check(self) -> None:
        """Go on only while there is time.

        Raises:
            SourceError: ``decode_timeout``.
        """
        if self._clock() - self._start > self._limit_s:
            raise SourceError("decode_timeout", limit_s=round(self._limit_s, 1))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that is not counted: somebody else's."""
        paused_at = self._clock()
        try:
            yield
        finally:
            self._start += self._clock() - paused_at
