"""The comparison as a page, and as a section of the model card."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from space.lab.evaluation import plots
from space.lab.evaluation.page import make_table, show_estimate, show_picture, wrap_page

NAMES = {
    "auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "accuracy": "accuracy",
    "log_loss": "log-loss",
    "brier": "Brier",
    "ece": "ECE",
}
LEVELS = ("frame", "video")
READERS = {"reader": "reading the track", "mean": "mean of its frames' own logits"}
READING = """
<p>On held-out faces of the data each member was trained on (within-dataset), with 95 % intervals by
source: single faces, or, of members that read tracks, tracks forged by the lab, whose figures are no measure for the
others. Accuracy, log-loss, Brier score and ECE are of the half of the sources that did not fit the calibration.
Multiply-adds are per image; milliseconds were measured in batches of eight on {machine}.</p>
"""


def draw_comparison(document: dict[str, Any]) -> str:
    """The whole page."""
    members = document["members"]
    head = f"<h1>Comparison</h1><p class=quiet>{escape(document['created'])}, Telltale {document['app_version']}</p>"
    body = head + READING.format(machine=escape(document["machine"])) + _draw_costs(members) + _draw_metrics(members)
    body += show_picture(_plot_worth(members), "AUC over parameters and over milliseconds per image")
    if any("frame_counts" in member for member in members):
        body += "<h2>More frames</h2>" + _draw_frame_counts(members)
        body += show_picture(_plot_frame_counts(members), "video AUC over frames looked at")
    if any(member["curve"] for member in members):
        body += "<h2>Learning curves</h2>"
        body += show_picture(_plot_learning(members), "validation AUC over images seen")
    if document["sets"]:
        body += _draw_sets(document)
    return wrap_page("Comparison", body)


def _draw_costs(members: list[dict[str, Any]]) -> str:
    rows = [
        (
            "member",
            (
                escape(member["name"]),
                f"{member['cost']['parameters']:,}",
                str(member["cost"]["input_px"]),
                f"{member['cost']['multiply_adds'] / 1e9:.2f}",
                f"{member['cost']['ms_per_image']:.1f}",
                "–" if member["images_seen"] is None else f"{member['images_seen']:,}",
                escape(_trained_for(member)),
                escape(member["recipe"]),
            ),
        )
        for member in members
    ]
    head = ("member", "parameters", "input px", "10⁹ multiply-adds", "ms / image", "images seen", "trained", "recipe")
    return f"<h2>Cost</h2>{make_table(head, rows)}"


def _trained_for(member: dict[str, Any]) -> str:
    return member.get("training_cost", "") if member["minutes"] is None else f"{member['minutes']:g} min"


def _draw_metrics(members: list[dict[str, Any]]) -> str:
    parts = ["<h2>Worth</h2>"]
    for level in LEVELS:
        rows = [
            ("member", [escape(m["name"]), *(show_estimate(m["metrics"].get(name)) for name in NAMES)])
            for m in members
            if m["level"] == level
        ]
        names = [f"{level} AUC", *list(NAMES.values())[1:]]
        parts += [make_table(["member", *names], rows)] if rows else []
    return "".join(parts)


def _draw_frame_counts(members: list[dict[str, Any]]) -> str:
    """Of each member that reads tracks, and of the mean of its frames' own logits."""
    told = [member for member in members if "frame_counts" in member]
    counts = sorted({row["n_frames"] for member in told for row in member["frame_counts"]})
    rows = []
    for member in told:
        by_count = {row["n_frames"]: row for row in member["frame_counts"]}
        for key, what in READERS.items():
            cells = [show_estimate(by_count.get(count, {}).get(key)) for count in counts]
            rows.append(("member", [f"{escape(member['name'])}, {what}", *cells]))
    return make_table(["video AUC, frames looked at", *map(str, counts)], rows)


def _plot_frame_counts(members: list[dict[str, Any]]) -> Any:
    figure, (ax,) = plots.new_axes(width=7.5, height=3.8)
    told = [member for member in members if "frame_counts" in member]
    for index, member in enumerate(told):
        for key, what in READERS.items():
            points = [(row["n_frames"], row[key]["value"]) for row in member["frame_counts"] if key in row]
            if points:
                style = {**plots.colour_of(index, "member"), "linestyle": "-" if key == "reader" else ":"}
                ax.plot(
                    *zip(*points, strict=True), marker="o", markersize=3.5, label=f"{member['name']}, {what}", **style
                )
    ax.axhline(0.5, color=plots.GRAY, linewidth=0.8)
    plots.name_axes(ax, "On forged tracks of faces held out", "frames looked at", "video AUC")
    plots.draw_legend(figure, ax)
    return figure


def _plot_worth(members: list[dict[str, Any]]) -> Any:
    figure, axes = plots.new_axes(columns=2, width=5.0, height=3.8)
    for ax, key, name in zip(axes, ("parameters", "ms_per_image"), ("parameters", "ms per image"), strict=True):
        for index, member in enumerate(members):
            area = member["metrics"].get("auc")
            if area is None or member["level"] != "frame":
                continue
            style = plots.colour_of(index, "member")
            x = member["cost"][key]
            errors = [[area["value"] - area["low"]], [area["high"] - area["value"]]]
            mark = "os^D"[index // len(plots.COLOURS) % 4]
            ax.errorbar(x, area["value"], errors, fmt=mark, color=style["color"], label=member["name"], capsize=2)
        ax.set_xscale("log")
        plots.name_axes(ax, f"Frame AUC over {name}", name, "frame AUC")
    plots.draw_legend(figure, axes[0])
    return figure


def _plot_learning(members: list[dict[str, Any]]) -> Any:
    figure, (ax,) = plots.new_axes(width=7.5, height=3.8)
    for index, member in enumerate(members):
        if member["curve"] and member["level"] == "frame":
            points = [(point["images"], point["val_auc"]) for point in member["curve"]]
            ax.plot(*zip(*points, strict=True), label=member["name"], **plots.colour_of(index, "member"))
    ax.axhline(0.5, color=plots.GRAY, linewidth=0.8)
    plots.name_axes(ax, "On part of the validation split", "images seen", "frame AUC")
    plots.draw_legend(figure, ax)
    return figure


SHOWN = {
    "auc": "video AUC",
    "accuracy": "accuracy",
    "crf_23": "AUC at CRF 23",
    "crf_40": "AUC at CRF 40",
    "false_alarm_rate": "false alarm rate",
}


def _draw_sets(document: dict[str, Any]) -> str:
    parts = ["<h2>On other sets</h2>"]
    for one in document["sets"]:
        columns = _columns_of(one)
        rows = [
            (values["kind"], [escape(name), *(show_estimate(_find(values, path)) for path in columns.values())])
            for name, values in one["values"].items()
        ]
        head = [f"{escape(one['name'])}, n = {one['n']}", *map(escape, columns)]
        parts.append(make_table(head, rows))
    return "".join(parts)


def _columns_of(one: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Heading -> where its estimate lies; of a set with forgeries of several families, their AUC each as well."""
    values = one["values"].values()
    columns: dict[str, tuple[str, ...]] = {SHOWN[key]: (key,) for key in SHOWN if any(v[key] for v in values)}
    families = sorted({family for v in values for family in v["families"]})
    return columns | {f"AUC, {family}": ("families", family) for family in families if len(families) > 1}


def _find(values: dict[str, Any], path: Sequence[str]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = values
    for key in path:
        found = None if found is None else found.get(key)
    return found


# --- the model card -------------------------------------------------------------------------------


def draw_section(document: dict[str, Any]) -> str:
    """The tables in Markdown, for the model card."""
    notes = {
        "frame": "Frame level, within-dataset (held-out faces of the training data), 95 % intervals by source; "
        f"milliseconds on {document['machine']}.",
        "video": "Members that read tracks: video level, on tracks forged by the lab from held-out faces, so that "
        "their figures and those above do not compare. Costs are a frame's; images are frames seen by the reader.",
    }
    parts = []
    for level in LEVELS:
        members = [member for member in document["members"] if member["level"] == level]
        if members:
            parts += [notes[level], _draw_members(members, level)]
    for one in document["sets"]:
        columns = _columns_of(one)
        head = f"| member | {' | '.join(columns)} |\n" + "|---" * (len(columns) + 1) + "|"
        rows = [
            f"| {name} | {' | '.join(_plain(_find(values, path)) for path in columns.values())} |"
            for name, values in one["values"].items()
        ]
        parts += [f"On {one['name']}, n = {one['n']}, video level:", "\n".join([head, *rows])]
    return "\n\n".join(parts)


def _draw_members(members: list[dict[str, Any]], level: str) -> str:
    names = ["member", "parameters", "10⁹ multiply-adds", "ms / image", "images seen", "trained", f"{level} AUC"]
    names += ["AP", "EER", "accuracy"]
    head = f"| {' | '.join(names)} |\n" + "|---" * len(names) + "|"
    rows = []
    for member in members:
        cost, metrics = member["cost"], member["metrics"]
        cells = [
            member["name"],
            f"{cost['parameters']:,}",
            f"{cost['multiply_adds'] / 1e9:.2f}",
            f"{cost['ms_per_image']:.1f}",
            "unknown" if member["images_seen"] is None else f"{member['images_seen']:,}",
            _trained_for(member),
            *(_plain(metrics.get(name)) for name in ("auc", "ap", "eer", "accuracy")),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([head, *rows])


def _plain(estimate: dict[str, Any] | None) -> str:
    if estimate is None:
        return "not measured"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"
