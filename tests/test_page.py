"""What the page shows: reports, errors and progress as HTML, in every language, and nothing else than that."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import get_args

import pytest

from space.analysis.report import to_json
from space.contract import Analysis, MemberInfo, Text, VerdictCode
from space.errors import ALL_CODES, InternalError, RequestError, SourceError, TelltaleError, WeightsError
from space.service.page import checks
from space.service.page.html import (
    EXAMPLES,
    render_document,
    render_error,
    render_progress,
    render_shell,
)
from space.service.page.page import show_event
from space.service.page.report_html import data_uri, make_strip, render_report
from space.settings import SHARED, Limits
from space.texts import describe_error, languages, load_texts, render, translate
from tests.analyses import Outline, example_report, image_analysis, make_analysis, tidy, with_pictures

LANGUAGES = languages()
CODES: tuple[VerdictCode, ...] = get_args(VerdictCode)


# --- verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_verdict_is_shown_with_reasons_and_next_step(code: VerdictCode, lang: str) -> None:
    analysis = make_analysis(code)
    page = Outline(render_report(analysis, lang=lang))
    words = tidy(page.words)
    verdict = analysis.report.verdict
    assert translate(verdict.sentence, lang=lang) in words
    assert all(translate(reason, lang=lang) in words for reason in verdict.reasons)
    assert load_texts(lang)[f"verdict.{code}.next"] in words
    assert all(translate(limit, lang=lang) in words for limit in analysis.report.limits)
    assert len(page.find("section", **{"class": f"tt-verdict tt-{code}"})) == 1
    assert page.find("article", lang=lang, **{"data-outcome": "report"})


@pytest.mark.parametrize("code", CODES)
def test_estimate_is_a_detail_and_no_verdict_of_its_own(code: VerdictCode) -> None:
    analysis = make_analysis(code)
    html = render_report(analysis, lang="en")
    before, details = html.split('<details class="tt-details">')
    estimate = "Calibrated estimate of manipulation: 0.82 (95 % interval 0.71 to 0.88)"
    assert (estimate in details) == (code != "not_applicable")
    assert "0.82" not in before


def test_without_a_face_there_is_nothing_to_look_at() -> None:
    page = Outline(render_report(make_analysis("not_applicable"), lang="en"))
    assert not page.find("img")
    assert not page.find("table", **{"class": "tt-parts"})
    assert "People found" not in page.words
    assert page.find("button", **{"data-download": "json"})


@pytest.mark.parametrize("code", [code for code in CODES if code != "not_applicable"])
def test_every_picture_is_inside_and_described(code: VerdictCode) -> None:
    analysis = make_analysis(code)
    page = Outline(render_report(analysis, lang="en"))
    images = page.find("img")
    expected = sorted(data_uri(picture) for picture in analysis.pictures.values())
    assert sorted(str(image["src"]) for image in images) == expected
    assert all(image["alt"] for image in images)


@pytest.mark.parametrize("code", CODES)
def test_parts_are_marked_only_where_the_report_names_them(code: VerdictCode) -> None:
    page = Outline(render_report(make_analysis(code), lang="en"))
    rows = [a for tag, a in page.elements if tag == "tr" and a.get("class") == "tt-stands-out"]
    assert len(rows) == (2 if code in ("strong", "some") else 0)
    assert page.words.count("Stands out") == len(rows)


def test_each_person_has_a_verdict_of_their_own() -> None:
    report = example_report()
    page = Outline(render_report(with_pictures(report), lang="en"))
    badges = [a["class"] for tag, a in page.elements if tag == "span" and "tt-badge" in (a.get("class") or "")]
    assert badges == [f"tt-badge tt-{track.verdict.code}" for track in report.tracks]
    assert "Seen in 7 of 8 frames" in page.words


def test_a_photo_has_no_moments_in_time() -> None:
    page = Outline(render_report(image_analysis(), lang="en"))
    assert "Seen in the picture" in page.words
    assert "tt-strip" not in page.classes()
    assert page.find("img", alt="Face of person 1 with the heat map laid over it")


def test_strip_lies_over_the_clip() -> None:
    report = example_report()
    strip = make_strip(report.tracks[1], report.source.duration_s)
    assert strip is not None
    assert [bar.usable for bar in strip.bars] == [frame.quality.usable for frame in report.tracks[1].frames]
    assert all(0 <= bar.left <= 100 and 0 <= bar.height <= 100 for bar in strip.bars)
    assert [bar.left for bar in strip.bars] == sorted(bar.left for bar in strip.bars)
    assert (strip.low, strip.high) == (0.0500922, max(frame.p_fake for frame in report.tracks[1].frames))


def test_the_document_for_programs_is_the_report() -> None:
    analysis = make_analysis("strong")
    html = render_report(analysis, lang="ru")
    escaped = re.search(r"<pre hidden data-json>(.*?)</pre>", html, flags=re.DOTALL)
    assert escaped is not None
    assert json.loads(Outline(escaped[1]).words) == to_json(analysis.report)


# --- strangers' words -------------------------------------------------------------------------

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\" style=x '"


def evil_analysis() -> Analysis:
    report = example_report()
    member = MemberInfo(name=EVIL, architecture=EVIL, version=EVIL, weight=1.0, sha256=EVIL)
    moment = replace(report.evidence[0], maps={EVIL: {"layered": "map.jpg"}})
    reason = Text("error.not_found", f"There is no file “{EVIL}”.", {"name": EVIL})
    evil = replace(
        report,
        app_version=EVIL,
        source=replace(report.source, container=EVIL, codec=EVIL, sha256=EVIL),
        verdict=replace(report.verdict, reasons=(reason,)),
        evidence=(moment,),
        ensemble=replace(report.ensemble, name=EVIL, version=EVIL, members=(member,)),
    )
    return with_pictures(evil)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_strings_of_a_report_stay_strings(lang: str) -> None:
    plain = Outline(render_report(with_pictures(example_report()), lang=lang))
    evil = Outline(render_report(evil_analysis(), lang=lang))
    assert EVIL in evil.words
    assert {tag for tag, _ in evil.elements} == {tag for tag, _ in plain.elements}
    assert {name for _, a in evil.elements for name in a} == {name for _, a in plain.elements for name in a}


def test_strings_of_an_error_stay_strings() -> None:
    page = Outline(render_error(SourceError("not_found", name=EVIL), lang="en"))
    assert EVIL in page.words
    assert not page.find("script")
    assert not page.find("img")


def test_query_of_the_page_stays_a_query() -> None:
    page = Outline(render_shell(Limits(), {"lang": '"><script>', "__theme": "dark"}, lang="en"))
    assert [a["href"] for a in page.find("a")] == ["?lang=en&__theme=dark", "?lang=ru&__theme=dark"]
    assert not page.find("script")


# --- errors, progress, the rest of the page ---------------------------------------------------


def make_error(code: str) -> TelltaleError:
    params = dict.fromkeys(re.findall(r"{(\w+)}", load_texts("en")[f"error.{code}"]), 7)
    kinds: tuple[type[TelltaleError], ...] = (SourceError, RequestError, WeightsError, InternalError)
    return next(kind for kind in kinds if code in kind.codes)(code, **params)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", sorted(ALL_CODES))
def test_error_says_what_happened_and_never_looks_like_a_verdict(code: str, lang: str) -> None:
    error = make_error(code)
    page = Outline(render_error(error, lang=lang))
    assert describe_error(error, lang=lang) in tidy(page.words)
    assert page.find("div", role="alert")
    assert not page.classes() & {"tt-verdict", "tt-badge", *(f"tt-{code}" for code in CODES)}
    assert not any(load_texts(lang)[f"verdict.{code}"] in page.words for code in CODES)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("event", "outcome", "text_id"),
    [
        (checks.Waiting(n_ahead=3), "running", "page.waiting"),
        (checks.Loading(), "running", "page.loading"),
        (checks.Working("faces", 0.25), "running", "stage.faces"),
        (checks.Failed(InternalError("internal")), "notice", "error.internal"),
        (checks.Busy(), "notice", "page.busy"),
        (checks.Stopped(), "notice", "page.stopped"),
        (checks.Finished(make_analysis("some")), "report", "verdict.some"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_event_is_shown(event: checks.Event, outcome: str, text_id: str, lang: str) -> None:
    page = Outline(show_event(event, lang=lang))
    assert [a["data-outcome"] for _, a in page.elements if "data-outcome" in a] == [outcome]
    assert load_texts(lang)[text_id] in page.words


def test_a_report_that_cannot_be_shown_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    without_pictures = replace(make_analysis("strong"), pictures={})
    assert "Something went wrong on our side." in show_event(checks.Finished(without_pictures), lang="en")
    assert "KeyError" in caplog.text


@pytest.mark.parametrize("stage", [row["id"] for row in json.loads((SHARED / "verdicts.json").read_text())["stages"]])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_stage_has_its_words(stage: str, lang: str) -> None:
    assert render(f"stage.{stage}", lang=lang) in show_event(checks.Working(stage, 0.5), lang=lang)


@pytest.mark.parametrize(("fraction", "now"), [(0.0, "0"), (0.354, "35"), (1.0, "100"), (None, None)])
def test_progress_tells_how_far_it_is(fraction: float | None, now: str | None) -> None:
    (bar,) = Outline(render_progress("Finding faces", fraction, lang="en")).find("div", role="progressbar")
    assert bar.get("aria-valuenow") == now
    assert bar["aria-label"] == "Finding faces"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_says_what_it_takes_and_what_it_cannot(lang: str) -> None:
    page = Outline(render_shell(Limits(), {}, lang=lang))
    words = tidy(page.words)
    expected = ["page.tagline", "page.privacy", "limit.no_proof", "limit.not_assessed", "limit.research_weights"]
    assert all(load_texts(lang)[text_id] in words for text_id in expected)
    assert render("page.upload.limits", {"limit_mb": 100, "limit_min": 10}, lang=lang) in words
    assert [a["data-example"] for a in page.find("button", **{"data-action": "example"})] == list(EXAMPLES)
    (current,) = page.find("a", **{"aria-current": "true"})
    assert current["lang"] == lang


# --- a saved report ---------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_saved_report_needs_nothing_else(lang: str) -> None:
    article = render_report(make_analysis("strong"), lang=lang)
    html = render_document(article, title="A <title>", lang=lang)
    page = Outline(html.removeprefix("<!doctype html>"))
    assert article in html
    assert "<title>A &lt;title&gt;</title>" in html
    assert all(str(image["src"]).startswith("data:image/") for image in page.find("img"))
    assert not page.find("script")
    assert not page.find("link")
    assert not re.search(r"url\(|@import|https?:", html)
    assert page.find("html", lang=lang)
