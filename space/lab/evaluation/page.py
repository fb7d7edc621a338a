"""One HTML page that needs nothing beside it: tables and plots of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from space.lab.evaluation import plots
from space.lab.evaluation.results import Result, has_both

if TYPE_CHECKING:
    from space.lab.evaluation.evaluate import Evaluated

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1e22; background: #fff; margin: 0 auto; max-width: 76rem;
  padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid #d3d6da; padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, li { max-width: 60rem; }
.quiet { color: #5a5f66; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e4e7ea; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
td small { color: #5a5f66; }
tr.baseline td { color: #5a5f66; }
tr.ensemble td:first-child { font-weight: 600; }
img { display: block; max-width: 100%; height: auto; margin: .5rem 0; }
"""

NAMES = {
    "auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "brier": "Brier",
    "ece": "ECE",
}
READING = """
<p>Each value stands with its 95 % interval (400 draws of whole sources). <b>Video level</b> is what the service would
say of a file; <b>frame level</b> is every face of the person seen most. Accuracy is at p_fake 0.5; log-loss, Brier
score and ECE weigh both classes alike. False alarms are genuine files called <i>some</i> or <i>strong</i>, with
Wilson's interval. The shortcut baseline knows sharpness, size, noise and blockiness only, and was fitted to the other
sources of the same set.</p>
"""


def draw_page(document: dict[str, Any], evaluated: Sequence[Evaluated]) -> str:
    """The page of ``make_document``'s document and the results it was made of."""
    sections = [_draw_set(shown, one) for shown, one in zip(document["sets"], evaluated, strict=True)]
    head = f"<h1>Evaluation</h1><p class=quiet>{escape(document['created'])}, Telltale {document['app_version']}</p>"
    overview = _draw_contenders(document) + READING + _draw_overview(document)
    return wrap_page("Evaluation", head + overview + "".join(sections))


def wrap_page(title: str, body: str) -> str:
    """A whole document around a body."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def make_table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of cells that are HTML already; each row with its class."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join(f"<tr class={kind}>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>" for kind, cells in rows)
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"


def show_estimate(estimate: dict[str, Any] | None) -> str:
    """A value with its interval as a cell."""
    if estimate is None:
        return "–"
    return f"{estimate['value']:.3f}<br><small>{estimate['low']:.3f} to {estimate['high']:.3f}</small>"


def show_picture(figure: Any, alt: str) -> str:
    """A figure as an image."""
    return f'<img alt="{escape(alt)}" src="{plots.embed(figure)}">'


# --- parts of the page ----------------------------------------------------------------------------


def _draw_contenders(document: dict[str, Any]) -> str:
    rows = [
        (
            c["kind"],
            (
                escape(c["name"]),
                c["kind"],
                f"{c['parameters']:,}",
                "<br>".join(
                    f"{escape(m['name'])} {m['weight']:.2f} <code>{m['sha256'][:12]}</code>" for m in c["members"]
                ),
            ),
        )
        for c in document["contenders"]
    ]
    return make_table(("contender", "kind", "parameters", "members, weights, checksums"), rows)


def _draw_overview(document: dict[str, Any]) -> str:
    """Contenders over sets: video AUC, or false alarms where nothing is forged."""
    names = list(dict.fromkeys(name for one in document["sets"] for name in one["results"]))
    head = ["video AUC, or false alarm rate"] + [
        f"{escape(one['name'])}<br><small>n = {one['n']}</small>" for one in document["sets"]
    ]
    rows = []
    for name in names:
        cells = [escape(name)]
        kind = ""
        for one in document["sets"]:
            figures = one["results"].get(name)
            kind = figures["kind"] if figures else kind
            cells.append(_overview_cell(figures))
        rows.append((kind, cells))
    return f"<h2>Comparison</h2>{make_table(head, rows)}"


def _overview_cell(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "–"
    if "video" in figures:
        return show_estimate(figures["video"]["auc"])
    return "false alarms " + show_estimate(figures["clips"]["false_alarm_rate"])


def _draw_set(shown: dict[str, Any], one: Evaluated) -> str:
    note = f" {escape(shown['note'].capitalize())}." if shown["note"] else ""
    about = f"{shown['n']} samples of {shown['n_sources']} sources: {shown['n_genuine']} genuine, "
    about += f"{shown['n_forged']} forged; {shown['n_faces']} faces.{note}"
    parts = [f"<h2>{escape(shown['name'])}</h2><p class=quiet>{about}</p>"]
    if shown["errors"]:
        listed = ", ".join(f"{escape(name)} ({code})" for name, code in list(shown["errors"].items())[:20])
        parts.append(f"<p>Could not be read: {listed}.</p>")
    levels = ("video", "frame") if shown["has_clips"] else ("video",)
    judged = [level for level in levels if any(level in figures for figures in shown["results"].values())]
    parts += [_draw_level(shown, one, level) for level in judged]
    parts.append(_draw_verdicts(shown))
    if not shown["n_forged"] or not shown["n_genuine"]:
        parts.append(show_picture(plots.draw_histograms(one.results, "video"), "p_fake of the samples"))
    styles = {result.name: plots.colour_of(i, result.kind) for i, result in enumerate(one.results)}
    if any(len(figures.get("methods", {})) > 1 for figures in shown["results"].values()):
        parts.append("<h3>By method</h3>")
        parts.append(show_picture(plots.draw_methods(shown["results"], styles), "AUC per method"))
    if any(figures["robustness"] for figures in shown["results"].values()):
        n = max(f["robustness"][0]["n"] for f in shown["results"].values() if f["robustness"])
        forged = bool(shown["n_forged"] and shown["n_genuine"])
        parts.append(f"<h3>Robustness ({n} samples)</h3>")
        parts.append(show_picture(plots.draw_robustness(shown["results"], styles, forged=forged), "robustness curves"))
    return "".join(parts)


def _draw_level(shown: dict[str, Any], one: Evaluated, level: str) -> str:
    found = {name: figures for name, figures in shown["results"].items() if level in figures}
    rows = [(f["kind"], [escape(name), *(show_estimate(f[level][m]) for m in NAMES)]) for name, f in found.items()]
    n = next(iter(found.values()))[level]["auc"]["n"]
    table = make_table([f"n = {n}", *NAMES.values()], rows)
    results: list[Result] = [r for r in one.results if has_both(r.at_level(level)[0])]
    pictures = [
        show_picture(plots.draw_curves(results, level), f"ROC, DET and precision-recall, {level} level"),
        show_picture(plots.draw_reliability(results, level), f"reliability, {level} level"),
        show_picture(plots.draw_confusion(results, level), f"confusion matrices, {level} level"),
        show_picture(plots.draw_histograms(results, level), f"histograms of p_fake, {level} level"),
    ]
    return f"<h3>{level.capitalize()} level</h3>{table}{''.join(pictures)}"


def _draw_verdicts(shown: dict[str, Any]) -> str:
    rows = []
    for name, figures in shown["results"].items():
        c = figures["clips"]
        if c["false_alarms"] is None:
            continue
        twins = f"{round(c['share_above_twin'] * c['twins'], 1):g} of {c['twins']}" if c["twins"] else "–"
        cells = [
            escape(name),
            f"{c['false_alarms']} of {c['n_genuine']}",
            show_estimate(c["false_alarm_rate"]),
            f"{c['found']} of {c['n_forged']}" if c["n_forged"] else "–",
            f"{c['abstained']} of {c['n']}",
            twins,
            str(c["n_unscored"]),
        ]
        rows.append((figures["kind"], cells))
    head = ("verdicts", "false alarms", "false alarm rate", "forged found", "abstained", "above their twin", "no face")
    return f"<h3>Verdicts</h3>{make_table(head, rows)}"
