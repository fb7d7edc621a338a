"""What stands beside weights: cards of members, and records of ensembles.

Calibration and thresholds belong to the weights, not to the code; so do input size, margin, metrics,
recipe and licence. Both kinds of record are JSON files that are read strictly: an unknown field, a
missing one, a wrong type or a value out of range is an error, because a misread card would silently
change verdicts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from space.errors import WeightsError
from space.models.documents import InvalidDocumentError, decode, encode
from space.models.files import replacing

CARD_VERSION = "1.0"  # of the file format: additions are minor, anything else is major

Level = Literal["frame", "video"]
Protocol = Literal["within", "cross"]
Padding = Literal["symmetric", "same"]
Floats = NDArray[np.float32] | NDArray[np.float64]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")  # also a file name, and safe in NAME=WEIGHT,…
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CREATED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
WEIGHTS_SUFFIX = ".safetensors"
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6  # of a member, before weights become shares of their sum


def is_name(text: str) -> bool:
    """Whether a text can name a member or an ensemble."""
    return bool(_NAME.fullmatch(text))


def is_weight(value: float) -> bool:
    """Whether a number can be a member's weight: positive, and no slip of the keyboard."""
    return MIN_WEIGHT <= value <= MAX_WEIGHT


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)


def _require_name(name: str) -> None:
    _require(is_name(name), f"{name!r} is not a name: lower case letters, digits, '_', '-', '.'")


def _is_file_name(text: str) -> bool:
    return text not in ("", ".", "..") and not any(mark in text for mark in "/\\\0:")


@dataclass(frozen=True)
class Calibration:
    """Turns a raw logit into a probability: ``p = sigmoid((logit - bias) / temperature)``."""

    temperature: float  # > 0
    bias: float  # logit units; the raw logit at which p is 0.5

    def __post_init__(self) -> None:
        _require(self.temperature > 0, "temperature must be positive")

    @overload
    def logit(self, raw: float) -> float: ...
    @overload
    def logit(self, raw: Floats) -> NDArray[np.float64]: ...
    def logit(self, raw: float | Floats) -> float | NDArray[np.float64]:
        """The calibrated logit of a raw logit, or of an array of them, in float64."""
        scaled = (np.asarray(raw, dtype=np.float64) - self.bias) / self.temperature
        return scaled if scaled.ndim else float(scaled)

    @overload
    def p_fake(self, raw: float) -> float: ...
    @overload
    def p_fake(self, raw: Floats) -> NDArray[np.float64]: ...
    def p_fake(self, raw: float | Floats) -> float | NDArray[np.float64]:
        """The probability of fake for a raw logit, or for an array of them, in [0, 1]."""
        half = 0.5 * np.asarray(self.logit(np.asarray(raw)), dtype=np.float64)
        p = 0.5 * (1 + np.tanh(half))  # the sigmoid, without overflow at either end
        return p if p.ndim else float(p)


UNCALIBRATED = Calibration(temperature=1.0, bias=0.0)


@dataclass(frozen=True)
class Metric:
    """One measured number and what it was measured on."""

    name: str  # "auc", "ap", "eer", "ece", "brier", "log_loss", …
    value: float
    interval: tuple[float, float] | None  # 95 %; None where none was computed
    level: Level
    protocol: Protocol  # tested on the kind of data trained on, or on another
    dataset: str
    n: int  # frames or videos, by level
    note: str

    def __post_init__(self) -> None:
        _require(bool(self.name and self.dataset), "a metric needs its name and dataset")
        _require(self.n > 0, "n must be positive")
        if self.interval is not None:
            _require(self.interval[0] <= self.interval[1], "an interval runs from low to high")


@dataclass(frozen=True)
class DetailReference:
    """What a logit is held against: that of the same face without fine detail.

    What a network makes of clothes, light and surroundings is still there without detail; what forging leaves behind is
    not. Taking a share of it off the logit leaves more of the latter.
    """

    detail_px: int  # side of the square that a crop is shrunk to and enlarged again from
    share: float  # of that logit which is taken off, (0, 1]

    def __post_init__(self) -> None:
        _require(self.detail_px > 0, "detail_px must be positive")
        _require(0 < self.share <= 1, "a share lies in (0, 1]")


@dataclass(frozen=True)
class Params:
    """What an architecture can be told. None: as published for that architecture."""

    region_head: bool = False  # a 1x1 convolution for the manipulated region; frame members only
    dropout: float | None = None  # before the logit, [0, 1)
    hidden: int | None = None  # LSTM units; sequence members only
    bn_eps: float | None = None  # of every batch norm; 1e-3 in networks that come from TensorFlow
    padding: Padding = "symmetric"  # "same": TensorFlow's, which pads odd pixels at the bottom right
    reference: DetailReference | None = None  # frame members only; not used in training

    def __post_init__(self) -> None:
        _require(self.dropout is None or 0 <= self.dropout < 1, "dropout must lie in [0, 1)")
        _require(self.hidden is None or self.hidden > 0, "hidden must be positive")
        _require(self.bn_eps is None or self.bn_eps > 0, "bn_eps must be positive")


@dataclass(frozen=True)
class Card:
    """A member: its weights, how they are to be used, and what they are worth."""

    name: str  # lower case letters, digits, "_", "-", "."
    version: str
    architecture: str  # a name in the registry
    params: Params
    input_px: int  # side of the square crop
    mean: tuple[float, float, float]  # per channel RGB, on the [0, 1] scale
    std: tuple[float, float, float]
    margin: float  # side of the crop / side of the landmarks' square box
    calibration: Calibration
    metrics: tuple[Metric, ...]
    recipe: str  # how it was trained, so that it can be done again
    data: str  # what it was trained on, and that data's terms
    licence: str  # of the weights
    weights: str  # file name beside the card
    sha256: str  # of the weights file, hex
    images_seen: int | None  # in training; None where unknown (imported weights)
    training_cost: str  # hours and machine, or "unknown"
    created: str  # ISO 8601, UTC, seconds: "2025-01-31T12:00:00Z"

    def __post_init__(self) -> None:
        _require_name(self.name)
        _require(bool(self.version), "version must not be empty")
        _require(self.input_px >= 32, "input_px must be at least 32, the stride of the last block")
        _require(all(std > 0 for std in self.std), "std must be positive")
        _require(self.margin > 0, "margin must be positive")
        _require(self.weights.endswith(WEIGHTS_SUFFIX), f"weights must end in {WEIGHTS_SUFFIX}")
        _require(_is_file_name(self.weights), "weights must be a file name beside the card")
        _require(bool(_SHA256.fullmatch(self.sha256)), "sha256 must be 64 hex digits")
        _require(self.images_seen is None or self.images_seen >= 0, "images_seen must not be negative")
        _require(bool(_CREATED.fullmatch(self.created)), "created must look like 2025-01-31T12:00:00Z")


@dataclass(frozen=True)
class Thresholds:
    """Where verdicts begin and end. Probabilities are the ensemble's calibrated p_fake."""

    little_below: float  # p_fake below it: "little"
    some_from: float  # p_fake from it: "some"; between the two: "inconclusive"
    strong_from: float  # p_fake from it: "strong"
    max_disagreement: float  # largest minus smallest of the members' p_fake; above it: "inconclusive"
    min_faces: int  # usable faces a track of a video needs; an image is judged by its one
    max_interval_width: float  # of p_fake's 95 % interval; above it: "inconclusive"
    min_weight: float  # mean Quality.weight of the faces, [0, 1]; below it they are too small or blurred
    min_bits_per_pixel: float  # of the video stream; below it a video is heavily compressed; 0: never

    def __post_init__(self) -> None:
        rising = 0 <= self.little_below <= self.some_from <= self.strong_from <= 1
        _require(rising, "thresholds must rise within [0, 1]: little_below, some_from, strong_from")
        for field in ("max_disagreement", "max_interval_width", "min_weight"):
            _require(0 <= getattr(self, field) <= 1, f"{field} must lie in [0, 1]")
        _require(self.min_faces >= 1, "min_faces must be at least 1")
        _require(self.min_bits_per_pixel >= 0, "min_bits_per_pixel must not be negative")


@dataclass(frozen=True)
class OutlineEvidence:
    """How a face's outline counts in clips: what is usual on genuine faces, and what softer than that adds."""

    slope: float  # usual detail along the outline = slope * detail within + offset; see ``analysis/outline.py``
    offset: float
    deviation: float  # of genuine faces around it, > 0
    weight: float  # added to the ensemble's calibrated logit for each deviation that the outline is softer, > 0
    limit: float  # deviations that count at most, either way, > 0

    def __post_init__(self) -> None:
        _require(self.deviation > 0, "deviation must be positive")
        _require(self.weight > 0, "weight must be positive")
        _require(self.limit > 0, "limit must be positive")

    def softness(self, detail: NDArray[np.float32]) -> NDArray[np.float64]:
        """Deviations by which outlines are softer than usual, within the limit; 0 where nothing was measured.

        Args:
            detail: (n, 2) as ``measure_outlines`` gives it, NaN where a face's surroundings are not to be seen.
        """
        usual = self.slope * detail[:, 1].astype(np.float64) + self.offset
        softer = (usual - detail[:, 0]) / self.deviation
        return np.nan_to_num(np.clip(softer, -self.limit, self.limit), nan=0.0)


@dataclass(frozen=True)
class EnsembleRecord:
    """Members that answer together.

    The ensemble's logit is the weighted mean of the members' *calibrated* logits; ``calibration``
    turns it into p_fake. In clips, what the face's outline says is added.
    """

    name: str
    version: str
    members: tuple[tuple[str, float], ...]  # (name, weight > 0); used as shares of their sum
    calibration: Calibration
    thresholds: Thresholds
    heat_full_scale: float  # logit units per map cell that are drawn at full colour
    heat_min: float  # logit units per map cell; a map that stays below counts as no reaction
    metrics: tuple[Metric, ...]
    usual_shares: tuple[tuple[str, float], ...] | None = None  # (part, its mean share of genuine faces' heat)
    outline: OutlineEvidence | None = None  # None: outlines do not count
    # (part, what blurring it takes from genuine faces' logit); None: not known, so that no named part is checked by it
    usual_drops: tuple[tuple[str, float], ...] | None = None

    def __post_init__(self) -> None:
        _require_name(self.name)
        _require(bool(self.version), "version must not be empty")
        _require(bool(self.members), "an ensemble needs a member")
        for name, weight in self.members:
            _require_name(name)
            _require(is_weight(weight), f"the weight of {name} must lie in [{MIN_WEIGHT:g}, {MAX_WEIGHT:g}]")
        names = [name for name, _ in self.members]
        _require(len(set(names)) == len(names), "a member is named twice")
        _require(0 <= self.heat_min < self.heat_full_scale, "heat_min must lie in [0, heat_full_scale)")
        for what, pairs in (("share", self.usual_shares), ("drop", self.usual_drops)):
            parts = [part for part, _ in pairs or ()]
            _require(len(set(parts)) == len(parts), f"a part's usual {what} is given twice")
        _require(all(0 < share <= 1 for _, share in self.usual_shares or ()), "a usual share must lie in (0, 1]")

    @property
    def usual(self) -> dict[str, float] | None:
        """Part of the face -> its mean share of the face's heat on genuine faces; None: not known."""
        return None if self.usual_shares is None else dict(self.usual_shares)


# --- the JSON door ----------------------------------------------------------------------------


def read_card(path: Path) -> Card:
    """The card in a JSON file.

    Raises:
        WeightsError: ``weights_missing`` (no such file), ``card_invalid``.
    """
    card: Card = _read(Card, path)
    return card


def read_ensemble(path: Path) -> EnsembleRecord:
    """The ensemble's record in a JSON file.

    Raises:
        WeightsError: ``weights_missing`` (no such file), ``card_invalid``.
    """
    record: EnsembleRecord = _read(EnsembleRecord, path)
    return record


def write_record(record: Card | EnsembleRecord, path: Path) -> None:
    """Write a card or an ensemble's record as JSON that reads back as the same record."""
    document = {"card_version": CARD_VERSION, **encode(record)}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _read(kind: type[Card | EnsembleRecord], path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise WeightsError("weights_missing", name=path.stem) from error
    except UnicodeDecodeError as error:
        raise WeightsError("card_invalid", name=path.stem, details="not UTF-8") from error
    try:
        return decode(kind, _without_version(json.loads(text)), "card")
    except (ValueError, RecursionError) as error:  # not JSON, nested without end, or not such a record
        raise WeightsError("card_invalid", name=path.stem, details=str(error)) from error


def _without_version(document: Any) -> Any:
    if not isinstance(document, dict):
        raise InvalidDocumentError("not a JSON object")
    version = document.get("card_version")
    _require(version == CARD_VERSION, f"card_version is {version!r}, not {CARD_VERSION!r}")
    return {key: value for key, value in document.items() if key != "card_version"}
