"""Words: text ids with parameters, rendered in a language of ``shared/text``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from space.contract import Text
from space.errors import TelltaleError
from space.settings import SHARED

FALLBACK_LANGUAGE = "en"

Param = str | int | float | list[str]


def languages() -> tuple[str, ...]:
    """Languages that have a file, English first."""
    found = sorted(path.stem for path in (SHARED / "text").glob("*.json"))
    return (FALLBACK_LANGUAGE, *(lang for lang in found if lang != FALLBACK_LANGUAGE))


@cache
def load_texts(lang: str) -> Mapping[str, str]:
    """All texts of a language: id -> template with ``{placeholders}``."""
    texts: dict[str, str] = json.loads((SHARED / "text" / f"{lang}.json").read_text(encoding="utf-8"))
    return texts


def render(text_id: str, params: Mapping[str, Param] | None = None, *, lang: str = FALLBACK_LANGUAGE) -> str:
    """The words of a text id.

    A list parameter is a list of text ids (facial parts); it is rendered as words and joined in the
    language's way ("the mouth, the nose and the chin"). A fraction is rounded to what a reader can use: one
    decimal place, two below 1, with the language's decimal mark.

    Raises:
        KeyError: no such text in the language, or a placeholder without its parameter.
    """
    values = {key: _say(value, lang=lang) for key, value in (params or {}).items()}
    return load_texts(lang)[text_id].format(**values)


def _say(value: Param, *, lang: str) -> str:
    if isinstance(value, list):
        return join_words(value, lang=lang)
    if isinstance(value, str | int):
        return str(value)
    digits = f"{value:.{2 if abs(value) < 1 else 1}f}".rstrip("0").rstrip(".")
    return digits.replace(".", load_texts(lang)["number.decimal"])


def write_estimate(p_fake: float, *, lang: str) -> str:
    """An estimate in [0, 1] with two decimals, with three below 0.01 and above 0.99; it never reads as certainty."""
    digits = 2 if 0.01 <= p_fake <= 0.99 else 3
    shown = min(max(p_fake, 0.001), 0.999)
    return f"{shown:.{digits}f}".replace(".", load_texts(lang)["number.decimal"])


def join_words(text_ids: list[str], *, lang: str = FALLBACK_LANGUAGE) -> str:
    """Words of several text ids as one phrase."""
    texts = load_texts(lang)
    words = [texts[text_id] for text_id in text_ids]
    if len(words) < 2:
        return "".join(words)
    return texts["list.last"].format(head=texts["list.comma"].join(words[:-1]), tail=words[-1])


def make_text(text_id: str, **params: Param) -> Text:
    """A text for the report, with its English rendering."""
    return Text(id=text_id, en=render(text_id, params), params=params)


def translate(text: Text, *, lang: str) -> str:
    """A report's text in another language."""
    return render(text.id, text.params, lang=lang)


def describe_error(error: TelltaleError, *, lang: str = FALLBACK_LANGUAGE) -> str:
    """What went wrong and what to do next, as two sentences."""
    text_id = f"error.{error.code}"
    return f"{render(text_id, error.params, lang=lang)} {render(f'{text_id}.next', error.params, lang=lang)}"
