"""What every test relies on: no network, few threads, repeatable examples, and the data where it is there."""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Before anything imports torch, OpenBLAS, Gradio or the hub: they read these once. One thread makes
# sums, and so golden scores, repeatable.
os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MPLBACKEND="Agg",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
)

import pytest
from hypothesis import settings

from tests.page_rig import page, page_browser, page_server  # noqa: F401 - fixtures of several modules

PROJECT = Path(__file__).parents[1]
SHARED_DATA = PROJECT.parent / "shared" / "data"

# Examples are drawn from a fixed seed: a change is judged by its own faults. No deadline: the machine may be shared.
settings.register_profile("telltale", deadline=None, derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("telltale")


# --- no network -------------------------------------------------------------------------------------

_network_allowed = False


def _is_here(host: object) -> bool:
    if not host or host == "localhost":
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_network(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook sees every connection of this process, whichever library opens it."""
    if _network_allowed or event not in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        return
    address = args[0] if event == "socket.getaddrinfo" else args[1]
    host = address[0] if isinstance(address, tuple) else address
    is_unix_socket = event != "socket.getaddrinfo" and not isinstance(address, tuple)
    if not is_unix_socket and not _is_here(host):
        raise RuntimeError(f"a test tried to reach {host!r}: tests stay on this machine unless marked 'network'")


sys.addaudithook(_refuse_network)


@pytest.fixture(autouse=True)
def _offline(request: pytest.FixtureRequest) -> Iterator[None]:
    global _network_allowed  # noqa: PLW0603 - an audit hook cannot be removed, only told
    _network_allowed = request.node.get_closest_marker("network") is not None
    yield
    _network_allowed = False


@pytest.fixture(autouse=True)
def _usual_scheduling() -> Iterator[None]:
    """No test may leave this process in another scheduling class: what later ones start would inherit it."""
    policy = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == policy


# --- data and browser -------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they ask for, before ``-m`` chooses among them; what takes longest begins."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        for fixture, marker in (("shared_data", "data"), ("chromium_path", "browser")):
            if fixture in fixtures:
                item.add_marker(marker)
    items.sort(key=lambda item: _rank(_share_of(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker has the extension's browser, one the page's; the other files go to whoever is free.

    Not by xdist's own groups: it writes them into ids that pytest 9 no longer lets it change.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _share_of(nodeid)

    return Scheduling(config, log)


LONGEST_FIRST = ("extension's browser", "page's browser")  # a browser is shared by all tests of its kind


@cache
def _share_of_file(file: str) -> str:
    source = (PROJECT / file).read_text(encoding="utf-8")
    if "mark.browser" not in source and "chromium_path" not in source and not file.startswith("tests/extension/"):
        return file
    return LONGEST_FIRST["extension" not in file]


def _rank(share: str) -> int:
    return LONGEST_FIRST.index(share) if share in LONGEST_FIRST else len(LONGEST_FIRST)


def _share_of(nodeid: str) -> str:
    return _share_of_file(nodeid.partition("::")[0])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of faces and clips beside the checkout; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no ../shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Debian's Chromium, for Playwright's ``executable_path``; the test is skipped where it is absent."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine")
    return path
