"""Geometry: what is cut is where the affine says it is, at every size and beyond the frame's border."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.analysis.crops import (
    compose,
    cut_crop,
    cut_patch,
    cut_square,
    invert,
    overlap,
    scale_box,
    shared_area,
    square_box,
    transform_points,
)
from space.contract import F32, U8

HEIGHT, WIDTH = 240, 320
SLOPES = np.array([[0.5, 0.1], [-0.3, 0.4], [0.2, -0.6]])  # grey levels per pixel, one row per channel
LEVELS = np.array([20, 120, 160])


def ramp(points: F32) -> np.ndarray:
    """Colours (n, 3) of the ramp picture at points (n, 2). Averaging and interpolating leave a ramp as it is."""
    return points @ SLOPES.T + LEVELS


def ramp_image() -> U8:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    values = ramp(np.stack([x, y], axis=-1).reshape(-1, 2))
    assert values.min() > 0
    assert values.max() < 255
    return np.rint(values).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def smooth_image() -> U8:
    noise = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 12)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def grid(size: int, border: int) -> F32:
    y, x = np.mgrid[border : size - border, border : size - border]
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)


def box_at(x: float, y: float, side: float) -> F32:
    return np.array([x, y, x + side, y + side], np.float32)


boxes_inside = st.tuples(st.floats(10, 180), st.floats(10, 100), st.floats(16, 120)).map(lambda b: box_at(*b))
boxes_touching = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(8, 400)).map(
    lambda b: box_at(2 - b[2] + b[0] * (WIDTH + b[2] - 4), 2 - b[2] + b[1] * (HEIGHT + b[2] - 4), b[2])
)
boxes = st.tuples(*[st.floats(-500, 500)] * 2, *[st.floats(1, 400)] * 2).map(
    lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], np.float32)
)


# --- boxes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("landmarks", "expected"),
    [
        ([[10, 20], [30, 30]], [10, 15, 30, 35]),  # wide: the height grows about its centre
        ([[10, 0], [20, 40]], [-5, 0, 35, 40]),  # high: may reach beyond the frame
        ([[5, 5], [15, 15], [10, 10]], [5, 5, 15, 15]),
    ],
)
def test_square_box_is_centred_on_the_landmarks(landmarks: list[list[float]], expected: list[float]) -> None:
    box = square_box(np.array(landmarks, np.float32))
    assert box.dtype == np.float32
    np.testing.assert_allclose(box, expected)


@given(boxes, st.floats(0.2, 4))
def test_scaled_box_keeps_its_centre(box: F32, margin: float) -> None:
    scaled = scale_box(box, margin)
    np.testing.assert_allclose(scaled[:2] + scaled[2:], box[:2] + box[2:], atol=1e-2)
    np.testing.assert_allclose(scaled[2:] - scaled[:2], [(box[2:] - box[:2]).max() * margin] * 2, rtol=1e-3, atol=1e-3)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_ratio(first: F32, second: F32) -> None:
    assert overlap(first, second) == pytest.approx(overlap(second, first))
    assert 0 <= overlap(first, second) <= 1 + 1e-6
    assert overlap(first, first) == pytest.approx(1)
    assert shared_area(first, second) <= np.prod(first[2:] - first[:2]) * 1.0001


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([0, 0, 10, 10], 1),
        ([5, 0, 15, 10], 1 / 3),
        ([10, 0, 20, 10], 0),  # touching
        ([2, 2, 7, 7], 0.25),  # inside
        ([50, 50, 60, 60], 0),
    ],
)
def test_overlap_of_known_boxes(second: list[float], expected: float) -> None:
    assert overlap(box_at(0, 0, 10), np.array(second, np.float32)) == pytest.approx(expected)


# --- cutting ----------------------------------------------------------------------------------------


@given(boxes_inside, st.integers(16, 200))
def test_cut_shows_what_the_affine_says(box: F32, size_px: int) -> None:
    cut, affine = cut_square(ramp_image(), box, size_px)
    points = grid(size_px, border=2)
    colours = cut[points[:, 1].astype(int), points[:, 0].astype(int)]
    assert np.abs(colours - ramp(transform_points(affine, points))).max() <= 1.2  # two roundings


@given(boxes_inside, st.integers(16, 200))
def test_cut_agrees_with_opencvs_warp(box: F32, size_px: int) -> None:
    image = smooth_image()
    cut, affine = cut_square(image, box, size_px)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(image, affine, (size_px, size_px), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inner = slice(2, -2)
    assert np.abs(cut[inner, inner].astype(int) - warped[inner, inner]).max() <= 4


@given(boxes_touching, st.integers(8, 160))
def test_cut_keeps_size_and_place_beyond_the_border(box: F32, size_px: int) -> None:
    cut, affine = cut_square(smooth_image(), box, size_px)
    assert cut.shape == (size_px, size_px, 3)
    assert cut.dtype == np.uint8
    assert cut.flags.c_contiguous
    corners = transform_points(affine, np.array([[-0.5, -0.5], [size_px - 0.5, size_px - 0.5]], np.float32))
    assert np.abs(corners + 0.5 - box.reshape(2, 2)).max() <= 1.01  # place and side rounded to pixels


def test_cut_beyond_the_border_repeats_it() -> None:
    image = smooth_image()
    cut, _ = cut_square(image, box_at(-50, 100, 100), 100)
    np.testing.assert_array_equal(cut[:, :50], np.repeat(image[100:200, :1], 50, axis=1))
    np.testing.assert_array_equal(cut[:, 50:], image[100:200, :50])


@pytest.mark.parametrize("box", [(-100, 50, 90), (-100, 50, 100), (400, 50, 40), (50, -60, 50), (50, 300, 50)])
def test_cut_of_nothing_is_refused(box: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="does not touch"):
        cut_square(smooth_image(), box_at(*box), 32)


def test_cut_at_its_own_size_is_the_picture_itself() -> None:
    image = smooth_image()
    cut, affine = cut_square(image, box_at(30, 40, 64), 64)
    np.testing.assert_array_equal(cut, image[40:104, 30:94])
    np.testing.assert_array_equal(affine, [[1, 0, 30], [0, 1, 40]])


# --- patches and crops ------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "max_px", "expected"), [(50, 512, 100), (100, 512, 200), (100, 120, 120)])
def test_patch_is_reduced_only_beyond_the_largest_size(side: float, max_px: int, expected: int) -> None:
    patch = cut_patch(smooth_image(), box_at(60, 60, side), margin=2.0, max_px=max_px)
    assert patch.image.shape == (expected, expected, 3)
    assert patch.frame_from_patch[0, 0] == pytest.approx(side * 2 / expected)


@given(boxes_inside, st.floats(1, 2), st.sampled_from([64, 112, 224]), st.sampled_from([96, 512]))
def test_crop_shows_what_its_affine_says(box: F32, margin: float, input_px: int, max_px: int) -> None:
    patch = cut_patch(ramp_image(), box, margin=2.2, max_px=max_px)
    crop = cut_crop(patch, box, margin=margin, input_px=input_px)
    assert crop.image.shape == (input_px, input_px, 3)
    points = grid(input_px, border=4)
    places = transform_points(crop.frame_from_crop, points)
    inside = ((places >= 6) & (places <= [WIDTH - 7, HEIGHT - 7])).all(axis=1)
    colours = crop.image[points[:, 1].astype(int), points[:, 0].astype(int)]
    assert np.abs(colours - ramp(places))[inside].max(initial=0) <= 1.8  # three roundings


@given(boxes_inside, st.floats(1, 2), st.sampled_from([64, 224]))
def test_crop_frames_the_face_with_its_margin(box: F32, margin: float, input_px: int) -> None:
    patch = cut_patch(smooth_image(), box, margin=2.0, max_px=512)
    crop = cut_crop(patch, box, margin=margin, input_px=input_px)
    corners = np.array([[-0.5, -0.5], [input_px - 0.5, input_px - 0.5]], np.float32)
    assert (
        np.abs(transform_points(crop.frame_from_crop, corners) + 0.5 - scale_box(box, margin).reshape(2, 2)).max() <= 2
    )


@given(boxes_inside, st.floats(1, 2))
def test_points_return_from_the_crop_and_back(box: F32, margin: float) -> None:
    patch = cut_patch(smooth_image(), box, margin=2.0, max_px=512)
    affine = cut_crop(patch, box, margin=margin, input_px=224).frame_from_crop
    points = grid(224, border=0)[::97]
    np.testing.assert_allclose(transform_points(invert(affine), transform_points(affine, points)), points, atol=1e-2)
    np.testing.assert_allclose(compose(invert(affine), affine), [[1, 0, 0], [0, 1, 0]], atol=1e-3)


def test_compose_applies_the_inner_affine_first() -> None:
    inner = np.array([[2, 0, 5], [0, 2, -3]], np.float32)
    outer = np.array([[0, -1, 10], [1, 0, 20]], np.float32)
    points = np.array([[1, 2], [-4, 7]], np.float32)
    expected = transform_points(outer, transform_points(inner, points))
    np.testing.assert_allclose(transform_points(compose(outer, inner), points), expected)


def test_crop_does_not_depend_on_how_the_patch_was_reduced() -> None:
    image = smooth_image()
    box = box_at(90, 60, 120)
    native, reduced = (cut_patch(image, box, margin=1.8, max_px=px) for px in (512, 150))
    first, second = (cut_crop(patch, box, margin=1.3, input_px=96) for patch in (native, reduced))
    points = grid(96, border=4)
    shift = transform_points(first.frame_from_crop, points) - transform_points(second.frame_from_crop, points)
    assert np.abs(shift).max() <= 1.5
    assert np.abs(first.image.astype(int) - second.image).mean() <= 3
