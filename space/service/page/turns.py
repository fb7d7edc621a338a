"""One check at a time, the others in line, and no line without an end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POLL_S = 0.25


class LineFullError(Exception):
    """Too many are waiting already."""


class StoppedError(Exception):
    """The one who waited or worked was told to stop."""


class Turns:
    """A line in order of arrival whose first has the turn.

    Args:
        max_waiting: how many may stand behind the one whose turn it is.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, *, stop: threading.Event, on_wait: Callable[[int], None]) -> Iterator[None]:
        """Wait for the turn and hold it for the length of the block.

        Args:
            stop: gives the place up when set.
            on_wait: told how many are ahead, whenever that changes; never called with 0.

        Raises:
            LineFullError: too many are waiting.
            StoppedError: ``stop`` was set while waiting.
        """
        place = object()
        with self._changed:
            if len(self._line) > self._max_waiting:
                raise LineFullError
            self._line.append(place)
        try:
            self._wait(place, stop, on_wait)
            yield
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()

    def _wait(self, place: object, stop: threading.Event, on_wait: Callable[[int], None]) -> None:
        told = 0
        while True:
            with self._changed:
                ahead = self._line.index(place)
            if not ahead:
                return
            if stop.is_set():
                raise StoppedError
            if ahead != told:
                on_wait(ahead)
                told = ahead
            with self._changed:
                self._changed.wait(timeout=POLL_S)
