"""The extension's scripts without a browser: their own tests, types, the stores' lint, the words they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.pack import EXTENSION, pack
from space.settings import PROJECT_ROOT, SHARED
from space.texts import languages, render
from tests.node_modules import require_node_modules

TESTS = PROJECT_ROOT / "tests" / "extension"


@pytest.fixture(scope="module")
def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("no node on this machine")
    return path


@pytest.fixture(scope="module")
def tools(node: str) -> Path:
    """The folder of installed development tools."""
    return require_node_modules()


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, **options)


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.test.mjs")), ids=lambda path: path.name.partition(".")[0])
def test_scripts_pass_their_own_tests(node: str, file: Path) -> None:
    ended = run(node, "--test", "--test-reporter=spec", file)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_types(tools: Path) -> None:
    ended = run(tools / ".bin" / "tsc", "-p", EXTENSION / "tsconfig.json", "--typeRoots", tools / "@types")
    assert ended.returncode == 0, ended.stdout


def test_lint_of_the_stores_finds_no_error(tools: Path, tmp_path: Path) -> None:
    source = pack(tmp_path / "telltale.zip")
    command = (tools / ".bin" / "web-ext", "lint", "--output=json", "--no-config-discovery", "-s", source)
    ended = run(*command, env=os.environ | {"HOME": str(tmp_path), "NO_UPDATE_NOTIFIER": "1"})
    found = json.loads(ended.stdout)
    assert found["errors"] == []
    unexpected = [warning for warning in found["warnings"] if warning["code"] not in EXPECTED_WARNINGS]
    assert [warning["message"] for warning in unexpected if FOR_CHROME_ONLY not in warning["message"]] == []


EXPECTED_WARNINGS = {
    "BACKGROUND_SERVICE_WORKER_IGNORED",  # one manifest for all: Firefox takes `scripts` instead
    "KEY_FIREFOX_UNSUPPORTED_BY_MIN_VERSION",  # Firefox before 140 passes over data_collection_permissions
    "KEY_FIREFOX_ANDROID_UNSUPPORTED_BY_MIN_VERSION",
}
FOR_CHROME_ONLY = "dom.openOrClosedShadowRoot"  # Firefox has it as a property of elements


# --- the same words as the page ---------------------------------------------------------------------


def say(node: str, texts: list[dict[str, Any]]) -> list[str]:
    """The words that the extension makes of texts."""
    ended = run(node, TESTS / "say.mjs", input=json.dumps(texts))
    assert ended.returncode == 0, ended.stderr
    words: list[str] = json.loads(ended.stdout)
    return words


def texts_in(value: object) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value] if value.keys() == {"id", "en", "params"} else [t for v in value.values() for t in texts_in(v)]
    return [text for inner in value for text in texts_in(inner)] if isinstance(value, list) else []


def test_a_report_reads_as_on_the_page(node: str) -> None:
    texts = texts_in(json.loads((SHARED / "report.example.json").read_text(encoding="utf-8")))
    assert len(texts) > 10
    cases = [{"lang": lang, "text": text} for lang in languages() for text in texts]
    expected = [render(case["text"]["id"], case["text"]["params"], lang=case["lang"]) for case in cases]
    assert say(node, cases) == expected


numbers = st.floats(min_value=0, max_value=1e6) | st.integers(0, 10**6)
ties = st.integers(0, 4000).map(lambda i: i / 8)


@settings(max_examples=5)  # a program each
@given(values=st.lists(numbers | ties, min_size=100, max_size=300), lang=st.sampled_from(languages()))
def test_numbers_read_as_on_the_page(node: str, values: list[float], lang: str) -> None:
    texts = [{"id": "page.unit.seconds", "en": "", "params": {"value": value}} for value in values]
    words = say(node, [{"lang": lang, "text": text} for text in texts])
    assert words == [render(text["id"], text["params"], lang=lang) for text in texts]
