"""Members from the Hugging Face Hub, pinned by revision and checksum."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from huggingface_hub import errors, hf_hub_download

from space.errors import WeightsError
from space.models.cards import WEIGHTS_SUFFIX, Card, read_card, write_record
from space.models.stored import check_file
from space.models.weights import build_empty, check_new_name, check_weights, installed_folder

ENDPOINT_VARIABLE = "HF_ENDPOINT"  # environment: another hub; the library reads it only once, at import

# All that the library declares, its HTTP library's base class among them: which that is differs
# between its major versions.
HUB_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    *(item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)),
)


def fetch_member(
    repo_id: str, *, revision: str, sha256: str, name: str | None = None, folder: Path | None = None
) -> Card:
    """Download a member's card and weights, and install them once both are known to be right.

    Args:
        repo_id: "owner/repository"; holds ``<name>.json`` and the weights file it names.
        revision: commit, tag or branch; only a commit pins the card.
        sha256: of the weights file, hex.
        name: None: the repository's own name, without its owner.
        folder: None: ``weights.installed_folder()``. An installed member of the same name is replaced.

    Raises:
        RequestError: ``bad_members``: the name cannot be used.
        WeightsError: ``download_failed``, ``card_invalid``, ``weights_checksum``, ``weights_mismatch``.
    """
    name = repo_id.rpartition("/")[2] if name is None else name
    check_new_name(name)
    place = installed_folder() if folder is None else folder
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".fetch-") as scratch:
        card = read_card(_download(repo_id, f"{name}.json", revision, scratch))
        if card.name != name:
            raise WeightsError("card_invalid", name=name, details=f"the card is of {card.name!r}")
        if card.sha256 != sha256.lower():
            raise WeightsError("weights_checksum", name=name)
        weights = _download(repo_id, card.weights, revision, scratch)
        check_weights(card, weights)
        check_file(card, weights, build_empty(card))
        card = replace(card, weights=f"{name}{WEIGHTS_SUFFIX}")  # never another member's file
        weights.replace(place / card.weights)
    write_record(card, place / f"{name}.json")
    return card


def _download(repo_id: str, file: str, revision: str, scratch: str) -> Path:
    endpoint = os.environ.get(ENDPOINT_VARIABLE)
    try:
        return Path(hf_hub_download(repo_id, file, revision=revision, local_dir=scratch, endpoint=endpoint))
    except HUB_ERRORS as error:
        raise WeightsError("download_failed", name=f"{repo_id}/{file}") from error
