"""Which language a person reads, and the words in it as templates ask for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from space.contract import Text
from space.texts import FALLBACK_LANGUAGE, Param, languages, load_texts, render, translate, write_estimate

_RANGE = re.compile(
    r"\s*([a-z]{1,8})(?:-[a-z0-9]{1,8})*\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.IGNORECASE
)


def pick_language(query: Mapping[str, str], accept_language: str) -> str:
    """The language of a request: ``?lang=`` where we have it, else the best of ``Accept-Language``.

    Args:
        query: the page's query parameters.
        accept_language: the header (RFC 9110, 12.5.4); empty where there is none.
    """
    known = languages()
    asked = query.get("lang", "")
    if asked in known:
        return asked
    ranges = [_RANGE.fullmatch(part) for part in accept_language.split(",")]
    wanted = [(float(found[2] or 1), found[1].lower()) for found in ranges if found]
    usable = [(quality, lang) for quality, lang in wanted if quality > 0 and lang in known]
    return max(usable, key=lambda pair: pair[0])[1] if usable else FALLBACK_LANGUAGE  # the first of equals


@dataclass(frozen=True)
class Words:
    """The words of one language."""

    lang: str

    def t(self, text_id: str, **params: Param) -> str:
        """The words of a text id."""
        return render(text_id, params, lang=self.lang)

    def say(self, text: Text) -> str:
        """A report's text."""
        return translate(text, lang=self.lang)

    def number(self, value: float, digits: int = 0) -> str:
        """A number with the language's decimal mark."""
        return f"{value:.{digits}f}".replace(".", load_texts(self.lang)["number.decimal"])

    def estimate(self, p_fake: float) -> str:
        """An estimate in [0, 1]."""
        return write_estimate(p_fake, lang=self.lang)

    def percent(self, share: float) -> str:
        """A share in [0, 1] as a whole percentage; what is above 0 never reads as 0."""
        return "< 1\N{NO-BREAK SPACE}%" if 0 < share < 0.01 else f"{share * 100:.0f}\N{NO-BREAK SPACE}%"
