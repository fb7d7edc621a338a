"""The command line: exit status, what goes to which stream, and what is written."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import space.analysis.pipeline
import space.intake.source
import space.models.weights
from space.analysis.report import from_json, validate
from space.cli import app
from space.contract import Analysis
from space.errors import SourceError, WeightsError
from space.settings import PROJECT_ROOT, SHARED, Settings
from space.texts import languages, translate

REPORT = from_json(json.loads((SHARED / "report.example.json").read_text(encoding="utf-8")))
OTHER_LANGUAGES = languages()[1:]
PICTURES = {"track-1.jpg": b"one", "evidence-1-overlay.jpg": b"two"}


class Pipeline:
    """Stands in for the analysis and remembers what it was told."""

    def __init__(self) -> None:
        self.settings: list[Settings] = []

    def check_clip(self, clip: str, *, settings: Settings, ensemble: Any, progress: Any) -> Analysis:
        self.settings.append(settings)
        if "bug" in clip:
            raise ZeroDivisionError
        for stage, fraction in (("frames", 0.1), ("scores", 0.5), ("pictures", 1.0)):
            progress(stage, fraction)
        return Analysis(report=REPORT, pictures=PICTURES)

    def check_file(self, source: str, *, settings: Settings, ensemble: Any, progress: Any) -> Analysis:
        return self.check_clip(self.open_source(source), settings=settings, ensemble=ensemble, progress=progress)

    def open_source(self, source: str, **options: Any) -> str:
        if "long" in source:
            raise SourceError("too_long", actual_s=700, limit_s=600)
        return source

    def load_ensemble(self, members: Any) -> str:
        if members == (("gone", 1.0),):
            raise WeightsError("weights_missing", name="gone")
        return "ensemble"


@pytest.fixture(autouse=True)
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    fake = Pipeline()
    monkeypatch.setattr(space.analysis.pipeline, "check_clip", fake.check_clip)
    monkeypatch.setattr(space.analysis.pipeline, "check_file", fake.check_file)
    monkeypatch.setattr(space.intake.source, "open_source", fake.open_source)
    monkeypatch.setattr(space.models.weights, "load_ensemble", fake.load_ensemble)
    return fake


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# --- check ------------------------------------------------------------------------------------


def test_check_prints_the_verdict_for_a_person() -> None:
    result = run("check", "clip.mp4")
    assert result.exit_code == 0
    assert result.stdout.startswith(REPORT.verdict.sentence.en)
    assert result.stderr == ""


def test_check_writes_report_and_pictures(tmp_path: Path) -> None:
    out, alone = tmp_path / "new" / "out", tmp_path / "alone.json"
    result = run("check", "clip.mp4", "--out", out, "--json", alone)
    assert result.exit_code == 0
    assert {path.name: path.read_bytes() for path in out.glob("*.jpg")} == PICTURES
    document = json.loads((out / "report.json").read_text(encoding="utf-8"))
    validate(document)
    assert json.loads(alone.read_text(encoding="utf-8")) == document
    for path in (out / "report.json", alone):
        assert f"Written: {path}" in result.stdout


@pytest.mark.parametrize("lang", OTHER_LANGUAGES)
def test_check_speaks_another_language(lang: str) -> None:
    english, other = run("check", "clip.mp4"), run("check", "clip.mp4", "--lang", lang)
    assert other.exit_code == 0
    assert REPORT.verdict.sentence.en in english.stdout
    assert REPORT.verdict.sentence.en not in other.stdout
    assert translate(REPORT.verdict.sentence, lang=lang) in other.stdout


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    result = run("check", "clip.mp4", "--quiet", "--out", tmp_path)
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "report.json").exists()


def test_the_report_alone_can_go_to_standard_output() -> None:
    result = run("check", "clip.mp4", "--json", "-")
    validate(json.loads(result.stdout))


def test_choices_reach_the_pipeline(pipeline: Pipeline) -> None:
    result = run("check", "clip.mp4", "--frames", "32", "--members", "a=0.25,b=0.75", "--no-maps")
    assert result.exit_code == 0
    assert pipeline.settings == [Settings(n_frames=32, maps=False, members=(("a", 0.25), ("b", 0.75)))]


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["long.mp4"], 2, "too_long"),
        (["clip.mp4", "--frames", "3"], 2, "bad_frames"),
        (["clip.mp4", "--frames", "129"], 2, "bad_frames"),
        (["clip.mp4", "--members", "a"], 2, "bad_members"),
        (["clip.mp4", "--members", "a=heavy"], 2, "bad_members"),
        (["clip.mp4", "--out", "/dev/null/out"], 2, "bad_output"),
        (["clip.mp4", "--json", "no/such/folder.json"], 2, "bad_output"),
        (["clip.mp4", "--members", "gone=1"], 1, "weights_missing"),
        (["bug.mp4"], 1, "internal"),
    ],
)
def test_a_refusal_names_its_code_and_sentence(arguments: list[str], status: int, code: str) -> None:
    result = run("check", *arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{code}: ")
    assert last.endswith(".")


@pytest.mark.parametrize("lang", OTHER_LANGUAGES)
def test_a_refusal_speaks_the_language(lang: str) -> None:
    english, other = run("check", "long.mp4"), run("check", "long.mp4", "--lang", lang)
    assert english.stderr.split(":")[0] == other.stderr.split(":")[0] == "too_long"
    assert english.stderr != other.stderr


def test_our_own_fault_shows_its_trace() -> None:
    assert "ZeroDivisionError" in run("check", "bug.mp4").stderr


@pytest.mark.parametrize("arguments", [["--lang", "xx"], ["--frames", "many"], ["--no-such-option"]])
def test_a_misuse_is_told_as_such(arguments: list[str]) -> None:
    result = run("check", "clip.mp4", *arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


# --- scan -------------------------------------------------------------------------------------


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "bug.mp4", "c.mp4", "long.mp4"):
        (folder / name).touch()
    return folder


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_scan_writes_a_line_for_each_file(clips: Path, tmp_path: Path) -> None:
    jsonl = tmp_path / "new" / "out.jsonl"
    result = run("scan", clips, "--jsonl", jsonl)
    assert result.exit_code == 0
    assert "Reports: 2. Errors: 2. Already done: 0." in result.stdout
    codes = {Path(line["path"]).name: line.get("error", {}).get("code") for line in read_lines(jsonl)}
    assert codes == {"a.mp4": None, "bug.mp4": "internal", "c.mp4": None, "long.mp4": "too_long"}


def test_scan_of_crops_looks_for_one_face_in_each(clips: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    run("scan", clips / "a.mp4", "--jsonl", tmp_path / "out.jsonl", "--crops")
    assert [settings.faces.max_faces for settings in pipeline.settings] == [1]


def test_scan_does_not_overwrite_unasked(clips: Path, tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    run("scan", clips / "a.mp4", "--jsonl", jsonl)
    before = jsonl.read_bytes()
    refused = run("scan", clips, "--jsonl", jsonl)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert jsonl.read_bytes() == before


def test_scan_resumes_or_begins_anew_when_asked(clips: Path, tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    run("scan", clips / "a.mp4", "--jsonl", jsonl)
    assert "Already done: 1." in run("scan", clips, "--jsonl", jsonl, "--resume").stdout
    assert len(read_lines(jsonl)) == 4
    run("scan", clips / "c.mp4", "--jsonl", jsonl, "--force")
    assert [Path(line["path"]).name for line in read_lines(jsonl)] == ["c.mp4"]


def test_scan_says_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    result = run("scan", folder, "--jsonl", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stdout) == (0, "Nothing to check.\n")


def test_scan_stops_before_the_first_source_without_models(clips: Path, tmp_path: Path) -> None:
    result = run("scan", clips, "--jsonl", tmp_path / "out.jsonl", "--members", "gone=1")
    assert result.exit_code == 1
    assert result.stderr.startswith("weights_missing: ")


def test_scan_asks_for_a_missing_engine(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("scan", clips, "--jsonl", tmp_path / "out.jsonl", "--engine", "ray")
    assert result.exit_code == 2
    assert "pip install" in result.stderr


# --- the rest ---------------------------------------------------------------------------------


def test_help_loads_no_models_no_page_and_no_lab() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from space.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(sorted({'torch', 'gradio', 'mediapipe', 'cv2', 'space.lab'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_serve_runs_the_app_as_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    monkeypatch.setattr(runpy, "run_path", lambda path, run_name: runs.append((path, run_name)))
    assert run("serve").exit_code == 0
    assert runs == [(str(PROJECT_ROOT / "app.py"), "__main__")]


def test_the_lab_answers_for_itself() -> None:
    result = run("lab", "--help")
    assert result.exit_code == 0
    for command in ("prepare", "train", "evaluate"):
        assert command in result.stdout


def test_a_missing_package_of_the_lab_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *rest: Any) -> None:
            if name == "space.lab.cli":
                raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.delitem(sys.modules, "space.lab.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    result = run("lab", "train")
    assert result.exit_code == 2
    assert "sklearn" in result.stderr
    assert "requirements-dev.txt" in result.stderr


def test_models_of_no_known_name_are_refused() -> None:
    result = run("models", "info", "no-such-model")
    assert result.exit_code == 2
    assert result.stderr.startswith("bad_members: ")
