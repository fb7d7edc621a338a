"""Squares around faces: boxes from landmarks, patches from frames, crops from patches.

Serving and training cut by these functions alone, so that a member never sees in service what it
has not seen in training. Affines follow the pixel-centre convention: pixel (0, 0) has its centre at
(0, 0), as landmarks and OpenCV's warps have it.
"""

from __future__ import annotations

import cv2
import numpy as np

from space.contract import F32, U8, Crop, Patch


def square_box(landmarks: F32) -> F32:
    """The square around landmarks: their bounding box's centre and longer side.

    Args:
        landmarks: (n, 2) pixels.

    Returns:
        (4,) float32 xyxy.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return _square((low + high) / 2, float((high - low).max()))


def scale_box(box_xyxy: F32, margin: float) -> F32:
    """A square box grown about its centre to ``margin`` times its side."""
    low, high = box_xyxy[:2], box_xyxy[2:]
    return _square((low + high) / 2, float((high - low).max()) * margin)


def shared_area(first_xyxy: F32, second_xyxy: F32) -> float:
    """Area that two boxes share, in square pixels."""
    low, high = np.maximum(first_xyxy[:2], second_xyxy[:2]), np.minimum(first_xyxy[2:], second_xyxy[2:])
    return float(np.prod(np.maximum(0, high - low)))


def overlap(first_xyxy: F32, second_xyxy: F32) -> float:
    """Intersection over union of two boxes, [0, 1]."""
    shared = shared_area(first_xyxy, second_xyxy)
    areas = [float(np.prod(box[2:] - box[:2])) for box in (first_xyxy, second_xyxy)]
    return shared / (sum(areas) - shared) if shared else 0.0


def _square(centre: F32, side: float) -> F32:
    return np.asarray(np.concatenate([centre - side / 2, centre + side / 2]), np.float32)


def cut_square(image: U8, box_xyxy: F32, size_px: int) -> tuple[U8, F32]:
    """Cut a square box out of an image and bring it to ``size_px``.

    The box is rounded to whole pixels; what lies beyond the image repeats its border. Reducing
    averages areas (no aliasing), enlarging is bilinear.

    Args:
        image: (H, W, 3) uint8.
        box_xyxy: (4,) square, in the image's pixels; may reach beyond it.

    Returns:
        (size_px, size_px, 3) uint8 and the (2, 3) affine from its pixels to the image's.

    Raises:
        ValueError: the box does not touch the image.
    """
    height, width = image.shape[:2]
    side = max(2, round(float(box_xyxy[2] - box_xyxy[0])))
    x0, y0 = round(float(box_xyxy[0])), round(float(box_xyxy[1]))
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = max(0, x0 + side - width), max(0, y0 + side - height)
    inside = image[max(0, y0) : max(0, y0 + side), max(0, x0) : max(0, x0 + side)]
    if inside.size == 0:
        raise ValueError("the box does not touch the image")
    if left or top or right or bottom:
        inside = np.pad(inside, ((top, bottom), (left, right), (0, 0)), mode="edge")
    scale = side / size_px
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    cut = cv2.resize(inside, (size_px, size_px), interpolation=interpolation)
    shift = (scale - 1) / 2
    affine = np.array([[scale, 0, x0 + shift], [0, scale, y0 + shift]], np.float32)
    return np.ascontiguousarray(cut, dtype=np.uint8), affine


def cut_patch(image: U8, box_xyxy: F32, *, margin: float, max_px: int) -> Patch:
    """The pixels around a face at native scale, reduced only if larger than ``max_px``."""
    box = scale_box(box_xyxy, margin)
    side = max(2, round(float(box[2] - box[0])))
    cut, affine = cut_square(image, box, min(side, max_px))
    return Patch(image=cut, frame_from_patch=affine)


def cut_crop(patch: Patch, box_xyxy: F32, *, margin: float, input_px: int) -> Crop:
    """The face as a member with this margin and input size sees it.

    Args:
        patch: around the same face, cut with a margin at least as large.
        box_xyxy: (4,) the face's square box in frame pixels.
    """
    box = scale_box(box_xyxy, margin)
    corners = transform_points(invert(patch.frame_from_patch), box.reshape(2, 2))
    cut, patch_from_crop = cut_square(patch.image, corners.reshape(4), input_px)
    return Crop(image=cut, frame_from_crop=compose(patch.frame_from_patch, patch_from_crop))


def transform_points(affine: F32, points: F32) -> F32:
    """Apply a (2, 3) affine to (n, 2) points."""
    return np.asarray(points @ affine[:, :2].T + affine[:, 2], np.float32)


def compose(outer: F32, inner: F32) -> F32:
    """The (2, 3) affine that applies ``inner`` first, then ``outer``."""
    matrix = np.vstack([outer, [0, 0, 1]]) @ np.vstack([inner, [0, 0, 1]])
    return np.asarray(matrix[:2], np.float32)


def invert(affine: F32) -> F32:
    """The (2, 3) affine that undoes this one."""
    return np.asarray(cv2.invertAffineTransform(affine), np.float32)
