"""The guard in conftest: tests reach this machine and no other."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")])
def test_a_connection_elsewhere_fails_at_once(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as sock, pytest.raises(RuntimeError, match="tests stay on this machine"):
        sock.connect((host, 80))


def test_a_name_elsewhere_is_not_looked_up() -> None:
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.getaddrinfo("example.org", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((host, port), timeout=5) as client:
            assert client.getpeername()[1] == port
