"""Jobs: checks that go on whether or not anybody listens, and can be asked about by whoever knows their id."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from space.contract import Analysis, Verdict
from space.errors import InternalError, ServiceError, StoppedError, TelltaleError
from space.service.admission import Admission, require_job_id, require_n_frames
from space.service.analyses import Models
from space.service.faults import log_fault
from space.service.reports import Reports
from space.service.runs import Run, Runner
from space.service.settings import GRACE_S, KEPT_S, ServiceSettings
from space.service.sources import Fetch, FramesSource, JobSource, LinkSource, UploadSource
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
        self._runner = Runner(
            models=models,
            fetch=fetch,
            n_downloads=settings.n_downloads,
            clock=clock,
            tell=self._tell,
            tell_preliminary=self._tell_preliminary,
        )
        self._accepting = threading.Lock()
        self._changed = threading.Condition()  # also guards what follows
        self._live: dict[str, Run] = {}  # without an end, or with one that could not be written down yet
        self._unwinding: list[Run] = []  # ended, but their threads have not noticed
        self._recover()

    def _recover(self) -> None:
        """End what a server that went down had begun: its videos and keys are gone."""
        error = store_error(ServiceError("server_restarted"))
        n_lost = self._store.end_unfinished(error, expires=self._clock() + KEPT_S)
        if n_lost:
            LOG.warning("%d unfinished checks of an earlier run ended with server_restarted", n_lost)
        self._reports.keep(self._store.done())

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
                known = self._find(job_id)
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
        expires = now + self._settings.job_limit_s + KEPT_S
        self._store.add(JobRow(job_id, caller, "accepted", 0.0, created=now, expires=expires))
        view = JobView(job_id, "accepted", 0.0, created=now, expires=expires)
        run = Run(view, n_frames, source, None if isinstance(source, LinkSource) else source.sealed)
        with self._changed:
            self._live[job_id] = run
        return run

    @property
    def n_busy(self) -> int:
        """Jobs without an end, and ended ones whose threads have not noticed."""
        with self._changed:
            return len(self._live) + len(self._unwinding)

    def _discard(self, source: JobSource | Callable[[], JobSource]) -> None:
        """Delete the video of a source that is not needed, unless it is that of a job."""
        if callable(source) or isinstance(source, LinkSource):
            return
        with self._changed:
            used = {run.sealed.id for run in (*self._live.values(), *self._unwinding) if run.sealed}
        if source.sealed.id not in used:
            source.sealed.delete()

    # --- asking -------------------------------------------------------------------------------

    def view(self, job_id: str) -> JobView:
        """A job as it is now.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``.
        """
        require_job_id(job_id)
        view = self._find(job_id)
        if view is None:
            raise ServiceError("job_unknown")
        return view

    def _find(self, job_id: str) -> JobView | None:
        with self._changed:
            run = self._live.get(job_id)
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

    def follow(self, job_id: str) -> Iterator[JobView]:
        """A job's views: the present one, each change, and a repetition where ``BEAT_S`` pass without one.

        Ends with the last view. Leaving early changes nothing for the job.

        Raises:
            ServiceError: ``bad_job_id``, ``job_unknown``.
        """
        view = self.view(job_id)
        yield view
        while not view.is_last:
            self._wait_for_change(job_id, view)
            view = self.view(job_id)
            yield view

    def _wait_for_change(self, job_id: str, seen: JobView) -> None:
        def has_changed() -> bool:
            run = self._live.get(job_id)
            return run is None or run.view is not seen

        with self._changed:
            self._changed.wait_for(has_changed, timeout=BEAT_S)

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
        with self._changed:
            run = self._live.get(job_id)
        if run is not None:
            self._end(run, "cancelled")
        return self.view(job_id)

    def watch(self, *, now: float) -> None:
        """End jobs that are past their time limit, and take the turn from those that do not notice their end.

        To be called about every second.

        Args:
            now: seconds since the epoch.
        """
        with self._changed:
            live = list(self._live.values())
            stuck = [run for run in self._unwinding if run.ended is not None and now - run.ended > GRACE_S]
        for run in live:
            limit_s = self._passed_limit(run, now)
            if limit_s is not None:
                self._end(run, "failed", ServiceError("job_timeout", limit_s=limit_s))
        for run in stuck:
            LOG.warning("a check did not notice its end; the next one begins")
            self._let_go(run)

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
        with self._changed:
            unwritten = [run for run in self._live.values() if run.ended is not None]
        for run in unwritten:
            self._write_end(run)
        expired = self._store.expired(now=now)
        for job_id in expired:
            self._reports.delete(job_id)
        self._store.delete(expired)

    def close(self) -> None:
        """Stop everything; unfinished jobs end with ``server_restarted``."""
        with self._changed:
            live = list(self._live.values())
        for run in live:
            self._end(run, "failed", ServiceError("server_restarted"))

    def _end(self, run: Run, stage: Stage, error: TelltaleError | None = None) -> bool:
        """Note how a job ended, and whether this was the first end; no other one counts."""
        with self._changed:
            if run.ended is not None:
                return False
            run.ended = self._clock()
            fraction = 1.0 if stage == "done" else run.view.fraction
            report = self._reports.read(run.view.job_id) if stage == "done" else None
            run.view = replace(
                run.view,
                stage=stage,
                fraction=fraction,
                n_ahead=None,
                error=error,
                report=report,
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

    def _let_go(self, run: Run) -> None:
        run.let_go()
        with self._changed:
            if run in self._unwinding:
                self._unwinding.remove(run)

    # --- running ------------------------------------------------------------------------------

    def _work(self, run: Run) -> None:
        """Body of a job's thread. The job must end whatever happens, so it catches everything."""
        try:
            stage, error = self._outcome(run)
            if run.sealed is not None:  # the video is gone before anybody is told of the end
                run.sealed.delete()
            counted = self._end(run, stage, error)
            if not counted and stage == "done":
                self._reports.delete(run.view.job_id)
        finally:
            self._let_go(run)

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

    def _tell(self, run: Run, stage: Stage, fraction: float, n_ahead: int | None = None) -> None:
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

    def _tell_preliminary(self, run: Run, verdict: Verdict) -> None:
        preliminary = make_preliminary(verdict)
        with self._changed:
            if run.stop.is_set():
                raise StoppedError
            self._store.change(run.view.job_id, preliminary=store_preliminary(preliminary))
            run.view = replace(run.view, preliminary=preliminary)
            self._changed.notify_all()
