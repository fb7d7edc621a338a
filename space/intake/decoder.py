"""The child process that takes hostile media apart; started by ``isolated`` as ``python -m space.intake.decoder``.

It reads one request from its standard input and answers on its standard output. A message is four bytes of
length, big-endian, and a JSON object of that length; after a frame's come its pixels. It imports what decoding
needs and nothing else, writes no file, and ends when its parent does.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import threading
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from space.contract import Frame
from space.errors import SourceError, TelltaleError
from space.intake.frames import sample_frames
from space.intake.sealed import SealedHandle
from space.intake.source import open_sealed
from space.settings import Limits

STDIN, STDOUT, STDERR = range(3)
MAX_FAULT_CHARS = 4000


def main() -> None:
    """Answer one request and exit."""
    size = struct.unpack(">I", _read_exactly(4))[0]
    request = json.loads(_read_exactly(size))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    channel = os.dup(STDOUT)
    confine(memory_bytes=request["memory_bytes"], cpu_s=request["cpu_s"])
    answer(channel, request)
    os._exit(0)  # at once: neither the thread nor a library's own end matters any more


def confine(*, memory_bytes: int, cpu_s: int) -> None:
    """Take away from this process what decoding does not need.

    A crash must not leave a picture of the memory on a disk. A limit of 1 byte means: no dump, not even to a
    program that asks for them, which a limit of 0 does not stop (Linux, fs/coredump.c).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (STDOUT, STDERR):  # nothing but messages gets out
        os.dup2(silence, descriptor)


def answer(channel: int, request: Mapping[str, Any]) -> None:
    """Send "ready", the clip, its frames, and "end"; or "error" for what it is refused with, "fault" for ours."""
    _send(channel, {"is": "ready"})
    try:
        _send_clip(channel, request)
        _send(channel, {"is": "end"})
    except TelltaleError as error:
        _send_error(channel, error)
    except MemoryError:
        _send_error(channel, SourceError("unreadable"))
    except BrokenPipeError:  # nobody wants the rest
        return
    except Exception:  # noqa: BLE001 - the process's last frame: the parent raises it anew
        _send(channel, {"is": "fault", "details": traceback.format_exc()[-MAX_FAULT_CHARS:]})


def _send_clip(channel: int, request: Mapping[str, Any]) -> None:
    limits = Limits(**request["limits"])
    sealed = request["sealed"]
    handle = SealedHandle(**{**sealed, "path": Path(sealed["path"]), "key": bytes.fromhex(sealed["key"])})
    clip = open_sealed(handle, limits=limits, **request["origin"])
    frames = sample_frames(clip, request["n_frames"], limits=limits)
    _send(channel, {"is": "clip", "info": asdict(clip.info)})
    for frame in frames:
        _send_frame(channel, frame)


# --- messages ---------------------------------------------------------------------------------


def _send_frame(channel: int, frame: Frame) -> None:
    height, width = frame.image.shape[:2]
    _send(channel, {"is": "frame", "time_s": frame.time_s, "width": width, "height": height})
    _write(channel, frame.image.data.cast("B"))


def _send_error(channel: int, error: TelltaleError) -> None:
    _send(channel, {"is": "error", "kind": type(error).__name__, "code": error.code, "params": dict(error.params)})


def _send(channel: int, message: Mapping[str, object]) -> None:
    data = json.dumps(message).encode()
    _write(channel, memoryview(struct.pack(">I", len(data)) + data))


def _write(channel: int, data: memoryview) -> None:
    while data:
        data = data[os.write(channel, data) :]


def _read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(STDIN, size - len(data))
        if not piece:
            raise EOFError("the request is cut off")
        data += piece
    return data


def _end_with_parent() -> None:
    """The parent says nothing more, so that what can be read is its end."""
    os.read(STDIN, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
