"""Sources to lines: what is taken, what is written, and what a kill costs."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.report import from_json, validate
from space.contract import Report
from space.errors import RequestError, SourceError, WeightsError
from space.lines import Line, LineFile, ScanError
from space.scan import Check, describe_source, list_sources, scan_here, scan_sources, scan_with_ray
from space.settings import PROJECT_ROOT, SHARED

REPORT = from_json(json.loads((SHARED / "report.example.json").read_text(encoding="utf-8")))


def check(path: str) -> Report:
    """A check that fails as its source's name says."""
    if "empty" in path:
        raise SourceError("empty")
    if "bug" in path:
        raise ZeroDivisionError
    return REPORT


def nobody(path: str, n_done: int, n_total: int) -> None:
    """Nobody watches."""


def read_lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run(sources: list[str], jsonl: Path, *, resume: bool = False) -> Any:
    return scan_sources(sources, jsonl, engine=scan_here(lambda: check), resume=resume, progress=nobody)


# --- sources ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = "b.mp4 a.mp4 sub/c.WEBM sub/photo.jpg sound.mp3 nameless"
    others = "manifest.csv notes.txt report.json .hidden.mp4 .git/d.mp4"
    for name in (*names.split(), *others.split()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_means_what_may_be_media_in_order_of_names(folder: Path) -> None:
    wanted = ["a.mp4", "b.mp4", "nameless", "sound.mp3", "sub/c.WEBM", "sub/photo.jpg"]
    assert list_sources([folder]) == tuple(str(folder / name) for name in wanted)


def test_a_file_is_taken_whatever_its_name_or_absence(folder: Path) -> None:
    sources = [str(folder / "notes.txt"), "no/such/file.mp4"]
    assert list_sources(sources) == tuple(sources)


def test_a_source_named_twice_counts_once(folder: Path) -> None:
    sources = list_sources([folder / "b.mp4", folder, folder / "a.mp4"])
    assert sources[:2] == (str(folder / "b.mp4"), str(folder / "a.mp4"))
    assert len(sources) == len(set(sources)) == 6


def test_the_output_is_no_source(folder: Path) -> None:
    jsonl = folder / "out.jsonl"
    jsonl.touch()
    assert str(jsonl) not in list_sources([folder], leave_out=folder / "sub" / ".." / "out.jsonl")


def test_a_table_gives_its_paths_from_its_own_folder(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(f'label,path\n1,"clips/one, two.mp4"\n0,\n0,{tmp_path / "x.mp4"}\n', encoding="utf-8-sig")
    assert list_sources([table]) == (str(tmp_path / "clips/one, two.mp4"), str(tmp_path / "x.mp4"))


@pytest.mark.parametrize("content", [b"", b"file,label\na.mp4,1\n", b"\xff\xfepath"])
def test_a_table_without_paths_ends_the_scan_before_it_begins(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "list.csv"
    table.write_bytes(content)
    with pytest.raises(ScanError, match=r"list\.csv"):
        list_sources([table])


# --- lines ------------------------------------------------------------------------------------


def test_a_line_holds_the_report_or_the_error() -> None:
    assert describe_source("fine.mp4", check)["path"] == "fine.mp4"
    validate(describe_source("fine.mp4", check)["report"])
    error = describe_source("empty.mp4", check)["error"]
    assert error["code"] == "empty"
    assert error["message"].startswith("The file is empty.")


def test_our_own_fault_is_a_line_too_and_leaves_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    assert describe_source("bug.mp4", check)["error"]["code"] == "internal"
    assert "ZeroDivisionError" in caplog.text


def test_bad_files_do_not_end_a_scan(tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    sources = ["a.mp4", "empty.mp4", "bug.mp4", "ä ö.mp4"]
    summary = run(sources, jsonl)
    assert (summary.n_reports, summary.n_errors, summary.n_skipped) == (2, 2, 0)
    lines = read_lines(jsonl)
    assert [line["path"] for line in lines] == sources
    assert [set(line) for line in lines] == [
        {"path", "report"},
        {"path", "error"},
        {"path", "error"},
        {"path", "report"},
    ]


def test_without_resume_a_scan_begins_anew(tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    run(["a.mp4", "b.mp4"], jsonl)
    run(["c.mp4"], jsonl)
    assert [line["path"] for line in read_lines(jsonl)] == ["c.mp4"]


@given(cut=st.integers(0, 10**6))
def test_resuming_after_any_cut_gives_the_same_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("scan")
    sources = ["empty-1.mp4", "ä.mp4", "empty-2.mp4"]
    whole, torn = folder / "whole.jsonl", folder / "torn.jsonl"
    run(sources, whole)
    content = whole.read_bytes()
    torn.write_bytes(content[: cut % (len(content) + 1)])
    run(sources, torn, resume=True)
    assert torn.read_bytes() == content


@pytest.mark.parametrize("content", [b"not json\n", b'{"name": "a"}\n', b"[1]\n"])
def test_a_file_of_other_lines_is_left_alone(tmp_path: Path, content: bytes) -> None:
    jsonl = tmp_path / "other.jsonl"
    jsonl.write_bytes(content)
    with pytest.raises(ScanError, match="line 1: not a line of a scan"):
        run(["a.mp4"], jsonl, resume=True)
    assert jsonl.read_bytes() == content


def test_two_scans_do_not_write_to_one_file(tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    with LineFile(jsonl, resume=False) as lines:
        lines.append({"path": "a", "error": {}})
        with pytest.raises(ScanError, match="another scan"), LineFile(jsonl, resume=False):
            pass
    assert len(read_lines(jsonl)) == 1


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="bad_output"):
        run(["a.mp4"], tmp_path)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(handle: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with LineFile(tmp_path / "out.jsonl", resume=False) as lines:
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(RequestError, match="bad_output"):
            lines.append({"path": "a"})
        monkeypatch.undo()


KILLED = """
import sys, time
from pathlib import Path
from space.scan import scan_here, scan_sources
from tests.test_scan import REPORT, nobody

def check(path):
    time.sleep(0.02)
    return REPORT

sources = [f"{number}.mp4" for number in range(40)]
scan_sources(sources, Path(sys.argv[1]), engine=scan_here(lambda: check), resume=True, progress=nobody)
"""


def test_a_killed_scan_is_completed_without_a_line_lost_or_repeated(tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", KILLED, str(jsonl)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT) as process:
        deadline = time.monotonic() + 60
        while not jsonl.exists() or jsonl.read_bytes().count(b"\n") < 5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    n_before = jsonl.read_bytes().count(b"\n")
    assert 5 <= n_before < 40
    subprocess.run(command, cwd=PROJECT_ROOT, check=True)
    assert [line["path"] for line in read_lines(jsonl)] == [f"{number}.mp4" for number in range(40)]


# --- engines ----------------------------------------------------------------------------------


def test_models_are_loaded_once_and_not_for_nothing() -> None:
    loaded = []

    def make_check() -> Check:
        loaded.append(1)
        return check

    engine = scan_here(make_check)
    assert list(engine([])) == []
    assert loaded == []
    assert len(list(engine(["a", "b", "c"]))) == 3
    assert loaded == [1]


def test_a_missing_ray_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ScanError, match=r"pip install"):
        scan_with_ray(lambda: check)


class WorkerDiedError(Exception):
    pass


class FakeRay(types.ModuleType):
    """Ray's interface as far as a scan uses it, in this process; the call made last is the first to be done.

    A source called "deadly" kills its worker.
    """

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayActorError=WorkerDiedError)
        self.busy: list[int] = []  # how many calls were under way at each wait

    def init(self, **options: Any) -> None:
        pass

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0}

    def remote(self, **options: Any) -> Callable[[type], Any]:
        return lambda kind: types.SimpleNamespace(remote=lambda *args: self._make_actor(kind(*args)))

    def _make_actor(self, worker: Any) -> Any:
        def deferred(name: str) -> Any:
            return types.SimpleNamespace(remote=lambda *args: partial(self._call, worker, name, *args))

        return types.SimpleNamespace(prepare=deferred("prepare"), describe=deferred("describe"))

    def _call(self, worker: Any, name: str, *args: str) -> Any:
        if any("deadly" in arg for arg in args):
            raise WorkerDiedError
        return getattr(worker, name)(*args)

    def wait(self, calls: list[Any], *, num_returns: int) -> tuple[list[Any], list[Any]]:
        self.busy.append(len(calls))
        return calls[-num_returns:], calls[:-num_returns]

    def get(self, calls: Any) -> Any:
        return [call() for call in calls] if isinstance(calls, list) else calls()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    return fake


def test_the_ray_engine_gives_the_local_engines_lines(ray: FakeRay) -> None:
    sources = [f"{number}.mp4" for number in range(7)] + ["empty.mp4", "bug.mp4"]
    assert list(scan_with_ray(lambda: check)(sources)) == list(scan_here(lambda: check)(sources))
    assert max(ray.busy) == 3


def test_a_dead_worker_costs_its_source_an_error_line(ray: FakeRay) -> None:
    lines = list(scan_with_ray(lambda: check)(["a.mp4", "deadly.mp4", "b.mp4"]))
    assert [line["path"] for line in lines] == ["a.mp4", "deadly.mp4", "b.mp4"]
    assert lines[1]["error"]["code"] == "internal"
    assert "report" in lines[2]


def test_missing_weights_end_a_ray_scan_before_it_begins(ray: FakeRay) -> None:
    def make_check() -> Check:
        raise WeightsError("weights_missing", name="m")

    with pytest.raises(WeightsError):
        next(scan_with_ray(make_check)(["a.mp4"]))
