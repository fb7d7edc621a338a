"""Moving evidence: the strongest passage with its heat pulsing over the face, and the video with its findings drawn.

What is drawn is what the report says: boxes, scores and verdict; only the passage's maps are computed anew, frame by
frame, because a report holds single moments.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw

from space.analysis import render
from space.analysis.crops import cut_crop, cut_patch, cut_square, invert, overlap, scale_box, transform_points
from space.analysis.faces import FaceFinder
from space.analysis.maps import face_maps, lay_maps, map_crops
from space.analysis.verdict import Combination
from space.contract import F32, U8, Clip, Crop, Face, Frame, Patch, Report, TrackReport
from space.intake.passages import read_passage
from space.models.weights import Ensemble
from space.service.share.lettering import Lines, set_lines
from space.settings import Settings
from space.texts import load_texts, translate

PASSAGE_S = 2.4  # around the strongest moment
PASSAGE_FPS = 10.0
PULSE_S = 1.2  # from no heat to all of it and back; two pulses make the loop close
MARGIN = 1.5  # of the picture around the face
PICTURE_PX = 360
FADE = 0.07  # of the side of what a member sees
MAX_VIDEO_PX = 1280  # longer side of the annotated video
MAX_VIDEO_FPS = 30.0
SAME_FACE = 0.3  # overlap with the track's box where it was last seen
GONE_S = 1.5  # a box is drawn between two sightings no further apart than this many times the sampling distance
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "strong": (240, 92, 80),
    "some": (245, 190, 80),
    "inconclusive": (176, 150, 255),
    "little": (96, 205, 235),
    "not_applicable": (215, 218, 222),
}
INK, SHADE = "#ffffff", (18, 16, 24)


class AnimationError(ValueError):
    """Nothing that moves: a photo, captured frames, or a video without evidence."""


# --- the strongest passage --------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """One frame of the passage."""

    picture: U8  # (S, S, 3) RGB
    heat: F32  # (S, S) raw


def read_moments(clip: Clip, report: Report, ensemble: Ensemble, settings: Settings) -> list[Moment]:
    """The person of the strongest moment around its time, with the heat of every frame.

    Raises:
        AnimationError: a photo, captured frames, no evidence, or the face is not found again.
    """
    if clip.info.kind not in ("upload", "url") or not report.evidence:
        raise AnimationError("only a video with evidence has a passage to show")
    strongest = report.evidence[0]
    boxes = _Boxes(next(track for track in report.tracks if track.id == strongest.track))
    begin = max(0.0, min(strongest.time_s - PASSAGE_S / 2, clip.info.duration_s - PASSAGE_S))
    frames = read_passage(clip, begin_s=begin, end_s=begin + PASSAGE_S, max_fps=PASSAGE_FPS, limits=settings.limits)
    found: list[tuple[Frame, Face]] = []
    with FaceFinder(settings.faces) as finder:
        for frame in frames:
            near = found[-1][1].box_xyxy if found else boxes.nearest(frame.time_s)
            face = max(finder.find_faces(frame), key=lambda f: overlap(f.box_xyxy, near), default=None)
            if face is not None and overlap(face.box_xyxy, near) >= SAME_FACE:
                found.append((frame, face))
    if len(found) < 2:
        raise AnimationError("the face was not found again around its strongest moment")
    return _map_moments(found, ensemble)


def _map_moments(found: Sequence[tuple[Frame, Face]], ensemble: Ensemble) -> list[Moment]:
    """The camera follows the face smoothly: its path is averaged over neighbouring frames."""
    path = np.stack([scale_box(face.box_xyxy, MARGIN) for _, face in found])
    kernel = np.ones(5) / 5
    padded = np.pad(path, ((2, 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(padded[:, i], kernel, "valid") for i in range(4)], axis=1).astype(np.float32)
    side = float(np.median(smooth[:, 2] - smooth[:, 0]))
    crops = {
        member.card.name: [
            cut_crop(_patch(frame, face), face.box_xyxy, margin=member.card.margin, input_px=member.card.input_px)
            for frame, face in found
        ]
        for member in ensemble.members
    }
    maps = [map_crops(m, [crops[m.card.name][i : i + 8] for i in range(0, len(found), 8)])[1] for m in ensemble.members]
    scales = _scales(ensemble)
    moments = []
    for i, (frame, _) in enumerate(found):
        centre = (smooth[i, :2] + smooth[i, 2:]) / 2
        box = np.concatenate([centre - side / 2, centre + side / 2]).astype(np.float32)
        picture = Crop(*cut_square(frame.image, box, PICTURE_PX))
        layered = {m: {"layered": layers["layered"]} for m, layers in face_maps(maps, i).items()}
        laid = lay_maps(picture, {name: rows[i] for name, rows in crops.items()}, layered, scales)
        widest = max(
            (rows[i] for rows in crops.values()), key=lambda crop: float(crop.frame_from_crop[0, 0]) * len(crop.image)
        )
        moments.append(Moment(picture.image, laid.layered * _fade_out(picture, widest)))
    return moments


def _fade_out(picture: Crop, crop: Crop) -> F32:
    """(S, S) in [0, 1]: heat fades towards the border of what a member sees, where it would end in a hard edge."""
    corners = np.array([[0, 0], [len(crop.image) - 1, len(crop.image) - 1]], np.float32)
    (x0, y0), (x1, y1) = transform_points(
        invert(picture.frame_from_crop), transform_points(crop.frame_from_crop, corners)
    )
    fade = FADE * (x1 - x0)
    window = np.zeros(picture.image.shape[:2], np.float32)
    cv2.rectangle(
        window, (round(x0 + fade), round(y0 + fade)), (round(x1 - fade), round(y1 - fade)), (1.0,), cv2.FILLED
    )
    return np.asarray(cv2.GaussianBlur(window, (0, 0), float(fade) / 2), np.float32)


def _patch(frame: Frame, face: Face) -> Patch:
    return cut_patch(frame.image, face.box_xyxy, margin=2.0, max_px=512)


def _scales(ensemble: Ensemble) -> dict[str, float]:
    cards = [member.card for member in ensemble.members]
    combination = Combination(
        tuple(card.name for card in cards), ensemble.weights, tuple(card.calibration for card in cards), ensemble.record
    )
    return combination.map_scales


def draw_pulse(moments: Sequence[Moment], *, full_scale: float) -> list[U8]:
    """The passage forth and back with the heat swelling and fading, so that the loop has no seam.

    Args:
        full_scale: as ``render.draw_overlay``: an absolute one, so that a genuine face does not glow.

    Returns:
        (S, S, 3) RGB frames, ``PASSAGE_FPS`` a second.
    """
    loop = [*moments, *moments[-2:0:-1]]
    n_pulses = max(1, round(len(loop) / PASSAGE_FPS / PULSE_S))
    frames = []
    for i, moment in enumerate(loop):
        strength = 0.5 - 0.5 * np.cos(2 * np.pi * n_pulses * i / len(loop))
        overlay = render.draw_overlay(moment.picture, moment.heat, full_scale=full_scale)
        mixed = moment.picture + np.float32(strength) * (overlay.astype(np.float32) - moment.picture)
        frames.append(np.asarray(np.round(mixed), np.uint8))
    return frames


# --- the annotated video ----------------------------------------------------------------------


class _Boxes:
    """A track's boxes and scores between the frames that were looked at."""

    def __init__(self, track: TrackReport) -> None:
        self.track = track
        self._times = [frame.time_s for frame in track.frames]
        self._boxes = np.array([frame.box_xyxy for frame in track.frames], np.float32)
        self._scores = [frame.p_fake for frame in track.frames]

    def nearest(self, time_s: float) -> F32:
        """(4,) the box of the nearest frame that was looked at."""
        return np.asarray(self._boxes[int(np.abs(np.array(self._times) - time_s).argmin())], np.float32)

    def at(self, time_s: float, step_s: float) -> tuple[F32, float] | None:
        """Box and score at a moment, between two sightings or beside one; None where the face is not to be seen."""
        after = bisect_left(self._times, time_s)
        if after in (0, len(self._times)):
            end = min(after, len(self._times) - 1)
            is_near = abs(self._times[end] - time_s) <= step_s
            return (np.asarray(self._boxes[end], np.float32), self._scores[end]) if is_near else None
        before, span = after - 1, self._times[after] - self._times[after - 1]
        if span > GONE_S * step_s:
            return None
        share = (time_s - self._times[before]) / span
        box = (1 - share) * self._boxes[before] + share * self._boxes[after]
        return np.asarray(box, np.float32), (1 - share) * self._scores[before] + share * self._scores[after]


def draw_video(clip: Clip, report: Report, settings: Settings, *, lang: str) -> Iterator[U8]:
    """The whole video with a box and a score at every face, and the verdict in words.

    Yields:
        (H, W, 3) RGB with even sides, at most ``MAX_VIDEO_PX``, ``video_fps(report)`` a second.
    """
    scale = min(1.0, MAX_VIDEO_PX / max(clip.info.width, clip.info.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (clip.info.width, clip.info.height))
    tracks = [_Boxes(track) for track in report.tracks]
    step_s = clip.info.duration_s / max(1, report.n_frames)
    caption = _Caption(report, width, height, lang)
    frames = read_passage(clip, begin_s=0.0, end_s=float("inf"), max_fps=video_fps(report), limits=settings.limits)
    for frame in frames:
        canvas = Image.new("RGB", (width, height + caption.height), SHADE)
        shown = np.asarray(cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        canvas.paste(Image.fromarray(shown), (0, 0))
        draw = ImageDraw.Draw(canvas, "RGBA")
        for boxes in tracks:
            if (found := boxes.at(frame.time_s, step_s)) is not None:
                _draw_box(draw, found[0] * scale, found[1], boxes.track.verdict.code, height, lang)
        caption.draw(draw)
        yield np.array(canvas, np.uint8)


def video_fps(report: Report) -> float:
    """Frames a second of the annotated video."""
    return min(MAX_VIDEO_FPS, report.source.fps or MAX_VIDEO_FPS)


def _draw_box(draw: ImageDraw.ImageDraw, box: F32, score: float, code: str, height: int, lang: str) -> None:
    x0, y0, x1, y1 = (float(v) for v in box)
    line = max(2, height // 240)
    draw.rounded_rectangle((x0, y0, x1, y1), radius=4 * line, outline=(*SHADE, 150), width=line + 2)
    draw.rounded_rectangle((x0, y0, x1, y1), radius=4 * line, outline=COLOURS[code], width=line)
    number = f"{score:.2f}".replace(".", load_texts(lang)["number.decimal"])
    size = max(12, height // 30)
    words = set_lines(number, width_px=10 * size, max_lines=1, sizes=range(size, size - 1, -1), weight="Bold")
    top = y0 - words.height - 2 * line if y0 > words.height + 3 * line else y1 + 2 * line
    draw.rectangle((x0, top, x0 + 2.6 * size, top + words.height), fill=(*SHADE, 170))
    words.draw(draw, (round(x0 + 0.25 * size), round(top)), "#%02x%02x%02x" % COLOURS[code])  # noqa: UP031 - a colour


class _Caption:
    """The verdict in a band below the picture, where it hides nothing of it."""

    def __init__(self, report: Report, width: int, height: int, lang: str) -> None:
        size = max(12, height // 22)
        self._pad = size // 2
        sizes = range(size, max(8, size // 2) - 1, -1)
        sentence = translate(report.verdict.sentence, lang=lang)
        self._lines: Lines = set_lines(
            sentence, width_px=width - 4 * self._pad, max_lines=2, sizes=sizes, weight="Bold"
        )
        self._top = height
        self._colour = COLOURS[report.verdict.code]

    @property
    def height(self) -> int:
        """Of the band in pixels, even."""
        return (self._lines.height + 2 * self._pad + 1) // 2 * 2

    def draw(self, draw: ImageDraw.ImageDraw) -> None:
        top = self._top
        draw.rectangle((0, top, self._pad // 2, top + self.height), fill=self._colour)
        self._lines.draw(draw, (2 * self._pad, top + self._pad), INK)


# --- files ------------------------------------------------------------------------------------


def animate_clip(
    clip: Clip, report: Report, ensemble: Ensemble, settings: Settings, folder: Path, *, video: bool, lang: str
) -> list[Path]:
    """Write the strongest passage, and the annotated video where it is wanted.

    Raises:
        AnimationError: as ``read_moments``.
    """
    moments = read_moments(clip, report, ensemble, settings)
    paths = write_animation(draw_pulse(moments, full_scale=ensemble.record.heat_full_scale), folder)
    if video:
        frames = draw_video(clip, report, settings, lang=lang)
        paths.append(write_video(frames, folder / "annotated.mp4", fps=video_fps(report)))
    return paths


def write_animation(frames: Sequence[U8], folder: Path, name: str = "evidence") -> list[Path]:
    """The same passage as WebP, GIF and MP4; the pictures repeat for ever."""
    pictures = [Image.fromarray(frame) for frame in frames]
    paths = [folder / f"{name}.{kind}" for kind in ("webp", "gif", "mp4")]
    options: dict[str, Any] = {
        "save_all": True,
        "append_images": pictures[1:],
        "duration": round(1000 / PASSAGE_FPS),
        "loop": 0,
    }
    pictures[0].save(paths[0], quality=80, method=4, **options)
    small = [picture.resize((240, 240), Image.Resampling.LANCZOS) for picture in pictures]
    small[0].save(paths[1], **{**options, "append_images": small[1:]})
    write_video(frames, paths[2], fps=PASSAGE_FPS)
    return paths


def write_video(frames: Iterable[U8], path: Path, *, fps: float) -> Path:
    """H.264 in MP4, playable while it loads; frames stream.

    Args:
        frames: (H, W, 3) RGB with even sides, one or more.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options={"preset": "veryfast", "crf": "21"}
        )
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(frames):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
