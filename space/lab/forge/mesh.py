"""Mesh swaps: another face as a texture on the landmarks' mesh, triangle by triangle.

What swapping without a network does: each triangle is moved by its own affine, so that the face bends along its edges;
the mouth's and the eyes' inside may remain the target's; the border is narrow.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from space.analysis.parts import FACE_OVAL
from space.contract import F32, U8
from space.lab.forge.blend import Forgery
from space.lab.forge.features import INNER_LIPS, LEFT_LIDS, RIGHT_LIDS
from space.lab.forge.shot import Draws, NotForgeableError, Shot, soften_by
from space.lab.forge.swap import KEY_LANDMARKS, blend, change_sensor, match_colours

I32 = NDArray[np.int32]

MESH_KINDS = {"coarse": KEY_LANDMARKS, "fine": tuple(range(468))}  # the mesh without the irises
MIN_TRIANGLE_PX2 = 0.3  # twice the area; smaller ones, and those turned away, are left out
POISSON_SHARE = 0.2  # of the swaps are blended by gradients (Perez et al. 2003)


def forge_mesh_swap(shot: Shot, *, kind: str, draws: Draws, strength: float) -> Forgery:
    """Another face's texture on this face's mesh."""
    donor = draws.donor
    if donor is None:
        raise NotForgeableError("a mesh swap needs a donor")
    rng = draws.once
    keep_inside = rng.random() < 0.5
    triangles = triangulate(donor.landmarks, MESH_KINDS[kind], without_openings=keep_inside)
    scale = float(rng.uniform(0.35, 1.0))
    foreign, hard = _render(shot, donor, triangles, scale)
    soft = soften_by(hard, float(rng.uniform(0.006, 0.03)) * shot.face_px)
    foreign = match_colours(change_sensor(foreign, rng, draws.each), shot.image, soft, rng)
    if rng.random() < POISSON_SHARE:
        foreign = _blend_gradients(foreign, shot.image, hard)
    mask = soft * np.float32(strength)
    return Forgery(genuine=shot.image, forged=blend(shot.image, foreign, mask), mask=mask)


def triangulate(landmarks: F32, chosen: tuple[int, ...], *, without_openings: bool) -> I32:
    """Delaunay triangles of chosen landmarks inside the face's oval.

    Args:
        without_openings: leave the mouth's and the eyes' inside out.

    Returns:
        (n, 3) indices of landmarks, each triangle clockwise on the screen.
    """
    points = landmarks[list(chosen)].astype(np.float32)
    low, high = points.min(axis=0) - 2, points.max(axis=0) + 2
    plane = cv2.Subdiv2D((int(low[0]), int(low[1]), int(high[0] - low[0]) + 2, int(high[1] - low[1]) + 2))
    vertices = {plane.insert((float(x), float(y))): index for index, (x, y) in zip(chosen, points, strict=True)}
    corners = np.asarray(plane.getTriangleList(), np.float32).reshape(-1, 3, 2)
    found = [tuple(vertices.get(plane.locate((float(x), float(y)))[2], -1) for x, y in corner) for corner in corners]
    triangles = np.array([t for t in found if min(t) >= 0 and len(set(t)) == 3], np.int32).reshape(-1, 3)
    outline = landmarks[list(FACE_OVAL)].astype(np.float32)
    middles = landmarks[triangles].mean(axis=1)
    inside = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in middles], bool)
    if without_openings:
        for ring in (INNER_LIPS, LEFT_LIDS, RIGHT_LIDS):
            inside &= ~np.isin(triangles, ring).all(axis=1)
    triangles = np.asarray(triangles[inside], np.int32)
    turned = _signed_areas(landmarks, triangles) < 0
    triangles[turned] = triangles[turned][:, ::-1]
    return triangles


def _signed_areas(landmarks: F32, triangles: I32) -> F32:
    """Twice each triangle's area; negative where it shows its back."""
    a, b, c = (landmarks[triangles[:, i]] for i in range(3))
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    return np.asarray(x1 * y2 - y1 * x2, np.float32)


def _render(shot: Shot, donor: Shot, triangles: I32, scale: float) -> tuple[U8, F32]:
    """The donor's texture on the target's mesh, drawn at a share of the resolution; and where: (H, W) of 0 and 1."""
    height, width = shot.size_hw
    visible = triangles[_signed_areas(shot.landmarks, triangles) > MIN_TRIANGLE_PX2]
    corners = shot.landmarks[visible].astype(np.float64)  # (n, 3, 2)
    system = np.concatenate([corners, np.ones((len(corners), 3, 1))], axis=2)
    affines = np.linalg.inv(system) @ donor.landmarks[visible].astype(np.float64)  # (n, 3, 2): x, y, 1 -> donor
    which = np.full((height, width), -1, np.int32)
    for index, corner in enumerate(np.round(corners * 16).astype(np.int32)):
        cv2.fillConvexPoly(which, corner, (index,), shift=4)
    ys, xs = np.nonzero(which >= 0)
    if not len(xs):
        raise NotForgeableError("no triangle faces the camera")
    own = affines[which[ys, xs]]
    places = np.full((height, width, 2), -1, np.float32)
    places[ys, xs] = xs[:, None] * own[:, 0] + ys[:, None] * own[:, 1] + own[:, 2]
    donor_h, donor_w = donor.size_hw
    small = max(8, round(donor_w * scale)), max(8, round(donor_h * scale))
    texture = cv2.resize(cv2.resize(donor.image, small, interpolation=cv2.INTER_AREA), (donor_w, donor_h))
    rendered = cv2.remap(texture, places[:, :, 0], places[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    is_seen = (places >= 0).all(axis=2) & (places[:, :, 0] < donor_w) & (places[:, :, 1] < donor_h)
    return np.asarray(rendered, np.uint8), is_seen.astype(np.float32)


def _blend_gradients(foreign: U8, target: U8, hard: F32) -> U8:
    """The foreign gradients, with the target's colours along the mask's border."""
    inner = hard.copy()
    inner[[0, 1, -2, -1]] = 0  # the border of the image has no neighbours
    inner[:, [0, 1, -2, -1]] = 0
    ys, xs = np.nonzero(inner)
    if not len(xs):
        return foreign
    centre = (int(xs.min() + xs.max() + 1) // 2, int(ys.min() + ys.max() + 1) // 2)
    return np.asarray(
        cv2.seamlessClone(foreign, target, (inner * 255).astype(np.uint8), centre, cv2.NORMAL_CLONE), np.uint8
    )
