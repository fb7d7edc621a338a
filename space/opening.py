"""What a command is given, a file or a link, as a clip."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from space.contract import Clip
from space.intake import source as sources
from space.intake.links import fetch_link
from space.intake.vault import Vault
from space.settings import Limits, LinkSettings

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - where there is one, not even the encrypted video touches a disk


@contextmanager
def open_file_or_link(source: str, *, limits: Limits, progress: Callable[[float], None]) -> Iterator[Clip]:
    """Open a file, or what is behind a link; the latter is gone when the block ends.

    Args:
        progress: told how much of a link's video has come, [0, 1].

    Raises:
        SourceError: as ``open_source``.
        LinkError, InternalError: as ``fetch_link``.
    """
    if not sources.URL.match(source):
        yield sources.open_source(source, limits=limits)
        return
    parent = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="telltale-", dir=parent) as folder, Vault(Path(folder)) as vault:
        fetched = fetch_link(
            source, vault=vault, limits=limits, links=LinkSettings(), progress=progress, stop=threading.Event()
        )
        yield sources.open_sealed(fetched.sealed, limits=limits, kind="url", host=fetched.host)
