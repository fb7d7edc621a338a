"""Whether a stream could be checked while it plays: frames a second of detecting, scoring and drawing one face.

Frames come one by one, as from a camera: nothing is batched, and a frame is done when its overlay is drawn. Between two
detections the last box and landmarks are used, as a live view would.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from space.analysis import render
from space.analysis.crops import cut_crop
from space.analysis.faces import FaceFinder
from space.analysis.maps import face_maps, lay_maps, map_crops
from space.contract import Face, Frame
from space.intake.passages import read_passage
from space.intake.source import open_source
from space.models.weights import Ensemble, LoadedMember
from space.settings import Settings

TARGET_FPS = 5.0
DETECT_EVERY = (1, 3)  # frames
PICTURE_PX = 224
MARGIN = 1.5
STREAM_FPS = 30.0


class LiveError(ValueError):
    """Nothing that could be a stream: a photo, or a video without a face."""


@dataclass(frozen=True)
class Rate:
    """What one configuration reaches."""

    members: tuple[str, ...]
    detect_every: int  # frames
    fps: float
    detect_ms: float  # a frame, on average
    score_and_map_ms: float
    draw_ms: float

    @property
    def holds(self) -> bool:
        """Whether it reaches ``TARGET_FPS``."""
        return self.fps >= TARGET_FPS


def measure_live(
    source: str,
    ensemble: Ensemble,
    settings: Settings,
    *,
    n_frames: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Frames a second of every choice of members, with detections in every frame or in every third.

    Args:
        n_frames: of the stream, from its start, after three that warm up; the same ones for every configuration.
        progress: told the configurations done and to do.

    Returns:
        A JSON document: ``configurations``, the ``largest`` that holds 5 frames a second (most members first, then
        most detections; None where none does), and what it was measured on.

    Raises:
        LiveError: a photo, or no face in the first frames.
        SourceError: as ``open_source``.
    """
    clip = open_source(source, limits=settings.limits)
    if clip.info.kind == "image":
        raise LiveError(f"{source} is a photo; a video is needed")
    stream = read_passage(clip, begin_s=0.0, end_s=float("inf"), max_fps=STREAM_FPS, limits=settings.limits)
    frames = [frame for _, frame in zip(range(n_frames + 3), stream, strict=False)]
    choices = [
        (members, every)
        for size in range(1, len(ensemble.members) + 1)
        for members in combinations(ensemble.members, size)
        for every in DETECT_EVERY
    ]
    rates = []
    with FaceFinder(settings.faces) as finder:
        for done, (members, every) in enumerate(choices, start=1):
            _run(frames[:3], members, every, finder, ensemble)
            rates.append(_run(frames[3:], members, every, finder, ensemble))
            if progress is not None:
                progress(done, len(choices))
    largest = pick_largest(rates)
    return {
        "clip": {"width": clip.info.width, "height": clip.info.height, "n_frames": len(frames) - 3},
        "n_cpus": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),  # far above 1: the machine was shared, distrust the rates
        "target_fps": TARGET_FPS,
        "configurations": [asdict(rate) | {"holds": rate.holds} for rate in rates],
        "largest": None if largest is None else asdict(largest),
    }


def pick_largest(rates: Sequence[Rate]) -> Rate | None:
    """The configuration with most members that holds the target; of those the one that detects most often."""
    holding = [rate for rate in rates if rate.holds]
    return max(holding, key=lambda rate: (len(rate.members), -rate.detect_every, rate.fps), default=None)


def _run(
    frames: Sequence[Frame], members: Sequence[LoadedMember], every: int, finder: FaceFinder, ensemble: Ensemble
) -> Rate:
    spent = {"detect": 0.0, "map": 0.0, "draw": 0.0}
    face: Face | None = None
    for number, frame in enumerate(frames):
        began = time.perf_counter()
        if number % every == 0 or face is None:
            found = finder.find_faces(frame)
            face = found[0] if found else None
        spent["detect"] += time.perf_counter() - began
        if face is not None:
            _explain(face, members, ensemble, spent)
    if face is None:
        raise LiveError("no face in the stream's first frames: nothing to run the models on")
    n = len(frames)
    return Rate(
        members=tuple(member.card.name for member in members),
        detect_every=every,
        fps=round(n / sum(spent.values()), 2),
        detect_ms=round(1000 * spent["detect"] / n, 1),
        score_and_map_ms=round(1000 * spent["map"] / n, 1),
        draw_ms=round(1000 * spent["draw"] / n, 1),
    )


def _explain(face: Face, members: Sequence[LoadedMember], ensemble: Ensemble, spent: dict[str, float]) -> None:
    began = time.perf_counter()
    crops = {
        member.card.name: cut_crop(face.patch, face.box_xyxy, margin=member.card.margin, input_px=member.card.input_px)
        for member in members
    }
    maps = [map_crops(member, [[crops[member.card.name]]])[1] for member in members]
    mapped = time.perf_counter()
    picture = cut_crop(face.patch, face.box_xyxy, margin=MARGIN, input_px=PICTURE_PX)
    layered = {name: {"layered": layers["layered"]} for name, layers in face_maps(maps, 0).items()}
    laid = lay_maps(picture, crops, layered, dict.fromkeys(crops, 1 / len(crops)))
    render.draw_overlay(picture.image, laid.layered, full_scale=ensemble.record.heat_full_scale)
    spent["map"] += mapped - began
    spent["draw"] += time.perf_counter() - mapped
