"""What the page shows: reports, errors and progress as HTML, in every language, and nothing else than that."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from space.analysis.report import to_json
from space.contract import Analysis, MemberInfo, Text, VerdictCode
from space.errors import ALL_CODES, InternalError, SourceError, TelltaleError
from space.models.weights import SHIPPED
from space.service.page.atlas import read_atlas
from space.service.page.html import EXAMPLES, TABS, About, render_error, render_shell
from space.service.page.job_html import render_job
from space.service.page.measured import Models, read_models
from space.service.page.report_html import data_uri, render_report, render_saved
from space.service.views import LAST, STAGES, JobView, Preliminary, Stage
from space.settings import SHARED, Settings
from space.texts import describe_error, languages, load_texts, render, translate
from tests.analyses import Outline, example_report, image_analysis, make_analysis, tidy, with_pictures

LANGUAGES = languages()
CODES: tuple[VerdictCode, ...] = get_args(VerdictCode)
JOB = "0f" * 16
MODELS = read_models(SHIPPED)


def from_shipped(analysis: Analysis, models: Models = MODELS) -> Analysis:
    """An analysis by the models whose cards are at hand."""
    members = tuple(
        MemberInfo(card.name, card.architecture, card.version, models.weights[card.name], card.sha256)
        for card in models.cards
    )
    ensemble = replace(
        analysis.report.ensemble, name=models.record.name, version=models.record.version, members=members
    )
    return replace(analysis, report=replace(analysis.report, ensemble=ensemble))


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
def test_estimate_stands_apart_from_the_verdict(code: VerdictCode) -> None:
    html = render_report(make_analysis(code), lang="en")
    estimate = "Calibrated estimate of manipulation: 0.82 (95 % interval 0.71 to 0.88)"
    assert (estimate in html) == (code != "not_applicable")
    verdict = html[: html.index("</section>")]
    assert "0.82" not in verdict
    assert "%" not in verdict


@pytest.mark.parametrize("lang", LANGUAGES)
def test_figures_are_those_of_the_models_that_answered(lang: str) -> None:
    analysis = from_shipped(make_analysis("strong"))
    ours = tidy(Outline(render_report(analysis, lang=lang, models=MODELS)).words)
    auc = next(metric for metric in MODELS.record.metrics if metric.name == "auc")
    value = f"{100 * auc.value:.1f}".replace(".", load_texts(lang)["number.decimal"])
    assert render("page.metric.auc.sentence", {"value": value}, lang=lang) in ours
    assert str(auc.n) in ours
    assert auc.dataset in ours
    for others in (
        render_report(analysis, lang=lang),
        render_report(make_analysis("strong"), lang=lang, models=MODELS),
    ):
        words = tidy(Outline(others).words)
        assert load_texts(lang)["page.sure.unknown"] in words
        assert auc.dataset not in words


@pytest.mark.parametrize("credentials", [None, "present", "absent"])
def test_content_credentials_are_told_and_not_vouched_for(credentials: str | None) -> None:
    analysis = make_analysis("little")
    source = replace(analysis.report.source, credentials=credentials)
    words = Outline(render_report(replace(analysis, report=replace(analysis.report, source=source)), lang="en")).words
    assert ("Present (C2PA), not verified here." in words) == (credentials == "present")
    assert ("None found (C2PA)." in words) == (credentials == "absent")


def test_without_a_face_there_is_nothing_to_look_at() -> None:
    page = Outline(render_report(make_analysis("not_applicable"), lang="en"))
    assert not page.find("img")
    assert not page.find("table", **{"class": "tt-parts"})
    assert "People found" not in page.words
    assert "tt-timeline" not in page.classes()


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
    assert "tt-timeline" not in page.classes()
    assert any(str(a["alt"]).startswith("Face of person 1 with the heat map laid over it.") for a in page.find("img"))


@pytest.mark.parametrize("job", [None, JOB])
def test_only_a_report_on_the_page_has_something_to_press(job: str | None) -> None:
    page = Outline(render_report(make_analysis("strong"), lang="en", job=job))
    assert bool(page.find("button")) == (job is not None)
    assert [a["href"] for a in page.find("a", download=None)] == (  # type: ignore[arg-type]
        [f"page/jobs/{JOB}/report.html?lang=en", f"page/jobs/{JOB}/report.json"] if job else []
    )


def test_every_map_has_a_place_in_the_switch() -> None:
    html = render_report(make_analysis("strong"), lang="en")
    page = Outline(html)
    values = {str(a["value"]) for a in page.find("input", type="radio")}
    shown = {str(a["data-view"]) for a in page.find("figure") if "data-view" in a}
    assert values == shown | {"pair"}
    for value in values - {"pair", "crop", "overlay"}:
        assert f'[value="{value}"]:checked) [data-view="{value}"]' in html


def test_the_document_for_programs_is_the_report() -> None:
    analysis = make_analysis("strong")
    html = render_report(analysis, lang="ru")
    escaped = re.search(r"<pre hidden data-json>(.*?)</pre>", html, flags=re.DOTALL)
    assert escaped is not None
    assert json.loads(Outline(escaped[1]).words) == to_json(analysis.report)


# --- strangers' words -------------------------------------------------------------------------

ABOUT = About(Settings(), models=MODELS)
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
    page = Outline(render_shell(ABOUT, {"lang": '"><script>', "__theme": "dark"}, lang="en"))
    links = [a["href"] for a in page.find("a") if "hreflang" in a]
    assert links == [f"?lang={lang}&__theme=dark" for lang in LANGUAGES]
    assert not page.find("script")


# --- errors, progress, the rest of the page ---------------------------------------------------


def kinds_below(kind: type[TelltaleError]) -> list[type[TelltaleError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in kinds_below(child))]


def make_error(code: str) -> TelltaleError:
    params = dict.fromkeys(re.findall(r"{(\w+)}", load_texts("en")[f"error.{code}"]), 7)
    return next(kind for kind in kinds_below(TelltaleError) if code in kind.codes)(code, **params)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", sorted(ALL_CODES))
def test_error_says_what_happened_and_never_looks_like_a_verdict(code: str, lang: str) -> None:
    error = make_error(code)
    page = Outline(render_error(error, lang=lang))
    assert describe_error(error, lang=lang) in tidy(page.words)
    assert page.find("div", role="alert")
    assert not page.classes() & {"tt-verdict", "tt-badge", *(f"tt-{code}" for code in CODES)}
    assert not any(load_texts(lang)[f"verdict.{code}"] in page.words for code in CODES)


def view_of(stage: Stage, **values: Any) -> JobView:
    return JobView(job_id=JOB, stage=stage, fraction=values.pop("fraction", 0.25), created=0.0, expires=1.0, **values)


def show(view: JobView, lang: str = "en", analysis: Analysis | None = None) -> Outline:
    def get() -> Analysis:
        assert analysis is not None, "only what is done has a report"
        return analysis

    return Outline(render_job(view, get, lang=lang))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in LAST])
def test_every_stage_has_its_words(stage: Stage, lang: str) -> None:
    page = show(view_of(stage), lang)
    assert [a["data-outcome"] for _, a in page.elements if "data-outcome" in a] == ["running"]
    assert len(page.find("li", **{"aria-current": "step"})) == 1
    assert tidy(page.words).strip()
    assert page.find("button", **{"data-action": "stop"})


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("view", "outcome", "text_id"),
    [
        (view_of("failed", error=InternalError("internal")), "notice", "error.internal"),
        (view_of("failed", error=make_error("server_restarted")), "notice", "error.server_restarted.next"),
        (view_of("cancelled"), "notice", "page.stopped"),
        (view_of("done"), "report", "verdict.some"),
    ],
    ids=lambda value: getattr(value, "stage", None),
)
def test_an_end_is_shown(view: JobView, outcome: str, text_id: str, lang: str) -> None:
    page = show(view, lang, make_analysis("some"))
    assert [a["data-outcome"] for _, a in page.elements if "data-outcome" in a] == [outcome]
    assert load_texts(lang)[text_id] in page.words


def test_a_report_that_cannot_be_shown_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    without_pictures = replace(make_analysis("strong"), pictures={})
    assert "Something went wrong on our side." in show(view_of("done"), analysis=without_pictures).words
    assert "KeyError" in caplog.text


def test_who_waits_hears_how_many_come_first() -> None:
    assert "Checks ahead of this one: 3." in show(view_of("queued", n_ahead=3)).words


@pytest.mark.parametrize("code", CODES)
def test_a_preliminary_verdict_is_called_so(code: VerdictCode) -> None:
    sentence = make_analysis(code).report.verdict.sentence
    page = show(view_of("scores", preliminary=Preliminary(code, 0.5, sentence)))
    assert "Preliminary:" in page.words
    assert "this may change" in page.words
    assert f"tt-{code}" in page.classes()
    assert "tt-verdict" not in page.classes()


@pytest.mark.parametrize(
    ("stage", "fraction", "now"),
    [("source", 0.0, "0"), ("faces", 0.354, "35"), ("pictures", 1.0, "100"), ("queued", 0.3, None)],
)
def test_progress_tells_how_far_it_is(stage: Stage, fraction: float, now: str | None) -> None:
    (bar,) = show(view_of(stage, fraction=fraction)).find("div", role="progressbar")
    assert bar.get("aria-valuenow") == now


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page_says_what_it_takes_and_what_it_cannot(lang: str) -> None:
    page = Outline(render_shell(ABOUT, {}, lang=lang))
    words = tidy(page.words)
    expected = ["page.tagline", "page.privacy", "limit.no_proof", "limit.not_assessed", "limit.research_weights"]
    assert all(load_texts(lang)[text_id] in words for text_id in expected)
    assert render("page.upload.limits", {"limit_mb": 100, "limit_min": 10}, lang=lang) in words
    assert [a["data-example"] for a in page.find("button", **{"data-action": "example"})] == list(EXAMPLES)
    (current,) = page.find("a", **{"aria-current": "true"})
    assert current["lang"] == lang


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tabs_have_panels(lang: str) -> None:
    page = Outline(render_shell(ABOUT, {}, lang=lang))
    tabs = page.find("button", role="tab")
    panels = page.find("div", role="tabpanel")
    assert [a["data-tab"] for a in tabs] == [a["data-panel"] for a in panels] == list(TABS)
    assert [a["aria-controls"] for a in tabs] == [a["id"] for a in panels]
    assert ["hidden" in a for a in panels] == [False, True, True, True]


def test_figures_come_from_the_cards_or_are_missing() -> None:
    with_cards = tidy(Outline(render_shell(ABOUT, {}, lang="en")).words)
    without = tidy(Outline(render_shell(About(Settings()), {}, lang="en")).words)
    assert MODELS.cards[0].data in with_cards
    assert "Of 100 genuine faces" in with_cards
    assert "Nothing has been measured" in without
    assert "Of 100" not in without


def test_examples_for_programs_name_this_server() -> None:
    words = Outline(render_shell(ABOUT, {}, lang="en", base_url="https://here.example")).words
    assert words.count("https://here.example") >= 4
    assert "example.hf.space" not in words


def test_the_atlas_says_so_while_nothing_is_measured(tmp_path: Path) -> None:
    assert read_atlas(tmp_path / "atlas.json") is None
    assert "has not been measured yet" in Outline(render_shell(ABOUT, {}, lang="en")).words


def test_the_atlas_shows_what_was_measured(tmp_path: Path) -> None:
    names = [part["id"] for part in json.loads((SHARED / "parts.json").read_text(encoding="utf-8"))["parts"]]
    parts = [{"name": name, "share": 0.02 if name != "mouth" else 0.76, "lift": 0.5} for name in names]
    parts[names.index("mouth")]["share_interval"] = [0.7, 0.81]
    models = {"a_model": {"last": parts, "layered": parts}}
    path = tmp_path / "atlas.json"
    path.write_text(
        json.dumps(
            {
                "dataset": "A set",
                "methods": [{"name": "part", "n_videos": 12, "n_with_signs": 5, "parts": parts, "models": models}],
            }
        )
    )
    words = tidy(Outline(render_shell(About(Settings(), atlas=read_atlas(path)), {}, lang="en")).words)
    assert "12 forgeries" in words
    assert "signs were found in 5" in words
    assert "A single part exchanged" in words
    assert words.index("Mouth76 % (70 %–81 %)") < words.index("Left eye2 %")
    assert "a_modelCoarse layer" in words
    assert "has not been measured yet" not in words


# --- a saved report ---------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_saved_report_needs_nothing_else(lang: str) -> None:
    analysis = make_analysis("strong")
    html = render_saved(analysis, lang=lang)
    page = Outline(html.removeprefix("<!doctype html>"))
    assert render_report(analysis, lang=lang) in html
    assert f"<title>Telltale: {load_texts(lang)['verdict.strong']}</title>" in html
    assert all(str(image["src"]).startswith("data:image/") for image in page.find("img"))
    assert not page.find("script")
    assert not page.find("link")
    assert not re.search(r"url\(|@import|https?:", html)
    assert page.find("html", lang=lang)
