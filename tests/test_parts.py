"""Facial parts: geometry, measures, and what may be named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from space.analysis import parts as steps
from space.analysis.crops import compose, invert, scale_box, square_box, transform_points
from space.analysis.named_parts import compromising_parts
from space.analysis.parts import FACE_OVAL, FACE_PARTS, OUTSIDE, PART_NAMES, measure_parts, part_masks
from space.contract import F32, Crop, FaceMap, PartHeat
from space.settings import SHARED

SIZE_PX = 224
CELL_PX = SIZE_PX / 14
CENTRES = (np.arange(14) + 0.5) * CELL_PX - 0.5

# Landmarks as found on scikit-image's picture of the astronaut Eileen Collins: nearly frontal, tilted a little.
LANDMARKS: F32 = np.loadtxt(Path(__file__).parent / "astronaut_landmarks.csv", delimiter=",", dtype=np.float32)
BOX = scale_box(square_box(LANDMARKS), 1.3)
FRAME_FROM_CROP = np.array(
    [[(BOX[2] - BOX[0]) / SIZE_PX, 0, BOX[0]], [0, (BOX[2] - BOX[0]) / SIZE_PX, BOX[1]]], np.float32
)
IN_CROP = transform_points(invert(FRAME_FROM_CROP), LANDMARKS)


def other_side(name: str) -> str:
    side, _, kind = name.partition("_")
    return {"left": f"right_{kind}", "right": f"left_{kind}"}.get(side, name)


def mirror_table() -> NDArray[np.intp]:
    """Landmark -> its counterpart on the other side, for the landmarks that outlines and eyes need."""
    table = np.arange(steps.N_LANDMARKS)
    for name, ring in FACE_PARTS.items():
        outline, other = IN_CROP[list(ring)], FACE_PARTS[other_side(name)]
        # The other side's outline run backwards; which landmark it starts from is found by the best fit.
        flipped = IN_CROP[list(other)] * [-1, 1]
        turns = [list(np.roll(other[::-1], k)) for k in range(len(other))]
        back = [np.roll(flipped[::-1], k, axis=0) for k in range(len(other))]
        misfits = [np.ptp(points - outline, axis=0).sum() for points in back]
        table[list(ring)] = turns[int(np.argmin(misfits))]
    for left, right in ((263, 33), (362, 133)):
        table[left], table[right] = right, left
    return table


def make_map(heat: NDArray[np.floating], frame_from_crop: F32 = FRAME_FROM_CROP) -> FaceMap:
    picture = np.zeros((*heat.shape, 3), np.uint8)
    return FaceMap(crop=Crop(picture, frame_from_crop), layered=heat.astype(np.float32), members={})


def blob(x: float, y: float, *, cells: float = 1.0) -> NDArray[np.float32]:
    """A bump of the finest layer's 14x14 cells, brought to the crop's pixels as a member's map is."""
    spread = 2 * (cells * CELL_PX) ** 2
    grid = np.exp(-((CENTRES[None] - x) ** 2 + (CENTRES[:, None] - y) ** 2) / spread)
    return cv2.resize(grid.astype(np.float32), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR)


def innermost(mask: NDArray[np.bool_]) -> tuple[int, int]:
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def measure(
    heat: NDArray[np.floating], landmarks: F32 = LANDMARKS, usual: Mapping[str, float] | None = None
) -> dict[str, PartHeat]:
    return {part.name: part for part in measure_parts(make_map(heat), landmarks, usual)}


@st.composite
def poses(draw: st.DrawFn) -> F32:
    """The face moved, scaled, turned in the plane, squeezed as by a turn of the head, and shaken."""
    angle = draw(st.floats(-np.pi, np.pi))
    scale = draw(st.floats(0.1, 3.0))
    shift = draw(st.tuples(st.floats(-200, 400), st.floats(-200, 400)))
    turn = draw(st.floats(-1.2, 1.2))  # radians about the vertical
    shake = draw(st.floats(0.0, 3.0))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, y = ((IN_CROP - IN_CROP.mean(axis=0)) / np.ptp(IN_CROP, axis=0).max()).T
    depth = np.sqrt(np.maximum(0.0, 0.36 - x**2))
    face = np.stack([x * np.cos(turn) + depth * np.sin(turn), y], axis=1) * SIZE_PX * scale
    face += rng.normal(0, shake, face.shape)
    spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(face @ spin.T + shift, np.float32)


# --- where the parts lie ----------------------------------------------------------------------


def test_names_are_those_of_the_shared_table() -> None:
    table = json.loads((SHARED / "parts.json").read_text(encoding="utf-8"))["parts"]
    assert list(PART_NAMES) == [part["id"] for part in table]


def test_outlines_tile_the_face_oval() -> None:
    def edges(ring: tuple[int, ...]) -> list[tuple[int, int]]:
        return list(zip(ring, (*ring[1:], ring[0]), strict=True))

    all_edges = [edge for ring in FACE_PARTS.values() for edge in edges(ring)]
    assert len(all_edges) == len(set(all_edges)), "two parts on the same side of an edge"
    border = {edge for edge in all_edges if edge[::-1] not in set(all_edges)}
    assert border == set(edges(FACE_OVAL))


def test_parts_of_a_frontal_face_lie_where_a_person_says() -> None:
    masks = part_masks(IN_CROP, SIZE_PX)
    centre = {name: np.argwhere(mask).mean(axis=0)[::-1] for name, mask in masks.items()}
    order = ["forehead", "left_brow", "left_eye", "nose", "mouth", "chin"]
    assert sorted(order, key=lambda name: centre[name][1]) == order
    for kind in ("eye", "brow", "cheek", "jaw"):  # not mirrored: the person's left is the picture's right
        assert centre[f"left_{kind}"][0] > centre["nose"][0] > centre[f"right_{kind}"][0]
    assert centre["left_jaw"][1] > centre["left_cheek"][1] > centre["left_eye"][1]
    for name, indices in {
        "left_eye": (263, 386, 374, 473),
        "right_eye": (33, 159, 145, 468),
        "nose": (1, 4, 5),
    }.items():
        for x, y in np.round(IN_CROP[list(indices)]).astype(int):
            assert masks[name][y, x], (name, x, y)
    for index in (0, 13, 14, 17, 61, 291):  # the lips
        x, y = np.round(IN_CROP[index]).astype(int)
        assert masks["mouth"][y, x], index


@given(poses(), st.integers(1, 300))
def test_masks_are_disjoint_and_cover_the_picture(landmarks: F32, size: int) -> None:
    masks = part_masks(landmarks, size)
    assert tuple(masks) == PART_NAMES
    assert all(mask.shape == (size, size) and mask.dtype == np.bool_ for mask in masks.values())
    assert (np.sum(list(masks.values()), axis=0) == 1).all()


@given(poses())
def test_no_pixel_of_the_face_oval_is_outside(landmarks: F32) -> None:
    oval = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    points = np.round(landmarks[list(FACE_OVAL)] * 16).astype(np.int32)
    cv2.fillPoly(oval, [points], (1,), shift=4)
    # Pixels on an outline are rounding; what is left must be none.
    gaps = (oval == 1) & part_masks(landmarks, SIZE_PX)[OUTSIDE]
    assert not cv2.erode(gaps.astype(np.uint8), np.ones((3, 3), np.uint8)).any()
    assert gaps.sum() <= 0.01 * oval.sum() + 2


@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(0.4, 1.6))
def test_masks_follow_the_face(dx: float, dy: float, scale: float) -> None:
    masks = part_masks(IN_CROP, SIZE_PX)
    moved = part_masks(np.asarray(IN_CROP * scale + (dx, dy), np.float32), SIZE_PX)
    affine = np.array([[scale, 0, dx], [0, scale, dy]])
    for name, mask in masks.items():
        border = float(name == OUTSIDE)
        expected = cv2.warpAffine(
            mask.astype(np.float32), affine, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_CONSTANT, borderValue=(border,)
        )
        # Only pixels the outline runs through may differ: fewer than its length in pixels.
        outline_px = cv2.arcLength(np.asarray(IN_CROP[list(FACE_PARTS.get(name, FACE_OVAL))] * scale, np.float32), True)
        assert np.count_nonzero((expected > 0.5) != moved[name]) <= outline_px


def test_a_mirrored_face_swaps_left_and_right() -> None:
    mirrored = (IN_CROP * [-1, 1] + [SIZE_PX - 1, 0])[mirror_table()].astype(np.float32)
    masks, swapped = part_masks(IN_CROP, SIZE_PX), part_masks(mirrored, SIZE_PX)
    for name, mask in masks.items():
        other = swapped[other_side(name)][:, ::-1]
        assert np.count_nonzero(mask & other) >= 0.85 * np.count_nonzero(mask | other), name


@pytest.mark.parametrize("depth", [1.0, 0.5])
@pytest.mark.parametrize("hidden", ["left", "right"])
def test_the_side_turned_away_hides_behind_the_near_one(hidden: str, depth: float) -> None:
    """A head turned so far that the far half of the mesh folds back over the near half."""
    table, middle = mirror_table(), float(IN_CROP[1, 0])
    frontal = IN_CROP.copy()
    frontal[:, 0] = (frontal[:, 0] + (2 * middle - frontal[table, 0])) / 2  # symmetric, with a straight midline
    frontal[:, 1] = (frontal[:, 1] + frontal[table, 1]) / 2
    folded = frontal.copy()
    is_far = frontal[:, 0] > middle if hidden == "left" else frontal[:, 0] < middle
    folded[is_far, 0] = middle - depth * (frontal[is_far, 0] - middle)
    before, after = part_masks(frontal, SIZE_PX), part_masks(folded, SIZE_PX)
    for name in PART_NAMES:
        if name.startswith(hidden):
            assert after[name].sum() <= 0.05 * before[name].sum(), name
        elif "_" in name:
            assert (before[name] & ~after[name]).sum() <= 0.1 * before[name].sum(), name


@pytest.mark.parametrize(
    "landmarks", [np.zeros((468, 2), np.float32), np.full((478, 2), np.nan, np.float32)], ids=["shape", "nan"]
)
def test_landmarks_are_checked(landmarks: F32) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        part_masks(landmarks, SIZE_PX)


# --- how much heat falls on them --------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.floats(0, 3))
def test_shares_add_up_and_lifts_average_to_one(seed: int, scale: float, sparseness: float) -> None:
    rng = np.random.default_rng(seed)
    heat = np.maximum(0, rng.exponential(size=(SIZE_PX, SIZE_PX)) - sparseness) * scale
    parts = measure(heat)
    areas = {name: mask.mean() for name, mask in part_masks(IN_CROP, SIZE_PX).items()}
    assert sum(part.share for part in parts.values()) == pytest.approx(1)
    assert sum(parts[name].lift * area for name, area in areas.items()) == pytest.approx(1)
    assert all(parts[name].lift == pytest.approx(parts[name].share / area) for name, area in areas.items())
    shares = [part.share for part in measure_parts(make_map(heat), LANDMARKS)]
    assert shares == sorted(shares, reverse=True)


def test_a_map_without_heat_names_nothing() -> None:
    parts = measure(np.zeros((SIZE_PX, SIZE_PX)))
    assert set(parts) == set(PART_NAMES)
    assert {(part.share, part.lift, part.distance) for part in parts.values()} == {(0.0, 0.0, None)}
    assert compromising_parts(tuple(parts.values())) == ()


def test_an_even_map_has_lift_one_everywhere_and_no_peak() -> None:
    parts = measure(np.full((SIZE_PX, SIZE_PX), 0.37))
    assert all(part.lift == pytest.approx(1, rel=1e-5) and part.distance is None for part in parts.values())


@given(st.floats(-500, 500), st.floats(-500, 500), st.floats(0.2, 5))
def test_measures_follow_the_face_in_the_frame(dx: float, dy: float, scale: float) -> None:
    heat = blob(*IN_CROP[61])
    move = np.array([[scale, 0, dx], [0, scale, dy]], np.float32)
    there = make_map(heat, compose(move, FRAME_FROM_CROP))
    moved = {part.name: part for part in measure_parts(there, transform_points(move, LANDMARKS))}
    for name, part in measure(heat).items():
        assert moved[name].share == pytest.approx(part.share, abs=2e-3)
        assert moved[name].distance == pytest.approx(part.distance, abs=2e-2)


def test_measures_do_not_depend_on_the_resolution() -> None:
    heat = blob(*IN_CROP[61])
    half = cv2.resize(heat, (SIZE_PX // 2, SIZE_PX // 2), interpolation=cv2.INTER_AREA)
    # Pixel centres: pixel 0 of the half map lies between pixels 0 and 1 of the whole.
    affine = compose(FRAME_FROM_CROP, np.array([[2, 0, 0.5], [0, 2, 0.5]], np.float32))
    halved = {part.name: part for part in measure_parts(make_map(half, affine), LANDMARKS)}
    for name, part in measure(heat).items():
        assert halved[name].share == pytest.approx(part.share, abs=0.03)
        assert halved[name].distance == pytest.approx(part.distance, abs=0.03)


@pytest.mark.parametrize("name", FACE_PARTS)
def test_a_peak_on_a_part_names_that_part(name: str) -> None:
    parts = measure(blob(*innermost(part_masks(IN_CROP, SIZE_PX)[name])))
    named = compromising_parts(tuple(parts.values()))
    assert name in named[: 2 if name.endswith("brow") else 1]  # a brow is thinner than a cell: its eye may come first
    assert parts[name].distance == 0
    assert parts[name].lift == max(part.lift for part in parts.values())


@pytest.mark.parametrize(
    ("landmark", "name"), [(4, "nose"), (13, "mouth"), (473, "left_eye"), (468, "right_eye"), (280, "left_cheek")]
)
def test_a_peak_on_a_landmark_names_its_part(landmark: int, name: str) -> None:
    assert compromising_parts(tuple(measure(blob(*IN_CROP[landmark])).values())) == (name,)


def test_mirrored_heat_on_a_mirrored_face_swaps_left_and_right() -> None:
    mirrored = (IN_CROP * [-1, 1] + [SIZE_PX - 1, 0])[mirror_table()].astype(np.float32)
    heat = blob(*IN_CROP[280]) + 0.5 * blob(*IN_CROP[13])
    there = measure_parts(make_map(heat[:, ::-1]), transform_points(FRAME_FROM_CROP, mirrored))
    swapped = {other_side(part.name): part for part in there}
    for name, part in measure(heat).items():
        assert swapped[name].share == pytest.approx(part.share, abs=0.02)
        assert swapped[name].distance == pytest.approx(part.distance, abs=0.1)


def test_distances_are_in_units_of_the_eyes_distance() -> None:
    middles = [IN_CROP[list(pair)].mean(axis=0) for pair in ((33, 133), (263, 362))]
    unit_px = np.linalg.norm(middles[0] - middles[1])
    x, y = np.round(IN_CROP[4]).astype(int)  # tip of the nose
    heat = np.zeros((SIZE_PX, SIZE_PX))
    heat[y, x] = 1
    parts = measure(cv2.GaussianBlur(heat, (0, 0), CELL_PX))
    for name in ("mouth", "chin", "left_eye", "forehead", OUTSIDE):
        gaps = np.linalg.norm(IN_CROP[list(FACE_PARTS.get(name, FACE_OVAL))] - [x, y], axis=1)
        assert parts[name].distance == pytest.approx(gaps.min() / unit_px, abs=0.02), name
    assert parts["nose"].distance == 0


def test_the_nearest_of_several_hot_peaks_counts_and_weak_ones_do_not() -> None:
    mouth, eye = blob(*IN_CROP[13]), blob(*IN_CROP[473])
    both, faint = measure(mouth + 0.9 * eye), measure(mouth + 0.3 * eye)
    assert both["mouth"].distance == both["left_eye"].distance == faint["mouth"].distance == 0
    assert faint["left_eye"].distance is not None
    assert faint["left_eye"].distance > 0.5


def test_a_noisy_pixel_is_no_peak() -> None:
    heat = blob(*IN_CROP[13])
    x, y = np.round(IN_CROP[473]).astype(int)
    heat[y, x] = 10 * heat.max()
    parts = measure(heat)
    assert parts["mouth"].distance == 0
    assert parts["left_eye"].distance is not None
    assert parts["left_eye"].distance > 0.5


@pytest.mark.parametrize(
    "heat",
    [np.ones((4, 5)), np.ones(4), -np.ones((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), np.inf)],
    ids=["not square", "flat", "negative", "nan", "inf"],
)
def test_maps_are_checked(heat: NDArray[np.floating]) -> None:
    face_map = FaceMap(Crop(np.zeros((4, 4, 3), np.uint8), FRAME_FROM_CROP), heat.astype(np.float32), {})
    with pytest.raises(ValueError, match="heat map"):
        measure_parts(face_map, LANDMARKS)


def test_eyes_in_one_place_are_refused() -> None:
    landmarks = LANDMARKS.copy()
    landmarks[[33, 133, 263, 362]] = 100
    with pytest.raises(ValueError, match="eyes"):
        measure(np.ones((SIZE_PX, SIZE_PX)), landmarks)
