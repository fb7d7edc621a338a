"""What a job checks, and where it comes from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from space.intake.links import FetchedLink
from space.intake.vault import Sealed


@dataclass(frozen=True)
class UploadSource:
    """A file somebody sent."""

    sealed: Sealed


@dataclass(frozen=True)
class LinkSource:
    """A link to a video, or to a page with one."""

    url: str = field(repr=False)


@dataclass(frozen=True)
class FramesSource:
    """Frames the extension took from a page, packed as ``intake.captured`` does."""

    sealed: Sealed
    host: str | None
    capture_method: str


JobSource = UploadSource | LinkSource | FramesSource
Fetch = Callable[[str, Callable[[float], None], threading.Event], FetchedLink]  # url, progress in [0, 1], stop
