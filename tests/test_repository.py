"""What holds the repository together: documents, requirements, house rules."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from space.settings import MIB, PROJECT_ROOT, SHARED

MAX_LINES = 400
BINARY = {".zip", ".safetensors", ".jpg", ".png", ".mp4", ".webm", ".ttf"}
MAX_WEIGHTS_BYTES = 80 * MIB
MAX_SHORT_DESCRIPTION = 60  # characters, Hugging Face's limit

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files of the repository; the test is skipped outside a git checkout."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (PROJECT_ROOT / name for name in listing.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def sources(folder: str = "") -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py" and path.is_relative_to(PROJECT_ROOT / folder)]


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


# --- README -----------------------------------------------------------------------------------------


def front_matter() -> dict[str, object]:
    fields: dict[str, object] = yaml.safe_load(README.split("---\n")[1])
    return fields


def readme_commands() -> list[str]:
    """Command lines of the README's shell blocks, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines() if line[:1] != "#"]
    return [command.strip() for line in lines if line for command in line.split("&&")]


def cli_lines() -> list[list[str]]:
    prefix = "python -m space "
    return [shlex.split(line.removeprefix(prefix)) for line in readme_commands() if line.startswith(prefix)]


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words of a command line lead to, and the words that remain for it."""
    from space.cli import app

    command: Any = typer.main.get_command(app)
    rest = list(words)
    while commands := getattr(command, "commands", None):
        assert rest[0] in commands, f"no command {rest[0]!r} in {words}"
        command, rest = commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("words", cli_lines(), ids=" ".join)
def test_readme_command_exists_with_its_options(words: list[str]) -> None:
    command, rest = find_command(words)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = {word for word in rest if word.startswith("--") and word != "--help"} - known
    assert not unknown


def test_every_command_is_in_the_readme() -> None:
    from space.cli import app

    group: Any = typer.main.get_command(app)
    models: Any = group.commands["models"]
    lines = cli_lines()
    assert set(group.commands) == {words[0] for words in lines}
    assert set(models.commands) == {words[1] for words in lines if words[0] == "models"}


def test_readme_holds_the_two_commands() -> None:
    commands = readme_commands()
    for first, second in (
        ("pip install -r requirements.txt", "python app.py"),
        ("pip install -r requirements-dev.txt", "pytest"),
    ):
        assert commands[commands.index(first) + 1] == second


def test_readme_lists_every_verdict() -> None:
    from space.texts import render

    for code in ("strong", "some", "inconclusive", "little", "not_applicable"):
        assert f"| {render(f'verdict.{code}')} | `{code}` |" in README


def test_readme_names_only_files_that_exist() -> None:
    names = set(re.findall(r"\]\(([^)#:]+)\)", README)) | set(re.findall(r"`((?:shared|space)/[\w/.-]+)`", README))
    assert names
    assert [name for name in names if not (PROJECT_ROOT / name).exists()] == []


def test_front_matter_describes_the_space() -> None:
    fields = front_matter()
    assert (fields["sdk"], fields["app_file"], fields["license"]) == ("gradio", "app.py", "apache-2.0")
    assert len(str(fields["short_description"])) <= MAX_SHORT_DESCRIPTION
    assert all(fields[name] for name in ("title", "tags", "startup_duration_timeout"))


def test_front_matter_agrees_with_requirements_and_project() -> None:
    fields = front_matter()
    assert requirements("requirements.txt")["gradio"].specifier.contains(str(fields["sdk_version"]))
    python = re.search(r'requires-python = "([^"]+)"', (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert python is not None
    assert Requirement(f"python{python[1]}").specifier.contains(str(fields["python_version"]))


# --- requirements -----------------------------------------------------------------------------------


def requirements(name: str) -> dict[str, Requirement]:
    lines = (line.split("#")[0].strip() for line in (PROJECT_ROOT / name).read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith(("-r", "./"))]
    return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirement_is_a_range_that_holds_what_is_installed(name: str) -> None:
    for requirement in requirements(name).values():
        assert any(clause.operator in {"<", "=="} for clause in requirement.specifier), f"{requirement} has no end"
        installed = Version(metadata.version(requirement.name)).base_version
        assert requirement.specifier.contains(installed), f"{requirement}: {installed}"


def test_development_adds_to_the_running_space() -> None:
    assert (PROJECT_ROOT / "requirements-dev.txt").read_text(encoding="utf-8").count("\n-r requirements.txt\n") == 1
    assert not requirements("requirements.txt").keys() & requirements("requirements-dev.txt").keys()


def imported_packages(paths: list[Path]) -> set[str]:
    """Top-level names of other people's packages that files import, anywhere in them."""
    names: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    own = {"space", "tests", "app"}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - own


def distributions(packages: set[str]) -> set[str]:
    of = metadata.packages_distributions()
    return {min(of[package], key=len).lower().replace("_", "-") for package in packages}


OPENCV = "opencv-contrib-python"


def test_one_distribution_alone_holds_opencv() -> None:
    """Every OpenCV wheel writes the same cv2 folder; the lab's requirements ask for a second one by name."""
    assert set(metadata.packages_distributions()["cv2"]) == {OPENCV}
    assert metadata.version(OPENCV) == metadata.version("opencv-python-headless")
    assert "./space/lab/opencv" in (PROJECT_ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()


OPTIONAL = {"ray"}  # scan's engine for many machines: asked for by name when it is missing
# gradio's own interface is made of them
BROUGHT_BY_GRADIO = {
    *("anyio", "fastapi", "gradio-client", "httpx", "python-multipart", "starlette", "typing-extensions"),
}


def declared(*names: str) -> set[str]:
    return {name for file in names for name in requirements(file)}


def test_the_running_space_imports_what_it_declares_and_declares_what_it_imports() -> None:
    running = [path for path in [*sources("space"), PROJECT_ROOT / "app.py"] if "lab" not in path.parts]
    packages = imported_packages([path for path in running if path.exists()]) - OPTIONAL
    used = distributions(packages - {"cv2"}) | {OPENCV}
    assert used - declared("requirements.txt") - BROUGHT_BY_GRADIO == set()
    assert declared("requirements.txt") - used == set()


def test_the_lab_imports_only_what_is_declared() -> None:
    used = distributions(imported_packages(sources("space/lab")) - {"cv2"})
    assert used - declared("requirements.txt", "requirements-dev.txt") - BROUGHT_BY_GRADIO == set()


# --- house rules ------------------------------------------------------------------------------------


def test_long_files_give_a_reason() -> None:
    long = [path for path in sources() if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES]
    assert [path.name for path in long if "reason" not in docstring(path).lower()] == []


def test_every_public_module_says_what_it_is() -> None:
    public = [path for path in sources() if not path.name.startswith("_") or path.name == "__main__.py"]
    assert [str(path.relative_to(PROJECT_ROOT)) for path in public if not docstring(path)] == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    # Written so that this file does not match itself.
    places = re.compile(r"(?<![\w.~$}*-])/(?:home|root|Users|work|workspace|mnt)/\w|[A-Z]:\\\\?Users")
    texts = [path for path in tracked_files() if path.suffix not in BINARY]
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if places.search(line)
    ]
    assert found == []


def test_shipped_weights_stay_small() -> None:
    weights = [path for path in tracked_files() if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in weights) <= MAX_WEIGHTS_BYTES


def test_data_for_every_door_is_data_only() -> None:
    assert {path.suffix for path in tracked_files() if path.is_relative_to(SHARED)} == {".json"}


def test_continuous_integration_runs_the_readmes_checks() -> None:
    script = (PROJECT_ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(r"^run (.+)$", script, flags=re.MULTILINE)
    tests = [re.fullmatch(r"timeout \S+ \S+ \S+ (pytest.*)", commands.pop()) for _ in range(2)]
    assert [limited and limited[1] for limited in tests] == ["pytest", "pytest -m 'slow and not network and not gpu'"]
    tools = {"pytest", *(command.split()[0] for command in commands)}
    assert {"ruff", "mypy", "lint-imports", "pytest"} == tools
    assert tools <= {command.split()[0] for command in readme_commands()}
