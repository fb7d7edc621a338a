"""Examples of forged parts that were found: the page shows what the lab made, and says how seldom it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from space.models.cards import read_ensemble
from space.models.weights import ENSEMBLE_FILE, SHIPPED
from space.service.page.found import ARCHIVE, FOUND, read_found
from space.service.page.html import About, render_shell
from space.settings import Settings
from space.texts import languages

ROW = {"kind": "mouth", "seed": 1, "forged": ["mouth"], "named": "mouth", "share_on_forged": 0.42}


def write(folder: Path, rows: list[dict[str, object]]) -> Path:
    document = {"n_tried": 96, "n_correct": 7, "examples": rows}
    (folder / "examples.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_without_examples_there_is_no_section(tmp_path: Path) -> None:
    assert read_found(tmp_path) is None
    assert read_found(write(tmp_path, [])) is None
    assert "tt-found" not in render_shell(About(Settings()), {}, lang="en")


@pytest.mark.parametrize("lang", languages())
def test_examples_are_shown_with_their_rarity(tmp_path: Path, lang: str) -> None:
    found = read_found(write(tmp_path, [ROW, ROW | {"kind": "nose", "named": "nose"}]))
    assert found is not None
    html = render_shell(About(Settings(), found=found), {}, lang=lang)
    section = html[html.index('id="tt-found"') : html.index("tt-columns tt-prose", html.index('id="tt-found"'))]
    assert "examples/found/1-mouth-explained.jpg" in section
    assert "examples/found/2-nose-forged.jpg" in section
    assert "96" in section
    assert "7" in section
    assert ".zip" not in section, "there is none in this folder"
    (tmp_path / ARCHIVE).touch()
    assert ARCHIVE in render_shell(About(Settings(), found=read_found(tmp_path)), {}, lang=lang)


def test_a_list_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "examples.json").write_text('{"examples": [{}]}')
    with pytest.raises(KeyError):
        read_found(tmp_path)


def test_what_is_shown_was_made_with_the_weights_in_use() -> None:
    found = read_found()
    assert found is not None
    assert len(found.examples) >= 6
    document = json.loads((FOUND / "examples.json").read_text(encoding="utf-8"))
    ensemble = read_ensemble(SHIPPED / ENSEMBLE_FILE)
    assert document["ensemble"] == {"name": ensemble.name, "version": ensemble.version}
    for example in found.examples:
        for view in ("genuine", "forged", "explained"):
            with Image.open(FOUND / f"{example.stem}-{view}.jpg") as image:
                assert image.size == (288, 288)
                assert b"public-domain" in image.info["comment"]
