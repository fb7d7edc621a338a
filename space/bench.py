"""What a check costs on this machine, as ratios that carry over to others.

Everything timed runs in turn, round after round, and the median of each counts: a machine that slows
down for a while slows all of them. Memory is the peak of a process of its own, so that nothing
measured before adds to it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av

from space.analysis.crops import cut_crop
from space.analysis.faces import FaceFinder
from space.analysis.maps import map_crops
from space.analysis.pipeline import check_file
from space.analysis.scores import batched, score_crops
from space.contract import Clip, Crop, Face
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.models.cards import Card
from space.models.weights import Ensemble, load_ensemble
from space.settings import PROJECT_ROOT, Settings

KIB_PER_MIB = 1024
RATIOS = (("sampling", "bare_pass"), ("forward_with_maps", "forward"), ("check", "bare_pass"))
CHILD = (
    "import json, sys; from space.bench import check_alone; print(json.dumps(check_alone(*json.loads(sys.argv[1]))))"
)

Seconds = dict[str, float]


class BenchError(ValueError):
    """Nothing can be measured on this source."""


def measure(
    source: str, settings: Settings, *, n_rounds: int, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Time and memory of a check of one video.

    Args:
        n_rounds: how often each part is timed, after a round that warms up and is not counted.
        progress: told the rounds done and to do.

    Returns:
        A JSON document: ``seconds`` of each part and ``stages_s`` of the whole check (medians),
        ``ratios`` between parts, ``peak_rss_mib`` of a process that checks the video once, and what
        was measured.

    Raises:
        BenchError: a photo, or a video without a face.
        SourceError, RequestError, WeightsError: as a check.
    """
    clip = open_source(source, limits=settings.limits)
    if clip.info.kind == "image":
        raise BenchError(f"{source} is a photo; a video is needed")
    faces = _find_faces(clip, settings)
    if not faces:
        raise BenchError(f"no face in {source}: nothing to run the models on")
    peak_mib = _peak_rss_mib(source, settings)
    ensemble = load_ensemble(settings.members)
    parts = _Parts(source, faces, ensemble, settings)
    rows = []
    for done in range(n_rounds + 1):
        rows.append({name: _time(run) for name, run in parts.by_name().items()})
        if progress is not None:
            progress(done + 1, n_rounds + 1)
    seconds = _medians(rows[1:])
    return {
        "clip": {"name": Path(source).name, "duration_s": clip.info.duration_s, "fps": clip.info.fps}
        | {"codec": clip.info.codec, "width": clip.info.width, "height": clip.info.height},
        "members": {member.card.name: member.card.architecture for member in ensemble.members},
        "n_frames": settings.n_frames,
        "n_faces": len(faces),
        "n_rounds": n_rounds,
        "n_cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),  # far above 1: the machine was shared, distrust the ratios
        "seconds": seconds,
        "stages_s": _medians(parts.stages[1:]),
        "ratios": {f"{part} / {base}": round(seconds[part] / seconds[base], 3) for part, base in RATIOS},
        "peak_rss_mib": {"check": round(peak_mib, 1)},
    }


def _time(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _medians(rows: Sequence[Mapping[str, float]]) -> Seconds:
    columns: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            columns[name].append(value)
    return {name: round(statistics.median(column), 4) for name, column in columns.items()}


# --- what is timed ----------------------------------------------------------------------------


class _Parts:
    """The parts of a check that are timed, all of them on one clip."""

    def __init__(self, source: str, faces: Sequence[Face], ensemble: Ensemble, settings: Settings) -> None:
        self._source, self._ensemble, self._settings = source, ensemble, settings
        self._clip = open_source(source, limits=settings.limits)
        self._batches = [_cut_batches(faces, member.card, settings.batch_size) for member in ensemble.members]
        self.stages: list[Seconds] = []  # seconds per stage of each whole check

    def by_name(self) -> dict[str, Callable[[], None]]:
        return {
            "bare_pass": self._decode_all,
            "sampling": self._sample,
            "forward": self._score,
            "forward_with_maps": self._score_and_map,
            "check": self._check,
        }

    def _decode_all(self) -> None:
        """The floor: PyAV decodes every frame, threaded, and does nothing with it."""
        with self._clip.open() as stream, av.open(stream, mode="r") as container:
            video = container.streams.video[0]
            video.thread_type = "AUTO"
            for _ in container.decode(video):
                pass

    def _sample(self) -> None:
        for _ in sample_frames(self._clip, self._settings.n_frames, limits=self._settings.limits):
            pass

    def _score(self) -> None:
        for member, batches in zip(self._ensemble.members, self._batches, strict=True):
            score_crops(member, batches)

    def _score_and_map(self) -> None:
        for member, batches in zip(self._ensemble.members, self._batches, strict=True):
            map_crops(member, batches)

    def _check(self) -> None:
        """From opening the file to the pictures; the models are loaded already."""
        analysis = check_file(self._source, settings=self._settings, ensemble=self._ensemble, progress=_ignore)
        self.stages.append(dict(analysis.report.timing_s))


def _ignore(stage: str, fraction: float) -> None:
    """Nobody watches."""


def _find_faces(clip: Clip, settings: Settings) -> list[Face]:
    with FaceFinder(settings.faces) as finder:
        frames = sample_frames(clip, settings.n_frames, limits=settings.limits)
        return [face for frame in frames for face in finder.find_faces(frame)]


def _cut_batches(faces: Sequence[Face], card: Card, size: int) -> list[list[Crop]]:
    crops = (cut_crop(face.patch, face.box_xyxy, margin=card.margin, input_px=card.input_px) for face in faces)
    return list(batched(crops, size))


# --- memory -----------------------------------------------------------------------------------


def _peak_rss_mib(source: str, settings: Settings) -> float:
    """Peak memory of a fresh process that checks the source once."""
    arguments = json.dumps([str(Path(source).resolve()), settings.n_frames, settings.maps, settings.members])
    child = [sys.executable, "-c", CHILD, arguments]
    done = subprocess.run(child, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own
    return float(json.loads(done.stdout))


def check_alone(source: str, n_frames: int, maps: bool, members: Sequence[Sequence[Any]] | None) -> float:
    """Check a source once and return this process's peak resident memory in MiB."""
    chosen = None if members is None else tuple((str(name), float(weight)) for name, weight in members)
    settings = Settings(n_frames=n_frames, maps=maps, members=chosen)
    check_file(source, settings=settings, ensemble=load_ensemble(chosen), progress=_ignore)
    return _read_high_water_kib() / KIB_PER_MIB


def _read_high_water_kib() -> int:
    """VmHWM: unlike getrusage's figure, it does not begin with that of the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])
