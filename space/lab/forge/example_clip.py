"""The page's two examples: a short genuine clip of a portrait under a moving camera, and its forged twin.

Both are made from scikit-image's ``data.astronaut()``, NASA's public-domain portrait of the astronaut Eileen
Collins. The camera pans, zooms and turns gently; the light flickers and the sensor is noisy, alike in both. In the
forged one the inner face is blended with an altered copy of itself (see ``blend``): other colours, a lower resolution,
a small shift, a soft border. It says so in its metadata and in its picture, away from the face.

    python -m space.lab.forge.example_clip FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.detections import FaceDetector
from space.analysis.faces import FaceMesh
from space.contract import F32, U8
from space.lab.forge.blend import soften_mask

F64 = NDArray[np.float64]

SEED = 1996
FPS = 25
DURATION_S = 3.4
SIDE_PX = 512
POSTER_PX = 176
MARK = "forged for demonstration"
ORIGIN = "NASA portrait of Eileen Collins, public domain, via scikit-image"


@dataclass(frozen=True)
class Camera:
    """How the camera moves over the portrait. Amplitudes of slow sines; lengths in pixels of the portrait."""

    zoom: float = 2.0
    zoom_swing: float = 0.06
    below_face_px: float = 36.0  # the view's centre lies this far below the face's, so that it stays on the portrait
    pan_px: tuple[float, float] = (9.0, 4.0)
    turn_deg: float = 1.6
    flicker: float = 0.02  # of the brightness
    noise: float = 1.6  # standard deviation, 8-bit steps


@dataclass(frozen=True)
class Alteration:
    """What is done to the copy of the face that is blended in."""

    gain: tuple[float, float, float] = (1.06, 0.97, 0.90)  # per channel RGB, about mid-gray
    offset: tuple[float, float, float] = (6.0, 1.0, -5.0)  # 8-bit steps
    resolution: float = 0.25  # of the frame's
    scale: float = 1.015
    shift: tuple[float, float] = (0.012, 0.008)  # shares of the face's side
    jitter: float = 0.004  # of the shift, from frame to frame, share of the face's side
    below_brows: float = 0.14  # share of the face's height left out at the top


@dataclass(frozen=True)
class Example:
    """One moment of both clips."""

    genuine: U8  # (SIDE_PX, SIDE_PX, 3) RGB
    forged: U8


def make_examples(
    portrait: U8, *, rng: np.random.Generator, camera: Camera | None = None, alteration: Alteration | None = None
) -> Iterator[Example]:
    """Frames of the genuine clip and of its forged twin.

    Args:
        portrait: (H, W, 3) RGB with one face, at least ``SIDE_PX`` / ``Camera.zoom`` pixels around it.

    Raises:
        ValueError: no face in the portrait.
    """
    camera, alteration = camera or Camera(), alteration or Alteration()
    landmarks = _find_landmarks(portrait)
    mask_seed = int(rng.integers(2**32))  # the same softening in every frame: the border must not shimmer
    for t in np.arange(round(FPS * DURATION_S)) / FPS:
        view = _view(camera, landmarks, float(t))
        frame = cv2.warpAffine(
            portrait, view, (SIDE_PX, SIDE_PX), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.float32)
        frame = frame * (1 + camera.flicker * np.sin(2 * np.pi * 1.7 * t))
        frame = (
            frame + cv2.GaussianBlur(rng.normal(0, 1, frame.shape), (0, 0), 0.7).astype(np.float32) * 2 * camera.noise
        )
        points = cv2.transform(landmarks[None], view)[0].astype(np.float32)
        forged = _forge(frame, points, alteration, rng, np.random.default_rng(mask_seed))
        yield Example(genuine=_to_uint8(frame), forged=_mark(_to_uint8(forged)))


def _find_landmarks(portrait: U8) -> F32:
    with FaceDetector() as detector, FaceMesh() as mesh:
        found = detector.detect(portrait)
        landmarks = mesh.landmarks(portrait, found[0][0]) if found else None
    if landmarks is None:
        raise ValueError("no face in the portrait")
    return landmarks


def _view(camera: Camera, landmarks: F32, t: float) -> F32:
    """(2, 3) affine from the portrait to the frame at t seconds."""
    middle = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2 + (0.0, camera.below_face_px)
    phase = 2 * np.pi * t / DURATION_S
    centre = middle + np.array(camera.pan_px) * (np.sin(phase), np.sin(2 * phase + 0.6))
    return _affine(
        centre,
        to=np.array([SIDE_PX / 2, SIDE_PX / 2]),
        scale=camera.zoom + camera.zoom_swing * float(np.sin(phase + 1.1)),
        turn_deg=camera.turn_deg * float(np.sin(phase - 0.4)),
    )


def _affine(centre: F64, *, to: F64, scale: float, turn_deg: float = 0.0) -> F32:
    """(2, 3) affine that scales and turns about a centre, and brings it to another place."""
    cosine, sine = scale * np.cos(np.radians(turn_deg)), scale * np.sin(np.radians(turn_deg))
    linear = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([linear, to - linear @ centre]).astype(np.float32)


def _forge(
    frame: F32, landmarks: F32, alteration: Alteration, rng: np.random.Generator, mask_rng: np.random.Generator
) -> F32:
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = float((high - low).max())
    inner = landmarks[landmarks[:, 1] > low[1] + alteration.below_brows * (high - low)[1]]
    mask = np.zeros(frame.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(inner).astype(np.int32), (1.0,))
    mask = soften_mask(mask, side, mask_rng)

    gain, offset = np.array(alteration.gain, np.float32), np.array(alteration.offset, np.float32)
    source = (frame - 128) * gain + 128 + offset
    reduced = max(8, round(SIDE_PX * alteration.resolution))
    small = cv2.resize(source, (reduced, reduced), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    centre = ((low + high) / 2).astype(np.float64)
    slip = side * (np.array(alteration.shift) + rng.normal(0, alteration.jitter, 2))
    move = _affine(centre, to=centre + slip, scale=alteration.scale)
    foreign = cv2.warpAffine(enlarged, move, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT_101)
    return (frame + mask[..., None] * (foreign - frame)).astype(np.float32)


def _to_uint8(image: F32) -> U8:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _mark(frame: U8) -> U8:
    """Say in the picture what it is, in its lower left corner."""
    marked, place = frame.copy(), (10, SIDE_PX - 12)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(marked, MARK, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
    return marked


def write_clip(path: Path, frames: list[U8], *, comment: str) -> None:
    """Write an H.264 clip; the same frames give the same bytes on the same build of the encoder."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.metadata.update({"title": "Telltale example", "comment": comment})
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "slow", "threads": "1"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_poster(path: Path, frame: U8) -> None:
    """Write a small picture of a frame as JPEG."""
    small = cv2.resize(frame, (POSTER_PX, POSTER_PX), interpolation=cv2.INTER_AREA)
    path.write_bytes(cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def main(folder: Path) -> None:
    """Write both clips with their posters into a folder."""
    from skimage.data import astronaut

    portrait: U8 = np.ascontiguousarray(astronaut())  # type: ignore[no-untyped-call]
    moments = list(make_examples(portrait, rng=np.random.default_rng(SEED)))
    comments = {"genuine": ORIGIN, "forged": f"{MARK}; {ORIGIN}"}
    for name, comment in comments.items():
        frames: list[U8] = [getattr(moment, name) for moment in moments]
        write_clip(folder / f"{name}.mp4", frames, comment=comment)
        write_poster(folder / f"{name}.jpg", frames[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
