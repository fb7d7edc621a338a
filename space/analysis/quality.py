"""How fit a face is to be assessed: size, sharpness, brightness and pose, and the weight they give it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from space.analysis.crops import cut_square, square_box
from space.contract import F32, U8, Quality
from space.settings import FaceSettings

SHARPNESS_PX = 112  # every face is brought to this size, so that sharpness compares across sizes

# Landmarks that move little with speech and expression, on a mean face: x to the picture's right, y down,
# z away from the camera; the outer eye corners are 1 apart. It is the median of the mesh's own
# three-dimensional landmarks over 416 official portraits, superimposed without change of shape and made
# symmetric; pitch 0 is the portraits' median. A face deviates from it by 0.02 to 0.05 per point.
MEAN_FACE = {
    10: (0.000, -0.619, -0.166),  # hairline
    151: (0.000, -0.438, -0.205),
    9: (0.000, -0.238, -0.236),
    168: (0.000, -0.066, -0.216),  # root of the nose
    6: (0.000, 0.016, -0.265),
    195: (0.000, 0.175, -0.383),
    4: (0.000, 0.355, -0.474),  # tip of the nose
    2: (0.000, 0.496, -0.269),
    33: (-0.500, -0.022, 0.042),  # outer eye corners: the person's right, then left
    263: (0.500, -0.022, 0.042),
    133: (-0.194, -0.003, -0.017),  # inner eye corners
    362: (0.194, -0.003, -0.017),
    127: (-0.801, 0.039, 0.607),  # temples
    356: (0.801, 0.039, 0.607),
    234: (-0.796, 0.206, 0.661),  # before the ears
    454: (0.796, 0.206, 0.661),
    54: (-0.672, -0.407, 0.202),  # forehead
    284: (0.672, -0.407, 0.202),
    103: (-0.561, -0.511, 0.056),
    332: (0.561, -0.511, 0.056),
    98: (-0.213, 0.462, -0.176),  # wings of the nose
    327: (0.213, 0.462, -0.176),
    48: (-0.227, 0.395, -0.268),
    278: (0.227, 0.395, -0.268),
}


def measure_quality(image: U8, landmarks: F32, settings: FaceSettings) -> Quality:
    """Everything that says how far a face can be trusted.

    Weight is a product of smooth factors, 0 if the face is not usable: size and sharpness each give
    ``r^2 / (1 + r^2)`` of their ratio r to the least usable value (1/2 there, 0.9 at three times it), pose
    gives ``cos(yaw) cos(pitch)``. Brightness is reported but neither weighed nor required: it would
    mark down dark skin, and a face lost in darkness has lost its sharpness too.

    Args:
        image: (H, W, 3) RGB uint8, the frame.
        landmarks: (478, 2) pixels of the frame.
        settings: the least usable size and sharpness, and the largest usable turn.
    """
    box = square_box(landmarks)
    native_px = float(box[2] - box[0])
    gray = cv2.cvtColor(cut_square(image, box, SHARPNESS_PX)[0], cv2.COLOR_RGB2GRAY)
    sharpness = float(cv2.Laplacian(gray, cv2.CV_64F).var())
    yaw, pitch, roll = estimate_pose(landmarks)
    usable = (
        native_px >= settings.min_native_px and sharpness >= settings.min_sharpness and abs(yaw) <= settings.max_yaw_deg
    )
    pose = max(0.0, math.cos(math.radians(yaw)) * math.cos(math.radians(pitch)))
    weight = _saturate(native_px / settings.min_native_px) * _saturate(sharpness / settings.min_sharpness) * pose
    return Quality(
        native_px=native_px,
        sharpness=sharpness,
        brightness=float(gray.mean()) / 255,
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        weight=weight if usable else 0.0,
        usable=usable,
    )


def estimate_pose(landmarks: F32) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a face in degrees.

    The camera is taken as weakly perspective: the affine map of the mean face onto the landmarks by
    least squares, and the rotation nearest to it. Roll is applied last, so that turning the picture
    changes roll alone. On portraits it agrees with the mesh's own depth within 1 degree of yaw and pitch (median).

    Args:
        landmarks: (478, 2) pixels.

    Returns:
        yaw in [-90, 90], positive where the person turns to their left; pitch in [-180, 180], positive
        with the chin up; roll in [-180, 180], positive where the head tilts to the person's left shoulder.
    """
    model = np.array(list(MEAN_FACE.values()))
    model -= model.mean(axis=0)
    points = np.asarray(landmarks, np.float64)[list(MEAN_FACE)]
    affine = np.linalg.lstsq(model, points - points.mean(axis=0), rcond=None)[0].T
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    depth = np.cross(rows[0], rows[1])
    yaw = math.asin(float(np.clip(depth[0], -1, 1)))
    pitch = -math.atan2(depth[1], depth[2])
    roll = math.atan2(rows[1, 0], rows[0, 0])
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def _saturate(ratio: float) -> float:
    return ratio**2 / (1 + ratio**2)
