"""The page's words, drawings, colours and scripts."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import VerdictCode
from space.service.page.html import HERE, read_static
from space.service.page.languages import Words, pick_language
from space.service.page.palette import heat_gradient, load_palette, palette_css
from space.service.page.report_html import data_uri
from space.settings import SHARED
from space.texts import languages, load_texts, write_estimate
from tests.node_modules import require_node_modules

LANGUAGES = languages()
CODES: tuple[VerdictCode, ...] = get_args(VerdictCode)

# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "header", "lang"),
    [
        ({}, "", "en"),
        ({}, "ru", "ru"),
        ({}, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ({}, "en-GB,ru;q=0.9", "en"),
        ({}, "es-419,es;q=0.9,en;q=0.8", "es"),
        ({}, "ne-NP,hi;q=0.8,en;q=0.6", "ne"),
        ({}, "de-DE,de;q=0.9,ru;q=0.5,en;q=0.4", "ru"),
        ({}, "ru;q=0,en;q=0.1", "en"),
        ({}, "de, fr", "en"),
        ({}, "*", "en"),
        ({}, "ru;q=1.5", "en"),
        ({}, ";;,=q", "en"),
        ({"lang": "ru"}, "en", "ru"),
        ({"lang": "en"}, "ru", "en"),
        ({"lang": "../../etc"}, "ru", "ru"),
        ({"lang": ""}, "ru", "ru"),
    ],
)
def test_language_is_the_one_asked_for(query: dict[str, str], header: str, lang: str) -> None:
    assert pick_language(query, header) == lang


@given(query=st.dictionaries(st.text(), st.text()), header=st.text())
def test_whatever_a_browser_sends_there_is_a_language(query: dict[str, str], header: str) -> None:
    assert pick_language(query, header) in LANGUAGES


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0_%"), (0.004, "< 1_%"), (0.0149, "1_%"), (0.224, "22_%"), (1, "100_%")]
)
def test_shares_are_whole_percentages(share: float, words: str) -> None:
    assert Words("en").percent(share) == words.replace("_", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("lang", "value", "digits", "words"),
    [
        ("en", 1.25, 1, "1.2"),
        ("en", 3, 0, "3"),
        ("es", 0.815, 2, "0,81"),
        ("ne", 0.815, 2, "0.81"),
        ("ru", 0.815, 2, "0,81"),
    ],
)
def test_numbers_have_the_languages_mark(lang: str, value: float, digits: int, words: str) -> None:
    assert Words(lang).number(value, digits) == words


def templates() -> list[Path]:
    return sorted((HERE / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.relative_to(HERE).as_posix())
def test_texts_named_in_a_template_exist_with_their_parameters(path: Path) -> None:
    for text_id, rest in re.findall(
        r'\bt\("([a-z0-9_.]+)"([^()]*(?:\([^()]*\)[^()]*)*)\)', path.read_text(encoding="utf-8")
    ):
        if rest.lstrip().startswith("~"):
            assert any(known.startswith(text_id) for known in load_texts("en")), text_id
            continue
        given_names = set(re.findall(r"[,\s](\w+)=", rest))
        assert given_names == set(re.findall(r"{(\w+)}", load_texts("en")[text_id])), text_id


# --- drawings, colours, scripts ---------------------------------------------------------------


@pytest.mark.parametrize(
    "row", json.loads((SHARED / "verdicts.json").read_text())["verdicts"], ids=lambda row: row["code"]
)
def test_every_verdict_has_its_drawing(row: dict[str, Any]) -> None:
    macros = (HERE / "templates" / "macros.html").read_text(encoding="utf-8")
    assert f'"{row["icon"]}": ' in macros


@pytest.mark.parametrize("dark", [".dark", "@media screen and (prefers-color-scheme: dark)"])
def test_both_themes_have_every_colour(dark: str) -> None:
    light, night = palette_css(dark=dark).split("@media screen")
    assert dark.removeprefix("@media screen") in night, "paper is never dark"
    for code, themes in load_palette()["verdicts"].items():
        for role in ("ink", "tint"):
            assert f"--tt-{code}-{role}: {themes['light'][role]};" in light
            assert f"--tt-{code}-{role}: {themes['dark'][role]};" in night
    assert light.count("{") + night.count("{") == light.count("}") + night.count("}")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("code", CODES)
def test_words_of_a_verdict_can_be_read(code: str, theme: str) -> None:
    colours = load_palette()["verdicts"][code][theme]
    tint = luminance(colours["tint"])
    for ink in (colours["ink"], load_palette()["themes"][theme]["ink"]):
        low, high = sorted((luminance(ink), tint))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_scale_begins_with_what_lies_under_it_and_ends_in_the_last_colour() -> None:
    colours = re.findall(r"rgb\((\d+) (\d+) (\d+)\)", heat_gradient())
    assert colours[0] == ("198", "170", "150")
    assert colours[-1] == tuple(
        str(round(0.8 * over + 0.2 * under)) for over, under in zip((255, 247, 167), (198, 170, 150), strict=True)
    )


@pytest.mark.parametrize("path", sorted((HERE / "static").glob("*.js")), ids=lambda path: path.name)
def test_scripts_write_text_and_never_markup(path: Path) -> None:
    script = path.read_text(encoding="utf-8")
    assert script.startswith("// @ts-check\n")
    script = script.replace('"http://www.w3.org/2000/svg"', "")  # a name, and no address
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", script)


def test_scripts_keep_their_types() -> None:
    tools = require_node_modules()
    command = (tools / ".bin" / "tsc", "-p", Path(__file__).parent / "page_types" / "tsconfig.json")
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == 0, ended.stdout


def test_styles_load_nothing() -> None:
    assert not re.search(r"url\(|@import|https?:", read_static("report.css", "page.css"))


@pytest.mark.parametrize("picture", [b"GIF89a", b"", b"<svg>"])
def test_only_pictures_we_make_are_shown(picture: bytes) -> None:
    with pytest.raises(ValueError, match="neither JPEG nor PNG"):
        data_uri(picture)


@pytest.mark.parametrize(
    ("p_fake", "words"),
    [
        (0.0, "0.001"),
        (0.004, "0.004"),
        (0.01, "0.01"),
        (0.5, "0.50"),
        (0.99, "0.99"),
        (0.9906, "0.991"),
        (0.99999, "0.999"),
        (1.0, "0.999"),
    ],
)
def test_an_estimate_never_reads_as_certainty(p_fake: float, words: str) -> None:
    assert write_estimate(p_fake, lang="en") == words
    assert write_estimate(p_fake, lang="ru") == words.replace(".", ",")
