"""What every command does at the terminal: show progress, and turn an error into words and an exit status."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from space.errors import InternalError, TelltaleError
from space.texts import FALLBACK_LANGUAGE, describe_error


@contextmanager
def exit_on_error(lang: str = FALLBACK_LANGUAGE) -> Iterator[None]:
    """Turn an error into its code and sentence on standard error, and into its exit status."""
    try:
        yield
    except TelltaleError as error:
        _fail(error, lang)
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:  # noqa: BLE001 - the last door: the trace is for us, the sentence for the person
        traceback.print_exc()
        _fail(InternalError("internal"), lang, cause=error)


def _fail(error: TelltaleError, lang: str, *, cause: Exception | None = None) -> None:
    typer.echo(f"{error.code}: {describe_error(error, lang=lang)}", err=True)
    raise typer.Exit(error.exit_status) from cause


def make_progress(*, quiet: bool) -> Progress:
    """A progress bar on standard error; silent where nobody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
