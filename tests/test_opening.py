"""A link at the command line goes through the same door as one at the page, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import space.analysis.pipeline
import space.models.weights
from space import opening
from space.analysis.report import from_json
from space.cli import app
from space.contract import Analysis, Clip
from space.errors import SourceError
from space.intake.egress import Egress
from space.intake.frames import sample_frames
from space.intake.links import fetch_link
from space.opening import open_file_or_link
from space.settings import SHARED, Limits
from tests import media
from tests.websites import Answer, Web, serve

REPORT = from_json(json.loads((SHARED / "report.example.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    film = media.write_clip(tmp_path_factory.mktemp("film") / "clip.mp4").read_bytes()
    photo = media.encode_image(media.draw(5), "PNG")
    site = {"/clip.mp4": Answer(film, kind="video/mp4"), "/photo.png": Answer(photo, kind="image/png")}
    with serve(site) as web:
        yield web


@pytest.fixture(autouse=True)
def memory(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for memory; the web is on this machine."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(opening, "MEMORY_FOLDER", folder)
    egress = Egress(loopback_ports=frozenset([web.port]))
    monkeypatch.setattr(opening, "fetch_link", partial(fetch_link, egress=egress))
    return folder


def ignore(_: float) -> None:
    """Nobody watches."""


@pytest.mark.parametrize(
    ("path", "kind", "host"),
    [("/clip.mp4", "url", "127.0.0.1"), pytest.param("/photo.png", "image", None, marks=pytest.mark.slow)],
)
def test_a_link_is_a_clip_while_it_is_open(web: Web, memory: Path, path: str, kind: str, host: str | None) -> None:
    fractions: list[float] = []
    with open_file_or_link(web.url(path), limits=Limits(), progress=fractions.append) as clip:
        assert (clip.info.kind, clip.info.host) == (kind, host)
        assert clip.info.size_bytes == len(web.site[path].body)
        assert next(iter(sample_frames(clip, 4, limits=Limits()))).image.shape == (media.HEIGHT, media.WIDTH, 3)
        (sealed,) = [found for found in memory.rglob("*") if found.is_file()]
        assert web.site[path].body[:64] not in sealed.read_bytes()
    assert not list(memory.iterdir())
    assert fractions[-1] == 1.0


def test_a_file_is_opened_where_it_lies(tmp_path: Path, memory: Path) -> None:
    path = media.write_clip(tmp_path / "clip.mp4")
    with open_file_or_link(str(path), limits=Limits(), progress=ignore) as clip:
        assert (clip.info.kind, clip.info.host) == ("upload", None)
        assert not list(memory.iterdir())


def test_what_is_behind_a_link_is_held_to_the_limits(web: Web, memory: Path) -> None:
    with (
        pytest.raises(SourceError) as refusal,
        open_file_or_link(web.url("/clip.mp4"), limits=Limits(max_duration_s=1), progress=ignore),
    ):
        pytest.fail("a clip that is too long was opened")
    assert refusal.value.code == "too_long"
    assert not list(memory.iterdir())


# --- the command ------------------------------------------------------------------------------


def test_check_takes_a_link(web: Web, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips: list[Clip] = []

    def check_clip(clip: Clip, **_: Any) -> Analysis:
        clips.append(clip)
        return Analysis(report=REPORT, pictures={})

    monkeypatch.setattr(space.analysis.pipeline, "check_clip", check_clip)
    monkeypatch.setattr(space.models.weights, "load_ensemble", lambda _: None)
    result = CliRunner().invoke(app, ["check", web.url("/clip.mp4")])
    assert result.exit_code == 0, result.output
    assert REPORT.verdict.sentence.en in result.stdout
    assert [(clip.info.kind, clip.info.host) for clip in clips] == [("url", "127.0.0.1")]
    assert not list(memory.iterdir())


@pytest.mark.parametrize(
    ("link", "code"),
    [("http://127.0.0.1/", "blocked_address"), ("ftp://example.org/a.mp4", "bad_url"), ("http://a@b.c/", "bad_url")],
)
def test_check_says_what_is_wrong_with_a_link(link: str, code: str, memory: Path) -> None:
    result = CliRunner().invoke(app, ["check", link, "--lang", "ru"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{code}: ")
    assert link not in result.stderr
    assert not list(memory.iterdir())
