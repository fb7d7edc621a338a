"""Jobs: checks that go on whether or not anybody listens, and can be asked about by whoever knows their id."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from space.contract import Analysis
from space.errors import InternalError, ServiceError, StoppedError, TelltaleError
from space.service.admission import Admission, require_job_id, require_n_frames
from space.service.analyses import Models
from space.service.book import Book
from space.service.faults import log_fault
from space.service.reports import Reports
from space.service.runs import Run, Runner
from space.service.settings import GRACE_S, KEPT_S, ServiceSettings
from space.service.sources import Fetch, FramesSource, JobSource, LinkSource, UploadSource
from space.service.store import Store
from space.service.views import JobView, Stage

__all__ = ["FramesSource", "JobSource", "JobView", "Jobs", "LinkSource", "UploadSource"]

BEAT_S = 0.5  # a follower hears at least this often

LOG = logging.getLogger(__name__)


class Jobs:
    """Accepts, runs, remembers and forgets jobs. Safe to use from several threads.

    A job once accepted runs to its end or its time limit; only ``cancel`` stops it. Its thread runs in a copy of
    the accepting call's context: on ZeroGPU that is where the caller's quota is. Of one database there may be one
    ``Jobs`` at a time: what it finds unfinished at its start is ended.

    Args:
        fetch: gets a link's video into the vault.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: Store,
        reports: Reports,
        models: Models,
        fetch: Fetch,
        settings: ServiceSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._reports = reports
        self._settings = settings
        self._clock = clock
        self._admission = Admission(store, settings, clock=clock)
        self._book = Book(store, reports, clock=clock)
        self._runner = Runner(
            models=models,
            fetch=fetch,
            n_downloads=settings.n_downloads,
            clock=clock,
            tell=self._book.tell,
            tell_preliminary=self._book.tell_preliminary,
        )
        self._accepting = threading.Lock()
        self._book.recover()

    # --- accepting ----------------------------------------------------------------------------

    def accept(
        self,
        job_id: str,
        source: JobSource | Callable[[], JobSource],
        *,
        caller: str,
        n_frames: int | None = None,
    ) -> JobView:
        """Begin a job, or find the one that was begun under this id, by whomever.

        The source is this object's from here on: it is deleted when the job ends, and also when no job is begun.

        Args:
            job_id: 32 hex digits, chosen by the caller.
            source: or a function that gets it, called only if a job is begun.
            caller: a name of ``callers``; ``EXEMPT`` is not rate-limited.
            n_frames: to look at, ``MIN_FRAMES`` to ``MAX_FRAMES``; None: as many as usual.

        Raises:
            ServiceError: ``bad_job_id``; ``busy`` and ``rate_limited``, with ``retry_after_s``.
            RequestError: ``bad_frames``.
            TelltaleError: what ``source`` raises.
        """
        run = None
        try:
            require_job_id(job_id)
            require_n_frames(n_frames)
            with self._accepting:
                known = self._book.find(job_id)
                if known is not None:
                    return known
                self._admission.admit(caller, n_jobs=self.n_busy)
                run = self._begin(job_id, source() if callable(source) else source, caller, n_frames)
        finally:
            if run is None:
                self._discard(source)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._work, run), name="job", daemon=True).start()
        return run.view

    def _begin(self, job_id: str, source: JobSource, caller: str, n_frames: int | None) -> Run:
        now = self._clock()
        view = JobView(job_id, "accepted", 0.0, created=now, expires=now + self._settings.job_limit_s + KEPT_S)
        run = Run(view, n_frames, source, None if isinstance(source, LinkSource) else source.sealed)
        self._book.begin(run, caller=caller)
        return run

    @property
    def n_busy(self) -> int:
        """Jobs without an end, and ended ones whose threads have not noticed."""
        return len(self._book.runs()) + len(self._book.unwinding())

    def _discard(self, source: JobSource | Callable[[], JobSource]) -> None:
        """Delete the video of a source that is not needed, unless it is that of a job."""
        if callable(source) or isinstance(source, LinkSource):
            return
        used = {run.sealed.id for run in (*self._book.runs(), *self._book.unwinding()) if run.sealed}
        if source.sealed.id not in used:
            source.sealed.delete()

    # --- asking -------------------------------------------------------------------------------

    def view(self, job_id: str) -> JobView:
        """A job as it is now.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``.
        """
        require_job_id(job_id)
        view = self._book.find(job_id)
        if view is None:
            raise ServiceError("job_unknown")
        return view

    def follow(self, job_id: str) -> Iterator[JobView]:
        """A job's views: the present one, each change, and a repetition where ``BEAT_S`` pass without one.

        Ends with the last view. Leaving early changes nothing for the job.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``.
        """
        view = self.view(job_id)
        yield view
        while not view.is_last:
            self._book.wait(view, timeout_s=BEAT_S)
            view = self.view(job_id)
            yield view

    def analysis(self, job_id: str) -> Analysis:
        """A finished job's report with all its pictures.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``, ``job_unfinished``.
        """
        self._require_done(job_id)
        return self._reports.analysis(job_id)

    def picture(self, job_id: str, name: str) -> bytes:
        """A picture of a finished job's report, encoded.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``, ``job_unfinished``, ``picture_unknown``.
        """
        self._require_done(job_id)
        return self._reports.picture(job_id, name)

    def _require_done(self, job_id: str) -> None:
        if self.view(job_id).stage != "done":
            raise ServiceError("job_unfinished")

    def shared(self, job_id: str) -> Mapping[str, Any] | None:
        """What was noted when a finished job's report was shared; None if it was not.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``, ``job_unfinished``.
        """
        self._require_done(job_id)
        row = self._store.find(job_id)
        return None if row is None else row.share

    def note_share(self, job_id: str, shared: Mapping[str, Any]) -> None:
        """Remember how a job's report was shared, until the job is forgotten."""
        self._store.change(job_id, share=dict(shared))

    # --- ending -------------------------------------------------------------------------------

    def cancel(self, job_id: str) -> JobView:
        """Stop a job; one that has ended stays as it is.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``.
        """
        require_job_id(job_id)
        run = self._book.find_run(job_id)
        if run is not None:
            self._book.end(run, "cancelled")
        return self.view(job_id)

    def watch(self, *, now: float) -> None:
        """End jobs that are past their time limit, and take the turn from those that do not notice their end.

        To be called about every second.

        Args:
            now: seconds since the epoch.
        """
        for run in self._book.runs():
            limit_s = self._passed_limit(run, now)
            if limit_s is not None:
                self._book.end(run, "failed", ServiceError("job_timeout", limit_s=limit_s))
        for run in self._book.unwinding():
            if run.ended is not None and now - run.ended > GRACE_S:
                LOG.warning("a check did not notice its end; the next one begins")
                self._book.let_go(run)

    def _passed_limit(self, run: Run, now: float) -> float | None:
        settings = self._settings
        if now - run.view.created > settings.job_limit_s:
            return settings.job_limit_s
        if run.ran_from is not None and now - run.ran_from > settings.run_limit_s:
            return settings.run_limit_s
        return None

    def sweep(self, *, now: float) -> None:
        """Forget jobs that have had their time, with their reports and pictures.

        Args:
            now: seconds since the epoch.
        """
        self._book.sweep(now=now)

    def close(self) -> None:
        """Stop everything; unfinished jobs end with ``server_restarted``."""
        for run in self._book.runs():
            self._book.end(run, "failed", ServiceError("server_restarted"))

    # --- running ------------------------------------------------------------------------------

    def _work(self, run: Run) -> None:
        """Body of a job's thread. The job must end whatever happens, so it catches everything."""
        try:
            stage, error = self._outcome(run)
            if run.sealed is not None:  # the video is gone before anybody is told of the end
                run.sealed.delete()
            counted = self._book.end(run, stage, error)
            if not counted and stage == "done":
                self._reports.delete(run.view.job_id)
        finally:
            self._book.let_go(run)

    def _outcome(self, run: Run) -> tuple[Stage, TelltaleError | None]:
        try:
            analysis = self._runner.analyse(run)
            self._reports.write(run.view.job_id, analysis)
        except StoppedError:
            return "cancelled", None
        except TelltaleError as error:
            if error.exit_status == 1:
                log_fault("a check failed", error)
            return "failed", error
        except Exception as error:  # noqa: BLE001 - a thread's body: there is nobody else to catch it
            if not run.stop.is_set():  # else it stumbled over what was taken from it
                log_fault("a check failed", error)
            return "failed", InternalError("internal")
        return "done", None
