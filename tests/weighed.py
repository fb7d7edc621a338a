"""A child process whose memory is noted until it is gone."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class Weighed(subprocess.Popen):  # type: ignore[type-arg]
    """Notes its peak memory in bytes, again and again: what the system counts for all children says nothing of one."""

    def __init__(self, peaks: list[int], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._peaks = peaks
        threading.Thread(target=self._weigh).start()

    def _weigh(self) -> None:
        with suppress(OSError, IndexError):  # gone, or without memory
            while True:
                status = Path(f"/proc/{self.pid}/status").read_text()
                self._peaks.append(int(status.split("VmHWM:")[1].split()[0]) * 1024)
                time.sleep(0.002)
