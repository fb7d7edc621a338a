"""A decoder that a hostile file has got hold of: ``python -m tests.hostile_decoder WHAT`` misbehaves in one way.

Those that only talk nonsense import nothing of ours, so that they start at once.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SIDE = 8


# --- nonsense on the channel ------------------------------------------------------------------


def read_request() -> dict[str, Any]:
    size = struct.unpack(">I", os.read(0, 4))[0]
    data = b""
    while len(data) < size:
        data += os.read(0, size - len(data))
    request: dict[str, Any] = json.loads(data)
    return request


def send(message: object, pixels: bytes = b"") -> None:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    data = struct.pack(">I", len(data)) + data + pixels
    while data:
        data = data[os.write(1, data) :]


def clip(request: Mapping[str, Any], **changes: object) -> dict[str, object]:
    sealed, origin = request["sealed"], request["origin"]
    shape = {"container": "mp4", "codec": "h264", "duration_s": 1.0, "fps": 10.0, "width": SIDE, "height": SIDE}
    known = {"size_bytes": sealed["size_bytes"], "sha256": sealed["sha256"]}
    return {"is": "clip", "info": {**origin, **shape, **known, **changes}}


def frame(time_s: object = 0.0, **changes: object) -> dict[str, object]:
    return {"is": "frame", "time_s": time_s, "width": SIDE, "height": SIDE, **changes}


def error(kind: str, code: str, **params: object) -> dict[str, object]:
    return {"is": "error", "kind": kind, "code": code, "params": params}


PIXELS = bytes(SIDE * SIDE * 3)
FIRST = (frame(), PIXELS)
# What is said in the clip's place, and after the clip.
LIES: dict[str, Callable[[dict[str, Any]], list[object]]] = {
    "no-json": lambda _: [b"{"],
    "deep-json": lambda _: [b"[" * 60_000],
    "a-list": lambda _: [[]],
    "no-kind": lambda _: [{}],
    "another-kind": lambda _: [{"is": "dinner"}],
    "no-info": lambda _: [{"is": "clip"}],
    "other-fields": lambda _: [{"is": "clip", "info": {"a": 1}}],
    "another-checksum": lambda r: [clip(r, sha256="0" * 64)],
    "another-size": lambda r: [clip(r, size_bytes=1)],
    "another-host": lambda r: [clip(r, host="example.com")],
    "another-container": lambda r: [clip(r, container="<b>")],
    "another-codec": lambda r: [clip(r, codec="<script>")],
    "a-list-as-codec": lambda r: [clip(r, codec=[])],
    "endless": lambda r: [clip(r, duration_s=float("inf"))],
    "negative-rate": lambda r: [clip(r, fps=-1)],
    "huge-picture": lambda r: [clip(r, width=100_000, height=100_000)],
    "no-picture": lambda r: [clip(r, width=0)],
    "half-a-pixel": lambda r: [clip(r, width=1.5)],
    "unknown-error": lambda _: [error("KeyError", "unreadable")],
    "unknown-code": lambda _: [error("SourceError", "busy")],
    "words-in-an-error": lambda _: [error("SourceError", "too_large", limit_mb="call this number")],
    "another-name": lambda _: [error("SourceError", "not_found", name="call this number")],
    "no-params": lambda _: [{"is": "error", "kind": "SourceError", "code": "unreadable"}],
    "no-frames": lambda r: [clip(r), {"is": "end"}],
    "ready-again": lambda r: [clip(r), {"is": "ready"}],
    "another-frame-size": lambda r: [clip(r), (frame(width=9), bytes(9 * SIDE * 3))],
    "time-runs-back": lambda r: [clip(r), FIRST, (frame(-1.0), PIXELS)],
    "time-stands": lambda r: [clip(r), FIRST, FIRST],
    "time-is-text": lambda r: [clip(r), (frame("0"), PIXELS)],
    "half-a-frame": lambda r: [clip(r), (frame(), PIXELS[:9])],
    "frames-without-end": lambda r: [clip(r), *((frame(float(i)), PIXELS) for i in range(1000))],
}


def lie(what: str) -> None:
    request = read_request()
    send({"is": "ready"})
    for said in LIES[what](request):
        send(*(said if isinstance(said, tuple) else (said,)))
    if what == "half-a-frame":
        os.close(1)
    time.sleep(60)


def shout() -> None:
    """A message that claims to be as long as can be said."""
    read_request()
    os.write(1, b"\xff" * 8)
    time.sleep(60)


# --- a codec gone wrong -----------------------------------------------------------------------


def crash(*_: object, **__: object) -> None:
    import ctypes

    ctypes.string_at(0)


def hang(*_: object, **__: object) -> None:
    time.sleep(3600)


def spin(*_: object, **__: object) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
    while True:
        pass


def devour(*_: object, **__: object) -> None:
    """Takes all the memory it gets, and uses it."""
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 10) * (16 << 10)))


def write(*_: object, **__: object) -> None:
    """Tries to leave something on the disk."""
    place = Path("left-behind")
    with place.open("wb", 0) as file:
        place.unlink()
        try:
            n_written = file.write(b"plaintext")
        except OSError as error:
            raise RuntimeError("nothing could be written") from error
    raise RuntimeError(f"wrote {n_written} bytes")


def tell(*_: object, **__: object) -> None:
    """Shows what it was given: its environment and its arguments."""
    raise RuntimeError(json.dumps([sorted(os.environ), Path("/proc/self/cmdline").read_text()]))


def babble(*_: object, **__: object) -> None:
    """Prints where messages used to go."""
    for descriptor in (1, 2):
        os.write(descriptor, b"\x00\x00\x00\x02[]")
    raise RuntimeError("babbled")


def misbehave(what: str) -> None:
    from space.intake import decoder

    deeds = {f.__name__: f for f in (crash, hang, spin, devour, write, tell, babble)}
    when, _, deed = what.partition(":")
    if when == "measuring":
        setattr(decoder, "open_sealed", deeds[deed])  # noqa: B010 - a type checker would rightly object
    else:
        decoder._send_frame = _after_two(decoder._send_frame, deeds[deed])
    decoder.main()


def _after_two(send_frame: Callable[..., None], deed: Callable[..., None]) -> Callable[..., None]:
    n_sent = 0

    def send_or_misbehave(channel: int, frame: object) -> None:
        nonlocal n_sent
        if n_sent == 2:
            deed()
        n_sent += 1
        send_frame(channel, frame)

    return send_or_misbehave


if __name__ == "__main__":
    told = sys.argv[1]
    if told in LIES:
        lie(told)
    elif told == "shout":
        shout()
    else:
        misbehave(told)
