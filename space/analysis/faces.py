"""Finds faces in frames: a detection, the mesh on its box, and from the landmarks everything else.

MediaPipe is slow to import, so it is imported when a detector or a mesh is opened. What is opened
belongs to one thread: give each thread its own ``FaceFinder``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from space.analysis.crops import cut_patch, cut_square, overlap, scale_box, square_box, transform_points
from space.analysis.detections import FaceDetector, is_centred_inside, is_duplicate
from space.analysis.quality import measure_quality
from space.analysis.quiet import NOISE, Opened, drop_lines
from space.contract import F32, U8, Face, Frame
from space.settings import FaceSettings

MESH_MARGINS = (1.75, 1.25)  # side of the mesh's crop / side of the detector's box; the second keeps neighbours out
MESH_PX = 384  # crops for the mesh larger than this are reduced; its network reads 192 px of the face
SPARE = 2  # detections looked at / faces wanted: their sizes are rough, and some turn out to be none
SAME_FACE = 0.25  # overlap of the mesh's box and the detector's, from which they mean the same face


class FaceMesh(Opened):
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
            if found is None:
                continue
            box = square_box(found)
            if is_centred_inside(image, box) and overlap(box, detection_xyxy) >= SAME_FACE:
                return found
        return None

    def _run(self, image: U8, box_xyxy: F32) -> F32 | None:
        crop, image_from_crop = cut_square(
            image, box_xyxy, min(max(2, round(float(box_xyxy[2] - box_xyxy[0]))), MESH_PX)
        )
        with self._quiet_until_first_face():
            faces = self._mesh.process(crop).multi_face_landmarks
        if not faces:
            return None
        self._has_seen_face = True
        points = np.array([(point.x, point.y) for point in faces[0].landmark], np.float32)
        return transform_points(image_from_crop, points * np.float32(crop.shape[0]) - np.float32(0.5))

    def _quiet_until_first_face(self) -> AbstractContextManager[None]:
        return nullcontext() if self._has_seen_face else drop_lines(NOISE)


class FaceFinder(Opened):
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
            if not any(is_duplicate(face.box_xyxy, other.box_xyxy) for other in faces):
                faces.append(face)
        return sorted(faces, key=lambda face: -face.quality.native_px)[: self._settings.max_faces]

    def _candidates(self, frame: Frame) -> Iterator[Face]:
        detections = self._detector.detect(frame.image)
        for detection, confidence in detections[: SPARE * self._settings.max_faces]:
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
