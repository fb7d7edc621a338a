"""What a download's process may not do, said before it loads anything.

Two locks. The kernel's: no file grows by a single byte, memory and processor time are bounded. Python's own,
an audit hook: no connection but to the guard, no program started, no file opened for writing. A hook cannot
be taken off again. It is no wall against native code, but the code it holds is Python.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

from space.settings import MIB

MAX_MEMORY_BYTES = 1024 * MIB  # address space: the interpreter, yt-dlp, and a stream's piece a few times over
MAX_FILES = 64  # open at once
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = frozenset(
    "os.chmod os.exec os.fork os.forkpty os.link os.mkdir os.posix_spawn os.remove os.rename os.rmdir os.symlink "
    "os.system os.truncate pty.spawn shutil.copyfile shutil.move socket.bind socket.sendmsg socket.sendto "
    "subprocess.Popen tempfile.mkdtemp tempfile.mkstemp".split()
)


def confine(*, proxy_port: int, cpu_seconds: int) -> None:
    """Confine this process, for the rest of its life.

    Args:
        proxy_port: on 127.0.0.1, the only place it may connect to.
        cpu_seconds: of processor time; beyond it the kernel kills the process.
    """
    _limit(resource.RLIMIT_FSIZE, 0)  # pipes are no files: the video still goes out
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_NOFILE, MAX_FILES)
    if sys.platform == "linux":  # elsewhere the kernel refuses it or does not care
        _limit(resource.RLIMIT_AS, MAX_MEMORY_BYTES)
    sys.addaudithook(_make_hook(("127.0.0.1", proxy_port)))


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _make_hook(proxy: tuple[str, int]) -> Any:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            raise PermissionError(f"{event} is not allowed here")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            raise PermissionError("no file is written here")
        if event == "socket.connect" and arguments[1] != proxy:
            raise PermissionError("connections go through the guard")
        if event == "socket.getaddrinfo" and arguments[:2] != proxy:
            raise PermissionError("names are looked up by the guard")

    return hook
