"""Pose from landmarks turned by known angles; sharpness, size and weight of pictures changed in known ways."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from space.analysis.quality import MEAN_FACE, estimate_pose, measure_quality
from space.contract import F32, U8
from space.settings import PROJECT_ROOT, FaceSettings

SETTINGS = FaceSettings()
NOSE_TIP, FOREHEAD, RIGHT_EYE, LEFT_EYE = 4, 10, 33, 263


def turn(points: NDArray[np.float64], *, yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Nod, then turn the head, then tilt it; x to the picture's right, y down, z away from the camera."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    x, y, z = points.T
    y, z = np.cos(pitch) * y + np.sin(pitch) * z, np.cos(pitch) * z - np.sin(pitch) * y
    x, z = np.cos(yaw) * x - np.sin(yaw) * z, np.cos(yaw) * z + np.sin(yaw) * x
    x, y = np.cos(roll) * x - np.sin(roll) * y, np.cos(roll) * y + np.sin(roll) * x
    return np.stack([x, y, z], axis=1)


def landmarks_of(points: NDArray[np.float64], size_px: float = 100, camera: float = np.inf) -> F32:
    """The mean face's points in a picture, seen from a camera at a distance in eye distances."""
    landmarks = np.zeros((478, 2), np.float32)
    depth = 1 + points[:, 2] / camera
    landmarks[list(MEAN_FACE)] = points[:, :2] / depth[:, None] * size_px + [320, 240]
    return landmarks


def face_at(camera: float = np.inf, **angles: float) -> F32:
    return landmarks_of(turn(np.array(list(MEAN_FACE.values())), **angles), camera=camera)


@given(st.floats(-80, 80), st.floats(-60, 60), st.floats(-170, 170))
def test_pose_returns_the_angles_a_face_was_turned_by(yaw: float, pitch: float, roll: float) -> None:
    pose = estimate_pose(face_at(yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll))
    np.testing.assert_allclose(pose, [yaw, pitch, roll], atol=0.1)


@given(st.floats(-50, 50), st.floats(-30, 30), st.floats(-40, 40))
def test_pose_tolerates_a_near_camera(yaw: float, pitch: float, roll: float) -> None:
    pose = estimate_pose(face_at(camera=8, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll))
    np.testing.assert_allclose(pose, [yaw, pitch, roll], atol=8)


@given(st.floats(-60, 60), st.floats(-40, 40), st.floats(-40, 40), st.integers(0, 1000))
def test_pose_tolerates_other_faces_than_the_mean(yaw: float, pitch: float, roll: float, seed: int) -> None:
    points = np.array(list(MEAN_FACE.values()))
    points += np.random.default_rng(seed).normal(0, 0.03, points.shape)
    pose = estimate_pose(landmarks_of(turn(points, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)))
    np.testing.assert_allclose(pose, [yaw, pitch, roll], atol=8)


def test_signs_are_the_persons_own() -> None:
    straight = face_at(yaw_deg=0, pitch_deg=0, roll_deg=0)
    assert straight[LEFT_EYE, 0] > straight[RIGHT_EYE, 0]  # their left is the picture's right

    to_their_left = face_at(yaw_deg=30, pitch_deg=0, roll_deg=0)
    assert to_their_left[NOSE_TIP, 0] > straight[NOSE_TIP, 0]
    chin_up = face_at(yaw_deg=0, pitch_deg=30, roll_deg=0)
    assert chin_up[NOSE_TIP, 1] < straight[NOSE_TIP, 1]
    to_their_left_shoulder = face_at(yaw_deg=0, pitch_deg=0, roll_deg=30)
    assert to_their_left_shoulder[FOREHEAD, 0] > straight[FOREHEAD, 0]
    for landmarks, index in ((to_their_left, 0), (chin_up, 1), (to_their_left_shoulder, 2)):
        assert estimate_pose(landmarks)[index] == pytest.approx(30, abs=0.1)


def test_mean_face_is_symmetric() -> None:
    points = np.array(list(MEAN_FACE.values()))
    mirrored = points * [-1, 1, 1]
    assert all((points == point).all(axis=1).any() for point in mirrored)


# --- size, sharpness, brightness, weight ------------------------------------------------------------


@pytest.fixture(scope="module")
def landmarks() -> F32:
    return np.loadtxt(PROJECT_ROOT / "tests" / "astronaut_landmarks.csv", delimiter=",", dtype=np.float32)


def scaled(image: U8, landmarks: F32, factor: float) -> tuple[U8, F32]:
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small, (landmarks + np.float32(0.5)) * np.float32(factor) - np.float32(0.5)


def test_sharp_frontal_face_counts_nearly_in_full(landmarks: F32) -> None:
    quality = measure_quality(data.astronaut(), landmarks, SETTINGS)
    assert quality.usable
    assert quality.native_px == pytest.approx(108, abs=3)
    assert quality.sharpness > 200
    assert 0.4 < quality.brightness < 0.7
    assert 0.6 < quality.weight < 1
    assert abs(quality.yaw_deg) < 6
    assert abs(quality.pitch_deg) < 8


def test_blur_lowers_sharpness_and_weight_until_the_face_is_not_usable(landmarks: F32) -> None:
    blurred = [cv2.GaussianBlur(data.astronaut(), (0, 0), sigma).astype(np.uint8) for sigma in (0.3, 0.8, 1.5, 3)]
    qualities = [measure_quality(image, landmarks, SETTINGS) for image in blurred]
    sharpness, weights = [q.sharpness for q in qualities], [q.weight for q in qualities]
    assert sharpness == sorted(sharpness, reverse=True)
    assert weights == sorted(weights, reverse=True)
    assert [q.usable for q in qualities] == [True, True, True, False]
    assert weights[-1] == 0


def test_small_faces_weigh_less_and_then_nothing(landmarks: F32) -> None:
    qualities = [measure_quality(*scaled(data.astronaut(), landmarks, f), SETTINGS) for f in (1, 0.8, 0.65, 0.5)]
    weights = [q.weight for q in qualities]
    assert weights == sorted(weights, reverse=True)
    assert [q.usable for q in qualities] == [True, True, True, False]
    assert qualities[3].native_px == pytest.approx(54, abs=2)


def test_darkness_is_reported_but_not_held_against_a_face(landmarks: F32) -> None:
    dark = (data.astronaut() * 0.5).astype(np.uint8)
    bright, dim = (measure_quality(image, landmarks, SETTINGS) for image in (data.astronaut(), dark))
    assert dim.brightness == pytest.approx(bright.brightness / 2, abs=0.01)
    assert dim.usable
    assert dim.weight == pytest.approx(bright.weight, abs=0.03)


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"min_native_px": 120.0}, False),
        ({"min_sharpness": 5000.0}, False),
        ({"max_yaw_deg": 0.1}, False),
    ],
)
def test_each_threshold_alone_decides(landmarks: F32, change: dict[str, float], usable: bool) -> None:
    quality = measure_quality(data.astronaut(), landmarks, replace(SETTINGS, **change))
    assert quality.usable is usable
    assert (quality.weight > 0) is usable


@given(st.floats(-59, 59), st.floats(-80, 80), st.floats(40, 200))
def test_weight_is_a_ratio_and_falls_with_the_turn(yaw: float, pitch: float, size_px: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    points = np.array(list(MEAN_FACE.values()))
    no_limits = replace(SETTINGS, min_native_px=1e-3, min_sharpness=1e-3)
    turned, straight = (
        measure_quality(image, landmarks_of(turn(points, **angles), size_px), no_limits)
        for angles in (
            {"yaw_deg": yaw, "pitch_deg": pitch, "roll_deg": 0.0},
            {"yaw_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0},
        )
    )
    assert 0 <= turned.weight <= straight.weight + 1e-6 <= 1 + 1e-6
