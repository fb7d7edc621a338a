"""What is known of jobs: of those that run in memory and in the database, of ended ones in the database alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from space.contract import Verdict
from space.errors import ServiceError, StoppedError, TelltaleError
from space.service.faults import log_fault
from space.service.reports import Reports
from space.service.runs import Run
from space.service.settings import KEPT_S
from space.service.store import JobRow, Store
from space.service.views import (
    JobView,
    Stage,
    make_preliminary,
    restore_error,
    restore_preliminary,
    store_error,
    store_preliminary,
)

LOG = logging.getLogger(__name__)


class Book:
    """Writes down every stage of every job. Safe to use from several threads.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, store: Store, reports: Reports, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._reports = reports
        self._clock = clock
        self._changed = threading.Condition()  # also guards what follows
        self._live: dict[str, Run] = {}  # without an end, or with one that could not be written down yet
        self._unwinding: list[Run] = []  # ended, but their threads have not noticed

    def recover(self) -> None:
        """End what a server that went down had begun: its videos and keys are gone."""
        error = store_error(ServiceError("server_restarted"))
        n_lost = self._store.end_unfinished(error, expires=self._clock() + KEPT_S)
        if n_lost:
            LOG.warning("%d unfinished checks of an earlier run ended with server_restarted", n_lost)
        self._reports.keep(self._store.done())

    def begin(self, run: Run, *, caller: str) -> None:
        """Enter a new job.

        Args:
            caller: a name of ``callers``.
        """
        view = run.view
        row = JobRow(view.job_id, caller, view.stage, view.fraction, created=view.created, expires=view.expires)
        self._store.add(row)
        with self._changed:
            self._live[view.job_id] = run

    # --- asking -------------------------------------------------------------------------------

    def find(self, job_id: str) -> JobView | None:
        """A job as it is now; None if it is not known."""
        run = self.find_run(job_id)
        if run is not None:
            return run.view
        row = self._store.find(job_id)
        return None if row is None else self._restore(row)

    def _restore(self, row: JobRow) -> JobView:
        stage: Any = row.stage
        return JobView(
            job_id=row.id,
            stage=stage,
            fraction=row.fraction,
            created=row.created,
            expires=row.expires,
            preliminary=None if row.preliminary is None else restore_preliminary(row.preliminary),
            report=self._reports.read(row.id) if stage == "done" else None,
            error=None if row.error is None else restore_error(row.error),
        )

    def find_run(self, job_id: str) -> Run | None:
        """A job that is in memory."""
        with self._changed:
            return self._live.get(job_id)

    def wait(self, seen: JobView, *, timeout_s: float) -> None:
        """Wait until a job is no longer as it was seen, but not for longer than the time given."""

        def has_changed() -> bool:
            run = self._live.get(seen.job_id)
            return run is None or run.view is not seen

        with self._changed:
            self._changed.wait_for(has_changed, timeout=timeout_s)

    def runs(self) -> list[Run]:
        """Jobs that are in memory."""
        with self._changed:
            return list(self._live.values())

    def unwinding(self) -> list[Run]:
        """Ended jobs whose threads have not noticed."""
        with self._changed:
            return list(self._unwinding)

    # --- telling ------------------------------------------------------------------------------

    def tell(self, run: Run, stage: Stage, fraction: float, n_ahead: int | None = None) -> None:
        """Note how far a job is; a new stage is also written down.

        Raises:
            StoppedError: the job has ended meanwhile.
        """
        with self._changed:
            if run.stop.is_set():
                raise StoppedError
            before = run.view
            fraction = min(1.0, max(before.fraction, fraction))
            after = replace(before, stage=stage, fraction=fraction, n_ahead=n_ahead)
            if after == before:
                return
            if stage != before.stage:
                self._store.change(before.job_id, stage=stage, fraction=fraction)
            run.view = after
            self._changed.notify_all()

    def tell_preliminary(self, run: Run, verdict: Verdict) -> None:
        """Note what the first faces say.

        Raises:
            StoppedError: the job has ended meanwhile.
        """
        preliminary = make_preliminary(verdict)
        with self._changed:
            if run.stop.is_set():
                raise StoppedError
            self._store.change(run.view.job_id, preliminary=store_preliminary(preliminary))
            run.view = replace(run.view, preliminary=preliminary)
            self._changed.notify_all()

    # --- ending -------------------------------------------------------------------------------

    def end(self, run: Run, stage: Stage, error: TelltaleError | None = None) -> bool:
        """Note how a job ended, and stop it; whether this was its first end, for no other one counts."""
        with self._changed:
            if run.ended is not None:
                return False
            run.ended = self._clock()
            run.view = replace(
                run.view,
                stage=stage,
                fraction=1.0 if stage == "done" else run.view.fraction,
                n_ahead=None,
                error=error,
                report=self._reports.read(run.view.job_id) if stage == "done" else None,
                expires=run.ended + KEPT_S,
            )
            run.stop.set()
            self._unwinding.append(run)
            try:
                self._write_end(run)
            except SQLAlchemyError as fault:  # it is told of from memory, until a sweep can write it down
                log_fault("the end of a check could not be written down", fault)
            self._changed.notify_all()
        return True

    def _write_end(self, run: Run) -> None:
        """Under the lock, so that nobody looks for a job while it is neither in memory nor in the database."""
        view = run.view
        error = None if view.error is None else store_error(view.error)
        with self._changed:
            self._store.change(view.job_id, stage=view.stage, fraction=view.fraction, error=error, expires=view.expires)
            self._live.pop(view.job_id, None)

    def let_go(self, run: Run) -> None:
        """Delete a job's video and give up its turn. Nothing happens the second time."""
        run.let_go()
        with self._changed:
            if run in self._unwinding:
                self._unwinding.remove(run)

    def sweep(self, *, now: float) -> None:
        """Forget jobs that have had their time, with their reports and pictures.

        Args:
            now: seconds since the epoch.
        """
        for run in self.runs():
            if run.ended is not None:
                self._write_end(run)
        expired = self._store.expired(now=now)
        for job_id in expired:
            self._reports.delete(job_id)
        self._store.delete(expired)
