"""What a job's thread does: get the video, wait for the turn, analyse."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from space.contract import Analysis, Verdict
from space.intake.vault import Sealed
from space.service.analyses import Models, Progress, Video
from space.service.line import Line, Place
from space.service.sources import Fetch, FramesSource, JobSource, LinkSource, UploadSource
from space.service.views import JobView, Stage

DOWNLOAD_SHARE = 0.3  # of a link's job


@dataclass(eq=False)
class Run:
    """A job while it has a thread. Fields change under the lock of ``Jobs`` unless only the thread uses them."""

    view: JobView
    n_frames: int | None
    source: JobSource
    sealed: Sealed | None  # the video, as long as there is one
    stop: threading.Event = field(default_factory=threading.Event)
    place: Place | None = None  # in the line it stands in
    ran_from: float | None = None  # when its analysis began, seconds since the epoch
    ended: float | None = None  # since when its end is known

    def let_go(self) -> None:
        """Delete the video and leave the line. Nothing happens the second time."""
        if self.sealed is not None:
            self.sealed.delete()
        if self.place is not None:
            self.place.leave()


class Tell(Protocol):
    """Notes how far a job is, and raises ``StoppedError`` when it has ended meanwhile."""

    def __call__(self, run: Run, stage: Stage, fraction: float, n_ahead: int | None = None) -> None: ...  # noqa: D102


class Runner:
    """Runs jobs: one analysis at a time, downloads beside it.

    Args:
        n_downloads: at once.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        models: Models,
        fetch: Fetch,
        n_downloads: int,
        clock: Callable[[], float],
        tell: Tell,
        tell_preliminary: Callable[[Run, Verdict], None],
    ) -> None:
        self._models = models
        self._fetch = fetch
        self._clock = clock
        self._tell = tell
        self._tell_preliminary = tell_preliminary
        self._line = Line()
        self._downloads = Line(n_downloads)

    def analyse(self, run: Run) -> Analysis:
        """A job's analysis, from its source; in the job's own thread.

        Raises:
            StoppedError: the job has ended meanwhile.
            TelltaleError: no report could be made.
        """
        video = self._video(run)
        start = run.view.fraction
        run.place = self._line.join()
        run.place.wait(stop=run.stop, on_wait=lambda n_ahead: self._tell(run, "queued", start, n_ahead))
        if self._models.loaded != "yes":
            self._tell(run, "loading", start)
        analyse = self._models.get()
        run.ran_from = self._clock()

        def progress(stage: Stage, fraction: float) -> None:
            self._tell(run, stage, start + (1 - start) * fraction)

        tell: Progress = progress  # type: ignore[assignment]  # the pipeline's stages are among ours
        return analyse(
            video,
            n_frames=run.n_frames,
            progress=tell,
            on_preliminary=lambda verdict: self._tell_preliminary(run, verdict),
        )

    def _video(self, run: Run) -> Video:
        match run.source:
            case UploadSource(sealed):
                return Video(sealed, "upload")
            case FramesSource(sealed, host, capture_method):
                return Video(sealed, "frames", host, capture_method)
            case LinkSource(url):
                return self._download(run, url)

    def _download(self, run: Run, url: str) -> Video:
        run.place = self._downloads.join()
        run.place.wait(stop=run.stop, on_wait=lambda n_ahead: self._tell(run, "download", 0.0, n_ahead))
        self._tell(run, "download", 0.0)
        fetched = self._fetch(url, lambda fraction: self._tell(run, "download", DOWNLOAD_SHARE * fraction), run.stop)
        run.sealed = fetched.sealed
        run.place.leave()
        self._tell(run, "download", DOWNLOAD_SHARE)
        return Video(fetched.sealed, "url", fetched.host)
