"""What a link looks like in a messenger: looked at as a picture, letter by letter and colour by colour."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, features

from space.analysis.render import encode_jpeg
from space.contract import Text, VerdictCode
from space.service.page.palette import load_palette
from space.service.share.icons import DRAWINGS, draw_icon, icon_names
from space.service.share.lettering import MissingLettersError, set_lines
from space.service.share.preview import HEIGHT_PX, MARGIN_PX, PICTURE_PX, TEXT_PX, WIDTH_PX, draw_preview
from space.service.share.story import tell
from space.texts import languages, load_texts
from tests.analyses import example_report, make_analysis

CODES: tuple[VerdictCode, ...] = get_args(VerdictCode)
PICTURE = encode_jpeg(np.full((320, 320, 3), (40, 160, 90), np.uint8))


def colour(name: str) -> NDArray[np.int64]:
    return np.array([int(name[i : i + 2], 16) for i in (1, 3, 5)])


def look(preview: bytes) -> NDArray[np.int64]:
    """Pixels (630, 1200, 3)."""
    with Image.open(io.BytesIO(preview)) as image:
        assert (image.format, image.size) == ("JPEG", (1200, 630))
        assert not image.getexif()
        return np.array(image.convert("RGB"), np.int64)


def near(pixels: NDArray[np.int64], name: str) -> NDArray[np.bool_]:
    near_enough: NDArray[np.bool_] = np.abs(pixels - colour(name)).max(axis=-1) < 24
    return near_enough


# --- the whole --------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [None, PICTURE], ids=["bare", "picture"])
@pytest.mark.parametrize("code", CODES)
def test_verdict_is_there_in_words_icon_and_colour(code: VerdictCode, picture: bytes | None) -> None:
    preview = draw_preview(tell(make_analysis(code).report), picture, lang="en")
    pixels = look(preview)
    colours = load_palette()["verdicts"][code]["light"]
    assert near(pixels[:20], colours["tint"]).all(), "the margin"
    assert near(pixels[-20:], colours["tint"]).all()
    left, right = pixels[:, : MARGIN_PX + TEXT_PX], pixels[:, -MARGIN_PX - PICTURE_PX : -MARGIN_PX]
    assert near(left, colours["ink"]).mean() > 0.01, "the headline"
    assert near(left, load_palette()["themes"]["light"]["ink"]).mean() > 0.003, "the sentence"
    shown = near(right, "#28a05a").mean()
    assert shown > 0.7 if picture else near(right, colours["ink"]).mean() > 0.02
    assert len(preview) < 200_000


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("code", CODES)
def test_words_stay_beside_the_picture(code: VerdictCode, lang: str) -> None:
    pixels = look(draw_preview(tell(make_analysis(code).report), PICTURE, lang=lang))
    tint = load_palette()["verdicts"][code]["light"]["tint"]
    gap = pixels[:, WIDTH_PX - MARGIN_PX - PICTURE_PX - 40 : WIDTH_PX - MARGIN_PX - PICTURE_PX - 8]
    assert near(gap, tint).all()
    assert near(pixels[:, : MARGIN_PX - 8], tint).all()
    assert near(pixels[HEIGHT_PX - MARGIN_PX + 8 :], tint).all()


def test_languages_differ() -> None:
    story = tell(example_report())
    assert len({draw_preview(story, None, lang=lang) for lang in languages()}) == len(languages())


def test_strange_words_are_left_out_and_long_ones_cut() -> None:
    story = tell(example_report())
    assert story.parts is not None
    for words in ("漢字 and more", "x" * 5000, "word " * 400, ""):
        strange = replace(story.parts, sentence=Text("parts.of_another_version", words, {}))
        pixels = look(draw_preview(replace(story, parts=strange), PICTURE, lang="en"))
        gap = pixels[:, WIDTH_PX - MARGIN_PX - PICTURE_PX - 40 : WIDTH_PX - MARGIN_PX - PICTURE_PX - 8]
        assert near(gap, load_palette()["verdicts"]["strong"]["light"]["tint"]).all()


def test_without_its_letters_a_language_gives_way_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    story = tell(example_report())
    monkeypatch.setitem(load_texts("ru"), "verdict.strong", "漢字")  # type: ignore[arg-type]
    assert draw_preview(story, None, lang="ru") == draw_preview(story, None, lang="en")


# --- letters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", languages())
def test_every_language_has_its_letters(lang: str) -> None:
    if lang == "ne" and not features.check("raqm"):
        pytest.skip("this Pillow has no complex text layout")
    kinds = ("verdict.", "reason.", "part.", "parts.", "share.preview.")
    for text_id, words in load_texts(lang).items():
        if text_id.startswith(kinds):
            filled = re.sub(r"{\w+}", "12", words.replace("{parts}", load_texts(lang)["part.right_jaw"]))
            assert set_lines(filled, width_px=500, max_lines=20, sizes=range(20, 19, -1), weight="Bold").lines


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow has no complex text layout")
def test_letters_are_joined_as_asked() -> None:
    """Nepali writes its eyelash ra with a zero-width joiner, for which a font needs no letter."""
    assert (drawn("गर्\u200dयो") != drawn("गर्यो")).any()


def drawn(words: str) -> NDArray[np.int64]:
    image = Image.new("RGB", (400, 60), "white")
    lines = set_lines(words, width_px=400, max_lines=1, sizes=range(30, 29, -1), weight="Regular")
    lines.draw(ImageDraw.Draw(image), (0, 0), "#000000")
    return np.array(image, np.int64)


@pytest.mark.parametrize("words", ["Strong", "Сильные ё", "señales ¿", "संकेत", "क्ष त्र", "1,5 — 2"])
def test_letters_are_drawn_and_not_replaced_by_boxes(words: str) -> None:
    pixels = drawn(words)
    assert (pixels < 128).mean() > 0.01
    letters = [letter for letter in words if not letter.isspace()]
    assert any((drawn(a) != drawn(b)).any() for a in letters for b in letters if a != b)


@pytest.mark.parametrize("words", ["漢字", "Words and \U0001f600", "\U0010ffff"])
def test_letters_that_are_not_there_are_an_error(words: str) -> None:
    with pytest.raises(MissingLettersError):
        drawn(words)


@pytest.mark.parametrize(
    ("words", "max_lines", "lines"),
    [
        ("one two", 1, ("one two",)),
        ("one two three four five six seven", 2, None),
        ("", 1, ("",)),
    ],
)
def test_lines_fit(words: str, max_lines: int, lines: tuple[str, ...] | None) -> None:
    found = set_lines(words, width_px=160, max_lines=max_lines, sizes=range(24, 11, -1), weight="Bold")
    assert len(found.lines) <= max_lines
    assert lines is None or found.lines == lines
    assert " ".join(found.lines) == words


def test_what_is_too_much_is_left_out_visibly() -> None:
    found = set_lines("word " * 60, width_px=160, max_lines=2, sizes=range(24, 19, -1), weight="Bold")
    assert len(found.lines) == 2
    assert found.lines[-1].endswith("…")


# --- icons ------------------------------------------------------------------------------------


def test_every_verdict_has_its_drawing() -> None:
    assert set(icon_names()) == set(CODES)
    assert set(icon_names().values()) == set(DRAWINGS)
    alphas = [np.array(draw_icon(name, 96, "#000000").getchannel("A")) for name in DRAWINGS]
    for number, alpha in enumerate(alphas):
        assert 0.05 < (alpha > 128).mean() < 0.5
        assert not alpha[[0, -1]].any()
        assert not alpha[:, [0, -1]].any()
        assert all((np.abs(alpha.astype(int) - other) > 128).mean() > 0.02 for other in alphas[:number])


def test_licence_of_the_letters_lies_beside_them() -> None:
    from space.service.share.lettering import FAMILIES, FONTS

    assert "SIL OPEN FONT LICENSE" in (FONTS / "OFL.txt").read_text(encoding="utf-8")
    assert {path.name for path in FONTS.glob("*.ttf")} == {
        f"{family}-{weight}.ttf" for family in FAMILIES for weight in ("Regular", "Bold")
    }
    assert sum(path.stat().st_size for path in FONTS.iterdir()) < 400_000
