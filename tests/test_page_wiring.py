"""How the page is put together: uploads, headers, events, launch."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import Analysis
from space.errors import SourceError
from space.service.page.checks import Checker, Progress
from space.service.page.headers import HEADERS, PrivacyHeaders
from space.service.page.html import EXAMPLES
from space.service.page.page import EXAMPLES_FOLDER, Handlers, build_page, forget_sessions, launch_options
from space.service.page.storage import MAX_AGE_S, SWEEP_S, Storage, open_storage, sweeping
from space.settings import Settings
from tests.analyses import make_analysis


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path)
    storage.uploads.mkdir()
    storage.held.mkdir()
    return storage


def upload(storage: Storage, name: str = "abc", content: bytes = b"a clip") -> Path:
    path = storage.uploads / "0123abcd" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


# --- uploads ----------------------------------------------------------------------------------


def test_an_upload_leaves_its_folder_when_its_check_begins_and_goes_when_it_ends(storage: Storage) -> None:
    path = upload(storage)
    with storage.claim(str(path)) as held:
        assert held.read_bytes() == b"a clip"
        assert held.parent == storage.held
        assert list(storage.uploads.rglob("*")) == []
    assert [p for p in storage.root.rglob("*") if p.is_file()] == []


def test_an_upload_goes_when_its_check_fails(storage: Storage) -> None:
    held = storage.claim(str(upload(storage)))
    with pytest.raises(RuntimeError), held:
        raise RuntimeError
    assert not held.path.exists()


def test_the_same_content_can_be_uploaded_twice(storage: Storage) -> None:
    first, second = upload(storage, "abc"), upload(storage, "def")
    with storage.claim(str(first)), storage.claim(str(second)) as held:
        assert held.read_bytes() == b"a clip"


def outside(storage: Storage) -> Iterator[str]:
    secret = storage.root / "secret"
    secret.write_bytes(b"not yours")
    yield str(secret)
    yield str(storage.uploads / ".." / "secret")
    yield str(storage.uploads)
    yield str(storage.uploads / "missing")
    link = storage.uploads / "link"
    link.symlink_to(secret)
    yield str(link)
    inside = storage.uploads / "inside"
    inside.symlink_to(upload(storage))
    yield str(inside)
    yield from ("", ".", "/etc/passwd", "\0", "a" * 5000, "https://example.org/clip.mp4", "file:///etc/passwd")


def test_only_uploads_can_be_claimed(storage: Storage) -> None:
    for path in outside(storage):
        with pytest.raises(SourceError) as error:
            storage.claim(path)
        assert error.value.code == "not_found", path
    assert (storage.root / "secret").read_bytes() == b"not yours"


@given(path=st.text())
def test_whatever_a_browser_names_nothing_else_is_taken(path: str) -> None:
    with open_storage() as storage, pytest.raises(SourceError):
        storage.claim(path)


def test_what_is_left_behind_is_swept(storage: Storage) -> None:
    left, held = upload(storage), storage.held / "crashed"
    held.write_bytes(b"")
    now = time.time()
    storage.sweep(now=now + MAX_AGE_S - 5)
    assert left.exists()
    assert held.exists()
    storage.sweep(now=now + MAX_AGE_S + 5)
    assert not left.exists()
    assert not held.exists()


def test_nothing_grows_older_than_promised() -> None:
    assert MAX_AGE_S + SWEEP_S <= 30 * 60


def test_storage_is_private_and_goes_with_all_it_holds() -> None:
    with open_storage() as storage:
        upload(storage)
        assert storage.root.stat().st_mode & 0o077 == 0
    assert not storage.root.exists()


def test_storage_lies_where_uploads_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with open_storage() as storage:
        assert storage.root.parent == tmp_path


def test_sweeping_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("space.service.page.storage.SWEEP_S", 0.01)
    times: list[float] = []

    def sweep(now: float) -> None:
        times.append(now)
        if len(times) == 1:
            raise OSError("busy")

    with sweeping(sweep):
        deadline = time.monotonic() + 10
        while len(times) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(times) >= 3
    assert times == sorted(times)
    assert "OSError: busy" in caplog.text


# --- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [None, "default-src 'none'"])
def test_every_answer_keeps_the_page_to_itself(own: str | None) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-security-policy", own.encode())] if own else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(PrivacyHeaders(app)({"type": "http"}, lambda: None, send))  # type: ignore[arg-type]
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert headers["content-security-policy"] == (own or HEADERS["Content-Security-Policy"])
    assert headers["referrer-policy"] == "no-referrer"
    assert sent[1] == {"type": "http.response.body", "body": b"x"}


# --- events -----------------------------------------------------------------------------------


def analyse(path: Path, progress: Progress) -> Analysis:
    progress("faces", 0.5)
    assert path.is_file()
    return make_analysis("little")


@pytest.fixture
def handlers(storage: Storage) -> Handlers:
    return Handlers(Checker(lambda: analyse), storage, Settings())


def ask(handlers: Handlers, data: Any) -> list[str]:
    return list(handlers.check(gr.EventData(None, data)))


def test_an_upload_is_checked_in_the_persons_language(handlers: Handlers, storage: Storage) -> None:
    shown = ask(handlers, {"job": "1", "lang": "ru", "path": str(upload(storage))})
    assert "Признаков подделки лица почти нет" in shown[-1]
    assert [p for p in storage.root.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_checked_and_stays(handlers: Handlers, name: str) -> None:
    shown = ask(handlers, {"job": "1", "lang": "en", "example": name})
    assert "Little sign of face manipulation" in shown[-1]
    assert (EXAMPLES_FOLDER / f"{name}.mp4").is_file()


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        "job",
        [],
        {},
        {"path": None},
        {"path": {"path": "https://example.org/clip.mp4", "meta": {"_type": "gradio.FileData"}}},
        {"path": "https://example.org/clip.mp4", "lang": "en", "job": "1"},
        {"example": "../examples/forged"},
        {"example": ["forged"]},
        {"lang": "../ru", "path": "x"},
    ],
)
def test_whatever_a_browser_asks_it_gets_a_clear_answer(handlers: Handlers, data: Any) -> None:
    (shown,) = ask(handlers, data)
    assert "This could not be checked" in shown


def test_only_what_is_running_can_be_stopped(handlers: Handlers) -> None:
    for data in (None, {}, {"job": 7}, {"job": "unknown"}):
        handlers.stop(gr.EventData(None, data))


@pytest.fixture
def page(storage: Storage) -> gr.Blocks:
    """A page made inside an event loop: outside of one Gradio makes its own and leaves them open."""

    async def build() -> gr.Blocks:
        return build_page(Checker(lambda: analyse), storage, Settings())

    return asyncio.run(build())


def test_page_offers_no_door_but_its_own(page: gr.Blocks) -> None:
    config = page.get_config_file()
    assert all(event["api_visibility"] == "private" for event in config["dependencies"])
    assert all(event["inputs"] == [] for event in config["dependencies"]), "an input can name a file on the web"
    assert page.analytics_enabled is False
    assert page.delete_cache == (SWEEP_S, MAX_AGE_S)
    assert page.get_api_info()["named_endpoints"] == {}


def test_launch_measures_and_keeps_nothing() -> None:
    options = launch_options(Settings())
    off = {"run_history": False, "enable_monitoring": False, "pwa": False, "ssr_mode": False, "footer_links": []}
    assert {name: options[name] for name in off} == off
    assert options["max_file_size"] == Settings().limits.max_bytes
    assert "server_name" not in options, "Gradio's own default is this machine alone"
    assert "share" not in options


def test_launch_options_exist() -> None:
    import inspect

    assert launch_options(Settings()).keys() <= inspect.signature(gr.Blocks.launch).parameters.keys()


def test_sessions_are_forgotten(page: gr.Blocks) -> None:
    holder = page.state_holder
    for session in ("old", "new"):
        holder[session]
    now = time.time()
    holder.time_last_used["old"] -= timedelta(seconds=MAX_AGE_S + 1)
    forget_sessions(page, now=now)
    assert list(holder.session_data) == ["new"]
    assert list(holder.time_last_used) == ["new"]


def test_the_launcher_only_launches() -> None:
    from space.settings import PROJECT_ROOT

    lines = (PROJECT_ROOT / "app.py").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith('"""')] == [
        "from space.service.page.page import open_page",
        'if __name__ == "__main__":',
        "    open_page()",
    ]
    assert "GRADIO_SERVER_PORT" not in os.environ
