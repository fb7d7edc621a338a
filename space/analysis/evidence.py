"""The strongest moments with their heat maps and parts, and the pictures a report shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from space.analysis import render
from space.analysis.attribution import add_findings, attribute_parts, measure_agreement, share_by_layer
from space.analysis.crops import cut_crop, invert, transform_points
from space.analysis.maps import LAYERS, face_maps, lay_maps, total_heat
from space.analysis.named_parts import compromising_parts, describe_moment, summarise_parts
from space.analysis.parts import OUTSIDE, measure_parts, part_masks
from space.analysis.verdict import TrackScores, TrackVerdict, sigmoid
from space.contract import (
    Crop,
    Evidence,
    Face,
    FaceMap,
    FrameVerdict,
    MemberMaps,
    MemberScores,
    PartsReport,
    Track,
    TrackReport,
    VerdictCode,
)
from space.models.cards import EnsembleRecord
from space.settings import Settings

THUMBNAIL_MARGIN = 1.3  # the face with a little of what surrounds it
THUMBNAIL_PX = 128
COUNTING_PX = 112  # of the picture on which a frame's parts are counted: eight pixels for each of the finest cells
FINE_PER_COARSE = 4  # cells of the penultimate block that one cell of the last block covers

Pictures = MutableMapping[str, bytes]  # picture name -> encoded bytes


@dataclass(frozen=True)
class MapSource:
    """Where the heat maps of a track's faces come from."""

    maps: Sequence[MemberMaps]  # of all faces
    crops: Mapping[str, tuple[float, int]]  # member -> margin, input_px
    scales: Mapping[str, float]  # member -> its logit units in the ensemble's
    shares: Mapping[str, float]  # member -> its weight in the ensemble, sum 1
    first: int  # position of the track's first face among all faces
    bias: float | None  # the ensemble's logit where no cell adds anything; None: a head does not split its logit

    @property
    def picture_margin(self) -> float:
        """Of the pictures that maps are laid over: as much as any member sees, so that none is cut off."""
        return max(margin for margin, _ in self.crops.values())

    def lay(self, position: int, face: Face, picture: Crop) -> tuple[FaceMap, float, float]:
        """The map of one of the track's faces over a picture, its total heat and its hottest cell."""
        maps = face_maps(self.maps, self.first + position)
        face_map = lay_maps(picture, self.cut(face), maps, self.scales)
        return face_map, total_heat(maps, self.scales), float(face_map.layered.max())

    def lay_layered(self, position: int, face: Face, picture: Crop) -> FaceMap:
        """The layered map alone."""
        maps = face_maps(self.maps, self.first + position)
        layered = {member: {"layered": layers["layered"]} for member, layers in maps.items()}
        return lay_maps(picture, self.cut(face), layered, self.scales)

    def cut(self, face: Face) -> dict[str, Crop]:
        """Member -> the face as it saw it."""
        return {
            member: cut_crop(face.patch, face.box_xyxy, margin=margin, input_px=input_px)
            for member, (margin, input_px) in self.crops.items()
        }

    def attribute(self, position: int, face: Face) -> dict[str, float] | None:
        """Part -> what it adds to the ensemble's logit; None where a head does not split its logit."""
        cells = {m.member: m.contributions[self.first + position] for m in self.maps if m.contributions is not None}
        if self.bias is None or len(cells) < len(self.maps):
            return None
        return attribute_parts(cells, self.cut(face), self.scales, face.landmarks)


def pick_moments(
    time_s: NDArray[np.float64], logits: NDArray[np.float64], weights: NDArray[np.float64], *, n: int
) -> list[int]:
    """Positions of the strongest faces of one track, the strongest first.

    Usable faces come before the others. Neighbours show nearly the same picture, so a face is passed
    over while a moment already picked lies nearer than a quarter of the fair distance (span / n), unless
    there are not enough others.

    Args:
        time_s, logits, weights: (m,) per face, m >= 1; weight 0 = not usable.
        n: how many are wanted; fewer where the track has fewer.
    """
    gap = float(time_s.max() - time_s.min()) / n / 4
    order = sorted(range(len(time_s)), key=lambda i: (weights[i] <= 0, -logits[i]))
    picked: list[int] = []
    for i in order:
        if len(picked) < n and all(abs(time_s[i] - time_s[j]) > gap for j in picked):
            picked.append(i)
    spare = [i for i in order if i not in picked]
    chosen = {*picked, *spare[: max(0, n - len(picked))]}
    return [i for i in order if i in chosen]


def show_evidence(
    track: Track,
    scores: TrackScores,
    source: MapSource,
    *,
    code: VerdictCode,
    is_image: bool,
    record: EnsembleRecord,
    settings: Settings,
    pictures: Pictures,
) -> tuple[Evidence, ...]:
    """The strongest moments of the deciding track; their pictures are added to ``pictures``."""
    evidence = []
    for number, position in enumerate(
        pick_moments(scores.time_s, scores.logits, scores.weights, n=settings.n_evidence), start=1
    ):
        face = track.faces[position]
        picture = cut_crop(face.patch, face.box_xyxy, margin=source.picture_margin, input_px=settings.picture_px)
        face_map, heat, hottest = source.lay(position, face, picture)
        parts = add_findings(
            measure_parts(face_map, face.landmarks, record.usual),
            source.attribute(position, face),
            measure_agreement(face_map, source.shares, face.landmarks, record.usual),
        )
        may_name, is_too_weak = code in ("strong", "some"), hottest < record.heat_min
        sentence = describe_moment(
            parts,
            time_s=None if is_image else round(face.time_s, 1),
            name_compromising=may_name,
            is_too_weak=is_too_weak,
        )
        named = compromising_parts(parts) if may_name and not is_too_weak else ()
        outlines = _outline(named, face, picture)
        drawn = _draw_evidence(number, face_map, outlines, source.shares, record, pictures)
        evidence.append(
            Evidence(
                track=track.track_id,
                time_s=face.time_s,
                frame_index=face.frame_index,
                p_fake=float(sigmoid(scores.logits[position])),
                crop=drawn.crop,
                overlay=drawn.overlay,
                maps=drawn.maps,
                parts=parts,
                heat=0.0 if is_too_weak else heat,
                sentence=sentence,
                bias=None if source.bias is None else source.bias + float(scores.outline_logits[position]),
                shares=share_by_layer(face_map, face.landmarks),
            )
        )
    return tuple(evidence)


def name_parts_by_frame(
    track: Track, scores: TrackScores, source: MapSource, record: EnsembleRecord
) -> tuple[tuple[str, ...], ...]:
    """The parts that each usable frame's map names, in order of time; of all frames, where none is usable."""
    usable = np.flatnonzero(scores.weights > 0).tolist() or range(len(track.faces))
    names = []
    for position in usable:
        face = track.faces[position]
        picture = cut_crop(face.patch, face.box_xyxy, margin=source.picture_margin, input_px=COUNTING_PX)
        face_map = source.lay_layered(position, face, picture)
        is_too_weak = float(face_map.layered.max()) < record.heat_min
        parts = measure_parts(face_map, face.landmarks, record.usual)
        names.append(() if is_too_weak else compromising_parts(parts))
    return tuple(names)


def summarise(
    evidence: Sequence[Evidence],
    code: VerdictCode,
    *,
    frames: Sequence[Sequence[str]] | None = None,
    check: Callable[[], Mapping[str, float]] | None = None,
    usual_drops: Mapping[str, float] | None = None,
) -> PartsReport | None:
    """Facial parts over all moments and frames; None without evidence.

    Args:
        frames: of every usable frame, the parts that it names.
        check: measures how the logit falls when parts are blurred; called only where a part of the face is named.
        usual_drops: what that takes from genuine faces; None: not known.
    """
    if not evidence:
        return None
    may_name = code in ("strong", "some")
    summary = summarise_parts(evidence, name_compromising=may_name, frames=frames)
    if check is None or not any(part.compromising and part.name != OUTSIDE for part in summary.parts):
        return summary
    return summarise_parts(evidence, name_compromising=may_name, frames=frames, drops=check(), usual_drops=usual_drops)


@dataclass(frozen=True)
class _Drawn:
    crop: str
    overlay: str
    maps: Mapping[str, Mapping[str, str]]


def _outline(named: Sequence[str], face: Face, picture: Crop) -> list[NDArray[np.bool_]]:
    """The named parts of the face, as masks of the picture; what lies outside the face has no outline."""
    landmarks = transform_points(invert(picture.frame_from_crop), face.landmarks)
    masks = part_masks(landmarks, picture.image.shape[0])
    return [masks[name] for name in named if name != "outside"]


def _draw_evidence(
    number: int,
    face_map: FaceMap,
    outlines: Sequence[NDArray[np.bool_]],
    shares: Mapping[str, float],
    record: EnsembleRecord,
    pictures: Pictures,
) -> _Drawn:
    image = face_map.crop.image
    names = _Drawn(
        crop=f"evidence-{number}-crop.jpg",
        overlay=f"evidence-{number}-overlay.jpg",
        maps={m: {layer: f"evidence-{number}-{m}-{layer}.jpg" for layer in LAYERS} for m in face_map.members},
    )
    pictures[names.crop] = render.encode_jpeg(image)
    full_scale = record.heat_full_scale
    overlay = render.draw_overlay(image, face_map.layered, full_scale=full_scale, outlines=outlines)
    pictures[names.overlay] = render.encode_jpeg(overlay)
    for member, layers in names.maps.items():
        for layer, name in layers.items():
            # a member's map holds its share of the ensemble's logit, and a coarse cell the heat of four fine ones
            scale = full_scale * shares[member] * (FINE_PER_COARSE if layer == "last" else 1)
            drawn = render.draw_map(image, face_map.members[member][layer], full_scale=scale)
            pictures[name] = render.encode_jpeg(drawn)
    return names


def report_track(
    track: Track,
    scores: TrackScores,
    verdict: TrackVerdict,
    raw: Sequence[MemberScores],
    *,
    first: int,
    pictures: Pictures,
) -> TrackReport:
    """A track in the report, with a thumbnail of its best face.

    Args:
        raw: the members' logits of all faces.
        first: position of the track's first face among them.
    """
    best = max(track.faces, key=lambda face: (face.quality.usable, face.quality.weight, face.quality.native_px))
    thumbnail = f"track-{track.track_id}.jpg"
    picture = cut_crop(best.patch, best.box_xyxy, margin=THUMBNAIL_MARGIN, input_px=THUMBNAIL_PX)
    pictures[thumbnail] = render.encode_jpeg(picture.image)
    frames = tuple(
        FrameVerdict(
            time_s=face.time_s,
            frame_index=face.frame_index,
            box_xyxy=_box(face),
            quality=face.quality,
            p_fake=float(sigmoid(scores.logits[i])),
            logits={s.member: float(s.logits[first + i]) for s in raw},
            softness=None if scores.softness is None else float(scores.softness[i]),
        )
        for i, face in enumerate(track.faces)
    )
    return TrackReport(id=track.track_id, verdict=verdict.verdict, thumbnail=thumbnail, frames=frames)


def _box(face: Face) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in face.box_xyxy)
    return x0, y0, x1, y1
