"""Who may begin a job, and with what."""

from __future__ import annotations

import re
from collections.abc import Callable

from space.errors import RequestError, ServiceError
from space.service.callers import EXEMPT
from space.service.settings import ServiceSettings
from space.service.store import Store
from space.settings import MAX_FRAMES, MIN_FRAMES

BUSY_RETRY_S = 60
RUNNING_RETRY_S = 15  # for a caller whose earlier job has not ended
JOB_ID = re.compile(r"[0-9a-f]{32}")


def require_job_id(job_id: str) -> None:
    """Refuse what is no id of a job.

    Raises:
        ServiceError: ``bad_job_id``.
    """
    if not JOB_ID.fullmatch(job_id):
        raise ServiceError("bad_job_id")


def require_n_frames(n_frames: int | None) -> None:
    """Refuse a number of frames out of range; None is as many as usual.

    Raises:
        RequestError: ``bad_frames``.
    """
    if n_frames is not None and not MIN_FRAMES <= n_frames <= MAX_FRAMES:
        raise RequestError("bad_frames", n_frames=n_frames, minimum=MIN_FRAMES, maximum=MAX_FRAMES)


class Admission:
    """The size of the queue and the rate limits.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, store: Store, settings: ServiceSettings, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def admit(self, caller: str, *, n_jobs: int) -> None:
        """Refuse a job that is one too many.

        Args:
            caller: a name of ``callers``; ``EXEMPT`` is not rate-limited.
            n_jobs: that wait or run.

        Raises:
            ServiceError: ``busy``, ``rate_limited``, with ``retry_after_s``.
        """
        if n_jobs >= self._settings.max_jobs:
            raise ServiceError("busy", retry_after_s=BUSY_RETRY_S)
        if caller != EXEMPT:
            self._limit(caller)

    def _limit(self, caller: str) -> None:
        settings, now = self._settings, self._clock()
        calls = self._store.calls_since(caller, since=now - settings.window_s)
        if len(calls) >= settings.jobs_per_window:
            wait_s = calls[-settings.jobs_per_window] + settings.window_s - now
            raise ServiceError("rate_limited", retry_after_s=int(wait_s) + 1)
        if self._store.n_unfinished(caller) >= settings.jobs_at_once:
            raise ServiceError("rate_limited", retry_after_s=RUNNING_RETRY_S)
