"""Many sources, one JSON line each: ``{"path", "report"}`` or ``{"path", "error": {"code", "message"}}``."""

from __future__ import annotations

import csv
import logging
import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.analysis.report import to_json
from space.contract import Report
from space.errors import InternalError, TelltaleError
from space.lines import Line, LineFile, ScanError
from space.settings import PROJECT_ROOT, Settings
from space.texts import describe_error

logger = logging.getLogger(__name__)

Check = Callable[[str], Report]  # raises TelltaleError
Engine = Callable[[Sequence[str]], Iterator[Line]]

MEDIA = {"video", "image", "audio"}  # a sound file in a folder was meant to be a video: it gets its error line
# The interpreter's own table, not the machine's, so that a folder means the same everywhere.
FILE_TYPES = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True)
class Summary:
    """What a scan did."""

    n_reports: int
    n_errors: int
    n_skipped: int  # had their line already


def scan_sources(
    sources: Sequence[str],
    jsonl: Path,
    *,
    engine: Engine,
    resume: bool,
    progress: Callable[[str, int, int], None],
) -> Summary:
    """Check sources that have no line yet and write a line for each, in their order.

    Args:
        engine: paths -> lines, in order.
        resume: go on after the lines that are there; else begin anew.
        progress: told each source when it has its line, with the numbers done and to do.

    Raises:
        ScanError, RequestError: as entering a ``LineFile``.
    """
    n_errors = 0
    with LineFile(jsonl, resume=resume) as lines:
        paths = [path for path in sources if path not in lines.done]
        for n_done, line in enumerate(engine(paths), 1):
            lines.append(line)
            n_errors += "error" in line
            progress(line["path"], n_done, len(paths))
    return Summary(n_reports=len(paths) - n_errors, n_errors=n_errors, n_skipped=len(sources) - len(paths))


# --- sources ----------------------------------------------------------------------------------


def list_sources(arguments: Iterable[str | Path], *, leave_out: Path | None = None) -> tuple[str, ...]:
    """The sources meant by files, folders and CSV files, each once, in order.

    A folder means all files below it, by name, but for hidden ones and those whose name says that
    they are no media (tables, text, JSON). Whether a file is a video or a photo is told by its
    content, later. A CSV gives its column ``path``; relative paths start at the CSV's folder.

    Args:
        leave_out: a file that is never a source (the output).

    Raises:
        ScanError: a CSV that cannot be read or has no column ``path``.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        found |= dict.fromkeys(_expand(Path(argument), str(argument)))
    return tuple(path for path in found if leave_out is None or not _is_same(Path(path), leave_out))


def _is_same(path: Path, other: Path) -> bool:
    return path.name == other.name and path.resolve() == other.resolve()


def _expand(path: Path, argument: str) -> Iterable[str]:
    if path.is_dir():
        return [str(file) for file in sorted(path.rglob("*")) if file.is_file() and _may_be_media(file, path)]
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    return [argument]


def _may_be_media(file: Path, folder: Path) -> bool:
    if any(part.startswith(".") for part in file.relative_to(folder).parts):
        return False
    kind, _ = FILE_TYPES.guess_type(file.name)
    return kind is None or kind.split("/")[0] in MEDIA


def _read_csv(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if "path" not in (rows.fieldnames or ()):
                raise ScanError(f"{path} has no column 'path'")
            return [str(path.parent / row["path"]) for row in rows if row["path"]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScanError(f"{path} cannot be read as a table: {error}") from error


# --- engines ----------------------------------------------------------------------------------


def make_check(settings: Settings) -> Check:
    """A check of one source with models that are loaded once, here.

    Raises:
        RequestError, WeightsError: as ``load_ensemble``.
    """
    from space.analysis.pipeline import check_file
    from space.models.weights import load_ensemble

    ensemble = load_ensemble(settings.members)

    def check(path: str) -> Report:
        return check_file(path, settings=settings, ensemble=ensemble, progress=_ignore).report

    return check


def _ignore(stage: str, fraction: float) -> None:
    """Progress is told source by source."""


def describe_source(path: str, check: Check) -> Line:
    """The line of one source; whatever goes wrong with it is in the line."""
    try:
        return {"path": path, "report": to_json(check(path))}
    except TelltaleError as error:
        return _error_line(path, error)
    except Exception:  # one bad file must not end a run over a million; the log has the trace
        logger.exception("internal error with %s", path)
        return _error_line(path, InternalError("internal"))


def _error_line(path: str, error: TelltaleError) -> Line:
    return {"path": path, "error": {"code": error.code, "message": describe_error(error)}}


def scan_here(make_check: Callable[[], Check]) -> Engine:
    """The local engine: one source after the other, with models that are loaded once."""

    def run(paths: Sequence[str]) -> Iterator[Line]:
        if paths:
            check = make_check()
            yield from (describe_source(path, check) for path in paths)

    return run


class _Worker:
    """One process of a Ray cluster, with its own models. Ray starts it again if it dies."""

    def __init__(self, make_check: Callable[[], Check], folder: str) -> None:
        os.chdir(folder)  # relative paths mean what they mean to whoever began the scan
        self._make_check = make_check
        self._check: Check | None = None

    def prepare(self) -> Check:
        """Load the models, so that what is wrong with them is known before the first source."""
        if self._check is None:
            self._check = self._make_check()
        return self._check

    def describe(self, path: str) -> Line:
        return describe_source(path, self.prepare())


def scan_with_ray(make_check: Callable[[], Check]) -> Engine:
    """The Ray engine: a worker per processor of the cluster, lines in the order of the paths.

    Every machine must see the sources and this checkout under the same paths. A worker that dies costs
    its source an error line.

    Raises:
        ScanError: ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ScanError('the engine "ray" needs the package ray: pip install "ray>=2.40"') from error

    def run(paths: Sequence[str]) -> Iterator[Line]:
        if not paths:
            return
        ray.init(
            ignore_reinit_error=True, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": _search_path()}}
        )
        n_workers = max(1, min(len(paths), int(ray.cluster_resources().get("CPU", 1))))
        # A second try: the source after a deadly one finds its worker being started again.
        worker_class = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=1)(_Worker)
        workers = [worker_class.remote(make_check, str(Path.cwd())) for _ in range(n_workers)]
        ray.get([worker.prepare.remote() for worker in workers])
        yield from _in_order(_hand_out(ray, workers, paths))

    return run


def _hand_out(ray: Any, workers: list[Any], paths: Sequence[str]) -> Iterator[tuple[int, Line]]:
    """Give each idle worker the next source; positions and lines as they are done."""
    waiting = iter(enumerate(paths))
    at_work: dict[Any, tuple[Any, int]] = {}  # reference to a line to come -> worker, position
    idle = list(workers)
    while True:
        for worker, (position, path) in zip(idle, waiting, strict=False):
            at_work[worker.describe.remote(path)] = worker, position
        if not at_work:
            return
        (done,), _ = ray.wait(list(at_work), num_returns=1)
        worker, position = at_work.pop(done)
        idle = [worker]
        try:
            yield position, ray.get(done)
        except ray.exceptions.RayActorError:
            logger.exception("the worker died with %s", paths[position])
            yield position, _error_line(paths[position], InternalError("internal"))


def _in_order(lines: Iterable[tuple[int, Line]]) -> Iterator[Line]:
    early: dict[int, Line] = {}
    following = 0
    for position, line in lines:
        early[position] = line
        while following in early:
            yield early.pop(following)
            following += 1


def _search_path() -> str:
    """Where a worker finds this package, before what its environment adds."""
    return os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
