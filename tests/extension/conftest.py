"""One browser with the extension for all tests of this folder, a Space that answers at once, and sites to visit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.extension_browser import Rig, copy_extension, extension_rig
from tests.fake_space import FakeSpace, fake_space
from tests.fixture_sites import Sites, fixture_sites


@pytest.fixture(scope="package")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    with fixture_sites(tmp_path_factory.mktemp("media")) as found:
        yield found


@pytest.fixture(scope="package")
def server() -> Iterator[FakeSpace]:
    with fake_space() as space:
        yield space


@pytest.fixture(scope="package")
def browser(chromium_path: str, server: FakeSpace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("extension")
    extension = copy_extension(folder / "telltale", server.url)
    with extension_rig(chromium_path, extension, folder / "profile") as found:
        yield found


@pytest.fixture
def space(server: FakeSpace) -> FakeSpace:
    """As it was in the beginning."""
    server.sent.clear()
    server.uploads.clear()
    server.refusals.clear()
    server.failures.clear()
    server.asleep, server.work_s = False, 0.3
    return server


@pytest.fixture
def rig(browser: Rig, space: FakeSpace) -> Iterator[Rig]:
    """A browser whose person has agreed; it remembers nothing else."""
    browser.forget()
    browser.settings(
        space_url=space.url, consented=True, consent_sites={}, auto_check_sites=[], hover_button=False, language="en"
    )
    yield browser
    for page in [page for page in browser.context.pages if page is not browser.remote]:
        page.close()
