"""The extension as a store gets it: the project's words and colours to the byte, one zip each time, house rules."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from PIL import Image

from extension.icons.draw_icons import SIZES, draw_icon, read_strokes
from extension.pack import COPIES, EXTENSION, copy_shared, make_copies, pack, packed_files
from space.service.page.palette import load_palette
from space.settings import MIB
from space.texts import load_texts

MAX_BYTES = 2 * MIB
MAX_LINES = 400
MANIFEST = json.loads((EXTENSION / "manifest.json").read_text(encoding="utf-8"))
LOCALES = ("en", "es", "ne", "ru")
SCRIPTS = [path for path in packed_files() if path.suffix == ".js"]
PAGES = [path for path in packed_files() if path.suffix == ".html"]


def name(path: Path) -> str:
    return path.relative_to(EXTENSION).as_posix()


# --- copies -----------------------------------------------------------------------------------------


def test_copies_are_what_the_project_shares() -> None:
    kept = {path.relative_to(COPIES).as_posix(): path.read_bytes() for path in COPIES.rglob("*") if path.is_file()}
    assert kept == make_copies(), "run: python -m extension.pack --copy"


def test_copying_deletes_what_is_no_copy_any_more(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "xx.json").write_text("{}")
    copy_shared(tmp_path)
    assert not (tmp_path / "text" / "xx.json").exists()
    assert (tmp_path / "palette.json").read_bytes() == make_copies()["palette.json"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_styles_hold_every_colour_of_the_palette(theme: str) -> None:
    css = make_copies()["palette.css"].decode()
    part = css.split("@media")[0 if theme == "light" else 1]
    palette = load_palette()
    wanted = {f"--tt-{name}": colour for name, colour in palette["themes"][theme].items()}
    for code, themes in palette["verdicts"].items():
        wanted |= {f"--tt-{code}-{role}": colour for role, colour in themes[theme].items()}
    assert wanted.items() <= dict(re.findall(r"(--[\w-]+): (#\w+);", part)).items()


# --- the zip ----------------------------------------------------------------------------------------


def test_the_zip_is_the_same_to_the_byte_each_time(tmp_path: Path) -> None:
    first = pack(tmp_path / "one.zip").read_bytes()
    for path in packed_files():
        path.touch()
    assert pack(tmp_path / "two" / "two.zip").read_bytes() == first


def test_the_zip_is_small_and_holds_what_runs(tmp_path: Path) -> None:
    target = pack(tmp_path / "telltale.zip")
    assert target.stat().st_size < MAX_BYTES
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert archive.read("manifest.json") == (EXTENSION / "manifest.json").read_bytes()
    assert names == sorted(set(names))
    assert {Path(entry).suffix for entry in names} == {".css", ".html", ".js", ".json", ".png"}
    assert not [entry for entry in names if re.search(r"package|tsconfig|node_modules|\.py|test", entry)]


def paths_in(value: object) -> list[str]:
    """Strings in the manifest that name a file."""
    if isinstance(value, dict):
        return [path for inner in value.values() for path in paths_in(inner)]
    if isinstance(value, list):
        return [path for inner in value for path in paths_in(inner)]
    return [value] if isinstance(value, str) and re.fullmatch(r"[\w/-]+\.(js|html|png|css)", value) else []


def test_the_zip_holds_what_the_manifest_names() -> None:
    assert set(paths_in(MANIFEST)) <= {name(path) for path in packed_files()}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages_name_only_files_of_their_own(page: Path) -> None:
    links = re.findall(r'(?:src|href)="([^"]+)"', page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).resolve().is_relative_to(EXTENSION)] == []
    assert [link for link in links if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_scripts_import_only_files_of_their_own(script: Path) -> None:
    imports = re.findall(
        r"^(?:import|export)\b[^'\"]*?from ['\"]([^'\"]+)['\"]", script.read_text("utf-8"), re.MULTILINE
    )
    assert [path for path in imports if not (path.startswith(".") and (script.parent / path).is_file())] == []


# --- house rules ------------------------------------------------------------------------------------

MARKUP = r"\.(?:inner|outer)HTML\s*\+?=(?!=)|insertAdjacentHTML|document\.write|DOMParser|setHTML|ContextualFragment"
CODE_FROM_TEXT = r"\beval\(|new Function\b|set(?:Timeout|Interval)\(\s*['\"`]"


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_scripts_keep_the_house_rules(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert text.startswith("// @ts-check\n")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.js", script.name)
    assert len(text.splitlines()) <= MAX_LINES
    assert not re.search(MARKUP, text), "text never becomes markup"
    assert not re.search(CODE_FROM_TEXT, text)
    assert "@ts-ignore" not in text
    assert "@ts-nocheck" not in text


def test_pages_hold_no_script_and_no_style_of_their_own() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text), page.name


# --- words ------------------------------------------------------------------------------------------

TEXT_ID = re.compile(r"['\"`]((?:extension|page|error|verdict|stage|part)\.[\w.${}]+)['\"`]")


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_texts_named_in_scripts_exist(script: Path) -> None:
    for text_id in TEXT_ID.findall(script.read_text(encoding="utf-8")):
        pattern = ".+".join(re.escape(piece) for piece in re.split(r"\$\{[^}]*\}", text_id))
        assert any(re.fullmatch(pattern, known) for known in load_texts("en")), text_id


def test_every_text_of_the_extension_is_used() -> None:
    code = "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    patterns = {re.sub(r"\$\{[^}]*\}", "\0", text_id) for text_id in TEXT_ID.findall(code)}
    expressions = [".+".join(re.escape(piece) for piece in pattern.split("\0")) for pattern in patterns]
    own = [text_id for text_id in load_texts("en") if text_id.startswith("extension.")]
    assert [text_id for text_id in own if not any(re.fullmatch(pattern, text_id) for pattern in expressions)] == []


def messages(lang: str) -> dict[str, str]:
    table = json.loads((EXTENSION / "_locales" / lang / "messages.json").read_text(encoding="utf-8"))
    return {key: entry["message"] for key, entry in table.items()}


def test_the_manifest_speaks_four_languages() -> None:
    assert sorted(path.name for path in (EXTENSION / "_locales").iterdir()) == sorted(LOCALES)
    wanted = set(re.findall(r"__MSG_(\w+)__", json.dumps(MANIFEST)))
    for script in SCRIPTS:
        wanted |= set(re.findall(r"i18n\.getMessage\(['\"](\w+)", script.read_text(encoding="utf-8")))
    for lang in LOCALES:
        assert set(messages(lang)) == wanted, lang


@pytest.mark.parametrize(
    ("lang", "letters"), [("en", "[a-z]"), ("es", "[áéíóúñ]"), ("ru", "[а-яё]"), ("ne", "[\u0900-\u097f]")]
)
def test_a_language_is_what_it_says(lang: str, letters: str) -> None:
    words = messages(lang)
    assert words["name"] == "Telltale"
    assert len(words["description"]) <= 132, "the Chrome Web Store's limit"
    assert re.search(letters, words["description"], re.IGNORECASE)
    assert lang == "en" or not set(words.values()) & set(messages("en").values()) - {"Telltale"}
    assert not any(
        placeholder for text in words.values() for _, placeholder, *_ in Formatter().parse(text) if placeholder
    )


# --- icons ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_icon_is_the_favicon(size: int) -> None:
    with Image.open(EXTENSION / "icons" / f"icon-{size}.png") as icon:
        assert (icon.mode, icon.size) == ("RGBA", (size, size))
        assert np.array_equal(np.asarray(icon), np.asarray(draw_icon(size))), (
            "run: python -m extension.icons.draw_icons"
        )


def test_icon_shows_its_shapes() -> None:
    icon = draw_icon(128)
    pixels = {at: icon.getpixel(at) for at in [(0, 0), (64, 10), (64, 36), (64, 80), (92, 88)]}
    assert pixels[0, 0] == (0, 0, 0, 0), "round corners"
    assert pixels[64, 10] == (0x1B, 0x1E, 0x22, 255), "ground"
    assert pixels[64, 36] == pixels[64, 80] == (255, 255, 255, 255), "the letter's two strokes"
    assert pixels[92, 88] == (0xFE, 0xA0, 0x4A, 255), "the dot"


def test_strokes_are_read() -> None:
    assert read_strokes("M8 9h16M16,9v15") == [((8, 9), (24, 9)), ((16, 9), (16, 24))]
    with pytest.raises(ValueError, match="only M, h and v"):
        read_strokes("M0 0l3 4")
