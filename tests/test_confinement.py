"""The process of a download: what it may not do, and what comes through its pipe."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.intake import parcels
from space.intake.parcels import MAX_BYTES, ParcelError, Parcels, send_parcel
from space.settings import PROJECT_ROOT

# Each is tried in a confined process; {folder} is writable for anybody else, {file} as well.
FORBIDDEN = {
    "write a file": "open('{folder}/new', 'wb').write(b'x')",
    "append to a file": "open('{file}', 'ab').write(b'x')",
    "truncate a file": "os.truncate('{file}', 1)",
    "write past Python's door": "os.write(descriptor, b'x')",
    "write to memory with a file's face": "os.write(os.memfd_create('x'), b'x')",
    "make a folder": "os.mkdir('{folder}/new')",
    "make a temporary file": "tempfile.TemporaryFile()",
    "rename a file": "os.rename('{file}', '{file}2')",
    "delete a file": "os.remove('{file}')",
    "start a program": "subprocess.run(['/bin/true'])",
    "start a shell": "os.system('true')",
    "fork": "os.fork()",
    "replace itself": "os.execv('/bin/true', ['true'])",
    "connect past the guard": "socket.create_connection(('127.0.0.1', {other_port}))",
    "look up a name": "socket.getaddrinfo('example.org', 80)",
    "send a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "take all memory": "bytearray(2 << 30)",
}
ALLOWED = {
    "read a file": "open('{file}', 'rb').read()",
    "write to a pipe": "os.write(1, b'')",
    "connect to the guard": "socket.create_connection(('127.0.0.1', {port})).close()",
}
SCRIPT = """
import json, os, socket, subprocess, sys, tempfile
from space.intake.confinement import confine
tasks, file, port = json.loads(sys.stdin.read())
descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
confine(proxy_port=port, cpu_seconds=20)
said = {}
for name, task in tasks.items():
    try:
        exec(task)
        said[name] = None
    except (OSError, MemoryError) as error:
        said[name] = type(error).__name__
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What came of each task in a confined process."""
    folder = tmp_path_factory.mktemp("room")
    file = folder / "file"
    file.write_bytes(b"as it was")
    with socket.create_server(("127.0.0.1", 0)) as guard, socket.create_server(("127.0.0.1", 0)) as other:
        places = {"folder": folder, "file": file, "port": guard.getsockname()[1], "other_port": other.getsockname()[1]}
        tasks = {name: task.format(**places) for name, task in {**FORBIDDEN, **ALLOWED}.items()}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps([tasks, str(file), places["port"]]),
            capture_output=True,
            check=True,
            cwd=PROJECT_ROOT,
            text=True,
        )
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert file.read_bytes() == b"as it was"
    result: dict[str, str | None] = json.loads(done.stdout)
    return result


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's locks are Linux's")
@pytest.mark.parametrize("task", FORBIDDEN)
def test_a_confined_process_may_not(said: dict[str, str | None], task: str) -> None:
    assert said[task] in {
        "PermissionError",
        "OSError",
        "MemoryError",
        "FileNotFoundError",
    }  # the last: no folder will do


@pytest.mark.parametrize("task", ALLOWED)
def test_a_confined_process_may(said: dict[str, str | None], task: str) -> None:
    assert said[task] is None


def test_the_door_for_links_does_not_load_what_it_confines() -> None:
    script = "import sys, space.intake.links; sys.exit('yt_dlp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=PROJECT_ROOT).returncode == 0


# --- parcels ----------------------------------------------------------------------------------

KINDS = st.sampled_from(sorted(parcels.KINDS))


@given(
    sent=st.lists(st.tuples(KINDS, st.binary(max_size=50))), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20)
)
def test_parcels_arrive_however_the_pipe_cuts_them(sent: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    pipe = io.BytesIO()
    for kind, payload in sent:
        send_parcel(pipe, kind, payload)
    pipe.seek(0)
    received = Parcels()
    came: list[tuple[bytes, bytes]] = []
    while piece := pipe.read(cuts[len(came) % len(cuts)]):
        came += received.take(piece)
    assert came == sent


def test_a_long_payload_travels_in_several_parcels() -> None:
    pipe = io.BytesIO()
    payload = bytes(range(256)) * (MAX_BYTES // 100)
    send_parcel(pipe, parcels.DATA, payload)
    came = list(Parcels().take(pipe.getvalue()))
    assert len(came) == 3
    assert b"".join(piece for _, piece in came) == payload


@pytest.mark.parametrize("junk", [b"hello", parcels.HEADER.pack(b"d", MAX_BYTES + 1), parcels.HEADER.pack(b"?", 1)])
def test_what_is_no_parcel_is_refused(junk: bytes) -> None:
    with pytest.raises(ParcelError):
        list(Parcels().take(junk))
