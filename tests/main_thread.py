"""What a page's main thread did, from Chromium's own trace: in wall time, and in the time it really had a core."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

CATEGORIES = ["toplevel", "blink.user_timing", "__metadata"]
TASK = "ThreadControllerImpl::RunTask"
HERE = "telltale-test-here"


@dataclass(frozen=True)
class Work:
    """What was done in a span of time."""

    span_s: float
    wall_ms: float  # includes what other programs took the core for
    cpu_ms: float
    longest_ms: float  # of one task, of its own time

    @property
    def cpu_ms_per_s(self) -> float:
        return self.cpu_ms / self.span_s

    def __str__(self) -> str:
        return (
            f"{self.cpu_ms:.0f} ms in {self.span_s:.1f} s = {self.cpu_ms_per_s:.1f} ms/s"
            f" (wall {self.wall_ms / self.span_s:.1f} ms/s, longest task {self.longest_ms:.1f} ms)"
        )


@dataclass
class Recording:
    """Marks of this process's clock, which is the trace's, too."""

    page: Page
    marks: list[tuple[str, float]] = field(default_factory=list)
    _tasks: list[dict[str, Any]] = field(default_factory=list)

    def mark(self, name: str) -> None:
        """The span of this name begins, and the one before ends."""
        self.marks.append((name, time.monotonic()))

    def spans(self) -> dict[str, Work]:
        """What the page's main thread did between two marks, by the first one's name."""
        pairs = zip(self.marks, self.marks[1:], strict=False)
        return {name: self._work(start_s, end_s) for (name, start_s), (_, end_s) in pairs}

    def read(self, trace: bytes) -> None:
        events = json.loads(trace)["traceEvents"]
        here = [event for event in events if event.get("name") == HERE][-1]
        thread = (here["pid"], here["tid"])
        self._tasks = [
            event
            for event in events
            if event.get("ph") == "X" and event["name"] == TASK and (event["pid"], event["tid"]) == thread
        ]
        assert self._tasks, "this Chromium names its tasks differently"

    def _work(self, start_s: float, end_s: float) -> Work:
        tasks = [task for task in self._tasks if start_s * 1e6 <= task["ts"] < end_s * 1e6]
        own_ms = [task.get("tdur", 0) / 1e3 for task in tasks]
        return Work(end_s - start_s, sum(task["dur"] for task in tasks) / 1e3, sum(own_ms), max(own_ms, default=0.0))


@contextmanager
def record(page: Page) -> Iterator[Recording]:
    """Trace a page's process while the block runs; its spans are there afterwards."""
    browser = page.context.browser
    assert browser is not None
    recording = Recording(page)
    browser.start_tracing(page=page, categories=CATEGORIES)
    try:
        page.evaluate("(name) => performance.mark(name)", HERE)
        yield recording
        recording.mark("end")
    finally:
        trace = browser.stop_tracing()
    recording.read(trace)
