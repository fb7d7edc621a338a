"""Records that the steps of the analysis exchange, and the report they end in.

Everything here is frozen. The first half lives in memory only (pixels, landmarks, logits);
the second half is the report: it maps one to one to ``shared/report.schema.json``.

Conventions: images are RGB, HWC, uint8; boxes are ``xyxy`` in pixels of the displayed frame
(rotation and pixel aspect already applied); logits are positive for fake; ratios lie in [0, 1];
left and right are the person's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = "1.0"

SourceKind = Literal["upload", "url", "frames", "image"]
Credentials = Literal["present", "absent"]
VerdictCode = Literal["strong", "some", "inconclusive", "little", "not_applicable"]

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


# --- in memory: what the steps exchange -------------------------------------------------------


@dataclass(frozen=True)
class SourceInfo:
    """What is known about the source without looking at faces. Part of the report."""

    kind: SourceKind
    host: str | None  # host name of the URL, never its path; None unless kind is "url" or "frames"
    container: str  # "mp4", "webm", "jpeg", …: recognised by content, not by name
    codec: str | None  # video codec; None for images
    duration_s: float  # 0.0 for images
    fps: float | None  # average; None for images
    width: int  # displayed size in pixels: rotation and pixel aspect applied
    height: int
    size_bytes: int
    sha256: str  # of the source's bytes, hex
    capture_method: str | None = None  # how the extension got the frames; None otherwise
    credentials: Credentials | None = None  # whether a C2PA manifest is there, not verified; None where not looked for


@dataclass(frozen=True)
class Clip:
    """A source that passed the door: recognised, within the limits, readable."""

    info: SourceInfo
    open: Callable[[], BinaryIO]  # a fresh seekable stream over the source's bytes


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int  # 0-based position among the sampled frames
    time_s: float  # presentation time from the clip's start
    image: U8  # (H, W, 3) RGB, as displayed


@dataclass(frozen=True)
class Quality:
    """How fit a face is to be assessed."""

    native_px: float  # side of the landmarks' square box in pixels of the frame
    sharpness: float  # variance of the Laplacian of the gray face at 112 px, >= 0
    brightness: float  # mean luma of the face, [0, 1]
    yaw_deg: float  # positive: the person turns to their left
    pitch_deg: float  # positive: chin up
    roll_deg: float  # positive: head tilts to the person's left shoulder
    weight: float  # weight of this face when frames are averaged, [0, 1]; 0 = not usable
    usable: bool  # large, sharp and frontal enough to count


@dataclass(frozen=True)
class Patch:
    """Pixels around a face, cut from the frame, so that the frame itself can go."""

    image: U8  # (h, w, 3) RGB; longest side at most settings.patch_px
    frame_from_patch: F32  # (2, 3) affine, patch pixel -> frame pixel


@dataclass(frozen=True)
class Face:
    """One face in one frame."""

    frame_index: int
    time_s: float
    box_xyxy: F32  # (4,) square box around the landmarks
    detection_xyxy: F32  # (4,) the detector's own box
    confidence: float  # the detector's, [0, 1]
    landmarks: F32  # (478, 2) in frame pixels, MediaPipe's mesh
    quality: Quality
    patch: Patch


@dataclass(frozen=True)
class Track:
    """The same person's faces over time, at most one per frame, in order of time."""

    track_id: int  # from 1, by first appearance
    faces: tuple[Face, ...]


@dataclass(frozen=True)
class Crop:
    """A face as a member sees it."""

    image: U8  # (S, S, 3) RGB
    frame_from_crop: F32  # (2, 3) affine, crop pixel -> frame pixel


@dataclass(frozen=True)
class MemberScores:
    """One member's answer for n faces."""

    member: str
    logits: F32  # (n,) raw, before calibration; positive = fake


@dataclass(frozen=True)
class MemberMaps:
    """One member's heat maps for n faces, in the member's own crop coordinates.

    All magnitudes are raw (logit units per cell, >= 0, not normalised): a genuine face stays dim.
    """

    member: str
    penultimate: F32  # (n, 14, 14) for a 224 px input
    last: F32  # (n, 7, 7) for a 224 px input
    layered: F32  # (n, 14, 14) both, or the penultimate and the region head: see maps.py
    contributions: F32 | None = None  # (n, 7, 7) signed: with bias they add up to the logit; None: the head forbids it
    bias: float | None = None  # of the head; None with contributions


@dataclass(frozen=True)
class FaceMap:
    """The ensemble's heat map for one face, laid over one picture of it."""

    crop: Crop  # the picture the map lies over
    layered: F32  # (S, S) raw magnitude, same pixels as crop.image
    members: Mapping[str, Mapping[str, F32]]  # member -> layer ("penultimate", "last", "layered") -> (S, S)


@dataclass(frozen=True)
class PartHeat:
    """How much of a heat map falls on one facial part. Part of the report."""

    name: str  # id in shared/parts.json
    share: float  # of the map's heat, [0, 1]; all parts and "outside" add up to 1
    lift: float  # share / share of area; 0 where the part has no area in the picture
    distance: float | None  # inter-ocular units, hottest peaks to the part's nearest landmark; None without a peak
    logit: float | None = None  # what its cells of the last block add to the ensemble's logit; None: a head forbids it
    agreement: float | None = None  # share of the ensemble whose own maps name it, [0, 1]; None with one member
    excess: float | None = None  # share of the face's heat / the usual share on genuine faces; None: unknown, outside


@dataclass(frozen=True)
class FrameVerdict:
    """What a verdict of one frame's face rests on. Part of the report."""

    time_s: float
    frame_index: int
    box_xyxy: tuple[float, float, float, float]
    quality: Quality
    p_fake: float  # calibrated, of this frame alone
    logits: Mapping[str, float]  # member -> raw logit
    softness: float | None = None  # deviations by which the outline is softer than usual; None where it does not count


# --- the report -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """Words for a reader: an id in shared/text/<lang>.json, its parameters, its English rendering."""

    id: str
    en: str
    params: Mapping[str, str | int | float | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a track or a clip."""

    code: VerdictCode
    sentence: Text
    reasons: tuple[Text, ...]  # never empty for "inconclusive"
    p_fake: float | None  # calibrated probability; None for "not_applicable"
    interval: tuple[float, float] | None  # 95 % interval of p_fake over the frames; None with p_fake


@dataclass(frozen=True)
class TrackReport:
    """What was found about one person."""

    id: int
    verdict: Verdict
    thumbnail: str  # picture name
    frames: tuple[FrameVerdict, ...]


@dataclass(frozen=True)
class Evidence:
    """One of the strongest moments."""

    track: int
    time_s: float
    frame_index: int
    p_fake: float
    crop: str  # picture names
    overlay: str
    maps: Mapping[str, Mapping[str, str]]  # member -> layer -> picture name
    parts: tuple[PartHeat, ...]  # by share, largest first
    heat: float  # total raw heat of the map, logit units
    sentence: Text
    bias: float | None = None  # with the parts' logits it adds up to p_fake's logit; None with them
    shares: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None  # member -> layer -> part -> share of heat


@dataclass(frozen=True)
class PartSummary:
    """A facial part over all evidence."""

    name: str
    share: float  # mean over the evidence, [0, 1]
    lift: float
    distance: float | None
    n_moments: int  # moments in which it is among the compromising parts
    compromising: bool  # named only when the verdict is "some" or "strong"
    n_frames: int | None = None  # usable frames in which it is among the compromising parts; None where not counted
    drop: float | None = None  # of the strongest moment's logit when the part is blurred; None where not tried
    verified: bool | None = None  # blurring it takes more than blurring parts that are not named; None with drop
    excess: float | None = None  # mean over the evidence; None where not known


@dataclass(frozen=True)
class PartsReport:
    """The facial parts over all evidence, and what may be said about them."""

    sentence: Text
    parts: tuple[PartSummary, ...]  # by share, largest first
    n_frames: int | None = None  # usable frames in which parts were counted; None where they were not
    verification: Text | None = None  # what blurring the named parts showed; None where it was not tried


@dataclass(frozen=True)
class MemberInfo:
    """A member of the ensemble, as the report names it."""

    name: str
    architecture: str
    version: str
    weight: float  # share in the ensemble, [0, 1]
    sha256: str  # of the weights file


@dataclass(frozen=True)
class EnsembleInfo:
    """The models the report rests on."""

    name: str
    version: str
    members: tuple[MemberInfo, ...]


@dataclass(frozen=True)
class Report:
    """The whole result as one document."""

    id: str  # 128-bit random, hex
    created: str  # ISO 8601, UTC, seconds
    app_version: str
    source: SourceInfo
    n_frames: int  # frames looked at
    n_faces: int  # faces found in them
    verdict: Verdict
    tracks: tuple[TrackReport, ...]
    evidence: tuple[Evidence, ...]
    parts: PartsReport | None  # None without maps or without a face
    ensemble: EnsembleInfo
    timing_s: Mapping[str, float]  # stage -> seconds
    limits: tuple[Text, ...]
    schema_version: str = SCHEMA_VERSION


@dataclass(frozen=True)
class Analysis:
    """A report and its pictures."""

    report: Report
    pictures: Mapping[str, bytes]  # picture name ("evidence-1-overlay.jpg") -> encoded bytes
