"""Sending the project to a Space: what goes, what stays, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from space import deploy
from space.cli import app
from space.deploy import NEEDED, plan_push, push
from space.errors import DeployError, RequestError
from space.settings import MIB, PROJECT_ROOT

FRONT_MATTER = "---\nsdk: gradio\nsdk_version: 6.31.0\napp_file: app.py\nshort_description: Short\n---\n\n# It\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with what a Space needs, and with what it does not."""
    for name in (*NEEDED, "tests/test_it.py", ".ci/run", "Dockerfile", "space/[odd].py", "ignored.mp4", ".gitignore"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FRONT_MATTER if name == "README.md" else "x")
    (tmp_path / ".gitignore").write_text("ignored.mp4\n")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    return tmp_path


def test_a_space_gets_what_it_needs_and_nothing_else(checkout: Path) -> None:
    shipment = plan_push("owner/name", root=checkout)
    assert shipment.files == tuple(sorted((*NEEDED, "space/[odd].py")))
    assert shipment.n_bytes == len(FRONT_MATTER) + len(NEEDED)


def test_this_project_can_be_sent() -> None:
    shipment = plan_push("owner/name")
    assert set(NEEDED) <= set(shipment.files)
    assert not [name for name in shipment.files if name.startswith(("tests/", ".ci/"))]
    assert shipment.front_matter["python_version"] == "3.12.12"
    assert shipment.n_bytes < 100 * MIB
    # gradio comes from sdk_version there: the requirement must admit it
    assert any(line.startswith("gradio") and ">=6.31,<7" in line for line in _requirements())
    assert str(shipment.front_matter["sdk_version"]).startswith("6.")


def _requirements() -> list[str]:
    return (PROJECT_ROOT / "requirements.txt").read_text().splitlines()


@pytest.mark.parametrize("name", ["name", "owner/", "owner/name/more", "owner/na me", "", "../x/y"])
def test_a_name_that_no_space_has_is_refused(name: str, checkout: Path) -> None:
    with pytest.raises(RequestError, match="bad_space"):
        plan_push(name, root=checkout)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sdk: gradio", "sdk: docker"),
        ("app_file: app.py", "app_file: main.py"),
        ("sdk_version: 6.31.0\n", ""),
        ("description: Short", f"description: {'long ' * 20}"),
        (FRONT_MATTER, "# It\n"),
    ],
)
def test_a_readme_that_the_hub_would_not_take_is_refused(before: str, after: str, checkout: Path) -> None:
    (checkout / "README.md").write_text(FRONT_MATTER.replace(before, after))
    with pytest.raises(DeployError, match="not_deployable"):
        plan_push("owner/name", root=checkout)


def test_what_a_space_needs_must_be_there(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (checkout / "packages.txt").unlink()
    with pytest.raises(DeployError, match=r"packages\.txt"):
        plan_push("owner/name", root=checkout)
    with pytest.raises(DeployError, match="not a git checkout"):
        plan_push("owner/name", root=tmp_path_factory.mktemp("bare"))


def test_a_push_makes_the_space_these_files(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, dict[str, object]] = {}

    class Api:
        def __init__(self, endpoint: str | None) -> None:
            calls["api"] = {"endpoint": endpoint}

        def create_repo(self, repo_id: str, **options: object) -> None:
            calls["create"] = {"repo_id": repo_id, **options}

        def upload_folder(self, **options: object) -> SimpleNamespace:
            calls["upload"] = options
            return SimpleNamespace(commit_url="https://hub.example/commit")

    monkeypatch.setattr(deploy, "HfApi", Api)
    shipment = plan_push("owner/name", root=checkout)
    assert push(shipment, private=True) == "https://hub.example/commit"
    assert calls["create"] == {
        "repo_id": "owner/name",
        "repo_type": "space",
        "space_sdk": "gradio",
        "private": True,
        "exist_ok": True,
    }
    sent = _sent(checkout, calls["upload"])
    assert sent == set(shipment.files)


def _sent(root: Path, options: dict[str, object]) -> set[str]:
    """What the library's own filter lets through."""
    from huggingface_hub.utils import filter_repo_objects

    names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return set(filter_repo_objects(names, allow_patterns=options["allow_patterns"]))  # type: ignore[arg-type]


def test_a_hub_that_does_not_answer_is_said(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    with pytest.raises(DeployError, match="push_failed"):
        push(plan_push("owner/name", root=checkout), endpoint="http://127.0.0.1:9")


def test_a_dry_run_shows_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "push", lambda *_, **__: pytest.fail("sent"))
    result = CliRunner().invoke(app, ["deploy", "owner/name", "--dry-run"])
    assert result.exit_code == 0
    assert "app.py" in result.stdout.splitlines()
    assert "Nothing was sent" in result.stdout
    assert CliRunner().invoke(app, ["deploy", "name", "--dry-run"]).exit_code == 2


# --- self-hosting -----------------------------------------------------------------------------


def test_the_image_copies_what_a_space_needs_and_what_is_there() -> None:
    lines = (PROJECT_ROOT / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1] if word[0] != "-"]
    assert all((PROJECT_ROOT / name).exists() for name in copied)
    assert all(name.split("/")[0] in copied for name in NEEDED)
    ignored = (PROJECT_ROOT / ".dockerignore").read_text().split()
    assert not set(copied) & set(ignored)


def test_the_composed_service_is_closed_to_others_and_keeps_its_links() -> None:
    service = yaml.safe_load((PROJECT_ROOT / "compose.yaml").read_text())["services"]["telltale"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text()
    folder = service["volumes"][0].partition(":")[2]
    assert f"TELLTALE_SHARES={folder}" in dockerfile
    assert service["read_only"] is True
    assert any(entry.startswith("/tmp:") for entry in service["tmpfs"])
