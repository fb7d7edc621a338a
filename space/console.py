"""A report in words for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Words

from space.contract import PartSummary, Report, Text, TrackReport, Verdict, VerdictCode
from space.texts import load_texts, render, translate, write_estimate

INDENT = (0, 0, 0, 2)

# The terminal's own colours, not the shared palette's: only they are sure to be readable on its background.
COLOURS: dict[VerdictCode, str] = {
    "strong": "red",
    "some": "yellow",
    "inconclusive": "magenta",
    "little": "cyan",
    "not_applicable": "default",
}

N_PARTS = 5  # with the largest shares, where none is named


def print_report(console: Console, report: Report, *, written: Sequence[Path] = (), lang: str) -> None:
    """Print a report: verdict, reasons, people, moments, parts, limits, and where its files are.

    Args:
        written: files that the report was written to; pictures are named only where there are any.
        lang: of the words.
    """
    verdict = report.verdict
    console.print(Words(translate(verdict.sentence, lang=lang), style=f"bold {COLOURS[verdict.code]}"))
    console.print(_indent(_describe_source(report, lang)))
    _section(console, "cli.reasons", _bullets(verdict.reasons, lang), lang=lang)
    _section(console, "cli.next", Words(render(f"verdict.{verdict.code}.next", lang=lang)), lang=lang)
    if report.tracks:
        _section(console, "cli.people", _people(report.tracks, lang), lang=lang, n_tracks=len(report.tracks))
    if report.evidence:
        _section(console, "cli.moments", _moments(report, lang, pictures=bool(written)), lang=lang)
    if report.parts is not None:
        # where none may be named, where the heat fell is still worth a look, under a sentence that says so
        shown = [part for part in report.parts.parts if part.compromising] or report.parts.parts[:N_PARTS]
        texts = [text for text in (report.parts.sentence, report.parts.verification) if text is not None]
        words = Words("\n".join(translate(text, lang=lang) for text in texts))
        _section(console, "cli.parts", Group(words, _parts(shown, lang)), lang=lang)
    _section(console, "cli.limits", _bullets(report.limits, lang), lang=lang)
    for path in written:
        console.print(Words(render("cli.written", {"path": str(path)}, lang=lang)), soft_wrap=True)


def _section(console: Console, text_id: str, body: RenderableType, *, lang: str, **params: int) -> None:
    console.print()
    console.print(Words(render(text_id, params, lang=lang), style="bold"))
    console.print(_indent(body))


def _indent(body: RenderableType) -> Padding:
    return Padding(body, INDENT)


def _bullets(texts: Iterable[Text], lang: str) -> Table:
    table = Table.grid(padding=(0, 1))
    for text in texts:
        table.add_row("•", translate(text, lang=lang))
    return table


def _describe_source(report: Report, lang: str) -> Words:
    source = report.source
    facts = [source.container if source.codec is None else f"{source.container} {source.codec}"]
    facts.append(f"{source.width}x{source.height}")
    if source.duration_s:
        facts.append(f"{_number(source.duration_s, 1, lang)} s")
    facts.append(render("page.details.frames", {"n_frames": report.n_frames, "n_faces": report.n_faces}, lang=lang))
    return Words(" · ".join(facts), style="dim")


def _people(tracks: Iterable[TrackReport], lang: str) -> Table:
    table = _table(lang, "", "cli.time", "cli.verdict", "cli.estimate", "cli.interval")
    for track in tracks:
        times = [frame.time_s for frame in track.frames]
        table.add_row(
            render("cli.person", {"track": track.id}, lang=lang),
            f"{_number(min(times), 1, lang)}–{_number(max(times), 1, lang)} s" if len(times) > 1 else "",
            Words(translate(track.verdict.sentence, lang=lang), style=COLOURS[track.verdict.code]),
            *_estimate(track.verdict, lang),
        )
    return table


def _estimate(verdict: Verdict, lang: str) -> tuple[str, str]:
    """The calibrated probability and its interval, as numbers between 0 and 1."""
    if verdict.p_fake is None:
        return "", ""
    interval = "–".join(write_estimate(bound, lang=lang) for bound in verdict.interval) if verdict.interval else ""
    return write_estimate(verdict.p_fake, lang=lang), interval


def _moments(report: Report, lang: str, *, pictures: bool) -> Table:
    """The sentence of a moment says when it is, so there is no column for it."""
    several = len(report.tracks) > 1
    table = _table(lang, "cli.estimate", *([""] if several else []), "", *([""] if pictures else []))
    for moment in report.evidence:
        person = [render("cli.person", {"track": moment.track}, lang=lang)] if several else []
        picture = [moment.overlay] if pictures else []
        estimate, sentence = write_estimate(moment.p_fake, lang=lang), translate(moment.sentence, lang=lang)
        table.add_row(estimate, *person, sentence, *picture)
    return table


def _parts(parts: Sequence[PartSummary], lang: str) -> Table:
    is_known = any(part.excess is not None for part in parts)
    table = _table(lang, "", "cli.share", "cli.excess" if is_known else "cli.lift", "cli.distance")
    for part in parts:
        times = part.excess if is_known else part.lift
        table.add_row(
            render(f"part.{part.name}.label", lang=lang),
            f"{part.share:.0%}",
            "" if times is None else f"{_number(times, 1, lang)}x",
            "" if part.distance is None else _number(part.distance, 2, lang),
        )
    return table


def _table(lang: str, *headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(render(heading, lang=lang) if heading else "", overflow="fold")
    return table


def _number(value: float, digits: int, lang: str) -> str:
    return f"{value:.{digits}f}".replace(".", load_texts(lang)["number.decimal"])
