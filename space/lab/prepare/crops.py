"""Videos to a data set of face crops in the layout of ``dfdc_faces``: zip shards and ``manifest.csv``.

A shard is made by one process and appears whole or not at all, so a run that was cut off goes on with the shards that
are missing. Beside each shard lies a file of JSON lines with all that is known of its faces.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from space.analysis.crops import cut_crop, invert, transform_points
from space.analysis.faces import FaceFinder
from space.analysis.tracks import link_tracks
from space.contract import Face
from space.errors import SourceError
from space.intake.frames import sample_frames
from space.intake.source import open_source
from space.lab.prepare.layouts import Video
from space.models.files import replacing
from space.settings import Settings

PLAN_FILE, ERRORS_FILE, CHART_FILE = "plan.json", "errors.csv", "classes.png"
COLUMNS = ("name", "label", "source", "native_px", "split", "shard", "method", "video", "frame", "time_s", "track")
VIDEOS_PER_SHARD = 16
NO_FACE = "no_face"
Advance = Callable[[int], None]


@dataclass(frozen=True)
class CropChoices:
    """How faces are cut."""

    n_frames: int = 8  # of a video, evenly spread, as the service samples them
    margin: float = 1.6  # side of the crop / side of the landmarks' square box
    size_px: int = 256
    jpeg_quality: int = 95


def prepare_crops(
    videos: Sequence[Video],
    out: Path,
    choices: CropChoices,
    *,
    workers: int = 2,
    advance: Advance = lambda _n: None,
) -> Path:
    """Cut the faces of the person seen most out of every video; resumable shard by shard.

    Args:
        videos: each with its split.
        out: receives shards (``faces-0000.zip``: ``<name>.jpg``), ``faces-0000.jsonl`` (a face a line: name, video,
            frame, time_s, track, box_xyxy in pixels of the frame, quality, landmarks (478, 2) in pixels of the crop),
            ``manifest.csv``, ``errors.csv`` (video, code) and ``classes.png``.
        advance: told how many videos are done.

    Returns:
        The manifest's path.

    Raises:
        ValueError: the folder holds another preparation, or no video has a usable face.
    """
    out.mkdir(parents=True, exist_ok=True)
    _check_plan(videos, out, choices)
    starts = range(0, len(videos), VIDEOS_PER_SHARD)
    shards = {f"faces-{i:04d}": videos[start : start + VIDEOS_PER_SHARD] for i, start in enumerate(starts)}
    missing = {stem: part for stem, part in shards.items() if not (out / f"{stem}.jsonl").exists()}
    advance(sum(len(part) for stem, part in shards.items() if stem not in missing))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:  # a fork would copy held locks
        jobs = {pool.submit(_write_shard, part, out / stem, choices): len(part) for stem, part in missing.items()}
        for job in as_completed(jobs):
            job.result()
            advance(jobs[job])
    return _write_manifest(shards, out)


def _check_plan(videos: Sequence[Video], out: Path, choices: CropChoices) -> None:
    """What is made here is decided once: shards of two plans do not mix."""
    listing = "\n".join(f"{v.name} {v.label} {v.method} {v.source} {v.split}" for v in videos)
    plan = {"choices": asdict(choices), "n_videos": len(videos), "videos": sha256(listing.encode()).hexdigest()}
    path = out / PLAN_FILE
    if path.exists():
        if json.loads(path.read_text()) != plan:
            raise ValueError(f"{out.name} was prepared from other videos or by other choices; choose another folder")
        return
    path.write_text(json.dumps(plan, indent=2) + "\n")


# --- one shard ------------------------------------------------------------------------------------


def _write_shard(videos: Sequence[Video], stem: Path, choices: CropChoices) -> None:
    """The zip first: where the JSON lines are, the shard is whole."""
    cv2.setNumThreads(1)
    lines: list[dict[str, Any]] = []
    settings = Settings(n_frames=choices.n_frames)
    with (
        replacing(stem.with_suffix(".zip")) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
        FaceFinder(settings.faces) as finder,
    ):
        for video in videos:
            try:
                found, error = list(_cut_faces(video, finder, settings, choices)), NO_FACE
            except SourceError as refused:
                found, error = [], refused.code
            for line, encoded in found:
                archive.writestr(f"{line['name']}.jpg", encoded)
            lines += [line for line, _ in found] or [{"video": video.name, "error": error}]
    with replacing(stem.with_suffix(".jsonl")) as partial:
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _cut_faces(
    video: Video, finder: FaceFinder, settings: Settings, choices: CropChoices
) -> Iterator[tuple[dict[str, Any], bytes]]:
    clip = open_source(video.path, limits=settings.limits)
    frames = sample_frames(clip, choices.n_frames, limits=settings.limits)
    tracks = link_tracks([face for frame in frames for face in finder.find_faces(frame)])
    for track in sorted(tracks, key=lambda track: -len(track.faces))[:1]:
        for face in track.faces:
            if face.quality.usable:
                yield _cut_face(video, face, track.track_id, choices)


def _cut_face(video: Video, face: Face, track_id: int, choices: CropChoices) -> tuple[dict[str, Any], bytes]:
    crop = cut_crop(face.patch, face.box_xyxy, margin=choices.margin, input_px=choices.size_px)
    landmarks = transform_points(invert(crop.frame_from_crop), face.landmarks)
    encoded = cv2.imencode(".jpg", crop.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, choices.jpeg_quality])[1]
    line = {
        "name": f"{video.name}-{face.frame_index:03d}",
        "video": video.name,
        "frame": face.frame_index,
        "time_s": round(face.time_s, 3),
        "track": track_id,
        "box_xyxy": np.round(face.box_xyxy.astype(float), 1).tolist(),
        "quality": {key: round(float(value), 4) for key, value in asdict(face.quality).items() if key != "usable"},
        "landmarks": np.round(landmarks.astype(float), 1).tolist(),
    }
    return line, encoded.tobytes()


# --- all shards -----------------------------------------------------------------------------------


def _write_manifest(shards: dict[str, Sequence[Video]], out: Path) -> Path:
    rows, errors = [], []
    for stem, part in shards.items():
        by_name = {video.name: video for video in part}
        for line in map(json.loads, (out / f"{stem}.jsonl").read_text().splitlines()):
            if "error" in line:
                errors.append((line["video"], line["error"]))
            else:
                rows.append(_row(line, by_name[line["video"]], f"{stem}.zip"))
    if not rows:
        raise ValueError("no video has a usable face")
    _write_csv(out / ERRORS_FILE, ("video", "code"), errors)
    _write_csv(out / "manifest.csv", COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
    draw_classes(Counter((row["method"], row["split"]) for row in rows), out / CHART_FILE)
    return out / "manifest.csv"


def _row(line: dict[str, Any], video: Video, shard: str) -> dict[str, Any]:
    about = {"label": video.label, "source": video.source, "split": video.split, "method": video.method}
    native = round(line["quality"]["native_px"])
    return {**about, "shard": shard, "native_px": native, **{k: line[k] for k in COLUMNS if k in line}}


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows(rows)


def draw_classes(counts: Counter[tuple[str, str]], path: Path) -> None:
    """Faces per method and split as bars.

    Args:
        counts: (method, split) -> faces.
    """
    from space.lab.evaluation.plots import COLOURS, draw_legend, name_axes, new_axes

    methods = sorted({method for method, _ in counts})
    figure, (ax,) = new_axes(width=6.5, height=1.2 + 0.36 * len(methods))
    begins = np.zeros(len(methods))
    for colour, split in zip(COLOURS, sorted({split for _, split in counts}), strict=False):
        widths = np.array([counts[method, split] for method in methods])
        ax.barh(methods, widths, left=begins, color=colour, label=split, height=0.6)
        begins += widths
    for row, total in enumerate(begins.astype(int).tolist()):
        ax.text(total, row, f" {total}", va="center", fontsize=8)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    name_axes(ax, "Faces per class and split", "faces", "")
    draw_legend(figure, ax)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
