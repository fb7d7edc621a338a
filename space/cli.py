"""The command line: ``python -m space …``.

Exit status: 0 a report was made, whatever the verdict; 2 the input was refused (code and sentence on
standard error); 1 the fault is ours. ``verify`` adds 3 and 4.
"""

from __future__ import annotations

import json
import os
import runpy
from dataclasses import asdict, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from space.cli_models import models_app
from space.errors import RequestError
from space.settings import MAX_FRAMES, MIB, MIN_FRAMES, PROJECT_ROOT, Settings
from space.terminal import exit_on_error, make_progress
from space.texts import FALLBACK_LANGUAGE, languages, render

if TYPE_CHECKING:
    from space.contract import Analysis

app = typer.Typer(
    name="space",
    help="Telltale checks a video or a photo for a manipulated face and shows what gives it away.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app)


class Engine(str, Enum):
    """What does the work of a scan."""

    LOCAL = "local"
    RAY = "ray"


# --- options that several commands share ------------------------------------------------------


def _known_language(lang: str) -> str:
    if lang not in languages():
        raise typer.BadParameter(f"choose one of {', '.join(languages())}")
    return lang


Frames = Annotated[
    int, typer.Option("--frames", help=f"Frames to look at, equally far apart: {MIN_FRAMES} to {MAX_FRAMES}.")
]
Members = Annotated[
    str | None, typer.Option("--members", metavar="NAME=WEIGHT,…", help="Models and their weights; see models list.")
]
Maps = Annotated[bool, typer.Option("--maps/--no-maps", help="Heat maps and parts of the face.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Language = Annotated[
    str, typer.Option("--lang", callback=_known_language, help=f"Language of the words: {', '.join(languages())}.")
]

DEFAULTS = Settings()


def _settings(frames: int, members: str | None, *, maps: bool) -> Settings:
    if not MIN_FRAMES <= frames <= MAX_FRAMES:
        raise RequestError("bad_frames", n_frames=frames, minimum=MIN_FRAMES, maximum=MAX_FRAMES)
    if members is None:
        return Settings(n_frames=frames, maps=maps)
    from space.models.weights import parse_members

    return Settings(n_frames=frames, maps=maps, members=parse_members(members))


# --- check ------------------------------------------------------------------------------------


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A video or photo file, or a link to one or to a page that shows it.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for report.json and the pictures.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the report alone; - for standard output.")
    ] = None,
    frames: Frames = DEFAULTS.n_frames,
    members: Members = None,
    maps: Maps = DEFAULTS.maps,
    quiet: Quiet = False,
    lang: Language = FALLBACK_LANGUAGE,
) -> None:
    """Check one video or photo and print the verdict with its reasons."""
    from space.output import prepare_folder, to_text, write_analysis, write_report

    with exit_on_error(lang):
        settings = _settings(frames, members, maps=maps)
        if out is not None:
            prepare_folder(out)
        analysis = _run_check(source, settings, quiet=quiet, lang=lang)
        if str(json_file) == "-":
            typer.echo(to_text(analysis.report), nl=False)
            quiet, json_file = True, None
        written = [] if out is None else [write_analysis(analysis, out)]
        if json_file is not None:
            written.append(write_report(analysis.report, json_file))
        if not quiet:
            from space.console import print_report

            print_report(Console(), analysis.report, written=written, lang=lang)


def _run_check(source: str, settings: Settings, *, quiet: bool, lang: str) -> Analysis:
    from space.opening import open_file_or_link

    with make_progress(quiet=quiet) as bar:
        task = bar.add_task(render("stage.source", lang=lang), total=1.0)

        def show(stage: str, fraction: float) -> None:
            bar.update(task, description=render(f"stage.{stage}", lang=lang), completed=fraction)

        def show_fetching(fraction: float) -> None:
            bar.update(task, description=render("link.fetching", lang=lang), completed=fraction)

        with open_file_or_link(source, limits=settings.limits, progress=show_fetching) as clip:
            from space.analysis.pipeline import check_clip  # now: a refusal should not wait for the models
            from space.models.weights import load_ensemble

            return check_clip(clip, settings=settings, ensemble=load_ensemble(settings.members), progress=show)


@app.command()
def animate(
    source: Annotated[str, typer.Argument(help="A video file, or a link to one or to a page that shows it.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for evidence.webp, .gif and .mp4, and annotated.mp4.")],
    frames: Frames = DEFAULTS.n_frames,
    members: Members = None,
    video: Annotated[
        bool, typer.Option("--video/--no-video", help="Also the whole video with faces, scores and verdict drawn in.")
    ] = True,
    quiet: Quiet = False,
    lang: Language = FALLBACK_LANGUAGE,
) -> None:
    """Check a video and show its strongest passage moving, with the heat map pulsing over the face."""
    from space.opening import open_file_or_link
    from space.output import prepare_folder, write_analysis

    with exit_on_error(lang), make_progress(quiet=quiet) as bar:
        task = bar.add_task(render("stage.source", lang=lang), total=1.0)

        def show(stage: str, fraction: float) -> None:
            bar.update(task, description=render(f"stage.{stage}", lang=lang), completed=0.8 * fraction)

        settings = _settings(frames, members, maps=True)
        prepare_folder(out)
        with open_file_or_link(source, limits=settings.limits, progress=lambda _: None) as clip:
            from space.analysis.pipeline import check_clip
            from space.animation import AnimationError, animate_clip
            from space.models.weights import load_ensemble

            ensemble = load_ensemble(settings.members)
            analysis = check_clip(clip, settings=settings, ensemble=ensemble, progress=show)
            written = [write_analysis(analysis, out)]
            try:
                written += animate_clip(clip, analysis.report, ensemble, settings, out, video=video, lang=lang)
            except AnimationError as error:
                raise typer.BadParameter(str(error), param_hint="SOURCE") from error
        bar.update(task, completed=1.0)
    if not quiet:
        for path in written:
            typer.echo(render("cli.written", {"path": str(path)}, lang=lang))


# --- scan -------------------------------------------------------------------------------------


@app.command()
def scan(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, or CSV files with a column 'path'.")],
    jsonl: Annotated[Path, typer.Option("--jsonl", help="File for the lines, one for each source.")],
    engine: Annotated[Engine, typer.Option("--engine", help="This machine, or a Ray cluster.")] = Engine.LOCAL,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a scan into this file stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, whatever the file holds.")] = False,
    crops: Annotated[bool, typer.Option("--crops", help="The photos are face crops: one face in each.")] = False,
    frames: Frames = DEFAULTS.n_frames,
    members: Members = None,
    maps: Maps = DEFAULTS.maps,
    quiet: Quiet = False,
    lang: Language = FALLBACK_LANGUAGE,
) -> None:
    """Check many videos and photos: one JSON line each, resumable; a bad file is a line, never an end."""
    from space.lines import ScanError

    with exit_on_error(lang):
        settings = _settings(frames, members, maps=maps)
        if crops:  # a tight crop needs no setting of its own, but a passer-by at its edge is nobody's concern
            settings = replace(settings, faces=replace(settings.faces, max_faces=1))
        if not resume and not force and jsonl.exists() and jsonl.stat().st_size:
            complaint = f"{jsonl} exists: --resume goes on with it, --force begins anew"
            raise typer.BadParameter(complaint, param_hint="--jsonl")
        try:
            _run_scan(sources, jsonl, engine, settings, resume=resume, quiet=quiet, lang=lang)
        except ScanError as error:
            raise typer.BadParameter(str(error)) from error


def _run_scan(
    arguments: list[str], jsonl: Path, engine: Engine, settings: Settings, *, resume: bool, quiet: bool, lang: str
) -> None:
    from space.output import prepare_folder
    from space.scan import list_sources, make_check, scan_here, scan_sources, scan_with_ray

    sources = list_sources(arguments, leave_out=jsonl)
    make_engine = scan_with_ray if engine is Engine.RAY else scan_here
    run = make_engine(partial(make_check, settings))
    prepare_folder(jsonl.parent)
    with make_progress(quiet=quiet) as bar:
        task = bar.add_task("", total=None)

        def show(path: str, done: int, total: int) -> None:
            words = render("cli.scan.progress", {"n_done": done, "n_total": total}, lang=lang)
            bar.update(task, completed=done, total=total, description=f"{words}  {Path(path).name}")

        summary = scan_sources(sources, jsonl, engine=run, resume=resume, progress=show)
    if not quiet:
        text_id = "cli.scan.summary" if sources else "cli.scan.nothing"
        typer.echo(render(text_id, asdict(summary), lang=lang))


# --- the rest ---------------------------------------------------------------------------------


@app.command()
def bench(
    source: Annotated[str, typer.Argument(help="A video with a face.")],
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each part is timed.")] = 5,
    live: Annotated[
        bool, typer.Option("--live", help="Instead: frames a second of a stream, and what holds 5 of them.")
    ] = False,
    stream_frames: Annotated[
        int, typer.Option("--stream-frames", min=5, help="Frames of the stream, with --live.")
    ] = 30,
    frames: Frames = DEFAULTS.n_frames,
    members: Members = None,
    quiet: Quiet = False,
) -> None:
    """Time and memory of a check, part by part, as one JSON line."""
    if live:
        _bench_live(source, _settings(frames, members, maps=True), stream_frames, quiet=quiet)
        return
    with exit_on_error(), make_progress(quiet=quiet) as bar:
        from space.bench import BenchError, measure

        task = bar.add_task(render("cli.bench.progress", {"n_done": 0, "n_total": rounds + 1}), total=rounds + 1)

        def show(done: int, total: int) -> None:
            words = render("cli.bench.progress", {"n_done": done, "n_total": total})
            bar.update(task, completed=done, description=words)

        try:
            result = measure(source, _settings(frames, members, maps=True), n_rounds=rounds, progress=show)
        except BenchError as error:
            raise typer.BadParameter(str(error)) from error
    typer.echo(json.dumps(result))


def _bench_live(source: str, settings: Settings, n_frames: int, *, quiet: bool) -> None:
    with exit_on_error(), make_progress(quiet=quiet) as bar:
        from space.live import LiveError, measure_live
        from space.models.weights import load_ensemble

        task = bar.add_task(render("cli.bench.progress", {"n_done": 0, "n_total": 1}), total=None)

        def show(done: int, total: int) -> None:
            words = render("cli.bench.progress", {"n_done": done, "n_total": total})
            bar.update(task, completed=done, total=total, description=words)

        try:
            result = measure_live(source, load_ensemble(settings.members), settings, n_frames=n_frames, progress=show)
        except LiveError as error:
            raise typer.BadParameter(str(error)) from error
    typer.echo(json.dumps(result))


@app.command()
def serve() -> None:
    """Open the page in a browser: the same as python app.py."""
    with exit_on_error():
        runpy.run_path(str(PROJECT_ROOT / "app.py"), run_name="__main__")


@app.command()
def deploy(
    space: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A Space on the Hugging Face Hub.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    private: Annotated[
        bool, typer.Option("--private", help="If the Space is new, show it to its owner alone.")
    ] = False,
    lang: Language = FALLBACK_LANGUAGE,
) -> None:
    """Send this checkout to a Space; its files become exactly these."""
    from space.deploy import plan_push, push

    with exit_on_error(lang):
        shipment = plan_push(space)
        params: dict[str, str | int | float | list[str]] = {
            "n_files": len(shipment.files),
            "size_mb": round(shipment.n_bytes / MIB, 1),
            "name": shipment.repo_id,
        }
        typer.echo(render("cli.deploy.plan", params, lang=lang))
        if dry_run:
            typer.echo("\n".join(shipment.files))
            typer.echo(render("cli.deploy.dry", lang=lang))
            return
        typer.echo(render("cli.deploy.done", {"url": push(shipment, private=private)}, lang=lang))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A signed report, as the page of a shared one offers it.")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="A service's public key, or a file with what it publishes under /api/v1/key."),
    ] = None,
    lang: Language = FALLBACK_LANGUAGE,
) -> None:
    """Tell whether a signed report is as it was signed: exit status 0 valid, 3 altered, 4 signed by an unknown key."""
    from space.service.share.verify import STATUS, describe, known_keys, verify_file

    with exit_on_error(lang):
        try:
            known = known_keys(key or [], os.environ)
        except (ValueError, AttributeError) as error:
            raise typer.BadParameter("no public key in base64 or hex", param_hint="--key") from error
        found = verify_file(file, known)
        typer.echo("\n".join(describe(found, lang=lang)))
    raise typer.Exit(STATUS[found.outcome])


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False)
def lab(context: typer.Context) -> None:
    """Data, training and evaluation; needs requirements-dev.txt."""
    try:
        from space.lab.cli import app as lab_app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("space"):
            raise
        raise typer.BadParameter(f"{error.name} is missing: pip install -r requirements-dev.txt") from error
    lab_app(context.args, prog_name="python -m space lab")
