"""A check as a series of events, in a thread of its own, one at a time, stoppable."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from space.contract import Analysis
from space.errors import InternalError, TelltaleError
from space.service.page.turns import LineFullError, StoppedError, Turns
from space.settings import Settings

MAX_WAITING = 8
BEAT_S = 0.5  # a silent stage repeats its last event this often, so that a person who left is noticed

Progress = Callable[[str, float], None]  # stage, fraction of the whole check in [0, 1]
Analyse = Callable[[Path, Progress], Analysis]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """Others come first."""

    n_ahead: int


@dataclass(frozen=True)
class Loading:
    """The models are being loaded."""


@dataclass(frozen=True)
class Working:
    """The check runs."""

    stage: str  # a stage of shared/verdicts.json
    fraction: float  # of the whole check, [0, 1]


@dataclass(frozen=True)
class Finished:
    """A report was made. Last."""

    analysis: Analysis


@dataclass(frozen=True)
class Failed:
    """No report was made. Last."""

    error: TelltaleError


@dataclass(frozen=True)
class Busy:
    """Too many are waiting; nothing was begun. Last."""


@dataclass(frozen=True)
class Stopped:
    """The check was stopped. Last."""


Event = Waiting | Loading | Working | Finished | Failed | Busy | Stopped
LAST = (Finished, Failed, Busy, Stopped)


class Checker:
    """Runs checks one after the other.

    Args:
        prepare: loads the models and returns the analysis; called once, and again only after it failed.
        max_waiting: checks that may wait for the running one.
    """

    def __init__(self, prepare: Callable[[], Analyse], *, max_waiting: int = MAX_WAITING) -> None:
        self._prepare = prepare
        self._prepared: Analyse | None = None
        self._loading = threading.Lock()
        self._turns = Turns(max_waiting)
        self._stops: dict[str, threading.Event] = {}

    def warm_up(self) -> None:
        """Load the models in the background; a failure is logged here and told to each check that meets it."""
        threading.Thread(target=self._warm_up, name="load-models", daemon=True).start()

    def _warm_up(self) -> None:
        try:
            self._analyse()
        except Exception:
            LOG.exception("the models could not be loaded")

    def _analyse(self) -> Analyse:
        with self._loading:
            if self._prepared is None:
                self._prepared = self._prepare()
            return self._prepared

    def check(self, source: AbstractContextManager[Path], *, job: str) -> Iterator[Event]:
        """Check a source; the last event is one of ``LAST``.

        The source is entered and left in the check's own thread: it is left when the check has ended,
        whether or not anybody still listens. Closing the iterator stops the check.

        Args:
            source: gives the file's path for as long as the check needs it.
            job: a name by which the check can be stopped.
        """
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        stop = self._stops[job] = threading.Event()
        try:
            threading.Thread(target=self._run, args=(source, stop, events.put), name="check", daemon=True).start()
            yield from _listen(events, stop)
        finally:
            stop.set()
            self._stops.pop(job, None)

    def stop(self, job: str) -> None:
        """Stop a check; nothing happens if it is over."""
        stop = self._stops.get(job)
        if stop is not None:
            stop.set()

    def _run(self, source: AbstractContextManager[Path], stop: threading.Event, tell: Callable[[Event], None]) -> None:
        """Body of a check's thread. It must end with a last event whatever happens, so it catches everything."""

        def progress(stage: str, fraction: float) -> None:
            if stop.is_set():
                raise StoppedError
            tell(Working(stage, fraction))

        try:
            with source as path, self._turns.turn(stop=stop, on_wait=lambda n_ahead: tell(Waiting(n_ahead))):
                tell(Loading())
                analyse = self._analyse()
                last: Event = Finished(analyse(path, progress))
        except LineFullError:
            last = Busy()
        except StoppedError:
            last = Stopped()
        except TelltaleError as error:
            LOG.info("a check ended with %s", error.code)
            last = Failed(error)
        except Exception:
            LOG.exception("a check failed")
            last = Failed(InternalError("internal"))
        tell(last)


def _listen(events: queue.SimpleQueue[Event], stop: threading.Event) -> Iterator[Event]:
    event: Event | None = None
    while not isinstance(event, LAST):
        try:
            event = events.get(timeout=BEAT_S)
        except queue.Empty:
            event = Stopped() if stop.is_set() else event
        if event is not None:
            yield event


def pipeline(settings: Settings, folder: Path | None = None) -> Analyse:
    """Load an ensemble for the pipeline.

    Args:
        folder: holds ``ensemble.json`` and its members; None: the shipped ones.

    Raises:
        TelltaleError: the weights cannot be used.
    """
    from space.analysis.pipeline import check_file
    from space.models.weights import SHIPPED, load_ensemble

    ensemble = load_ensemble(settings.members, folder=folder or SHIPPED)

    def analyse(path: Path, progress: Progress) -> Analysis:
        return check_file(path, settings=settings, ensemble=ensemble, progress=progress)

    return analyse
