"""Forgeries: float masks, nothing changed outside them, identity at strength 0, repeated by the seed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import astronaut

from space.contract import F32, U8
from space.lab.forge.blend import Forgery
from space.lab.forge.families import FAMILIES, forge_face, forge_track
from space.lab.forge.faults import MAX_LAG, Faults, draw_faults
from space.lab.forge.occluders import OCCLUDER_KINDS, Occluder
from space.lab.forge.part import PART_KINDS, part_mask
from space.lab.forge.shot import NotForgeableError, Shot, fill_hull
from space.lab.forge.swap import KEY_LANDMARKS, find_donor, pose_distances, warp_coordinates

CORNER = (146, 30)  # of the portrait's part with the face, x and y
SIDE = 176
LANDMARKS: F32 = np.loadtxt(Path(__file__).parent / "astronaut_landmarks.csv", delimiter=",", dtype=np.float32)
CASES = [(family, kind) for family, chosen in FAMILIES.items() for kind in chosen.kinds]
STILL = Faults(wobble=np.zeros((1, 4), np.float32))


def make_shot(shift: tuple[int, int] = (0, 0), side: int = SIDE) -> Shot:
    """The astronaut's face in a small picture."""
    x, y = CORNER[0] + shift[0], CORNER[1] + shift[1]
    whole: U8 = astronaut()  # type: ignore[no-untyped-call]
    portrait: U8 = np.ascontiguousarray(whole[max(0, y) : y + side, x : x + side])
    return Shot(portrait, LANDMARKS - np.array([x, max(0, y)], np.float32))


def make_donor() -> Shot:
    """Another face, for these purposes: other colours, a little larger and turned."""
    shot = make_shot((-4, 3))
    middle = shot.landmarks.mean(axis=0)
    rng = np.random.default_rng(0)
    spread = (shot.landmarks - middle) * (1.04, 0.97) + middle + rng.normal(0, 0.6, (478, 2))
    return Shot(np.ascontiguousarray(255 - shot.image[:, :, ::-1]), spread.astype(np.float32))


def forge(family: str, kind: str, seed: int = 1, *, shot: Shot | None = None, strength: float = 1.0) -> Forgery:
    rng = np.random.default_rng(seed)
    return forge_face(family, shot or make_shot(), rng=rng, donor=make_donor(), kind=kind, strength=strength)


def assert_sound(forgery: Forgery, size_hw: tuple[int, ...]) -> None:
    assert forgery.mask.dtype == np.float32
    assert forgery.mask.shape == size_hw[:2]
    assert forgery.mask.min() >= 0
    assert forgery.mask.max() <= 1
    assert forgery.genuine.dtype == forgery.forged.dtype == np.uint8
    assert forgery.genuine.shape == forgery.forged.shape == size_hw
    untouched = forgery.mask == 0
    assert np.array_equal(forgery.genuine[untouched], forgery.forged[untouched])


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_a_forgery_changes_its_mask_and_nothing_else(family: str, kind: str) -> None:
    shot = make_shot()
    before = shot.image.copy()
    forgery = forge(family, kind, shot=shot)
    assert_sound(forgery, shot.image.shape)
    assert np.array_equal(shot.image, before)
    assert 0 < (forgery.mask > 0.1).mean() < 0.9
    strong = forgery.mask > 0.5 * forgery.mask.max()
    assert np.abs(forgery.forged.astype(int) - forgery.genuine)[strong].mean() > 1


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_strength_0_is_the_identity(family: str, kind: str) -> None:
    forgery = forge(family, kind, strength=0)
    assert forgery.mask.max() == 0
    assert np.array_equal(forgery.forged, make_shot().image)
    assert np.array_equal(forgery.genuine, make_shot().image)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_the_seed_decides(family: str, kind: str) -> None:
    first, again, other = (forge(family, kind, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.forged, again.forged)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.forged, other.forged)


@pytest.mark.parametrize("family", FAMILIES)
@given(
    dx=st.integers(-60, 60), dy=st.integers(-30, 60), side=st.integers(90, 180), seed=st.integers(0, 2**32 - 1),
    strength=st.floats(0, 1),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_masks_stay_sound_wherever_the_face_lies(
    family: str, dx: int, dy: int, side: int, seed: int, strength: float
) -> None:
    shot, rng = make_shot((dx, dy), side), np.random.default_rng(seed)
    try:
        forgery = forge_face(
            family, shot, rng=rng, donor=make_donor(), strength=strength, faults=draw_faults(rng, n_frames=1)
        )
    except NotForgeableError:
        return  # most of the face, or the part, lies beyond the picture
    assert_sound(forgery, shot.image.shape)


def test_parts_are_disjoint() -> None:
    shot = make_shot()
    kinds = [kind for kind in PART_KINDS if kind not in ("one_eye", "jaw_line")]  # the jaw line may take the chin
    masks = {kind: part_mask(shot, kind, np.random.default_rng(0)) for kind in kinds}
    assert np.sum(list(masks.values()), axis=0).max() == 1
    eye = part_mask(shot, "one_eye", np.random.default_rng(0))
    assert 0 < eye.sum() < masks["both_eyes"].sum()
    assert ((masks["both_eyes"] - eye) >= 0).all()


def test_a_hidden_part_is_not_forged() -> None:
    beyond = make_shot((0, 100))
    with pytest.raises(NotForgeableError, match="brows"):
        forge("part", "brows", shot=beyond)


@pytest.mark.parametrize("family", ["swap", "mesh_swap"])
def test_a_swap_needs_a_donor_in_a_like_pose(family: str) -> None:
    unlike = make_donor()
    turned = Shot(unlike.image, unlike.landmarks[:, ::-1].copy())
    for donor in (None, turned):
        with pytest.raises(NotForgeableError, match="donor"):
            forge_face(family, make_shot(), rng=np.random.default_rng(0), donor=donor)


def test_a_swap_brings_the_donors_features_into_place() -> None:
    shot, donor = make_shot(), make_donor()
    xs, ys = warp_coordinates(shot.landmarks, donor.landmarks, shot.size_hw)
    keys = np.array(KEY_LANDMARKS)
    columns, rows = shot.landmarks[keys].round().astype(int).T
    placed = np.stack([xs[rows, columns], ys[rows, columns]], axis=1)
    assert np.abs(placed - donor.landmarks[keys]).max() < 2.5
    assert np.abs(placed - donor.landmarks[keys]).mean() < 1


def detail(image: U8, within: NDArray[np.bool_]) -> float:
    fine = image.astype(np.float32) - cv2.GaussianBlur(image, (0, 0), 1.2)
    return float(fine[within].std())


def test_a_feathered_face_is_as_sharp_as_its_surroundings_but_for_its_outline() -> None:
    shot = make_shot()
    hull = (fill_hull(shot.landmarks, shot.size_hw) > 0).astype(np.uint8)
    inner = cv2.erode(hull, np.ones((31, 31), np.uint8)) > 0
    outline = (cv2.dilate(hull, np.ones((5, 5), np.uint8)) > 0) & (cv2.erode(hull, np.ones((9, 9), np.uint8)) == 0)
    ratios = []
    for seed in range(24):
        forged = forge("feathered", "reshaped", seed).forged
        ratios.append([detail(forged, within) / detail(shot.image, within) for within in (inner, outline)])
    inside, along = np.mean(ratios, axis=0)
    assert 0.85 < inside < 1.15
    assert along < 0.9 * inside


def test_a_donor_is_another_face_in_the_nearest_pose() -> None:
    rng = np.random.default_rng(0)
    unlike = LANDMARKS * (1.0, 0.5) + rng.normal(0, 8, (5, 478, 2))
    like = LANDMARKS * 2 + 40  # larger and elsewhere
    like[0] += 1
    pool = np.concatenate([LANDMARKS[None], unlike, np.full((1, 478, 2), np.nan), like[None]]).astype(np.float32)
    assert pose_distances(pool, LANDMARKS)[-1] < 1e-4
    jittered = pool.copy()
    jittered[-1] += rng.normal(0, 2, (478, 2)).astype(np.float32)
    assert find_donor(jittered, LANDMARKS, np.random.default_rng(1)) == len(pool) - 1
    with pytest.raises(ValueError, match="no other face"):
        find_donor(pool[:1], LANDMARKS, np.random.default_rng(1))


def make_track(n_frames: int) -> list[Shot]:
    """The face drifting to the right by a pixel a frame."""
    return [make_shot((-index, 0)) for index in range(n_frames)]


@pytest.mark.parametrize("family", ["self_blend", "swap", "mesh_swap", "feathered", "part", "inpaint", "decoder"])
def test_on_a_track_the_forgery_goes_with_the_face(family: str) -> None:
    forgeries = forge_track(family, make_track(3), rng=np.random.default_rng(4), donor=make_donor())
    first, last = forgeries[0].mask, forgeries[2].mask
    assert np.abs(first[:, 40:-40] - last[:, 42:-38]).mean() < 0.02
    assert np.abs(first - last).mean() > 0.001


def test_on_a_track_a_mouth_talks_on_its_own_time() -> None:
    shots = [make_shot()] * 3
    forgeries = forge_track("reenact", shots, rng=np.random.default_rng(0), kind="mouth_opening", fps=4)
    moved = np.abs(forgeries[0].forged.astype(int) - forgeries[2].forged).max(axis=2) > 8
    below_nose = np.arange(SIDE) > shots[0].landmarks[2, 1]
    assert moved.sum() > 50
    assert moved[~below_nose].sum() == 0


def test_missed_frames_are_genuine() -> None:
    faults = Faults(wobble=np.zeros((3, 4), np.float32), missed=frozenset({1}))
    forgeries = forge_track("decoder", make_track(3), rng=np.random.default_rng(0), faults=faults)
    assert [bool(forgery.mask.any()) for forgery in forgeries] == [True, False, True]
    assert np.array_equal(forgeries[1].genuine, forgeries[1].forged)


def test_landmarks_lag_and_wobble() -> None:
    shots = make_track(4)
    late = Faults(wobble=np.zeros((4, 4), np.float32), lag_frames=2)
    assert np.allclose(late.mislead(shots, 3).landmarks, shots[1].landmarks, atol=1e-3)
    assert np.allclose(late.mislead(shots, 1).landmarks, shots[0].landmarks, atol=1e-3)
    aside = Faults(wobble=np.array([[0.1, 0, 0, 0]], np.float32)).mislead(shots[:1], 0)
    assert np.allclose(aside.landmarks - shots[0].landmarks, [0.1 * shots[0].face_px, 0], atol=1e-2)


@given(seed=st.integers(0, 2**32 - 1), n_frames=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_faults_are_small_and_smooth(seed: int, n_frames: int) -> None:
    faults = draw_faults(np.random.default_rng(seed), n_frames)
    assert faults.wobble.shape == (n_frames, 4)
    assert np.abs(faults.wobble).max() < 0.15
    assert np.abs(np.diff(faults.wobble, axis=0)).max(initial=0) < 0.05
    assert 0 <= faults.lag_frames <= MAX_LAG
    assert all(0 <= frame < n_frames for frame in faults.missed)
    assert len(faults.missed) <= n_frames / 2


@pytest.mark.parametrize("kind", OCCLUDER_KINDS)
def test_the_forged_face_lies_over_what_occludes_the_genuine_one(kind: str) -> None:
    shot, occluder = make_shot(), Occluder(kind, seed=3)
    clean = forge_face("swap", shot, rng=np.random.default_rng(0), donor=make_donor(), faults=STILL)
    faults = Faults(wobble=STILL.wobble, occluder=occluder)
    occluded = forge_face("swap", shot, rng=np.random.default_rng(0), donor=make_donor(), faults=faults)
    assert_sound(occluded, shot.image.shape)
    changed = np.abs(occluded.genuine.astype(int) - shot.image).max(axis=2) > 20
    assert 0.002 < changed.mean() < 0.5
    assert np.array_equal(occluded.mask, clean.mask)
    covered, left = changed & (clean.mask > 0.97 * clean.mask.max()), changed & (clean.mask == 0)
    if clean.mask.max() == 1 and covered.any():
        assert np.abs(occluded.forged.astype(int) - clean.forged)[covered].mean() < 12
    assert np.array_equal(occluded.forged[left], occluded.genuine[left])


def test_unknown_families_and_kinds_are_refused() -> None:
    for family, kind in (("nonsense", None), ("part", "nonsense")):
        with pytest.raises(KeyError, match="nonsense"):
            forge_face(family, make_shot(), rng=np.random.default_rng(0), kind=kind)
