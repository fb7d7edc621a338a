"""Finds faces in frames: MediaPipe's full-range detector, then its mesh on each detected box.

MediaPipe is slow to import, so this module imports it when a detector or a mesh is opened. What is
opened belongs to one thread: give each thread its own ``FaceFinder``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from space.analysis.crops import cut_patch, cut_square, overlap, scale_box, shared_area, square_box, transform_points
from space.analysis.quality import measure_quality
from space.analysis.quiet import drop_lines
from space.contract import F32, U8, Face, Frame
from space.settings import FaceSettings

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11

FULL_RANGE, SHORT_RANGE = 1, 0  # MediaPipe's numbers of its two detection models

# The full-range network sees a picture as 192 x 192 px. It finds half of the faces of 5 % of the longer
# side and hardly any below 3 %, that is 64 px in a 1080p frame; in squares of 1080 px it finds 80 % of those.
TILE_PX = 1080
TILE_OVERLAP = 0.22  # two squares cover 16:9, and a face that lies across their border is whole in one
TILED_FROM_PX = 900  # longer side below which the whole picture shows a usable face large enough
CLOSE_UP = 0.1  # face / longer side from which one face is the subject, and smaller ones are passers-by
CLOSE_GROUP = 0.2  # likewise for several: of 18 faces of 0.06 to 0.1 in one frame the network alone finds 10

TIGHT_PADDING = 0.5  # of the longer side, around a picture that a face may fill
TIGHT_PX = 512  # longer side such a picture is reduced to: the short-range network reads 128 px
TIGHT_FACE = 0.3  # detection / longer side from which a face fills a picture

MESH_MARGINS = (1.75, 1.25)  # side of the mesh's crop / side of the detector's box; the second keeps neighbours out
MESH_PX = 384  # crops for the mesh larger than this are reduced; its network reads 192 px of the face
SAME_FACE = 0.25  # overlap of the mesh's box and the detector's, from which they mean the same face
DUPLICATE = 0.5  # overlap of two boxes in one frame, from which they mean the same face
CONTAINED = 0.7  # share of the smaller box inside the larger, likewise

# What MediaPipe 0.10.21 writes whenever its graphs start; every other line is passed on.
NOISE = re.compile(
    rb"^(INFO: Created TensorFlow Lite XNNPACK delegate"
    rb"|WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|I\d{4} "
    rb"|W\d{4} .*(inference_feedback_manager|landmark_projection_calculator)\.cc)"
)

Detection = tuple[F32, float]  # (4,) xyxy, confidence


class _Opened:
    """A context manager that closes MediaPipe's models."""

    def __init__(self, *models: Any) -> None:
        self._models = models

    def close(self) -> None:
        """Release the models."""
        for model in self._models:
            model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaceDetector(_Opened):
    """Finds faces of any size. A context manager.

    The full-range model looks at the whole picture. Unless that shows a close-up, it looks again at
    overlapping squares of a large picture, which finds distant faces: of faces of 64 px in 1080p frames
    77 % instead of 13 %. If there is still none, the short-range model looks at the picture within a
    border of its repeated edge, and only a face that fills the picture counts: of tight face crops
    that finds 98 % instead of 17 %.

    Args:
        min_confidence: of the detector, [0, 1]; MediaPipe reports nothing below 0.5.
    """

    def __init__(self, min_confidence: float = 0.5) -> None:
        with drop_lines(NOISE):
            from mediapipe.python.solutions import face_detection

            self._full = face_detection.FaceDetection(min_confidence, model_selection=FULL_RANGE)
            self._short = face_detection.FaceDetection(min_confidence, model_selection=SHORT_RANGE)
            super().__init__(self._full, self._short)
            for model in self._models:  # a graph speaks up on its first picture
                model.process(np.zeros((128, 128, 3), np.uint8))
        self._min_confidence = min_confidence

    def detect(self, image: U8) -> list[Detection]:
        """Boxes and confidences of the faces in a picture, the largest first.

        Args:
            image: (H, W, 3) RGB uint8.

        Returns:
            (4,) float32 xyxy in pixels of the image (may reach beyond it) and confidence in [0, 1].

        Raises:
            ValueError: not an RGB picture.
        """
        found = self._run(self._full, image)
        if _may_hide_faces(image, found):
            found = _without_duplicates(found + self._detect_in_tiles(image))
        found = [face for face in found or self._detect_tight(image) if _is_centred_inside(image, face[0])]
        return sorted(found, key=lambda face: -_side(face[0]))

    def _detect_in_tiles(self, image: U8) -> list[Detection]:
        height, width = image.shape[:2]
        side = min(height, width, TILE_PX)
        found = []
        for top in _tile_starts(height, side):
            for left in _tile_starts(width, side):
                offset = np.array([left, top, left, top], np.float32)
                tile = image[top : top + side, left : left + side]
                found += [(box + offset, confidence) for box, confidence in self._run(self._full, tile)]
        return found

    def _detect_tight(self, image: U8) -> list[Detection]:
        scale = min(1.0, TIGHT_PX / max(image.shape[:2]))
        width_height = [max(1, round(length * scale)) for length in image.shape[1::-1]]
        small = cv2.resize(image, width_height, interpolation=cv2.INTER_AREA)
        border = round(max(width_height) * TIGHT_PADDING)
        padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        found = [
            ((box + np.float32(0.5 - border)) / np.float32(scale) - np.float32(0.5), confidence)
            for box, confidence in self._run(self._short, np.asarray(padded, np.uint8))
        ]
        return [(box, confidence) for box, confidence in found if _side(box) >= TIGHT_FACE * max(image.shape[:2])]

    def _run(self, model: Any, image: U8) -> list[Detection]:
        height, width = image.shape[:2]
        found = []
        for detection in model.process(np.ascontiguousarray(image)).detections or ():
            box = detection.location_data.relative_bounding_box
            corners = [box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height]
            box_xyxy = np.array(corners, np.float32) * np.array([width, height] * 2, np.float32) - np.float32(0.5)
            if detection.score[0] >= self._min_confidence:
                found.append((box_xyxy, float(detection.score[0])))
        return found


class FaceMesh(_Opened):
    """Finds the 478 landmarks of a detected face. A context manager."""

    def __init__(self) -> None:
        with drop_lines(NOISE):
            from mediapipe.python.solutions import face_mesh

            self._mesh = face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)
            super().__init__(self._mesh)
            self._mesh.process(np.zeros((128, 128, 3), np.uint8))
        self._has_seen_face = False

    def landmarks(self, image: U8, detection_xyxy: F32) -> F32 | None:
        """The landmarks of one face, found in a crop around its detection.

        Args:
            image: (H, W, 3) RGB uint8.
            detection_xyxy: (4,) the detector's box, in pixels of the image; touches it.

        Returns:
            (478, 2) float32 in pixels of the image; None if the mesh sees no face there.
        """
        for margin in MESH_MARGINS:
            found = self._run(image, scale_box(detection_xyxy, margin))
            if found is not None and _is_same_face(image, square_box(found), detection_xyxy):
                return found
        return None

    def _run(self, image: U8, box_xyxy: F32) -> F32 | None:
        crop, image_from_crop = cut_square(image, box_xyxy, min(max(2, round(_side(box_xyxy))), MESH_PX))
        with self._quiet_until_first_face():
            faces = self._mesh.process(crop).multi_face_landmarks
        if not faces:
            return None
        self._has_seen_face = True
        points = np.array([(point.x, point.y) for point in faces[0].landmark], np.float32)
        return transform_points(image_from_crop, points * np.float32(crop.shape[0]) - np.float32(0.5))

    def _quiet_until_first_face(self) -> AbstractContextManager[None]:
        return nullcontext() if self._has_seen_face else drop_lines(NOISE)


class FaceFinder(_Opened):
    """Finds every face of a frame with landmarks, quality and pixels. A context manager, for one thread.

    Args:
        settings: what counts as a face.
    """

    def __init__(self, settings: FaceSettings) -> None:
        self._settings = settings
        self._detector = FaceDetector(settings.min_confidence)
        self._mesh = FaceMesh()
        super().__init__(self._detector, self._mesh)

    def find_faces(self, frame: Frame) -> list[Face]:
        """The faces of one frame, the largest first, at most ``settings.max_faces``."""
        faces: list[Face] = []
        for face in self._candidates(frame):
            if not any(_is_duplicate(face.box_xyxy, other.box_xyxy) for other in faces):
                faces.append(face)
            if len(faces) == self._settings.max_faces:
                break
        return sorted(faces, key=lambda face: -face.quality.native_px)

    def _candidates(self, frame: Frame) -> Iterator[Face]:
        for detection, confidence in self._detector.detect(frame.image):
            landmarks = self._mesh.landmarks(frame.image, detection)
            if landmarks is not None:
                yield self._describe(frame, detection, confidence, landmarks)

    def _describe(self, frame: Frame, detection: F32, confidence: float, landmarks: F32) -> Face:
        box = square_box(landmarks)
        margin, max_px = self._settings.patch_margin, self._settings.patch_px
        return Face(
            frame_index=frame.index,
            time_s=frame.time_s,
            box_xyxy=box,
            detection_xyxy=detection,
            confidence=confidence,
            landmarks=landmarks,
            quality=measure_quality(frame.image, landmarks, self._settings),
            patch=cut_patch(frame.image, box, margin=margin, max_px=max_px),
        )


def _may_hide_faces(image: U8, found: list[Detection]) -> bool:
    longer = max(image.shape[:2])
    close = CLOSE_UP if len(found) == 1 else CLOSE_GROUP
    return longer > TILED_FROM_PX and all(_side(box) < close * longer for box, _ in found)


def _tile_starts(length: int, side: int) -> list[int]:
    """Where squares of a side begin, so that they cover a length and overlap."""
    n_steps = int(np.ceil(max(0, length - side) / (side * (1 - TILE_OVERLAP)) - 1e-6))
    return [round(start) for start in np.linspace(0, length - side, n_steps + 1)]


def _without_duplicates(found: list[Detection]) -> list[Detection]:
    """One detection per face: the most confident."""
    kept: list[Detection] = []
    for box, confidence in sorted(found, key=lambda face: -face[1]):
        if not any(_is_duplicate(box, other) for other, _ in kept):
            kept.append((box, confidence))
    return kept


def _is_same_face(image: U8, box_xyxy: F32, detection_xyxy: F32) -> bool:
    return _is_centred_inside(image, box_xyxy) and overlap(box_xyxy, detection_xyxy) >= SAME_FACE


def _is_centred_inside(image: U8, box_xyxy: F32) -> bool:
    """Whether a face shows at least in part: both models see beyond the picture, where its border is repeated."""
    x, y = (box_xyxy[:2] + box_xyxy[2:]) / 2
    return bool(0 <= x < image.shape[1] and 0 <= y < image.shape[0])


def _is_duplicate(first_xyxy: F32, second_xyxy: F32) -> bool:
    smaller = min(_side(first_xyxy), _side(second_xyxy)) ** 2
    is_contained = shared_area(first_xyxy, second_xyxy) > CONTAINED * smaller
    return is_contained or overlap(first_xyxy, second_xyxy) > DUPLICATE


def _side(box_xyxy: F32) -> float:
    return float((box_xyxy[2:] - box_xyxy[:2]).max())
