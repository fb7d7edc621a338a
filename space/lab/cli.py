"""The lab's commands: data, weights and evidence."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from space.lab.cli_evaluation import ablate, card, compare, evaluate

if TYPE_CHECKING:
    from space.models.cards import DetailReference
    from space.models.weights import Ensemble

app = typer.Typer(help="Make data, train and evaluate members.", no_args_is_help=True)


@app.callback()
def configure() -> None:
    """Show what the lab logs."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")


DataFolder = Annotated[
    Path,
    typer.Argument(exists=True, file_okay=False, help="A folder of DFDC face crops (manifest.csv and zip shards)."),
]


EnsembleFolder = Annotated[
    Path | None,
    typer.Option("--ensemble", exists=True, file_okay=False, help="Folder of an ensemble instead of the shipped one."),
]


def _load(members: str | None, folder: Path | None) -> Ensemble:
    """The ensemble that a command was asked to use."""
    from space.models.weights import SHIPPED, load_ensemble, parse_members

    return load_ensemble(parse_members(members) if members else None, folder=folder or SHIPPED)


class Layout(str, Enum):
    """How a data set lies on the disk."""

    dfdc_faces = "dfdc_faces"
    dfdc = "dfdc"
    faceforensics = "faceforensics"
    celebdf = "celebdf"
    csv = "csv"


@app.command()
def prepare(
    data: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the data set.")],
    out: Annotated[Path, typer.Option(help="Folder for what is prepared; resumed if there.")],
    layout: Annotated[
        Layout,
        typer.Option(
            help="dfdc_faces: face crops (manifest.csv and zip shards), whose landmarks and manipulated regions are "
            "found. Others: videos or pictures, whose faces are cut out into such a folder: dfdc (metadata.json), "
            "faceforensics, celebdf, csv (videos.csv: path,label,source,method,split)."
        ),
    ] = Layout.dfdc_faces,
    frames: Annotated[int, typer.Option(min=4, max=128, help="Of a video.")] = 8,
    margin: Annotated[float, typer.Option(min=1.0, max=2.0, help="Side of the crop / side of the face.")] = 1.6,
    size: Annotated[int, typer.Option(min=64, help="Side of the crop, px.")] = 256,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="At most as many forged videos as genuine ones, evenly over methods.")
    ] = False,
    compression: Annotated[str, typer.Option(help="Of FaceForensics++: raw, c23 or c40.")] = "c23",
    seed: Annotated[int, typer.Option(min=0, help="Draws what is balanced.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Cut faces out of videos, or find landmarks and manipulated regions of face crops; resumable."""
    if layout is Layout.dfdc_faces:
        from space.lab.training.twins import prepare as prepare_twins

        typer.echo(prepare_twins(data, out, workers=workers))
        return
    from rich.progress import Progress

    from space.lab.prepare.crops import CropChoices, prepare_crops
    from space.lab.prepare.layouts import balance, list_videos

    choices = CropChoices(n_frames=frames, margin=margin, size_px=size)
    try:
        videos = list_videos(data, layout.value, compression=compression)
        chosen = balance(videos, seed=seed) if balanced else videos
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("videos", total=len(chosen))
            manifest = prepare_crops(chosen, out, choices, workers=workers, advance=lambda n: progress.advance(task, n))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(manifest)


@app.command()
def stills(
    photos: Annotated[
        list[Path], typer.Argument(exists=True, file_okay=False, help="Folders of genuine photos and clips.")
    ],
    out: Annotated[Path, typer.Option(help="npz file.")],
) -> None:
    """Cut out the faces of the half of the photos and clips that may be trained on."""
    from space.lab.training.stills import prepare_stills

    typer.echo(prepare_stills(photos, out))


@app.command()
def forge(
    data: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Genuine faces: DFDC face crops, photos, or clips.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for twins, masks, manifest.csv and gallery/.")],
    seed: Annotated[int, typer.Option(min=0, help="Draws faces, donors and everything else.")],
    families: Annotated[str | None, typer.Option(help="Some of them, with commas between; all unless given.")] = None,
    videos: Annotated[bool, typer.Option("--videos", help="Clips instead of stills.")] = False,
    count: Annotated[int, typer.Option(min=1, help="Forgeries of every kind.")] = 4,
) -> None:
    """Forge faces for training and testing: twins with their true masks, marked as what they are."""
    from space.lab.forge.dataset import forge_dataset
    from space.lab.forge.families import FAMILIES

    wanted = families.split(",") if families else list(FAMILIES)
    try:
        manifest = forge_dataset(data, out, families=wanted, videos=videos, seed=seed, count=count)
    except ValueError as error:  # an unknown family, or data that it cannot be made of
        raise typer.BadParameter(str(error)) from error
    typer.echo(manifest)


@app.command()
def train(
    recipe: Annotated[
        str,
        typer.Argument(help="Name of a recipe; see recipes.py and sequence_recipes.py in space/lab/training."),
    ],
    data: DataFolder,
    twins: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="twins.npz from prepare.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: log, checkpoint, predictions; resumed if there.")],
    stills: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="npz from stills, where the recipe asks for it.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(exists=True, help="Begin with a card's weights, a finished run's, or a public checkpoint's."),
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Genuine clips, for members that read tracks."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the network.")] = 2,
) -> None:
    """Train a member by a recipe; goes on where an earlier run of the folder stopped."""
    from space.lab.training.recipes import RECIPES
    from space.lab.training.sequence_recipes import SEQUENCE_RECIPES

    level = "frame"
    if recipe in SEQUENCE_RECIPES:
        from space.lab.training.sequence_run import Material, train_sequence

        if start is None:
            raise typer.BadParameter(f"{recipe} reads what a frame member sees; give it with --start")
        material, level = Material(data, twins, stills, clips), "video"
        auc = train_sequence(recipe, material, out, start=start, device=device, threads=threads)
    elif recipe in RECIPES:
        from space.lab.training.run import train_member

        auc = train_member(recipe, data, twins, out, device=device, threads=threads, stills=stills, start=start)
    else:
        raise typer.BadParameter(f"no recipe {recipe}; there are {', '.join([*RECIPES, *SEQUENCE_RECIPES])}")
    typer.echo(f"val (within-dataset) {level} AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}], n = {auc.n}")


@app.command()
def average(
    earlier: Annotated[Path, typer.Argument(exists=True, help="A finished run, or the card of a member.")],
    later: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="One that went on from it.")],
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="What they were trained on.")],
    twins: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="twins.npz from prepare.")],
    out: Annotated[Path, typer.Option(help="Folder of the averaged run.")],
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the network.")] = 2,
) -> None:
    """Average the weights of a member and of a run that went on from it."""
    from space.lab.training.average import average_runs

    auc = average_runs(earlier, later, data, twins, out, threads=threads)
    typer.echo(f"val (within-dataset) frame AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}], n = {auc.n}")


@app.command()
def ship(
    members: Annotated[
        list[Path], typer.Argument(exists=True, help="Finished runs' folders, or cards of members, one per member.")
    ],
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="What they were trained on.")],
    twins: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="twins.npz from prepare.")],
    genuine: Annotated[
        list[Path],
        typer.Option(exists=True, file_okay=False, help="Genuine photos or clips; half of them set the thresholds."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the ensemble.")],
    min_bits_per_pixel: Annotated[
        float, typer.Option(min=0, help="Below it a video counts as heavily compressed.")
    ] = 0.008,
    served: Annotated[
        list[str] | None, typer.Option(help="NAME=PX: a member's input in service, if not what it was trained on.")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PX:SHARE: take that share of the logit of a PX times PX version off a member's."),
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="NAME=W: how much a member counts beside the others; 1 unless given.")
    ] = None,
    outline: Annotated[
        float, typer.Option(min=0, help="What a soft outline adds to a clip's logit for each deviation; 0: nothing.")
    ] = 0.0,
) -> None:
    """Write weights, cards and the ensemble's record from finished runs and earlier members."""
    from space.lab.training.ship import Serving, ship_members
    from space.models.weights import parse_members

    pairs = [entry.partition("=") for entry in served or []]
    if any(not px.isdecimal() or int(px) % 32 for _, _, px in pairs):
        raise typer.BadParameter("--served takes NAME=PX, PX a multiple of 32")
    sizes = {name: int(px) for name, _, px in pairs}
    weights = dict(parse_members(",".join(weight))) if weight else {}
    if any(value <= 0 for value in weights.values()):
        raise typer.BadParameter("--weight takes NAME=W, W above 0")
    serving = Serving(sizes, dict(_read_reference(entry) for entry in reference or []), weights, outline)
    shipped = ship_members(
        *(members, data, twins, genuine, out), min_bits_per_pixel=min_bits_per_pixel, serving=serving
    )
    for path in shipped:
        typer.echo(path)


def _read_reference(entry: str) -> tuple[str, DetailReference]:
    from space.models.cards import DetailReference

    name, _, rest = entry.partition("=")
    detail_px, _, share = rest.partition(":")
    try:
        return name, DetailReference(int(detail_px), float(share))
    except ValueError as error:
        raise typer.BadParameter("--reference takes NAME=PX:SHARE, a share in (0, 1]") from error


@app.command()
def methods(
    clip: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A video or photo with a face.")],
    out: Annotated[Path, typer.Option(help="Folder for costs.json and a sheet of maps for each member.")],
    names: Annotated[
        str, typer.Option("--methods", help="With commas between; all; quick: those that take milliseconds.")
    ] = "all",
    faces: Annotated[int, typer.Option(min=4, max=64, help="Frames of the clip.")] = 4,
    members: Annotated[str | None, typer.Option(help="NAME=WEIGHT,… instead of the ensemble's own.")] = None,
    ensemble: EnsembleFolder = None,
) -> None:
    """Draw the maps of every method on one clip and print what each costs."""
    from space.lab.explain.clip import describe_costs, explain_clip
    from space.lab.explain.harness import QUICK

    wanted = _known_methods(names, QUICK)
    costs = explain_clip(clip, out, ensemble=_load(members, ensemble), names=wanted, n_faces=faces)
    typer.echo(describe_costs(costs))


@app.command()
def explain(
    data: DataFolder,
    twins: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="twins.npz from prepare.")],
    out: Annotated[Path, typer.Option(help="Folder for explain.json and explain.html, which shows faces of the data.")],
    n_twins: Annotated[int, typer.Option("--n-twins", min=0, help="Registered twins of val.")] = 400,
    per_part: Annotated[int, typer.Option("--per-part", min=0, help="Forgeries of each part of the face alone.")] = 100,
    per_blend: Annotated[int, typer.Option("--per-blend", min=0, help="Blended faces of each kind.")] = 50,
    checks: Annotated[int, typer.Option(min=0, help="Cases for deletion, randomising, JPEG and named parts.")] = 24,
    clips: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Also clips with twins, frame by frame (manifest.csv)."),
    ] = None,
    names: Annotated[
        str, typer.Option("--methods", help="With commas between; quick: all that take milliseconds.")
    ] = "quick",
    members: Annotated[str | None, typer.Option(help="NAME=WEIGHT,… instead of the ensemble's own.")] = None,
    ensemble: EnsembleFolder = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws twins and forgeries.")] = 1,
) -> None:
    """Hold every kind of map against forgeries whose true region is known; JSON and a page."""
    from space.lab.explain.harness import FIRST, QUICK
    from space.lab.explain.page import describe_study
    from space.lab.explain.study import Size, explain_cases, gather_cases

    wanted = _known_methods(names, QUICK)
    if FIRST not in wanted:
        wanted = (FIRST, *wanted)
    size = Size(twins=n_twins, per_part=per_part, per_blend=per_blend, checks=checks)
    loaded = _load(members, ensemble)
    cases = gather_cases(data, twins, size, seed=seed, clips=clips)
    if not cases:
        raise typer.BadParameter("nothing to explain: every count is 0")
    about = {"data": data.name, "split": "val", "seed": seed, "clips": clips.name if clips else None}
    document = explain_cases(cases, out, ensemble=loaded, names=wanted, size=size, about=about)
    typer.echo(describe_study(document))


def _known_methods(text: str, quick: tuple[str, ...]) -> tuple[str, ...]:
    """Names of methods, as a command was given them."""
    from space.lab.explain.methods import METHODS

    if text in ("all", "quick"):
        return tuple(METHODS) if text == "all" else quick
    names = tuple(text.split(","))
    if unknown := set(names) - METHODS.keys():
        raise typer.BadParameter(f"no such method: {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    return names


@app.command()
def atlas(
    scan: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Lines of a scan, with heat maps.")],
    labels: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="CSV: file, label, and where known method and pair or source."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for atlas.json and the drawn faces.")],
    dataset: Annotated[str, typer.Option(help="The data set's name, as the page shows it.")],
    ship: Annotated[bool, typer.Option("--ship", help="Also put atlas.json where the page shows it.")] = False,
) -> None:
    """Tell which parts of the face give forgeries away: by method, model and layer, over the reports of a scan."""
    from space.lab.explain.atlas import AtlasError, describe_atlas, make_atlas, read_entries, read_labels, write_atlas
    from space.settings import SHARED

    entries, left_out = read_entries(scan, read_labels(labels))
    try:
        document = make_atlas(entries, dataset=dataset, left_out=left_out)
    except AtlasError as error:
        raise typer.BadParameter(f"{error}; left out: {left_out}") from error
    written = write_atlas(document, out)
    if ship:
        (SHARED / "atlas.json").write_bytes(written[0].read_bytes())
    typer.echo(describe_atlas(document))
    typer.echo(f"{len(written)} files in {out}; lines left out: {left_out or 'none'}")


@app.command()
def examples(
    out: Annotated[Path, typer.Option(help="Folder for pictures, examples.json and a zip of them.")],
    tries: Annotated[int, typer.Option(min=1, help="Forgeries of every kind of part.")] = 12,
    count: Annotated[int, typer.Option(min=1, help="Examples kept, of as many kinds as there are.")] = 6,
    members: Annotated[str | None, typer.Option(help="NAME=WEIGHT,… instead of the ensemble's own.")] = None,
    ensemble: EnsembleFolder = None,
) -> None:
    """Collect correct interpretations: forgeries of the astronaut's face whose named part is the forged one."""
    from space.lab.explain.harness import FIRST, Harness
    from space.lab.explain.interpretations import collect_interpretations

    kept = collect_interpretations(Harness(_load(members, ensemble), [FIRST]), out, tries=tries, count=count)
    for found in kept:
        typer.echo(f"{found.kind}: named {found.named}, {found.share_on_forged:.0%} of the heat on the forged region")
    if not kept:
        typer.echo("none of the forgeries was explained correctly")


for command in (evaluate, compare, ablate, card):
    app.command()(command)
