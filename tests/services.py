"""Services to test: real vault, database and files in a temporary folder; analyses that do as they are told."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from space.contract import Analysis, Verdict
from space.intake.links import FetchedLink
from space.intake.vault import Sealed, Vault
from space.service.analyses import Analyse, Models, Progress, Video
from space.service.callers import EXEMPT
from space.service.jobs import Jobs, UploadSource
from space.service.reports import Reports
from space.service.settings import ServiceSettings
from space.service.sources import Fetch
from space.service.store import Store, sqlite_url
from space.service.views import JobView
from tests.analyses import make_analysis

ANALYSIS = make_analysis("little")
PATIENCE_S = 20.0
PLAINTEXT = b"plaintext of a video " * 8000  # more than a segment of the vault
STEPS = (("source", 0.0), ("frames", 0.1), ("faces", 0.2), ("scores", 0.5), ("verdict", 0.85), ("pictures", 0.9))


def new_id() -> str:
    return secrets.token_hex(16)


class Clock:
    """Time that passes only when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def walk(
    video: Video, *, n_frames: int | None, progress: Progress, on_preliminary: Callable[[Verdict], None]
) -> Analysis:
    """An analysis that reads its video and goes through all stages."""
    with video.sealed.open() as stream:
        assert stream.read()
    for stage, fraction in STEPS:
        progress(stage, fraction)
        if stage == "scores":
            on_preliminary(ANALYSIS.report.verdict)
    return ANALYSIS


class Gate:
    """An analysis that waits at a stage until it is let through.

    Args:
        notices: whether it looks, while it waits, if it is to stop.
    """

    def __init__(self, stage: str = "faces", *, notices: bool = True) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._stage = stage
        self._notices = notices

    def __call__(
        self, video: Video, *, n_frames: int | None, progress: Progress, on_preliminary: Callable[[Verdict], None]
    ) -> Analysis:
        def wait(stage: str, fraction: float) -> None:
            progress(stage, fraction)
            if stage != self._stage:
                return
            self.reached.set()
            deadline = time.monotonic() + PATIENCE_S
            while not self.opened.wait(0.02):
                assert time.monotonic() < deadline
                if self._notices:
                    progress(stage, fraction)

        return walk(video, n_frames=n_frames, progress=wait, on_preliminary=on_preliminary)


def no_fetch(url: str, progress: Callable[[float], None], stop: threading.Event) -> FetchedLink:
    raise AssertionError("no link is to be fetched")


def seal(vault: Vault, content: bytes = PLAINTEXT) -> Sealed:
    with vault.writer(max_bytes=len(content)) as writer:
        writer.write(content)
        return writer.seal()


@dataclass
class World:
    """A service's parts, and what is needed to look at them."""

    data: Path
    clock: Clock
    vault: Vault
    store: Store
    reports: Reports
    jobs: Jobs
    sealed: list[Sealed] = field(default_factory=list)

    def seal(self, content: bytes = PLAINTEXT) -> Sealed:
        self.sealed.append(seal(self.vault, content))
        return self.sealed[-1]

    def begin(self, job_id: str | None = None, *, caller: str = EXEMPT) -> str:
        """Begin the check of an upload; its job's id."""
        job_id = job_id or new_id()
        self.jobs.accept(job_id, UploadSource(self.seal()), caller=caller)
        return job_id

    def n_videos(self) -> int:
        return len(list((self.data / "vault").iterdir()))

    def end(self, job_id: str) -> JobView:
        return end_of(self.jobs, job_id)


@contextmanager
def open_world(
    data: Path,
    analyse: Analyse = walk,
    *,
    prepare: Callable[[], Analyse] | None = None,
    fetch: Fetch = no_fetch,
    settings: ServiceSettings | None = None,
    clock: Clock | None = None,
) -> Iterator[World]:
    clock = clock or Clock()
    data.mkdir(exist_ok=True)
    store = Store(sqlite_url(data / "jobs.sqlite"))
    reports = Reports(data / "reports")
    with Vault(data / "vault", clock=clock) as vault:
        jobs = Jobs(
            store=store,
            reports=reports,
            models=Models(prepare or (lambda: analyse)),
            fetch=fetch,
            settings=settings or ServiceSettings(),
            clock=clock,
        )
        try:
            yield World(data, clock, vault, store, reports, jobs)
        finally:
            jobs.close()
            store.close()


def end_of(jobs: Jobs, job_id: str) -> JobView:
    """The last view of a job."""
    deadline = time.monotonic() + PATIENCE_S
    for view in jobs.follow(job_id):
        assert time.monotonic() < deadline, f"still {view.stage}"
        if view.is_last:
            return view
    raise AssertionError("a series of views without an end")


def until(condition: Callable[[], Any], *, limit_s: float = PATIENCE_S) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def bytes_below(folder: Path) -> bytes:
    """All that lies in a folder, names included."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return b"\n".join(str(path.relative_to(folder)).encode() + b"\n" + path.read_bytes() for path in files)
