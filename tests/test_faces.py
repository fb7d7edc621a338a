"""Faces of scikit-image's astronaut, alone and composed into harder pictures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

from space.analysis.crops import overlap, square_box
from space.analysis.detections import FaceDetector
from space.analysis.faces import FaceFinder, FaceMesh
from space.analysis.tracks import link_tracks
from space.contract import F32, U8, Face, Frame
from space.settings import FaceSettings

PROJECT = Path(__file__).parents[1]
HEAD = (slice(0, 224), slice(112, 336))  # the astronaut's head with some room
HEAD_PX = 224
FACE_BOX = np.array([171, 69, 279, 177], np.float32)  # of her landmarks, in data.astronaut()
FACE_PX = 108


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceFinder]:
    with FaceFinder(FaceSettings()) as opened:
        yield opened


def find(finder: FaceFinder, image: U8) -> list[Face]:
    return finder.find_faces(Frame(index=3, time_s=1.5, image=image))


def paste_heads(shape: tuple[int, int], places: list[tuple[int, int, int]]) -> tuple[U8, list[F32]]:
    """A picture with heads at (left, top, face side in px), and the boxes where their landmarks must be."""
    image = np.full((*shape, 3), 140, np.uint8)
    boxes = []
    for left, top, face_px in places:
        scale = face_px / FACE_PX
        side = round(HEAD_PX * scale)
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image[top : top + side, left : left + side] = cv2.resize(
            data.astronaut()[HEAD], (side, side), interpolation=interpolation
        )
        boxes.append((FACE_BOX - [HEAD[1].start, 0] * 2) * scale + [left, top] * 2)
    return image, boxes


def assert_found(faces: list[Face], boxes: list[F32], least: float = 0.8) -> None:
    assert len(faces) == len(boxes)
    for box in boxes:
        assert max(overlap(face.box_xyxy, box) for face in faces) > least


# --- one face ---------------------------------------------------------------------------------------


def test_face_has_everything_the_steps_need(finder: FaceFinder) -> None:
    (face,) = find(finder, data.astronaut())
    assert (face.frame_index, face.time_s) == (3, 1.5)
    assert face.confidence > 0.7
    assert face.landmarks.shape == (478, 2)
    assert face.landmarks.dtype == face.box_xyxy.dtype == face.detection_xyxy.dtype == np.float32
    np.testing.assert_array_equal(face.box_xyxy, square_box(face.landmarks))
    assert face.patch.image.shape == (216, 216, 3)
    np.testing.assert_allclose(face.box_xyxy, FACE_BOX, atol=3)
    assert face.quality.usable


def test_landmarks_lie_where_they_were_measured(finder: FaceFinder) -> None:
    measured = np.loadtxt(PROJECT / "tests" / "astronaut_landmarks.csv", delimiter=",")
    (face,) = find(finder, data.astronaut())
    assert np.linalg.norm(face.landmarks - measured, axis=1).mean() < 0.02 * FACE_PX


def test_landmarks_do_not_depend_on_the_size_of_the_picture(finder: FaceFinder) -> None:
    image = data.astronaut()
    twice = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    (face,), (large,) = find(finder, image), find(finder, twice)
    restored = (large.landmarks + 0.5) / 2 - 0.5
    assert np.linalg.norm(face.landmarks - restored, axis=1).mean() < 0.02 * FACE_PX


@pytest.mark.parametrize("angle_deg", [-60, -30, 30, 60])
def test_turning_the_picture_turns_roll_alone(finder: FaceFinder, angle_deg: float) -> None:
    image = data.astronaut()
    turn = cv2.getRotationMatrix2D((224, 120), angle_deg, 1)  # positive: counter-clockwise
    turned = cv2.warpAffine(image, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    (straight,), (face,) = find(finder, image), find(finder, turned)
    assert face.quality.roll_deg == pytest.approx(straight.quality.roll_deg - angle_deg, abs=4)
    assert face.quality.yaw_deg == pytest.approx(straight.quality.yaw_deg, abs=6)
    assert face.quality.pitch_deg == pytest.approx(straight.quality.pitch_deg, abs=6)


def test_mirroring_the_picture_mirrors_yaw_and_roll(finder: FaceFinder) -> None:
    turn = cv2.getRotationMatrix2D((224, 120), 20, 1)
    image = cv2.warpAffine(data.astronaut(), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    (face,), (mirrored,) = find(finder, image), find(finder, image[:, ::-1])
    assert face.quality.roll_deg < -10
    assert mirrored.quality.roll_deg == pytest.approx(-face.quality.roll_deg, abs=3)
    assert mirrored.quality.yaw_deg == pytest.approx(-face.quality.yaw_deg, abs=4)
    assert mirrored.quality.pitch_deg == pytest.approx(face.quality.pitch_deg, abs=4)


def test_face_may_fill_the_picture(finder: FaceFinder) -> None:
    tight = data.astronaut()[69:178, 171:280]
    (face,) = find(finder, tight)
    assert overlap(face.box_xyxy, np.array([0, 0, 108, 108], np.float32)) > 0.8


# --- several, small, distant, none ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "places"),
    [
        pytest.param((400, 700), [(20, 60, 130), (400, 120, 80)], id="two sizes"),
        pytest.param((300, 420), [(0, 40, 100), (205, 40, 100)], id="side by side"),
        pytest.param((1080, 1920), [(1500, 700, 72)], id="distant in a wide frame"),
        pytest.param((1920, 1080), [(300, 1500, 80)], id="distant in a high frame"),
        pytest.param((1080, 1920), [(880, 400, 80)], id="distant where two squares overlap"),
        pytest.param((1080, 1920), [(100, 100, 90), (900, 500, 75), (1600, 200, 130)], id="distant group"),
    ],
)
def test_every_face_is_found_once_and_the_largest_first(
    finder: FaceFinder, shape: tuple[int, int], places: list[tuple[int, int, int]]
) -> None:
    image, boxes = paste_heads(shape, places)
    faces = find(finder, image)
    assert_found(faces, boxes)
    sizes = [face.quality.native_px for face in faces]
    assert sizes == sorted(sizes, reverse=True)


def test_more_faces_than_wanted_leave_the_largest(finder: FaceFinder) -> None:
    places = [(20 + 310 * (i % 5), 20 + 310 * (i // 5), 120 + 2 * i) for i in range(14)]
    image, boxes = paste_heads((970, 1590), places)
    faces = find(finder, image)
    assert len(faces) == FaceSettings().max_faces == 12
    assert_found(faces, boxes[2:])


def test_tiny_face_is_found_but_not_usable(finder: FaceFinder) -> None:
    image, boxes = paste_heads((240, 320), [(120, 90, 24)])
    faces = find(finder, image)
    assert_found(faces, boxes, least=0.6)
    assert not faces[0].quality.usable
    assert faces[0].quality.weight == 0


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((360, 640, 3), np.uint8), id="black"),
        pytest.param(np.full((1, 1, 3), 90, np.uint8), id="one pixel"),
        pytest.param(np.full((8, 1200, 3), 90, np.uint8), id="a strip"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8), id="noise"),
        pytest.param(data.coffee(), id="a cup"),
        pytest.param(data.chelsea(), id="a cat"),
    ],
)
def test_picture_without_a_face_has_none(finder: FaceFinder, image: U8) -> None:
    assert find(finder, image) == []


@pytest.mark.parametrize(
    "image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), np.float32)]
)
def test_picture_that_is_not_rgb_is_refused(finder: FaceFinder, image: U8) -> None:
    with pytest.raises(ValueError, match="expected"):
        find(finder, image)


# --- detector and mesh ------------------------------------------------------------------------------


def test_detector_keeps_to_its_least_confidence() -> None:
    with FaceDetector(0.5) as lenient, FaceDetector(0.99) as strict:
        ((box, confidence),) = lenient.detect(data.astronaut())
        assert strict.detect(data.astronaut()) == []
    assert 0.5 <= confidence <= 0.99
    assert overlap(box, FACE_BOX) > 0.7


def test_mesh_does_not_answer_with_a_neighbour() -> None:
    image, ((left, top, right, bottom),) = paste_heads((300, 500), [(20, 40, 100)])
    beside = np.array([left + 110, top, right + 110, bottom], np.float32)
    with FaceMesh() as mesh:
        assert mesh.landmarks(image, np.array([left, top, right, bottom], np.float32)) is not None
        assert mesh.landmarks(image, beside) is None


# --- start-up ---------------------------------------------------------------------------------------


def test_start_up_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with FaceFinder(FaceSettings()) as finder:
        assert len(find(finder, data.astronaut())) == 1
    assert capfd.readouterr().err == ""


def test_import_does_not_load_mediapipe() -> None:
    code = "import sys, space.analysis.faces; sys.exit('mediapipe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


# --- real clips -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_people"),
    [("live_ava_de_addario_0_real.mp4", 2), ("live_kim_jarrey_3_real.mp4", 1), ("live_keanu_reeves_1_fake.mp4", 1)],
)
def test_clip_has_one_track_per_person(finder: FaceFinder, shared_data: Path, name: str, n_people: int) -> None:
    faces = []
    with av.open(str(shared_data / "clips_dev" / name)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % 40 == 0:
                faces += finder.find_faces(Frame(index // 40, index / 25, frame.to_ndarray(format="rgb24")))
    tracks = link_tracks(faces)
    assert len(tracks) == n_people
    assert all(face.quality.usable for face in faces)
    assert len({len(track.faces) for track in tracks}) == 1
