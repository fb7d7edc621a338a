"""What the public data sets look like on a disk: each layout read as a list of videos with labels and sources."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

GENUINE = "genuine"
SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".jpg", ".jpeg", ".png", ".webp"})
CELEB_LIST = "List_of_testing_videos.txt"
VAL_SHARE = 0.1


@dataclass(frozen=True)
class Video:
    """One video or picture of a data set."""

    path: Path
    name: str  # unique in the data set, fit for a file name
    label: int  # 0 genuine, 1 forged
    method: str  # GENUINE, or the manipulation's name
    source: str  # the genuine video it is or derives from; splits keep one source together
    split: str = ""  # "train" or "val" where the data set says so; "": by the source's name


def read_dfdc(folder: Path) -> Iterator[Video]:
    """DFDC's parts: every ``metadata.json`` below the folder, ``{file: {label, original}}``, beside its videos."""
    for metadata in sorted(folder.rglob("metadata.json")):
        for file, entry in sorted(json.loads(metadata.read_text(encoding="utf-8")).items()):
            label = {"REAL": 0, "FAKE": 1}[entry["label"]]
            source = Path(entry.get("original") or file).stem
            yield Video(metadata.parent / file, Path(file).stem, label, "DFDC" if label else GENUINE, source)


def read_faceforensics(folder: Path, *, compression: str) -> Iterator[Video]:
    """FaceForensics++: ``original_sequences`` and ``manipulated_sequences``, at one compression.

    Args:
        compression: "raw", "c23" or "c40".
    """
    for kind, label in (("original_sequences", 0), ("manipulated_sequences", 1)):
        for path in sorted((folder / kind).glob(f"*/{compression}/videos/*.mp4")):
            method = path.parts[-4]
            name = f"{method}-{path.stem}" if label else path.stem
            source = _faceforensics_source(path.stem) if label else path.stem
            yield Video(path, name, label, method if label else GENUINE, source)


def _faceforensics_source(stem: str) -> str:
    """``000_003`` was made of 000; ``01_02__kitchen__ABCD`` (DeepFakeDetection) of ``01__kitchen``."""
    actors, *scene = stem.split("__")
    target = actors.partition("_")[0]
    return "__".join([target, *scene[:1]])


def read_celebdf(folder: Path) -> Iterator[Video]:
    """Celeb-DF's three folders; what its list tests is "val", with all that shares a source with it."""
    videos = []
    for place, label in (("Celeb-real", 0), ("YouTube-real", 0), ("Celeb-synthesis", 1)):
        for path in sorted((folder / place).glob("*.mp4")):
            source = _celebdf_source(path.stem) if label else f"{place}-{path.stem}"
            videos.append(Video(path, f"{place}-{path.stem}", label, "Celeb-DF" if label else GENUINE, source))
    listing = folder / CELEB_LIST
    if not listing.exists():
        yield from videos
        return
    tested = {line.split()[1] for line in listing.read_text().splitlines() if line.strip()}
    sources = {video.source for video in videos if f"{video.path.parent.name}/{video.path.name}" in tested}
    for video in videos:
        yield replace(video, split="val" if video.source in sources else "train")


def _celebdf_source(stem: str) -> str:
    """``id0_id1_0002`` was made of ``id0_0002``."""
    target, _, number = stem.split("_")
    return f"Celeb-real-{target}_{number}"


def read_csv(folder: Path) -> Iterator[Video]:
    """``videos.csv`` with the columns ``path,label``, and ``source``, ``method`` and ``split`` where known."""
    with (folder / "videos.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            path = folder / row["path"]
            name = Path(row["path"]).with_suffix("").as_posix().replace("/", "-")
            label = int(row["label"])
            method = (row.get("method") or "forged") if label else GENUINE
            yield Video(path, name, label, method, row.get("source") or name, row.get("split") or "")


LAYOUTS: Mapping[str, Callable[..., Iterable[Video]]] = {
    "dfdc": read_dfdc,
    "faceforensics": read_faceforensics,
    "celebdf": read_celebdf,
    "csv": read_csv,
}


def list_videos(folder: Path, layout: str, *, compression: str = "c23") -> list[Video]:
    """The videos of a data set that are there, each with its split, by name.

    Args:
        layout: a key of ``LAYOUTS``.
        compression: of FaceForensics++.

    Raises:
        ValueError: nothing is there, two videos have one name, or one source is in two splits.
    """
    options = {"compression": compression} if layout == "faceforensics" else {}
    videos = [video for video in LAYOUTS[layout](folder, **options) if video.path.is_file()]
    if not videos:
        raise ValueError(f"{folder.name} holds no videos in the layout {layout}")
    if len({video.name for video in videos}) < len(videos):
        raise ValueError(f"two videos of {folder.name} have one name")
    stated: dict[str, str] = {}
    for video in videos:
        if video.split and stated.setdefault(video.source, video.split) != video.split:
            raise ValueError(f"the source {video.source} is in two splits")
    split = {video.source: stated.get(video.source) or split_of(video.source) for video in videos}
    return sorted((replace(v, split=split[v.source]) for v in videos), key=lambda video: video.name)


def split_of(source: str) -> str:
    """One tenth of the sources is "val", by a hash of their names."""
    number = int(sha256(source.encode()).hexdigest()[:8], 16)
    return "val" if number < VAL_SHARE * 2**32 else "train"


def balance(videos: Sequence[Video], *, seed: int) -> list[Video]:
    """All genuine videos and, drawn at random, at most as many forged ones, evenly over the methods; per split.

    Forged videos whose source is there are drawn first: they have twins.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for split in sorted({video.split for video in videos}):
        part = [video for video in videos if video.split == split]
        genuine = [video for video in part if video.label == 0]
        sources = {video.source for video in genuine}
        queues: dict[str, list[Video]] = defaultdict(list)
        for index in rng.permutation(len(part)):
            if part[index].label:
                queues[part[index].method].append(part[index])
        for queue in queues.values():
            queue.sort(key=lambda video: video.source not in sources)
        chosen += [*genuine, *_deal(queues, len(genuine))]
    return sorted(chosen, key=lambda video: video.name)


def _deal(queues: Mapping[str, list[Video]], n: int) -> list[Video]:
    """N videos, one of each method in turn."""
    dealt: list[Video] = []
    for turn in range(max((len(queue) for queue in queues.values()), default=0)):
        dealt += [queues[method][turn] for method in sorted(queues) if turn < len(queues[method])]
    return dealt[:n]
