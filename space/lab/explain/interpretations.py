"""Correct interpretations: forgeries whose named part is the forged part, all made from one public-domain face.

The face is NASA's portrait of the astronaut Eileen Collins, as shipped with scikit-image; nobody else's is used. Each
example is one part forged alone, drawn by a seed. What is kept is what an ensemble got right, so the set shows what a
good explanation looks like, not how often there is one: ``lab explain`` measures that, and the set's list says how many
were tried.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

from space.analysis import render
from space.analysis.crops import cut_square, invert, scale_box, square_box, transform_points
from space.analysis.detections import FaceDetector
from space.analysis.faces import FaceMesh
from space.analysis.parts import part_masks
from space.contract import F32, U8
from space.lab.explain.cases import PART, Case, compress, covered_parts
from space.lab.explain.faces import PICTURE_PX, Seen, cut_case
from space.lab.explain.harness import FIRST, Harness
from space.lab.explain.judge import rank_parts
from space.lab.explain.measures import share_inside
from space.lab.explain.methods import METHODS
from space.lab.forge.families import forge_face
from space.lab.forge.part import PART_KINDS
from space.lab.forge.shot import NotForgeableError, Shot

FACE_PX = 288
MARGIN = 1.6
QUALITY = 90
MIN_LIFT = 2.0  # share of the heat on the forged region / its share of the area: less is a lucky glow
SHOWN_PX = 288
MARK = "Forged for testing from NASA's public-domain portrait of Eileen Collins (skimage.data.astronaut)"
VIEWS = ("genuine", "forged", "explained")
ARCHIVE = "correct-interpretations.zip"


@dataclass(frozen=True)
class Interpretation:
    """A forgery that was explained correctly."""

    kind: str  # of ``PART_KINDS``
    seed: int
    forged: tuple[str, ...]  # parts
    named: str  # the first part by share x lift; one of the forged
    share_on_forged: float  # of the heat, on the forged region
    logit: float  # the ensemble's, calibrated
    genuine_logit: float


def find_astronaut() -> Shot:
    """The face, 288 px with its surroundings, and its landmarks."""
    image = np.ascontiguousarray(data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    with FaceDetector() as detector, FaceMesh() as mesh:
        box, _ = detector.detect(image)[0]
        landmarks = mesh.landmarks(image, box)
    assert landmarks is not None  # the picture is fixed
    cut, affine = cut_square(image, scale_box(square_box(landmarks), MARGIN), FACE_PX)
    return Shot(cut, transform_points(invert(affine), landmarks))


def forge_astronaut(shot: Shot, *, tries: int) -> Iterator[tuple[Case, str, int]]:
    """Forgeries of every kind of part with seeds from 0, as cases."""
    for kind in PART_KINDS:
        for seed in range(tries):
            rng = np.random.default_rng((seed, list(PART_KINDS).index(kind)))
            try:
                forgery = forge_face(PART, shot, rng=rng, kind=kind)
            except NotForgeableError:
                continue
            parts = covered_parts(forgery.mask, shot.landmarks)
            forged, genuine = (compress(image, QUALITY) for image in (forgery.forged, forgery.genuine))
            name = f"{kind}-{seed}"
            yield (
                Case(name, f"{PART}/{kind}", "astronaut", forged, genuine, shot.landmarks, forgery.mask, parts),
                kind,
                seed,
            )


def collect_interpretations(harness: Harness, out: Path, *, tries: int, count: int) -> list[Interpretation]:
    """Forge, explain, keep what was explained correctly, and write pictures, ``examples.json`` and a zip of them.

    Args:
        harness: of the ensemble.
        tries: forgeries of every kind of part.
        count: examples kept: the best of each kind in turn, by the share of heat on the forged region.
    """
    out.mkdir(parents=True, exist_ok=True)
    tried = list(forge_astronaut(find_astronaut(), tries=tries))
    found: list[tuple[Interpretation, Seen, F32]] = []
    for case, kind, seed in tried:
        seen = cut_case(case, harness.ensemble)
        heat = harness.maps([seen], [METHODS[FIRST]])[FIRST][0]
        logit, genuine = (float(harness.logits([seen], genuine=g)[0]) for g in (False, True))
        named = next(iter(rank_parts(heat, seen.parts, harness.usual)), "")
        share = round(share_inside(heat, seen.truth.filled), 4)
        is_hot_there = share >= MIN_LIFT * float(seen.truth.filled.mean())
        if named in case.parts and is_hot_there and logit > genuine:
            forged = tuple(sorted(case.parts))
            found.append(
                (Interpretation(kind, seed, forged, named, share, round(logit, 4), round(genuine, 4)), seen, heat)
            )
    kept = _pick(found, count)
    for kind in PART_KINDS:
        for view in VIEWS:
            for before in out.glob(f"[0-9]*-{kind}-{view}.jpg"):
                before.unlink()
    for number, (interpretation, seen, heat) in enumerate(kept, start=1):
        _write_pictures(out, f"{number}-{interpretation.kind}", interpretation, seen, heat)
    about = {
        "about": MARK,
        "ensemble": {"name": harness.ensemble.record.name, "version": harness.ensemble.record.version},
        "n_tried": len(tried),
        "n_correct": len(found),
        "examples": [asdict(interpretation) for interpretation, _, _ in kept],
    }
    (out / "examples.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    _pack(out)
    return [interpretation for interpretation, _, _ in kept]


def _pick(found: Sequence[tuple[Interpretation, Seen, F32]], count: int) -> list[tuple[Interpretation, Seen, F32]]:
    """The best of each kind, then the second best of each, and so on."""
    ranks: dict[str, int] = {}
    order: list[tuple[int, float, int, tuple[Interpretation, Seen, F32]]] = []
    for entry in sorted(found, key=lambda entry: -entry[0].share_on_forged):
        rank = ranks.get(entry[0].kind, 0)
        ranks[entry[0].kind] = rank + 1
        order.append((rank, -entry[0].share_on_forged, len(order), entry))
    return [entry for *_, entry in sorted(order, key=lambda row: row[:3])[:count]]


def _write_pictures(out: Path, stem: str, found: Interpretation, seen: Seen, heat: F32) -> None:
    """Colours are stretched to the picture's own maximum: one part moves the logit little, so heat is faint."""
    around = scale_box(
        square_box(seen.case.landmarks), float(PICTURE_PX * seen.picture.frame_from_crop[0, 0]) / _side(seen)
    )
    images = {name: cut_square(getattr(seen.case, name), around, SHOWN_PX)[0] for name in VIEWS[:2]}
    landmarks = np.asarray((seen.landmarks + 0.5) * SHOWN_PX / PICTURE_PX - 0.5, np.float32)
    outline = part_masks(landmarks, SHOWN_PX)[found.named]
    large = np.asarray(cv2.resize(heat, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_LINEAR), np.float32)
    images["explained"] = render.draw_overlay(
        images["forged"], large, full_scale=float(large.max()), outlines=[outline]
    )
    for name, image in images.items():
        _save(image, out / f"{stem}-{name}.jpg")


def _side(seen: Seen) -> float:
    box = square_box(seen.case.landmarks)
    return float(box[2] - box[0])


def _save(image: U8, path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, comment=MARK)
    path.write_bytes(buffer.getvalue())


def _pack(out: Path) -> None:
    """One archive of the pictures and their list, the same to the byte each time."""
    with zipfile.ZipFile(out / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted([*out.glob("*.jpg"), out / "examples.json"]):
            archive.writestr(zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0)), path.read_bytes())
