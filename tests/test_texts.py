"""Every text in every language, with the parameters that the shared tables and the code give it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.contract import Text, VerdictCode
from space.errors import (
    ALL_CODES,
    DeployError,
    InternalError,
    LinkError,
    RequestError,
    ServiceError,
    SourceError,
    TelltaleError,
    WeightsError,
)
from space.settings import PROJECT_ROOT, SHARED
from space.texts import describe_error, join_words, languages, load_texts, make_text, render, translate

LANGUAGES = languages()
ENGLISH = load_texts("en")
NAMESPACES = {text_id.split(".")[0] for text_id in ENGLISH}
STOP = {"en": ".", "es": ".", "ne": "।", "ru": "."}  # what a sentence ends with


def load(name: str) -> Any:
    return json.loads((SHARED / name).read_text(encoding="utf-8"))


def placeholders(template: str) -> list[tuple[str, str | None, str | None]]:
    """Name, format and conversion of each placeholder."""
    return [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(template) if name is not None]


def names(template: str) -> set[str]:
    return {name for name, _, _ in placeholders(template)}


def declared() -> dict[str, set[str]]:
    """Text id -> its parameters, as the shared tables declare them."""
    verdicts, parts, errors = load("verdicts.json"), load("parts.json"), load("errors.json")
    rows = [*verdicts["reasons"], *verdicts["limits"], *parts["sentences"], *parts["moments"], *errors["errors"]]
    found = {row["text"]: set(row["params"]) for row in rows}
    found |= {row["next"]: set() for row in [*errors["errors"], *verdicts["verdicts"]]}
    found |= {row[key]: set() for row in verdicts["verdicts"] for key in ("text", "badge")}
    found |= {row[key]: set() for row in parts["parts"] for key in ("text", "label")}
    return found | {row["text"]: set() for row in verdicts["stages"]}


DECLARED = declared()
DECLARED_NAMESPACES = {text_id.split(".")[0] for text_id in DECLARED}


# --- languages against each other -------------------------------------------------------------


def test_english_comes_first() -> None:
    assert LANGUAGES == ("en", "es", "ne", "ru")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_id_stands_twice(lang: str) -> None:
    pairs = json.loads((SHARED / "text" / f"{lang}.json").read_text(encoding="utf-8"), object_pairs_hook=list)
    ids = [text_id for text_id, _ in pairs]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_language_has_the_same_ids_in_the_same_order(lang: str) -> None:
    assert list(load_texts(lang)) == list(ENGLISH)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_language_has_the_same_placeholders(lang: str) -> None:
    different = {text_id for text_id, text in load_texts(lang).items() if names(text) != names(ENGLISH[text_id])}
    assert different == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_placeholders_are_bare_names(lang: str) -> None:
    """Each reader of the texts, in whatever language it is written, can fill them in."""
    for text in load_texts(lang).values():
        for name, spec, conversion in placeholders(text):
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name), text
            assert not spec, text
            assert conversion is None, text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_texts_are_tidy(lang: str) -> None:
    for text_id, text in load_texts(lang).items():
        assert text, text_id
        assert text_id == "list.comma" or text == text.strip(), text_id
        assert "  " not in text, text_id
        assert "<" not in text, f"{text_id}: words, never markup"
        assert "..." not in text, text_id


UNITS = {"page.unit.seconds", "page.unit.megabytes"}
NOT_WORDS = {"page.title", "list.comma", "number.decimal"}


@pytest.mark.parametrize(
    ("lang", "letters", "abbreviations"),
    [("ru", "[а-яё]", set()), ("ne", "[\u0900-\u097f]", {"page.unit.megabytes"})],
)
def test_language_is_written_in_its_letters(lang: str, letters: str, abbreviations: set[str]) -> None:
    untranslated = {text_id for text_id, text in load_texts(lang).items() if not re.search(letters, text.lower())}
    assert untranslated == NOT_WORDS | abbreviations


def test_spanish_shares_few_words_with_english() -> None:
    same_word = {"page.show.crop", "cli.error", "extension.popup.video"}
    same = {text_id for text_id, text in load_texts("es").items() if text == ENGLISH[text_id]}
    assert same == {"page.title", "list.comma"} | UNITS | same_word


@pytest.mark.parametrize("lang", LANGUAGES)
def test_sentences_end_as_in_english(lang: str) -> None:
    """Where English has a sentence there is one, and a heading where it has a heading."""
    texts = load_texts(lang)
    odd = {text_id for text_id, text in ENGLISH.items() if text.endswith(".") != texts[text_id].endswith(STOP[lang])}
    assert odd - {"number.decimal", "page.unit.seconds"} == set()


def test_names_of_languages_are_their_own() -> None:
    assert [load_texts(lang)["page.language.name"] for lang in LANGUAGES] == ["English", "Español", "नेपाली", "Русский"]


# --- words that are ruled out -----------------------------------------------------------------

WORDS_OF_TRUTH = {
    "en": r"\b(real|authentic|fake|deepfake|true|false)\b",
    "ru": r"\b(реальн|настоящ|аутентичн|фейк|дипфейк|правда|ложь)\w*",
    "ne": "असली|सक्कली|वास्तविक|प्रामाणिक|साँचो|सत्य|नक्कली|झुट|झूट|फेक",  # no \b: vowel signs count as no word
    "es": r"\b(reale?s?|auténtic|genuin|fals|verdad|mentira|fake|deepfake)\w*",
}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", get_args(VerdictCode))
def test_verdict_speaks_of_evidence(code: str, lang: str) -> None:
    texts = load_texts(lang)
    words = f"{texts[f'verdict.{code}']} {texts[f'verdict.{code}.badge']}"
    assert not re.search(WORDS_OF_TRUTH[lang], words.lower())
    assert "%" not in words
    assert not placeholders(words)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_badges_are_short_and_differ(lang: str) -> None:
    badges = [load_texts(lang)[f"verdict.{code}.badge"] for code in get_args(VerdictCode)]
    assert len(set(badges)) == len(badges)
    assert max(map(len, badges)) <= 20


# --- the shared tables ------------------------------------------------------------------------


@pytest.mark.parametrize("text_id", DECLARED)
def test_declared_text_uses_exactly_its_parameters(text_id: str) -> None:
    for lang in LANGUAGES:
        assert names(load_texts(lang)[text_id]) == DECLARED[text_id]


def test_no_text_without_its_row() -> None:
    assert {text_id for text_id in ENGLISH if text_id.split(".")[0] in DECLARED_NAMESPACES} == DECLARED.keys()


# --- the code ---------------------------------------------------------------------------------

NOT_A_TEXT = re.compile(r"\.(json|js|css|html|md|py|jpg|png|csv|txt|mp4)$")
TEXT_ID = re.compile(rf"({'|'.join(sorted(NAMESPACES))})(\.[a-z0-9_]+)+")
ERRORS = {
    kind.__name__: kind
    for kind in (SourceError, LinkError, RequestError, ServiceError, WeightsError, DeployError, InternalError)
}


class Use(NamedTuple):
    """A text id in the code."""

    line: int
    pattern: str  # regular expression; the id itself unless part of it is computed
    params: frozenset[str] | None  # None where they cannot be read off


def uses_in(code: str) -> Iterator[Use]:
    """Text ids that the code names: as constants, as f-strings, and as codes of errors it raises."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if TEXT_ID.fullmatch(node.value) and not NOT_A_TEXT.search(node.value):
                yield Use(node.lineno, re.escape(node.value), None)
        elif isinstance(node, ast.JoinedStr):
            yield from _computed_id(node)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            yield from _call(node, node.args[0].value)


def _computed_id(node: ast.JoinedStr) -> Iterator[Use]:
    head = node.values[0] if node.values else None
    if not isinstance(head, ast.Constant) or not re.match(rf"({'|'.join(NAMESPACES)})\.", str(head.value)):
        return
    pieces = [
        re.escape(str(piece.value)) if isinstance(piece, ast.Constant) else "[a-z0-9_.]+" for piece in node.values
    ]
    pattern = "".join(pieces)
    if not NOT_A_TEXT.search(pattern.replace("\\", "")):
        yield Use(node.lineno, pattern, None)


def _call(node: ast.Call, first: object) -> Iterator[Use]:
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    params = None if any(word.arg is None for word in node.keywords) else frozenset(str(w.arg) for w in node.keywords)
    if function in ERRORS:
        yield Use(node.lineno, re.escape(f"error.{first}"), params)
    elif function == "make_text":
        yield Use(node.lineno, re.escape(str(first)), params)
    elif function == "render":
        yield Use(node.lineno, re.escape(str(first)), _rendered_params(node))


def _rendered_params(node: ast.Call) -> frozenset[str] | None:
    given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "params")]
    if not given:
        return frozenset()
    if isinstance(given[0], ast.Dict) and all(isinstance(key, ast.Constant) for key in given[0].keys):
        return frozenset(str(key.value) for key in given[0].keys if isinstance(key, ast.Constant))
    return None


def sources() -> list[Path]:
    return [*sorted((PROJECT_ROOT / "space").rglob("*.py")), *PROJECT_ROOT.glob("app.py")]


FILES = [pytest.param(path, id=path.relative_to(PROJECT_ROOT).as_posix()) for path in sources()]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('t["page.title"]', [Use(1, r"page\.title", None)]),
        ('render("page.x", lang=l)', [Use(1, r"page\.x", frozenset()), Use(1, r"page\.x", None)]),
        ('render("page.x", {"n": 1})', [Use(1, r"page\.x", frozenset({"n"})), Use(1, r"page\.x", None)]),
        ('render("page.x", params)', [Use(1, r"page\.x", None), Use(1, r"page\.x", None)]),
        ('open("parts.json")', []),
        ('print("Nothing. Here.")', []),
        ('make_text("limit.x", n=1)', [Use(1, r"limit\.x", frozenset({"n"})), Use(1, r"limit\.x", None)]),
        ('raise SourceError("empty")', [Use(1, r"error\.empty", frozenset())]),
        ('raise errors.SourceError("too_long", **params)', [Use(1, r"error\.too_long", None)]),
        ('render(f"verdict.{code}.badge")', [Use(1, r"verdict\.[a-z0-9_.]+\.badge", None)]),
        ('open(f"evidence-{n}.jpg")', []),
        ('open(f"parts.{lang}.json")', []),
    ],
)
def test_uses_are_found(code: str, expected: list[Use]) -> None:
    assert list(uses_in(code)) == expected


@pytest.mark.parametrize("path", FILES)
def test_text_named_in_the_code_exists(path: Path) -> None:
    for use in uses_in(path.read_text(encoding="utf-8")):
        assert any(re.fullmatch(use.pattern, text_id) for text_id in ENGLISH), use


@pytest.mark.parametrize("path", FILES)
def test_text_named_in_the_code_gets_its_parameters(path: Path) -> None:
    for use in uses_in(path.read_text(encoding="utf-8")):
        text_id = use.pattern.replace("\\", "")
        if use.params is not None and text_id in ENGLISH:
            assert use.params == names(ENGLISH[text_id]), use


# --- rendering --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lang", "value", "words"),
    [
        ("en", 3, "3"),
        ("en", 600.0, "600"),
        ("en", 12.3456, "12.3"),
        ("en", 104.96, "105"),
        ("en", 0.876, "0.88"),
        ("en", 0.5, "0.5"),
        ("en", 0.001, "0"),
        ("en", 100, "100"),
        ("en", np.float32(1.25), "1.2"),
        ("en", np.int64(20), "20"),
        ("en", "1.25", "1.25"),
        ("ru", 12.3456, "12,3"),
        ("ru", 600.0, "600"),
        ("ru", "1.25", "1.25"),
        ("es", 12.3456, "12,3"),
        ("es", 600.0, "600"),
        ("ne", 12.3456, "12.3"),
    ],
)
def test_numbers_are_rounded_for_a_reader(lang: str, value: float, words: str) -> None:
    params = {"n_agree": value, "n_total": 7}
    assert render("reason.most_frames_agree", params, lang=lang) == load_texts(lang)[
        "reason.most_frames_agree"
    ].replace("{n_agree}", words).replace("{n_total}", "7")


@pytest.mark.parametrize(
    ("lang", "parts", "words"),
    [
        ("en", [], ""),
        ("en", ["mouth"], "the mouth"),
        ("en", ["mouth", "nose"], "the mouth and the nose"),
        ("en", ["mouth", "nose", "right_jaw"], "the mouth, the nose and the right jaw line"),
        ("es", ["mouth", "nose", "left_eye"], "la boca, la nariz y el ojo izquierdo"),
        ("ne", ["mouth", "nose", "left_eye"], "मुख, नाक र बायाँ आँखा"),
        ("ru", ["mouth"], "рот"),
        ("ru", ["mouth", "nose", "left_eye", "chin"], "рот, нос, левый глаз и подбородок"),
    ],
)
def test_parts_are_joined_as_the_language_does(lang: str, parts: list[str], words: str) -> None:
    assert join_words([f"part.{part}" for part in parts], lang=lang) == words


@pytest.mark.parametrize(
    ("lang", "sentence"),
    [
        ("en", "The models reacted most strongly to the mouth and the right jaw line, in 2 of 3 moments."),
        ("es", "Los modelos reaccionaron más ante la boca y la línea derecha de la mandíbula, en 2 de 3 momentos."),
        ("ne", "मोडेलहरूले 3 मध्ये 2 क्षणमा मुख र दायाँ बङ्गाराको रेखामा सबैभन्दा बढी प्रतिक्रिया देखाए।"),
        ("ru", "Сильнее всего модели отреагировали здесь: рот и линия челюсти справа (моменты: 2 из 3)."),
    ],
)
def test_sentence_about_parts(lang: str, sentence: str) -> None:
    text = make_text("parts.localised", parts=["part.mouth", "part.right_jaw"], n_moments=2, n_total=3)
    assert translate(text, lang=lang) == sentence
    assert lang != "en" or text.en == sentence


def test_text_keeps_its_parameters() -> None:
    assert make_text("limit.sampled_frames", n_frames=16) == Text(
        id="limit.sampled_frames",
        en="Frames looked at: 16. What happens between them is not seen.",
        params={"n_frames": 16},
    )


@pytest.mark.parametrize(
    ("text_id", "params"),
    [("page.nothing", {}), ("limit.sampled_frames", {}), ("parts.localised.single", {"parts": ["part.ear"]})],
)
def test_missing_words_are_an_error(text_id: str, params: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        render(text_id, params)


@given(name=st.text())
def test_a_strangers_words_stay_words(name: str) -> None:
    """A file may be called "{name}" or "%s"; it is quoted as it is."""
    assert render("error.not_found", {"name": name}) == f"There is no file “{name}”."


def raise_with_params(code: str) -> TelltaleError:
    params = dict.fromkeys(names(ENGLISH[f"error.{code}"]), 7.25)
    return next(kind for kind in ERRORS.values() if code in kind.codes)(code, **params)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", sorted(ALL_CODES))
def test_error_is_described_in_sentences(code: str, lang: str) -> None:
    words = describe_error(raise_with_params(code), lang=lang)
    assert words.endswith(STOP[lang])
    assert "{" not in words
    assert words.count(STOP[lang]) >= 2, "what went wrong and what to do next"


def test_error_says_what_happened() -> None:
    error = SourceError("too_large", limit_mb=100, actual_mb=123.456)
    assert describe_error(error) == (
        "The file is too large: 123.5 MB, at most 100 MB are accepted. "
        "Cut out the passage in question or choose a smaller copy."
    )
    assert "123,5 МБ" in describe_error(error, lang="ru")
    assert "123,5 MB" in describe_error(error, lang="es")
    assert "123.5 MB" in describe_error(error, lang="ne")
