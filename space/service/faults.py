"""What is written down when the fault is ours: where it happened, never what it was about."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator

from space.errors import TelltaleError

LOG = logging.getLogger("space.service")


def log_fault(what: str, error: BaseException) -> None:
    """Log an exception with its causes: their kinds, and the lines of code they went through.

    Messages stay out: a library may have put a link or a file's name into one.
    """
    LOG.error("%s\n%s", what, "\n".join(_describe(cause) for cause in _chain(error)))


def _describe(error: BaseException) -> str:
    kind = type(error).__name__
    code = f" ({error.code})" if isinstance(error, TelltaleError) else ""
    return f"{kind}{code}\n{''.join(traceback.format_tb(error.__traceback__))}".rstrip()


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
