"""Every method on one clip: what each costs, and a sheet to look at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from space.analysis import render
from space.analysis.crops import cut_crop
from space.analysis.faces import FaceFinder
from space.analysis.maps import map_crops
from space.analysis.scores import score_crops
from space.contract import F32, U8, Crop, Face
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.lab.explain.methods import METHODS, Method, explain_faces
from space.lab.explain.sheet import draw_sheet
from space.lab.explain.surrogates import mark_features
from space.lab.explain.views import view_faces
from space.models.weights import Ensemble, LoadedMember
from space.settings import Settings

Result = TypeVar("Result")

SERVICE = "service"  # the maps of a check: two layers from one forward and one partial backward


@dataclass(frozen=True)
class Cost:
    """What one method took on one member."""

    method: str
    member: str
    seconds_per_face: float
    times_forward: float  # over scoring the same faces without a map


def explain_clip(
    source: Path,
    out: Path,
    *,
    ensemble: Ensemble,
    names: Sequence[str],
    n_faces: int,
    n_rounds: int = 3,
    settings: Settings | None = None,
) -> list[Cost]:
    """Run methods on the largest face of a clip's frames and write ``costs.json`` and a sheet for each member.

    Args:
        names: of ``METHODS``; those that do not fit a member are left out of its table.
        n_faces: frames of the clip, spread evenly.
        n_rounds: timings of the methods that take milliseconds, of which the median counts.

    Raises:
        ValueError: no face in the clip.
        SourceError: the clip was refused.
    """
    out.mkdir(parents=True, exist_ok=True)
    faces = _find_faces(source, n_faces, settings or Settings())
    if not faces:
        raise ValueError(f"no face in {source}")
    costs: list[Cost] = []
    for member in ensemble.members:
        crops = [cut_crop(f.patch, f.box_xyxy, margin=member.card.margin, input_px=member.card.input_px) for f in faces]
        costs += _explain_member(member, crops, [METHODS[name] for name in names], n_rounds, out)
    (out / "costs.json").write_text(json.dumps([asdict(cost) for cost in costs], indent=2) + "\n", encoding="utf-8")
    return costs


def _find_faces(source: Path, n_faces: int, settings: Settings) -> list[Face]:
    clip = open_source(source, limits=settings.limits)
    with FaceFinder(settings.faces) as finder:
        found = [finder.find_faces(frame) for frame in sample_frames(clip, n_faces, limits=settings.limits)]
    return [faces[0] for faces in found if faces]


def _explain_member(
    member: LoadedMember, crops: list[Crop], methods: Sequence[Method], n_rounds: int, out: Path
) -> list[Cost]:
    pixels = np.stack([crop.image for crop in crops])
    fitting = [method for method in methods if all(method.fits(view) for view, _ in view_faces(member, pixels[:1]))]
    forward, _ = _time(lambda: _score(member, crops, pixels), n_rounds)
    drawn: dict[str, list[U8]] = {"faces": list(pixels)}
    costs = []
    if member.kind == "frame":
        seconds, _ = _time(lambda: map_crops(member, [crops]), n_rounds)
        costs.append(_cost(SERVICE, member, seconds, forward, len(crops)))
    for method in fitting:
        seconds, maps = _time(partial(explain_faces, method, member, pixels), 1 if method.costly else n_rounds)
        costs.append(_cost(method.name, member, seconds, forward, len(crops)))
        drawn[method.name] = draw_maps(method, pixels, maps)
    (out / f"{member.card.name}.jpg").write_bytes(render.encode_jpeg(draw_sheet(drawn)))
    return costs


def _score(member: LoadedMember, crops: list[Crop], pixels: U8) -> None:
    if member.kind == "frame":
        score_crops(member, [crops])
    else:
        next(view_faces(member, pixels))  # a track's features are its cost


def _cost(name: str, member: LoadedMember, seconds: float, forward: float, n_faces: int) -> Cost:
    return Cost(name, member.card.name, round(seconds / n_faces, 4), round(seconds / forward, 2))


def _time(run: Callable[[], Result], n_rounds: int) -> tuple[float, Result]:
    """Median seconds, and the last result."""
    seconds: list[float] = []
    while True:
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
        if len(seconds) >= n_rounds:
            return float(np.median(seconds)), result


def draw_maps(method: Method, pixels: U8, maps: F32) -> list[U8]:
    """Maps over their faces; all of them on one scale, the hottest value of any."""
    if method.signed:
        return [mark_features(image, heat) for image, heat in zip(pixels, maps, strict=True)]
    scale = max(float(np.percentile(maps, 99.8)), float(np.finfo(np.float32).tiny))
    return [render.draw_map(image, heat, full_scale=scale) for image, heat in zip(pixels, maps, strict=True)]


def describe_costs(costs: Sequence[Cost]) -> str:
    """The table in words: a line for each method, a pair of columns for each member."""
    members = list(dict.fromkeys(cost.member for cost in costs))
    table: dict[str, Mapping[str, Cost]] = {}
    for cost in costs:
        table[cost.method] = {**table.get(cost.method, {}), cost.member: cost}
    head = f"{'method':<26}" + "".join(f"{member:>30}" for member in members)
    unit = f"{'':<26}" + f"{'s a face':>18}{'x forward':>12}" * len(members)
    rows = [
        f"{name:<26}"
        + "".join(
            f"{row[m].seconds_per_face:>18.3f}{row[m].times_forward:>12.2f}" if m in row else f"{'':>30}"
            for m in members
        )
        for name, row in table.items()
    ]
    return "\n".join([head, unit, *rows])
