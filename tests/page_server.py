"""The page for tests, in a process of its own: all of it is real, but links may lead to this machine.

Started by ``tests/test_page_browser.py`` as ``python -m tests.page_server``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from space.errors import LinkError
from space.intake.links import FetchedLink
from space.service.page import page
from space.service.service import Service, open_service
from tests.orphans import end_with_tests


@contextmanager
def open_with_local_links(*args: Any, **kwargs: Any) -> Iterator[Service]:
    """A service whose guard lets loopback through; what it says of links that lead nowhere stays."""

    def fetch(url: str, progress: Callable[[float], None], stop: threading.Event) -> FetchedLink:
        answer = httpx.get(url, timeout=30)
        if answer.status_code != 200:
            raise LinkError("gone")
        with service.vault.writer(max_bytes=service.choices.limits.max_bytes) as writer:
            progress(0.5)
            writer.write(answer.content)
            return FetchedLink(writer.seal(), urlsplit(url).hostname or "")

    with open_service(*args, fetch=fetch, **kwargs) as service:
        yield service


if __name__ == "__main__":
    end_with_tests()
    page.open_service = open_with_local_links  # type: ignore[assignment]
    page.open_page()
