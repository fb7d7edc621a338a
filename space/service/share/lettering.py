"""Words in pictures: set in lines, each word in a font that has its letters.

Pillow's own font knows English only, so subsets of Noto Sans lie beside this module (Latin, Cyrillic, Devanagari).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from PIL import ImageDraw, ImageFont, features

FONTS = Path(__file__).parent / "fonts"
FAMILIES = ("NotoSans", "NotoSansDevanagari")
LINE_HEIGHT = 1.22  # of the letters' size
MAX_LETTERS = 500  # of words to be set; more than there is room for
NOT_A_LETTER = "\U0010ffff"
JOINERS = "\u200c\u200d"  # never drawn: they tell the layout how to join the letters beside them

Weight = Literal["Regular", "Bold"]


class MissingLettersError(ValueError):
    """Words that no font here can write."""


@dataclass(frozen=True)
class Lines:
    """Words broken into lines, ready to be drawn."""

    lines: tuple[str, ...]
    size_px: int
    weight: Weight

    @property
    def height(self) -> int:
        """Of all lines together, in pixels."""
        return round(len(self.lines) * self.size_px * LINE_HEIGHT)

    def draw(self, canvas: ImageDraw.ImageDraw, at: tuple[int, int], colour: str) -> None:
        """Write them, the first line's top left corner at a place."""
        x, y = at
        for number, line in enumerate(self.lines):
            baseline = y + round((number + 0.95) * self.size_px * LINE_HEIGHT - 0.15 * self.size_px)
            left = float(x)
            for word in line.split(" "):
                font = pick_font(word, self.size_px, self.weight)
                canvas.text((left, baseline), word, fill=colour, font=font, anchor="ls")
                left += font.getlength(word) + _space(self.size_px, self.weight)


def set_lines(words: str, *, width_px: int, max_lines: int, sizes: range, weight: Weight) -> Lines:
    """Break words into lines, in the largest size in which they fit; in the smallest, what is too much is left out.

    Args:
        sizes: of the letters in pixels, from the largest to the smallest.

    Raises:
        MissingLettersError: no font has all letters of a word.
    """
    words = words[:MAX_LETTERS]
    lines: list[str] = []
    for size_px in sizes:
        lines = _break(words, width_px, size_px, weight)
        is_whole = all(_width(word, size_px, weight) <= width_px for word in words.split())
        if len(lines) <= max_lines and is_whole:
            return Lines(tuple(lines), size_px, weight)
    kept = [*lines[: max_lines - 1], f"{lines[max_lines - 1]} …"] if len(lines) > max_lines else lines
    return Lines(tuple(kept), sizes[-1], weight)


def _break(words: str, width_px: int, size_px: int, weight: Weight) -> list[str]:
    lines = [""]
    for word in words.split():
        for piece in _cut(word, width_px, size_px, weight):
            longer = f"{lines[-1]} {piece}".lstrip()
            if lines[-1] and _width(longer, size_px, weight) > width_px:
                lines.append(piece)
            else:
                lines[-1] = longer
    return lines


def _cut(word: str, width_px: int, size_px: int, weight: Weight) -> Iterator[str]:
    """A word in pieces that fit into a line; nearly always the word itself."""
    while word and _width(word, size_px, weight) > width_px:
        n_letters = max(1, int(len(word) * width_px / _width(word, size_px, weight)) - 1)
        yield word[:n_letters]
        word = word[n_letters:]
    yield word


def _width(line: str, size_px: int, weight: Weight) -> float:
    words = line.split(" ")
    spaces = (len(words) - 1) * _space(size_px, weight)
    return sum(pick_font(word, size_px, weight).getlength(word) for word in words) + spaces


def _space(size_px: int, weight: Weight) -> float:
    return _load(FAMILIES[0], size_px, weight).getlength(" ")


def pick_font(word: str, size_px: int, weight: Weight) -> ImageFont.FreeTypeFont:
    """The first font that has all letters of a word.

    Raises:
        MissingLettersError: none has.
    """
    families = FAMILIES if features.check("raqm") else FAMILIES[:1]  # Devanagari needs its complex text layout
    for family in families:
        if all(_has(family, letter) or letter in JOINERS for letter in word):
            return _load(family, size_px, weight)
    raise MissingLettersError(f"no font here has all letters of {word!r}")


@cache
def _load(family: str, size_px: int, weight: Weight) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"{family}-{weight}.ttf", size_px)


@lru_cache(maxsize=4096)
def _has(family: str, letter: str) -> bool:
    font = _load(family, 20, "Regular")
    return bytes(font.getmask(letter)) != bytes(font.getmask(NOT_A_LETTER)) or letter.isspace()
