"""What the page holds of a person, where, and for how long.

Gradio writes an upload into its folder, where whoever knows the path may read it, and forgets one that broke off.
So the folder is the page's own, an upload leaves it the moment its check begins, and whatever else stays is swept.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from space.errors import SourceError

SWEEP_S = 60
MAX_AGE_S = 30 * 60 - SWEEP_S  # so that nothing is older than 30 minutes when it goes

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """An upload during its check: gone when the block ends. A context manager."""

    path: Path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Storage:
    """A folder that is the page's own."""

    root: Path

    @property
    def uploads(self) -> Path:
        """Where Gradio writes uploads."""
        return self.root / "uploads"

    @property
    def held(self) -> Path:
        """Where an upload lies during its check; nothing here can be asked for over HTTP."""
        return self.root / "held"

    def claim(self, path: str) -> Held:
        """Take an upload out of Gradio's folder.

        Args:
            path: as the browser sends it, so it may be anything.

        Raises:
            SourceError: ``not_found``: no upload lies there.
        """
        upload = Path(path)
        try:
            is_upload = upload.is_file() and upload.resolve().is_relative_to(self.uploads.resolve())
        except (OSError, ValueError):  # too long for a path, or holds a null byte
            is_upload = False
        if not is_upload or upload.is_symlink():
            raise SourceError("not_found", name=upload.name)
        held = Held(self.held / secrets.token_hex(16))
        upload.rename(held.path)
        with suppress(OSError):  # another upload of the same content lies in it
            upload.parent.rmdir()
        return held

    def sweep(self, *, now: float) -> None:
        """Delete files older than ``MAX_AGE_S``.

        Args:
            now: seconds since the epoch.
        """
        for path in self.root.rglob("*"):
            with suppress(FileNotFoundError):  # its check ended in the meantime
                if path.is_file() and now - path.lstat().st_ctime > MAX_AGE_S:
                    path.unlink()


@contextmanager
def open_storage() -> Iterator[Storage]:
    """A new folder, readable by this account alone, deleted with all it holds at the end."""
    with tempfile.TemporaryDirectory(prefix="telltale-", dir=os.environ.get("GRADIO_TEMP_DIR")) as folder:
        storage = Storage(Path(folder))
        storage.uploads.mkdir()
        storage.held.mkdir()
        yield storage


@contextmanager
def sweeping(*sweeps: Callable[[float], None]) -> Iterator[None]:
    """Call functions with the time, every ``SWEEP_S`` seconds, for the length of the block."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(SWEEP_S):
            for sweep in sweeps:
                try:
                    sweep(time.time())
                except Exception:  # the next round may succeed, and must take place
                    LOG.exception("a sweep failed")

    threading.Thread(target=run, name="sweep", daemon=True).start()
    try:
        yield
    finally:
        done.set()
