"""Some at a time, the others in line, and no line without an end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from space.errors import StoppedError

POLL_S = 0.25


class Line:
    """A line in order of arrival whose first ``n_places`` have their turn."""

    def __init__(self, n_places: int = 1) -> None:
        self._n_places = n_places
        self._line: deque[Place] = deque()
        self._changed = threading.Condition()

    def join(self) -> Place:
        """Stand at the end."""
        place = Place(self)
        with self._changed:
            self._line.append(place)
        return place

    def ahead(self, place: Place) -> int:
        """How many must end before a place has its turn."""
        with self._changed:
            return max(0, self._line.index(place) - self._n_places + 1) if place in self._line else 0

    def leave(self, place: Place) -> None:
        """Let the next one come; nothing happens if the place was left before."""
        with self._changed:
            if place in self._line:
                self._line.remove(place)
                self._changed.notify_all()

    def rest(self) -> None:
        """Wait a little, or until somebody leaves."""
        with self._changed:
            self._changed.wait(timeout=POLL_S)


class Place:
    """A place in a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def wait(self, *, stop: threading.Event, on_wait: Callable[[int], None]) -> None:
        """Wait for the turn.

        Args:
            stop: gives up when set.
            on_wait: told how many must end before, whenever that changes; never called with 0.

        Raises:
            StoppedError: ``stop`` was set.
        """
        told = 0
        while ahead := self._line.ahead(self):
            if stop.is_set():
                raise StoppedError
            if ahead != told:
                on_wait(ahead)
                told = ahead
            self._line.rest()

    def leave(self) -> None:
        """Let the next one come; nothing happens if that was done before."""
        self._line.leave(self)
