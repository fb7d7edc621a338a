"""Detects faces in pictures: near, distant, many, or filling the picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from space.analysis.crops import overlap, shared_area
from space.analysis.quiet import NOISE, Opened, drop_lines
from space.contract import F32, U8

GRAPH = "mediapipe/modules/face_detection/face_detection_{reach}_range_cpu.binarypb"
# FaceDetection's own min_detection_confidence never reaches the graph (0.10.21), which stays at 0.6 or 0.5.
THRESHOLD = "facedetection{reach}range__facedetection__TensorsToDetectionsCalculator.min_score_thresh"
FULL_RANGE_PX = 384  # larger pictures are reduced by averaging: MediaPipe would skip pixels on the way to 192

# The full-range network sees a picture as 192 x 192 px. It finds half of the faces of 5 % of the longer
# side and hardly any below 3 %, that is 64 px in a 1080p frame; in squares of 1080 px it finds most of those.
# Faces weaken each other's response: of eight of 7 % it finds 82 %, of eight of 10 % all but 1 %.
TILE_PX = 1080
MIN_TILE_PX = 540  # bounds how many there are in a narrow strip
TILE_OVERLAP = 0.22  # two squares cover 16:9, and a face that lies across their border is whole in one
TILED_FROM_PX = 900  # longer side below which the whole picture shows a usable face large enough
CLOSE_UP = 0.1  # face / longer side from which one face is the subject, and smaller ones are passers-by
CLOSE_GROUP = 0.2  # likewise for several: of 18 faces of 0.06 to 0.1 in one frame the network alone finds 10

TIGHT_PADDING = 0.5  # of the longer side, around a picture that a face may fill
TIGHT_PX = 512  # longer side such a picture is reduced to: the short-range network reads 128 px
TIGHT_FACE = 0.3  # detection / longer side below which the short-range model's find does not count
SURE = 0.6  # on parts of a tight face the full-range model finds small faces of less confidence
FILLING = 0.5  # full-range detection / longer side from which the short-range model knows the place better

DUPLICATE = 0.5  # overlap of two boxes in one frame, from which they mean the same face
CONTAINED = 0.7  # share of the smaller box inside the larger, likewise

Detection = tuple[F32, float]  # (4,) xyxy, confidence


class FaceDetector(Opened):
    """Finds faces of any size. A context manager.

    The full-range model looks at the whole picture. Unless that shows a close-up, it looks again at
    overlapping squares of a large picture, which finds distant faces: of faces of 64 px in 1080p frames
    93 % instead of 13 %. Unless there is a sure one now that leaves room, the short-range model looks at
    the picture within a border of its repeated edge, and only a face that fills the picture counts: of
    tight face crops that finds 98 % instead of 17 %.

    Args:
        min_confidence: of the detector, [0, 1].
    """

    def __init__(self, min_confidence: float = 0.5) -> None:
        with drop_lines(NOISE):
            self._full, self._short = (_open_detection(reach, min_confidence) for reach in ("full", "short"))
        super().__init__(self._full, self._short)

    def detect(self, image: U8) -> list[Detection]:
        """Boxes and confidences of the faces in a picture, the largest first.

        Args:
            image: (H, W, 3) RGB uint8.

        Returns:
            (4,) float32 xyxy in pixels of the image (may reach beyond it) and confidence in [0, 1].

        Raises:
            ValueError: not such an image.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected (H, W, 3) uint8, not {image.shape} {image.dtype}")
        found = self._detect_reduced(image)
        if _may_hide_faces(image, found):
            found = _without_duplicates(found + self._detect_in_tiles(image))
        if _may_be_tight(image, found):
            found = _without_duplicates(found + self._detect_tight(image))
        found = [face for face in found if is_centred_inside(image, face[0])]
        return sorted(found, key=lambda face: -_side(face[0]))

    def _detect_in_tiles(self, image: U8) -> list[Detection]:
        height, width = image.shape[:2]
        side = int(np.clip(min(height, width), MIN_TILE_PX, TILE_PX))
        found = []
        for top in _tile_starts(height, side):
            for left in _tile_starts(width, side):
                offset = np.array([left, top, left, top], np.float32)
                tile = image[top : top + side, left : left + side]
                found += [(box + offset, confidence) for box, confidence in self._detect_reduced(tile)]
        return found

    def _detect_reduced(self, image: U8) -> list[Detection]:
        small, scale = _reduce(image, FULL_RANGE_PX)
        return [(_enlarge(box, scale), confidence) for box, confidence in _run(self._full, small)]

    def _detect_tight(self, image: U8) -> list[Detection]:
        small, scale = _reduce(image, TIGHT_PX)
        border = round(max(small.shape[:2]) * TIGHT_PADDING)
        padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        found = [
            (_enlarge(box - np.float32(border), scale), confidence)
            for box, confidence in _run(self._short, np.asarray(padded, np.uint8))
        ]
        return [(box, confidence) for box, confidence in found if _side(box) >= TIGHT_FACE * max(image.shape[:2])]


def _open_detection(reach: str, min_confidence: float) -> Any:
    from mediapipe.python.solution_base import SolutionBase

    model = SolutionBase(
        binary_graph_path=GRAPH.format(reach=reach),
        calculator_params={THRESHOLD.format(reach=reach): min_confidence},
        outputs=["detections"],
    )
    model.process({"image": np.zeros((128, 128, 3), np.uint8)})  # a graph speaks up on its first picture
    return model


def _run(model: Any, image: U8) -> list[Detection]:
    size = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    found = []
    for detection in model.process({"image": np.ascontiguousarray(image)}).detections or ():
        box = detection.location_data.relative_bounding_box
        corners = np.array([box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height], np.float32)
        found.append((corners * size - np.float32(0.5), float(detection.score[0])))
    return found


def _reduce(image: U8, longest_px: int) -> tuple[U8, float]:
    """A picture no larger than wanted, and its size as a share of the original's."""
    scale = longest_px / max(image.shape[:2])
    if scale >= 1:
        return image, 1.0
    width_height = [max(1, round(length * scale)) for length in image.shape[1::-1]]
    return np.asarray(cv2.resize(image, width_height, interpolation=cv2.INTER_AREA), np.uint8), scale


def _enlarge(box_xyxy: F32, scale: float) -> F32:
    """A box in the picture of which the one it was found in was a reduction."""
    return (box_xyxy + np.float32(0.5)) / np.float32(scale) - np.float32(0.5)


def _may_hide_faces(image: U8, found: list[Detection]) -> bool:
    longer = max(image.shape[:2])
    close = CLOSE_UP if len(found) == 1 else CLOSE_GROUP
    return longer > TILED_FROM_PX and all(_side(box) < close * longer for box, _ in found)


def _may_be_tight(image: U8, found: list[Detection]) -> bool:
    longer = max(image.shape[:2])
    return all(confidence < SURE or _side(box) > FILLING * longer for box, confidence in found)


def _tile_starts(length: int, side: int) -> list[int]:
    """Where squares of a side begin, so that they cover a length and overlap."""
    n_steps = int(np.ceil(max(0, length - side) / (side * (1 - TILE_OVERLAP)) - 1e-6))
    return [round(start) for start in np.linspace(0, max(0, length - side), n_steps + 1)]


def _without_duplicates(found: list[Detection]) -> list[Detection]:
    """One detection per face: the most confident."""
    kept: list[Detection] = []
    for box, confidence in sorted(found, key=lambda face: -face[1]):
        if not any(is_duplicate(box, other) for other, _ in kept):
            kept.append((box, confidence))
    return kept


def is_centred_inside(image: U8, box_xyxy: F32) -> bool:
    """Whether a face shows at least in part: both models see beyond the picture, where its border is repeated."""
    x, y = (box_xyxy[:2] + box_xyxy[2:]) / 2
    return bool(0 <= x < image.shape[1] and 0 <= y < image.shape[0])


def is_duplicate(first_xyxy: F32, second_xyxy: F32) -> bool:
    """Whether two square boxes in one picture mean the same face."""
    smaller = min(_side(first_xyxy), _side(second_xyxy)) ** 2
    is_contained = shared_area(first_xyxy, second_xyxy) > CONTAINED * smaller
    return is_contained or overlap(first_xyxy, second_xyxy) > DUPLICATE


def _side(box_xyxy: F32) -> float:
    return float((box_xyxy[2:] - box_xyxy[:2]).max())
