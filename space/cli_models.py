"""``python -m space models …``: what is installed, what it is worth, and where more comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from space.terminal import exit_on_error
from space.texts import render

if TYPE_CHECKING:
    from space.models.cards import Card

models_app = typer.Typer(name="models", help="The models behind a check.", no_args_is_help=True)


@models_app.command("list")
def list_models() -> None:
    """The models that --members can name."""
    from space.models.weights import list_members

    with exit_on_error():
        cards = list_members()
        if not cards:
            typer.echo(render("cli.models.none"))
            return
        table = Table("name", "architecture", "version", "input px", "auc", box=None, padding=(0, 2, 0, 0))
        for card in cards:
            table.add_row(card.name, card.architecture, card.version, str(card.input_px), _auc(card))
        Console().print(table)


def _auc(card: Card) -> str:
    """The member's first AUC with its level and protocol: a number that says less is worth nothing."""
    for metric in card.metrics:
        if metric.name == "auc":
            return f"{metric.value:.3f} ({metric.level}, {metric.protocol}-dataset, n = {metric.n})"
    return ""


@models_app.command("info")
def show_model(name: Annotated[str, typer.Argument(help="A model's name, or the path of its card.")]) -> None:
    """A model's card as JSON: what it was trained on, and what it is worth."""
    from space.models.documents import encode
    from space.models.weights import describe_member

    with exit_on_error():
        typer.echo(json.dumps(encode(describe_member(name)), ensure_ascii=False, indent=2))


@models_app.command("fetch")
def fetch_model(
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the Hugging Face Hub.")],
    revision: Annotated[str, typer.Option("--revision", help="Commit, tag or branch; only a commit is for ever.")],
    sha256: Annotated[str, typer.Option("--sha256", help="Checksum of the weights file, hex.")],
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name, where the repository's is another.")
    ] = None,
) -> None:
    """Download a model and its card from the Hub, checked against a checksum."""
    from space.models.hub import fetch_member

    with exit_on_error():
        card = fetch_member(repository, revision=revision, sha256=sha256, name=name)
        typer.echo(render("cli.models.fetched", {"name": card.name}))


@models_app.command("import")
def import_model(
    checkpoint: Annotated[Path, typer.Argument(help="A public checkpoint: .pth or .safetensors.")],
    architecture: Annotated[str, typer.Option("--architecture", help="Such as efficientnet_b4 or resnext50_32x4d.")],
    name: Annotated[str, typer.Option("--name", help="The new model's name.")],
    fake_index: Annotated[int, typer.Option("--fake-index", min=0, max=1, help="Which output means fake.")] = 1,
    input_px: Annotated[
        int | None, typer.Option("--input-px", min=32, help="Side of the crops it was made for.")
    ] = None,
    margin: Annotated[float, typer.Option("--margin", min=0.5, help="Side of those crops / side of the face.")] = 1.3,
    licence: Annotated[str, typer.Option("--licence", help="Of the weights.")] = "unknown",
) -> None:
    """Take over a checkpoint in torchvision's, timm's or efficientnet_pytorch's layout."""
    from space.models.imports import Origin, import_member

    with exit_on_error():
        origin = Origin(input_px=input_px, margin=margin, licence=licence)
        import_member(checkpoint, architecture, name=name, fake_index=1 if fake_index else 0, origin=origin)
        typer.echo(render("cli.models.imported", {"name": name}))
