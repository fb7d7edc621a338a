"""This checkout as a Hugging Face Space: what is sent, and the sending."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, errors, metadata_load

from space.errors import DeployError, RequestError
from space.settings import PROJECT_ROOT

LEFT_OUT = ("tests/", ".ci/", ".git", "extension/", "requirements-dev.txt", "Dockerfile", "compose.yaml")
NEEDED = ("app.py", "README.md", "requirements.txt", "packages.txt", "space/models/shipped/ensemble.json")
MAX_DESCRIPTION = 60  # characters of short_description that the Hub takes
REPO_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")

HUB_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    *(item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)),
)


@dataclass(frozen=True)
class Shipment:
    """What a push sends."""

    repo_id: str
    root: Path
    files: tuple[str, ...]  # relative to the root, sorted
    n_bytes: int
    front_matter: dict[str, object]  # of the README


def plan_push(repo_id: str, *, root: Path = PROJECT_ROOT) -> Shipment:
    """Everything a running Space needs, from the files that git knows.

    Args:
        repo_id: OWNER/NAME of the Space.
        root: a git checkout of this project.

    Raises:
        RequestError: ``bad_space``: no such name can be.
        DeployError: ``not_deployable``: not a checkout, or something that a Space needs is missing.
    """
    if not REPO_ID.fullmatch(repo_id):
        raise RequestError("bad_space", name=repo_id)
    files = tuple(sorted(name for name in _tracked_files(root) if not name.startswith(LEFT_OUT)))
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise DeployError("not_deployable", details=f"missing: {', '.join(missing)}")
    return Shipment(
        repo_id=repo_id,
        root=root,
        files=files,
        n_bytes=sum((root / name).stat().st_size for name in files),
        front_matter=_front_matter(root / "README.md"),
    )


def _tracked_files(root: Path) -> list[str]:
    try:
        listing = subprocess.run(  # noqa: S603 - nothing of it is anybody's input
            ["git", "-C", str(root), "ls-files", "-z"],  # noqa: S607 - the user's own git
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise DeployError("not_deployable", details="not a git checkout") from error
    return [name for name in listing.stdout.decode().split("\0") if name and (root / name).is_file()]


def _front_matter(readme: Path) -> dict[str, object]:
    """The README's front matter, checked against what the Hub and this project demand of it."""
    document = metadata_load(readme)
    if document is None:
        raise DeployError("not_deployable", details="README.md has no front matter")
    for key, wanted in (("sdk", "gradio"), ("app_file", "app.py")):
        if document.get(key) != wanted:
            raise DeployError("not_deployable", details=f"README.md: {key} must be {wanted}")
    if not document.get("sdk_version"):
        raise DeployError("not_deployable", details="README.md: sdk_version is missing")
    if len(str(document.get("short_description", ""))) > MAX_DESCRIPTION:
        raise DeployError("not_deployable", details=f"README.md: short_description > {MAX_DESCRIPTION} characters")
    return document


def push(shipment: Shipment, *, private: bool = False, endpoint: str | None = None) -> str:
    """Create the Space if need be, and make its files these, in one commit.

    The token is the one ``hf auth login`` or ``HF_TOKEN`` gives.

    Returns:
        The commit's address.

    Raises:
        DeployError: ``push_failed``.
    """
    api = HfApi(endpoint=endpoint)
    try:
        api.create_repo(shipment.repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=shipment.repo_id,
            repo_type="space",
            folder_path=shipment.root,
            allow_patterns=[_literal(name) for name in shipment.files],
            delete_patterns="*",
            commit_message="Deploy",
        )
    except HUB_ERRORS as error:
        raise DeployError("push_failed", name=shipment.repo_id) from error
    return str(commit.commit_url)


def _literal(name: str) -> str:
    """A pattern that matches this name alone."""
    return re.sub(r"([*?[])", r"[\1]", name)
