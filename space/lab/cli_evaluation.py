"""The lab's commands that judge members: figures on sets, one table, and the model card."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


class Disturbance(str, Enum):
    """What robustness curves are drawn over, ``disturb.Kind``."""

    jpeg = "jpeg"
    crf = "crf"
    filmed = "filmed"
    scale = "scale"
    blur = "blur"
    margin = "margin"


class Use(str, Enum):
    """Part of a genuine set, by a hash of the files' names."""

    train = "train"
    calibrate = "calibrate"
    test = "test"
    all = "all"


def evaluate(
    data: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folders: DFDC face crops; clips or stills with manifest.csv (file,label,method,pair), as forge "
            "writes them too; or, without a manifest, genuine photos and clips.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json and evaluation.html.")],
    twins: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="twins.npz from prepare, for face crops.")
    ] = None,
    members: Annotated[
        list[str] | None, typer.Option(help="An ensemble as NAME=WEIGHT,…; repeatable. Names or paths of cards.")
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="A folder with ensemble.json; repeatable."),
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="A finished run; repeatable. None of these three: shipped."),
    ] = None,
    split: Annotated[str, typer.Option(help="Of face crops.")] = "val",
    genuine: Annotated[
        Use, typer.Option(help="Which of the genuine photos and clips: by default those kept from training.")
    ] = Use.test,
    frames: Annotated[int, typer.Option(min=4, max=128, help="Frames per clip.")] = 16,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Samples per set, whole sources drawn at random; all unless given.")
    ] = None,
    robust: Annotated[
        int, typer.Option(min=0, help="Samples per set that are also looked at disturbed, for robustness curves.")
    ] = 0,
    under: Annotated[
        list[Disturbance] | None, typer.Option(help="Robustness to these only; repeatable. All unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws samples.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the networks.")] = 2,
) -> None:
    """Judge every member and ensemble on every set: figures with intervals, plots, a page."""
    import torch
    from rich.progress import Progress

    from space.lab.evaluation.contenders import load_field
    from space.lab.evaluation.evaluate import PAGE_FILE, EvaluationChoices, evaluate_sets, write_evaluation
    from space.lab.evaluation.items import open_set
    from space.lab.evaluation.results import describe_results
    from space.lab.evaluation.runs import load_run

    torch.set_num_threads(threads)
    try:
        use = None if genuine is Use.all else genuine.value
        sets = [open_set(place, twins=twins, split=split, use=use) for place in data]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    contenders = load_field(members or [], folder or [], [load_run(place) for place in run or []])
    choices = EvaluationChoices(
        n_frames=frames,
        n_samples=samples,
        n_disturbed=robust,
        disturbances=tuple(kind.value for kind in under or Disturbance),
        seed=seed,
    )
    with Progress(console=Console(stderr=True)) as progress:
        total = sum(len(one.entries) if samples is None else min(samples, len(one.entries)) for one in sets)
        task = progress.add_task("samples", total=total)
        evaluated = evaluate_sets(sets, contenders, choices, advance=lambda: progress.advance(task))
    document = write_evaluation(evaluated, contenders, choices, out)
    for line in describe_results(document):
        typer.echo(line)
    typer.echo(out / PAGE_FILE)


def compare(
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, comparison.html and comparison.md.")],
    runs: Annotated[
        list[Path] | None, typer.Argument(exists=True, file_okay=False, help="Finished runs, one per member.")
    ] = None,
    cards: Annotated[
        list[str] | None, typer.Option("--card", help="Also a member by its name or the path of its card; repeatable.")
    ] = None,
    evaluations: Annotated[
        list[Path] | None,
        typer.Option("--evaluation", exists=True, dir_okay=False, help="evaluation.json of other sets; repeatable."),
    ] = None,
    machine: Annotated[str, typer.Option(help="What the times are measured on, in words.")] = "this machine",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads while timing.")] = 1,
) -> None:
    """Compare members: parameters, cost per image, figures with intervals, learning curves."""
    from space.lab.evaluation.compare import (
        describe_card,
        describe_run,
        make_comparison,
        read_elsewhere,
        write_comparison,
    )

    rows = [describe_run(folder, threads=threads) for folder in runs or []]
    rows += [describe_card(name, threads=threads) for name in cards or []]
    if not rows:
        raise typer.BadParameter("give finished runs, or cards")
    document = make_comparison(rows, read_elsewhere(evaluations or []), machine)
    typer.echo(write_comparison(document, out))


def ablate(
    runs: Annotated[
        list[Path], typer.Argument(exists=True, file_okay=False, help="Finished runs; the first is what others vary.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for ablation.json and ablation.md.")],
    evaluations: Annotated[
        list[Path] | None,
        typer.Option("--evaluation", exists=True, dir_okay=False, help="evaluation.json of these runs; repeatable."),
    ] = None,
) -> None:
    """Tell what changes of a recipe do: AUC on val, other sets and families, and its distance from the base's."""
    from space.lab.evaluation.ablation import describe_ablation, draw_ablation, write_ablation

    try:
        document = describe_ablation(runs, evaluations or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(draw_ablation(document))
    typer.echo(write_ablation(document, out))


def card(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of an ensemble.")],
    out: Annotated[Path, typer.Option(help="Markdown file.")] = Path("MODEL_CARD.md"),
    clips: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: what a set is called, and the evaluation.json of it alone; repeatable."),
    ] = None,
    comparison: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="comparison.md of compare, as a section.")
    ] = None,
) -> None:
    """Write the model card from the cards, from evaluations of whole clips and from a comparison."""
    from space.lab.evaluation.model_card import read_clip_figures, write_model_card

    pairs = [entry.partition("=") for entry in clips or []]
    try:
        figures = [(name, read_clip_figures(Path(file))) for name, _, file in pairs]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    write_model_card(folder, out, figures, comparison="" if comparison is None else comparison.read_text("utf-8"))
    typer.echo(out)
