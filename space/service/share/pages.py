"""Shared pages as HTML that needs no script, no cookie and nothing from elsewhere; every value is escaped."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from space.service.page.palette import palette_css
from space.service.share.icons import icon_names
from space.service.share.story import Story
from space.service.share.timeline import draw_chart
from space.service.share.words import StoryWords
from space.settings import MIB
from space.texts import languages

HERE = Path(__file__).parent
PAGE_TEMPLATES = HERE.parent / "page" / "templates"  # whose drawings of icons are used here
VERIFY_COMMAND = "python -m space verify FILE"
LOCALES = {"en": "en_US", "es": "es_ES", "ne": "ne_NP", "ru": "ru_RU"}  # as Open Graph names them


@dataclass(frozen=True)
class Place:
    """Where a page is, and for whom."""

    base_url: str  # without a slash at the end
    path: str  # below it, such as "/e/<id>"
    lang: str

    @property
    def root(self) -> str:
        """The service's own path, without a slash at the end; usually empty."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def here(self) -> str:
        """The page's path on its host."""
        return f"{self.root}{self.path}"

    @property
    def url(self) -> str:
        """The page's whole address."""
        return f"{self.base_url}{self.path}"


@dataclass(frozen=True)
class Forms:
    """What a visitor can do about a shared report."""

    reasons: tuple[str, ...]  # to complain
    contact: str | None


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(HERE / "templates"), FileSystemLoader(PAGE_TEMPLATES)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(icons=icon_names(), mib=MIB, verify_command=VERIFY_COMMAND, locales=LOCALES)
    return environment


@cache
def styles() -> str:
    """The pages' only style sheet, inside each of them."""
    own = (HERE / "static" / "share.css").read_text(encoding="utf-8")
    return palette_css(dark="@media (prefers-color-scheme: dark)") + own


@cache
def content_policy() -> str:
    """What a browser may load for these pages: their pictures, and the one style sheet inside them."""
    digest = base64.b64encode(hashlib.sha256(styles().encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src 'self'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def render_story(
    story: Story,
    place: Place,
    *,
    expires: str,
    fingerprint: str,
    forms: Forms | None = None,
    is_temporary: bool = False,
) -> str:
    """The page of a shared report.

    Args:
        expires: ISO 8601, UTC.
        fingerprint: of the key it is signed with.
        forms: None for a report inside its link: nothing is kept that could be deleted.
        is_temporary: whether a restart of the service may end it before.
    """
    words = StoryWords(place.lang)
    return _render(
        "story.html",
        place,
        words,
        story=story,
        summary=words.summary(story),
        charts={person.track: draw_chart(story, person) for person in story.people},
        expires=expires[:10],
        made=f"{story.created[:10]} {story.created[11:16]} UTC",
        fingerprint=fingerprint,
        forms=forms,
        is_temporary=is_temporary,
        picture=lambda name: f"{place.here}/pictures/{name}",
    )


def render_message(title: str, sentence: str, place: Place, *, leads_back: bool) -> str:
    """A page that says one thing.

    Args:
        leads_back: whether there is a report at ``place`` to go back to.
    """
    words = StoryWords(place.lang)
    return _render("message.html", place, words, title=title, sentence=sentence, leads_back=leads_back)


def _render(template: str, place: Place, words: StoryWords, **values: Any) -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            lang=place.lang,
            place=place,
            t=words.t,
            say=words.say,
            number=words.number,
            estimate=words.estimate,
            percent=words.percent,
            styles=styles(),
            languages=[(lang, StoryWords(lang).t("page.language.name")) for lang in languages()],
            **values,
        )
    )
