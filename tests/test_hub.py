"""Members from the hub: installed when everything is right, and not at all otherwise."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from space.errors import RequestError, WeightsError
from space.models.cards import Card, Params, read_card, write_record
from space.models.files import sha256_of
from space.models.hub import fetch_member
from space.models.weights import describe_member, load_ensemble, load_member
from tests.hub import COMMIT, Hub, serve_hub
from tests.members import RECORD, write_ensemble, write_member

REPO = "owner/small"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a repository."""
    folder = tmp_path_factory.mktemp("published")
    write_member(folder, "small")
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "installed"
    monkeypatch.setenv("TELLTALE_MODELS", str(folder))
    return folder


@pytest.fixture
def hub(published: Path, tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository; a test may change its own copy of the files."""
    folder = tmp_path / "served"
    folder.mkdir()
    for path in published.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the library waits between its attempts
    with serve_hub(Hub(folder)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


def served_card(hub: Hub) -> Card:
    return read_card(hub.folder / "small.json")


def nothing_installed(folder: Path) -> bool:
    return not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_member_is_fetched_checked_and_installed(hub: Hub, installed: Path, revision: str) -> None:
    card = fetch_member(REPO, revision=revision, sha256=served_card(hub).sha256)
    assert card == served_card(hub) == describe_member("small")
    assert sorted(path.name for path in installed.iterdir()) == ["small.json", "small.safetensors"]
    loaded = load_member(installed / "small.json")
    assert torch.isfinite(loaded.module(torch.zeros(1, 3, 64, 64))).all()
    assert {path.split("/")[4] for _, path, _ in hub.requests if "/resolve/" in path} <= {revision, COMMIT}


def test_fetched_member_can_be_named_beside_shipped_ones(hub: Hub, installed: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    write_ensemble(shipped, replace(RECORD, members=(("other", 1.0),)))
    fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    ensemble = load_ensemble((("small", 1), ("other", 1)), folder=shipped)
    assert [member.card.name for member in ensemble.members] == ["small", "other"]


def test_repository_may_hold_several_members(hub: Hub, installed: Path) -> None:
    card = write_member(hub.folder, "second", seed=5)
    assert fetch_member(REPO, revision="main", sha256=card.sha256.upper(), name="second") == card
    assert (installed / "second.safetensors").exists()


def test_weights_are_installed_under_the_member_s_own_name(hub: Hub, installed: Path) -> None:
    """A card that names another member's file must not overwrite that."""
    mine = write_member(installed, "mine", seed=3)
    (hub.folder / "small.safetensors").rename(hub.folder / "mine.safetensors")
    write_record(replace(served_card(hub), weights="mine.safetensors"), hub.folder / "small.json")
    card = fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    assert card.weights == "small.safetensors"
    assert load_member(installed / "small.json").card == card
    assert load_member(installed / "mine.json").card == mine


def test_fetching_again_replaces_the_member(hub: Hub, installed: Path) -> None:
    fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    newer = write_member(hub.folder, "small", version="2", seed=7)
    fetch_member(REPO, revision="main", sha256=newer.sha256)
    assert load_member(installed / "small.json").card == newer


@pytest.mark.parametrize("n_drops", [1, 3])
def test_dropped_connection_is_taken_up_where_it_broke(
    hub: Hub, installed: Path, monkeypatch: pytest.MonkeyPatch, n_drops: int
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50_000)  # what is kept of a broken answer
    hub.n_drops = n_drops
    card = fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    assert sha256_of(installed / "small.safetensors") == card.sha256
    ranges = [wanted for method, path, wanted in hub.requests if path.startswith("/bytes/") and method == "GET"]
    assert len(ranges) == n_drops + 1
    assert all(wanted is not None for wanted in ranges[1:])


def test_connection_that_keeps_dropping_fails_and_leaves_nothing(
    hub: Hub, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hub.CUT_BYTES", 0)
    hub.n_drops = 10**6
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    assert caught.value.code == "download_failed"
    assert caught.value.params["name"] == "owner/small/small.safetensors"
    assert nothing_installed(installed)


@pytest.mark.parametrize(
    ("repo_id", "revision", "name"),
    [
        ("owner/none", "main", "small"),
        (REPO, "v9", None),
        (REPO, "main", "none"),
        ("not a repository", "main", "small"),
        ("owner/small/more", "main", "small"),
    ],
)
def test_what_is_not_on_the_hub_fails(hub: Hub, installed: Path, repo_id: str, revision: str, name: str | None) -> None:
    with pytest.raises(WeightsError) as caught:
        fetch_member(repo_id, revision=revision, sha256="0" * 64, name=name)
    assert caught.value.code == "download_failed"
    assert nothing_installed(installed)


def test_hub_that_does_not_answer_fails(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256="0" * 64)
    assert caught.value.code == "download_failed"
    assert nothing_installed(installed)


def test_card_of_other_weights_is_refused_before_they_are_downloaded(hub: Hub, installed: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256="0" * 64)
    assert caught.value.code == "weights_checksum"
    assert not any(".safetensors" in path for _, path, _ in hub.requests)
    assert nothing_installed(installed)


def test_weights_that_are_not_the_pinned_ones_are_refused(hub: Hub, installed: Path) -> None:
    with (hub.folder / "small.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        last = stream.read(1)
        stream.seek(-1, 2)
        stream.write(bytes([last[0] ^ 1]))
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    assert caught.value.code == "weights_checksum"
    assert nothing_installed(installed)


def republish(hub: Hub, **changes: object) -> Card:
    """Another card over the same files, with their true checksum."""
    path = hub.folder / "small.safetensors"
    card = replace(served_card(hub), sha256=sha256_of(path), **changes)  # type: ignore[arg-type]
    write_record(card, hub.folder / "small.json")
    return card


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"architecture": "resnext50_32x4d"}, "weights_mismatch"),
        ({"params": Params()}, "weights_mismatch"),
        ({"architecture": "vgg16"}, "card_invalid"),
        ({"name": "other"}, "card_invalid"),
    ],
)
def test_member_that_could_not_be_loaded_is_not_installed(
    hub: Hub, installed: Path, changes: dict[str, object], code: str
) -> None:
    card = republish(hub, **changes)
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256=card.sha256)
    assert caught.value.code == code
    assert nothing_installed(installed)


def test_failure_leaves_the_installed_member_as_it_was(hub: Hub, installed: Path) -> None:
    before = fetch_member(REPO, revision="main", sha256=served_card(hub).sha256)
    save_file({"nothing": torch.zeros(1)}, hub.folder / "small.safetensors")
    card = republish(hub)
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256=card.sha256)
    assert caught.value.code == "weights_mismatch"
    assert load_member(installed / "small.json").card == before


@pytest.mark.parametrize("content", [b"{}", b"<html>", b""])
def test_card_that_is_none_is_refused(hub: Hub, installed: Path, content: bytes) -> None:
    (hub.folder / "small.json").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        fetch_member(REPO, revision="main", sha256="0" * 64)
    assert caught.value.code == "card_invalid"
    assert nothing_installed(installed)


@pytest.mark.parametrize("name", ["ensemble", "../up", "Big"])
def test_name_that_cannot_be_used_is_refused_before_any_request(hub: Hub, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        fetch_member(REPO, revision="main", sha256="0" * 64, name=name)
    assert caught.value.code == "bad_members"
    assert hub.requests == []
