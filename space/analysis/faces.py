"""Finds faces in pictures: MediaPipe's full-range detector, then its mesh on each detected box.

MediaPipe is slow to import, so this module imports it when a detector or a mesh is opened. An open
detector or mesh belongs to one thread: give each thread its own.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from space.analysis.crops import cut_square, scale_box, transform_points
from space.contract import F32, U8

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11

FULL_RANGE, SHORT_RANGE = 1, 0  # MediaPipe's numbers of its two detection models
TIGHT_PADDING = 0.5  # of the longer side, around a picture that a face may fill
TIGHT_FACE = 0.3  # detection side / picture's longer side from which a face fills a picture
MESH_MARGIN = 1.75  # side of the mesh's crop / side of the detector's box
MESH_PX = 384  # crops for the mesh larger than this are reduced; its network reads 256 px


class FaceDetector:
    """Finds faces of any size. A context manager.

    The full-range model finds small and distant faces, but not one that fills the picture. Where it finds none, the
    short-range model looks again at the picture within a border of its repeated edge, and only a large
    face counts. On tight face crops that raises the share found from 17 % to 98 %.

    Args:
        min_confidence: of the detector, [0, 1]; MediaPipe reports nothing below 0.5.
    """

    def __init__(self, min_confidence: float = 0.5) -> None:
        from mediapipe.python.solutions import face_detection

        self._min_confidence = min_confidence
        self._full = face_detection.FaceDetection(min_confidence, model_selection=FULL_RANGE)
        self._short = face_detection.FaceDetection(min_confidence, model_selection=SHORT_RANGE)

    def detect(self, image: U8) -> list[tuple[F32, float]]:
        """Boxes and confidences of the faces in a picture, the largest first.

        Args:
            image: (H, W, 3) RGB uint8.

        Returns:
            (4,) float32 xyxy in pixels of the image (may reach beyond it) and confidence in [0, 1].
        """
        found = self._run(self._full, image)
        return found or self._detect_tight(image)

    def _detect_tight(self, image: U8) -> list[tuple[F32, float]]:
        longer = max(image.shape[:2])
        border = round(longer * TIGHT_PADDING)
        padded = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE).astype(
            np.uint8, copy=False
        )
        found = [(box - border, confidence) for box, confidence in self._run(self._short, padded)]
        return [(box, confidence) for box, confidence in found if _side(box) >= TIGHT_FACE * longer]

    def _run(self, model: Any, image: U8) -> list[tuple[F32, float]]:
        height, width = image.shape[:2]
        found = []
        for detection in model.process(image).detections or ():
            box = detection.location_data.relative_bounding_box
            corners = [box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height]
            box_xyxy = np.array(corners, np.float32) * np.array([width, height] * 2, np.float32) - np.float32(0.5)
            if detection.score[0] >= self._min_confidence:
                found.append((box_xyxy, float(detection.score[0])))
        return sorted(found, key=lambda face: -_side(face[0]))

    def close(self) -> None:
        """Release the models."""
        self._full.close()
        self._short.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaceMesh:
    """Finds the 478 landmarks of a detected face. A context manager."""

    def __init__(self) -> None:
        from mediapipe.python.solutions import face_mesh

        self._mesh = face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)

    def landmarks(self, image: U8, detection_xyxy: F32) -> F32 | None:
        """The landmarks of one face, found in a crop around its detection.

        Args:
            image: (H, W, 3) RGB uint8.
            detection_xyxy: (4,) the detector's box, in pixels of the image.

        Returns:
            (478, 2) float32 in pixels of the image; None if the mesh sees no face there.
        """
        box = scale_box(detection_xyxy, MESH_MARGIN)
        side = max(2, round(_side(box)))
        crop, image_from_crop = cut_square(image, box, min(side, MESH_PX))
        faces = self._mesh.process(crop).multi_face_landmarks
        if not faces:
            return None
        points = np.array([(point.x, point.y) for point in faces[0].landmark], np.float32)
        return transform_points(image_from_crop, points * crop.shape[0] - 0.5)

    def close(self) -> None:
        """Release the model."""
        self._mesh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _side(box_xyxy: F32) -> float:
    return float((box_xyxy[2:] - box_xyxy[:2]).max())
