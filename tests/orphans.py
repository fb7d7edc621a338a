"""Programs that tests start must not outlive them, even where the tests are killed before they can end them."""

from __future__ import annotations

import ctypes
import shutil
import signal
import sys

SET_PARENT_DEATH_SIGNAL = 1  # linux/prctl.h


def end_with_tests() -> None:
    """Called by a program of ours: the kernel kills it once the tests that started it are gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def ending_with_tests(command: list[str]) -> list[str]:
    """The same for a program that is not ours."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command
