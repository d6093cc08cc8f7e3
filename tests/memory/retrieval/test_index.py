"""The camera index: what it finds, what it leaves out, and that it is a value."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.retrieval.index import CameraIndex
from scene_memory.memory.retrieval.index.camera_index import EXACT
from scene_memory.memory.retrieval.index.cones import MIDDLE, SPREAD, directions, tangents
from scene_memory.memory.retrieval.index.views import (
    COARSE,
    DEPTHS,
    FINE,
    LEAST_DENSITY,
    OPPOSITE,
    different_views,
    meets,
    views,
)

Array = NDArray[np.float64]
ALL = 10**6
CLOSE = 1e-3
"""Part of the reach within which float32 and float64 may differ on whether something is in view."""


def wandering(frames: int, seed: int, room: float = 8.0, turns: float = 1.0, flat: bool = False) -> Array:
    """A smooth seeded path in a box of ``room`` units that looks all round; ``flat`` keeps the camera level."""
    random = np.random.default_rng(seed)
    clock = np.linspace(0.0, turns * 2 * np.pi * max(1, frames / 400), frames)
    place = np.stack([np.sin(clock * speed + random.uniform(0, 6)) for speed in random.uniform(0.5, 1.5, 3)], axis=1)
    place *= room / 2
    yaw = np.degrees(clock * random.uniform(1.0, 3.0))
    pitch = np.zeros(frames) if flat else 70.0 * np.sin(clock * random.uniform(0.5, 2.0))
    if flat:
        place[:, 1] = 0.0
    return np.stack([pose(p, rotation(y, e)) for p, y, e in zip(place, yaw, pitch, strict=True)])


def lenses(frames: int, fov: float = 70.0, aspect: float = 16 / 9) -> Array:
    return np.tile(intrinsics_from_fov(fov, aspect), (frames, 1))


def index_of(poses: Array, intrinsics: Array | None = None, segment: int = ALL) -> CameraIndex:
    intrinsics = lenses(len(poses)) if intrinsics is None else intrinsics
    index = CameraIndex.empty()
    for first in range(0, len(poses), segment):
        index = index.extended(poses[first : first + segment], intrinsics[first : first + segment], first)
    return index


def assert_is_exactly_what_is_relevant(found: NDArray[np.int64], margin: Array, reach: float) -> None:
    frames = np.arange(len(margin))
    certain, possible = frames[margin > CLOSE * reach], frames[margin >= -CLOSE * reach]
    missing, surplus = np.setdiff1d(certain, found), np.setdiff1d(found, possible)
    assert not len(missing), f"{missing[:5]} share a view by {margin[missing[:5]]} but were not found"
    assert not len(surplus), f"{surplus[:5]} were found but miss every view by {margin[surplus[:5]]}"


def relevance(
    poses: Array, intrinsics: Array, targets: Array, target_intrinsics: Array, reach: float
) -> Array:
    """What the index shall find, said plainly and in float64: every past camera against every ball of every view.

    (n,) by how many scene units past cameras (n, 4, 4) have a ball of the targets' views in view, best of all balls.

    A camera is relevant if this is 0 or more: see ``index.views`` for what it says in words.
    """
    angle, tangent = np.arctan(tangents(intrinsics)), tangents(intrinsics)
    result = np.full(len(poses), -np.inf)
    for view in different_views(targets, reach):
        target, lens = targets[view], target_intrinsics[view]
        for x, y, size in _picture(lens):
            ray = np.array([(x - lens[2]) / lens[0], (y - lens[3]) / lens[1], 1.0])
            sight = target[:3, :3] @ (ray / np.linalg.norm(ray))
            for depth in reach * np.array(DEPTHS):
                radius = size * depth
                to_ball = target[:3, 3] + depth * sight - poses[:, :3, 3]
                distance = np.linalg.norm(to_ball, axis=1)
                ahead = (to_ball * poses[:, :3, 2]).sum(axis=1)
                aside = np.sqrt(np.maximum(distance**2 - ahead**2, 0.0))
                beside = np.arctan2(aside, ahead) - angle
                in_view = radius - distance * np.where(beside > np.pi / 2, 1.0, np.sin(beside))
                enough = tangents(lens[None])[0] / tangent * depth / LEAST_DENSITY
                near = np.minimum(enough, reach) + radius - distance
                same_side = to_ball @ sight + OPPOSITE * distance
                result = np.maximum(result, np.minimum(np.minimum(in_view, near), same_side))
    return result


def _picture(lens: Array) -> list[tuple[float, float, float]]:
    """Middles of the parts of a picture, and half the size of a part at a distance of 1."""
    columns, rows = (FINE, COARSE) if lens[0] <= lens[1] else (COARSE, FINE)
    size = min(1.0, max(0.5 / (columns * lens[0]), 0.5 / (rows * lens[1])))
    return [
        ((column + 0.5) / columns, (row + 0.5) / rows, size)
        for row, column in (divmod(part, columns) for part in range(math.prod((columns, rows))))
    ]


@given(
    seed=st.integers(0, 999),
    frames=st.integers(1, 2500),
    reach=st.floats(0.5, 20.0),
    fov=st.floats(20.0, 110.0),
    segment=st.integers(40, 900),
)
@settings(max_examples=25)
def test_finds_exactly_the_frames_that_share_a_view(
    seed: int, frames: int, reach: float, fov: float, segment: int
) -> None:
    poses, coming = wandering(frames, seed), wandering(81, seed + 1)
    past_lens, lens = lenses(frames, 60.0), lenses(81, fov)
    found = index_of(poses, past_lens, segment).candidates(coming, lens, reach=reach, limit=ALL)
    assert_is_exactly_what_is_relevant(found, relevance(poses, past_lens, coming, lens, reach), reach)


def test_finds_exactly_the_frames_of_a_film_with_many_lenses() -> None:
    poses, coming = wandering(3000, 5), wandering(81, 6)
    past = np.concatenate([lenses(1, fov) for fov in np.linspace(8.0, 140.0, 3000)])
    found = index_of(poses, past).candidates(coming, lenses(81), reach=4.0, limit=ALL)
    assert 0 < len(found) < 3000
    assert_is_exactly_what_is_relevant(found, relevance(poses, past, coming, lenses(81), 4.0), 4.0)


@given(seed=st.integers(0, 9999), tangent=st.floats(0.05, 12.0), size=st.floats(0.0, 1.0))
@settings(max_examples=200)
def test_a_cell_shares_a_view_wherever_a_camera_in_it_does(seed: int, tangent: float, size: float) -> None:
    random = np.random.default_rng(seed)
    target = views(wandering(1, seed), lenses(1, 70.0), np.eye(4), reach=10.0)
    middle = target.origin + random.normal(size=(1, 3)).astype(np.float32) * 4
    axis = random.normal(size=(300, 3)).astype(np.float32)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    place = directions(axis)
    axis = axis[place == place[0]]
    away = random.normal(size=(len(axis), 3))
    away *= size * random.uniform(0, 1, (len(axis), 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    lens = np.full(len(axis), tangent, dtype=np.float32)
    inside = meets(target, middle + away.astype(np.float32), axis, np.arctan(lens), lens)
    angle = np.arctan(lens[:1]) + SPREAD[place[:1]]
    cell = meets(target, middle, MIDDLE[place[:1]], angle, lens[:1], size + 1e-4)
    assert cell[0] or not inside.any()


@pytest.mark.parametrize("reach", [2.0, 5.0, 12.0])
def test_cells_are_passed_over_only_where_no_frame_shares_a_view(reach: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("scene_memory.memory.retrieval.index.block"), "FIRST_CELLS", 16)
    poses, coming = wandering(10_000, 1, room=40.0, turns=2.0), wandering(81, 2, room=10.0)
    index = index_of(poses)
    assert len(index.blocks) > 1
    found = index.candidates(coming, lenses(81), reach=reach, limit=ALL)
    assert_is_exactly_what_is_relevant(found, relevance(poses, lenses(10_000), coming, lenses(81), reach), reach)


@given(seed=st.integers(0, 999))
@settings(max_examples=15)
def test_whoever_sees_a_twentieth_of_the_points_of_a_view_is_found(seed: int) -> None:
    """Against points strewn in the view, which know nothing of balls: seen, near enough, and from the same side."""
    random = np.random.default_rng(seed)
    poses, coming, reach = wandering(700, seed), wandering(400, seed + 500)[100:181], 5.0
    lens, points = intrinsics_from_fov(70.0, 16 / 9), 150
    picture, depth = random.uniform(0, 1, (points, 2)), reach * random.uniform(0.1, 1.0, points) ** (1 / 2)
    rays = np.concatenate([(picture - lens[2:]) / lens[:2], np.ones((points, 1))], axis=1)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    found = index_of(poses).candidates(coming, lenses(81), reach=reach, limit=ALL)
    for target in coming[[0, 40, 80]]:
        sight = rays @ target[:3, :3].T
        offset = target[:3, 3] + depth[:, None] * sight - poses[:, None, :3, 3]
        distance = np.linalg.norm(offset, axis=-1)
        inside = offset @ poses[:, :3, :3]
        with np.errstate(divide="ignore", invalid="ignore"):
            at = inside[..., :2] / inside[..., 2:] * lens[:2] + lens[2:]
        seen = (inside[..., 2] > 0) & ((at >= 0) & (at <= 1)).all(axis=-1)
        seen &= distance <= np.minimum(4 * depth, reach)
        seen &= (offset * sight).sum(axis=-1) >= 0
        sharing = np.flatnonzero(seen.mean(axis=1) >= 0.05)
        assert not len(np.setdiff1d(sharing, found))


def test_a_camera_on_the_other_side_or_too_far_off_is_left_out() -> None:
    ahead, facing = pose([0, 0, 0], rotation()), pose([0, 0, 6.0], rotation(yaw=180.0))
    far, beside = pose([0, 0, -30.0], rotation()), pose([0.5, 0, 0], rotation(yaw=10.0))
    back = pose([0, 0, -0.5], rotation(yaw=180.0))
    index = index_of(np.stack([ahead, facing, far, beside, back]), lenses(5, 40.0))
    assert index.candidates(ahead[None], lenses(1, 40.0), reach=5.0, limit=400).tolist() == [0, 3]


def test_a_long_lens_counts_from_farther_off_than_a_wide_one() -> None:
    """What the target sees close by, a wide lens fifteen units behind it sees too small."""
    target, behind = pose([0, 0, 0], rotation()), pose([0, 0, -15.0], rotation())
    counts = [
        len(index_of(behind[None], lenses(1, fov)).candidates(target[None], lenses(1, 90.0), reach=20.0, limit=400))
        for fov in (30.0, 150.0)
    ]
    assert counts == [1, 0]
    mixed = np.repeat(np.concatenate([lenses(1, 30.0), lenses(1, 150.0)]), 1024, axis=0)
    index = index_of(np.tile(behind, (2048, 1, 1)), mixed)
    found = index.candidates(target[None], lenses(1, 90.0), reach=20.0, limit=ALL)
    assert np.array_equal(found, np.arange(1024))


@pytest.mark.parametrize("frames", [50, 1023, 1024, 1025, 5000, 20000])
@pytest.mark.parametrize("segment", [81, 777])
def test_how_a_film_was_cut_leaves_no_trace(frames: int, segment: int) -> None:
    poses, coming = wandering(frames, 3), wandering(81, 4)
    whole, cut = index_of(poses), index_of(poses, segment=segment)
    assert whole.frames == cut.frames == frames
    assert [(block.first, len(block)) for block in whole.blocks] == [(block.first, len(block)) for block in cut.blocks]
    for limit in (60, 400, ALL):
        asked = dict(reach=4.0, limit=limit)
        assert np.array_equal(
            whole.candidates(coming, lenses(81), **asked), cut.candidates(coming, lenses(81), **asked)
        )


def test_branches_from_one_index_never_see_each_other() -> None:
    root = index_of(wandering(2000, 1))
    coming = wandering(81, 9)
    before = root.candidates(coming, lenses(81), reach=5.0, limit=ALL)
    left = root.extended(wandering(500, 2), lenses(500), 2000)
    right = root.extended(wandering(1500, 3), lenses(1500), 2000)
    assert (root.frames, left.frames, right.frames) == (2000, 2500, 3500)
    assert np.array_equal(before, root.candidates(coming, lenses(81), reach=5.0, limit=ALL))
    for branch, seed, added in ((left, 2, 500), (right, 3, 1500)):
        alone = index_of(np.concatenate([wandering(2000, 1), wandering(added, seed)]))
        assert np.array_equal(
            branch.candidates(coming, lenses(81), reach=5.0, limit=300),
            alone.candidates(coming, lenses(81), reach=5.0, limit=300),
        )


def test_appending_shares_the_blocks_that_stay() -> None:
    index = index_of(wandering(5 * 1024, 1))
    longer = index.extended(wandering(81, 2), lenses(81), index.frames)
    assert all(old is new for old, new in zip(index.blocks, longer.blocks, strict=True))


def test_asking_again_gives_the_same() -> None:
    index, coming = index_of(wandering(6000, 1)), wandering(81, 2)
    first = index.candidates(coming, lenses(81), reach=5.0, limit=200)
    assert np.array_equal(first, index.candidates(coming, lenses(81), reach=5.0, limit=200))
    assert first.dtype == np.int64
    assert (np.diff(first) > 0).all()


@pytest.mark.parametrize("limit", [1, 7, 100, 400])
def test_no_more_than_the_limit_are_found_and_no_fewer_where_there_are_more(limit: int) -> None:
    poses, coming = wandering(20000, 1, room=4.0), wandering(81, 2, room=4.0)
    index = index_of(poses)
    assert len(index.candidates(coming, lenses(81), reach=4.0, limit=ALL)) > 1000
    assert len(index.candidates(coming, lenses(81), reach=4.0, limit=limit)) == limit


def test_thinning_leaves_a_frame_near_each_that_was_left_out() -> None:
    poses, coming, reach = wandering(EXACT * 10, 1, room=6.0, flat=True), wandering(81, 2, room=6.0, flat=True), 6.0
    index = index_of(poses)
    every = index.candidates(coming, lenses(81), reach=reach, limit=ALL)
    some = index.candidates(coming, lenses(81), reach=reach, limit=400)
    assert len(every) > 2000
    assert not len(np.setdiff1d(some, every))
    apart = np.linalg.norm(poses[every, None, :3, 3] - poses[some, :3, 3], axis=-1) / reach
    turned = np.degrees(np.arccos(np.clip(poses[every, :3, 2] @ poses[some, :3, 2].T, -1, 1)))
    near = ((apart < 0.25) & (turned < 40.0)).any(axis=1)
    assert near.mean() > 0.99


def test_the_oldest_frame_of_a_place_is_kept() -> None:
    poses = wandering(16 * 1024, 1, room=4.0, flat=True)
    index = index_of(poses)
    assert len(index.blocks) == 1
    for begin in (poses[:1], poses[:81]):
        assert 0 in index.candidates(begin, lenses(len(begin)), reach=4.0, limit=400)


def test_a_film_that_stays_in_place_gives_its_oldest_and_a_spread_of_the_rest() -> None:
    still = np.tile(pose([1, 2, 3], rotation(20.0)), (30_000, 1, 1))
    found = index_of(still).candidates(still[:81], lenses(81), reach=3.0, limit=100)
    assert len(found) == 100
    assert found[0] == 0
    assert np.diff(found).max() < 8000


def test_an_excluded_oldest_frame_does_not_stand_before_a_usable_one() -> None:
    poses = np.tile(pose([0, 0, 0], rotation()), (20_000, 1, 1))
    index = index_of(poses)
    for usable_from in (1, 5000, 17_000, 19_960, 19_999):
        found = index.candidates(
            poses[:1], lenses(1), reach=3.0, limit=50, usable=lambda frames, begin=usable_from: frames >= begin
        )
        assert 0 < len(found) <= 50
        assert found.min() >= usable_from


@given(seed=st.integers(0, 99), share=st.floats(0.02, 0.9))
@settings(max_examples=15)
def test_unusable_frames_are_never_given_and_all_others_are(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    allowed = random.random(2000) < share
    poses, coming = wandering(2000, seed), wandering(81, seed + 1)
    index = index_of(poses)
    every = index.candidates(coming, lenses(81), reach=5.0, limit=ALL)
    found = index.candidates(coming, lenses(81), reach=5.0, limit=ALL, usable=lambda frames: allowed[frames])
    assert np.array_equal(found, every[allowed[every]])
    few = index.candidates(coming, lenses(81), reach=5.0, limit=40, usable=lambda frames: allowed[frames])
    assert len(few) == min(40, len(found))
    assert allowed[few].all()


@pytest.mark.parametrize("limit", [150, ALL])
def test_another_unit_of_length_changes_nothing(limit: int) -> None:
    poses, coming = wandering(9000, 1), wandering(81, 2)
    larger, ahead = poses.copy(), coming.copy()
    larger[:, :3, 3] *= 128.0
    ahead[:, :3, 3] *= 128.0
    found = index_of(poses).candidates(coming, lenses(81), reach=4.0, limit=limit)
    assert np.array_equal(found, index_of(larger).candidates(ahead, lenses(81), reach=4.0 * 128.0, limit=limit))


@pytest.mark.parametrize(("scale", "turn", "move"), [(100.0, 0.0, 0.0), (1.0, 37.0, 0.0), (0.01, -120.0, 5000.0)])
def test_the_world_may_be_scaled_turned_and_moved(scale: float, turn: float, move: float) -> None:
    poses, coming = wandering(3000, 1), wandering(81, 2)
    world = pose([move, -move, 2 * move], rotation(turn, turn / 3, turn / 5))
    there, ahead = world @ scaled(poses, scale), world @ scaled(coming, scale)
    here = index_of(poses).candidates(coming, lenses(81), reach=4.0, limit=ALL)
    found = index_of(there).candidates(ahead, lenses(81), reach=4.0 * scale, limit=ALL)
    assert np.array_equal(here, found)
    thin = index_of(poses).candidates(coming, lenses(81), reach=4.0, limit=200)
    thin_there = index_of(there).candidates(ahead, lenses(81), reach=4.0 * scale, limit=200)
    assert len(np.intersect1d(thin, thin_there)) >= 0.95 * len(thin)


def scaled(poses: Array, scale: float) -> Array:
    result = poses.copy()
    result[:, :3, 3] *= scale
    return result


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("reach", [1e-9, 1e-3, 1.0, 1e9])
def test_degenerate_cameras_are_no_trouble(reach: float) -> None:
    down, up = pose([0, 0, 0], rotation(pitch=-90.0)), pose([0, 0, 0], rotation(pitch=90.0))
    at_once = np.concatenate([np.tile(down, (1500, 1, 1)), np.tile(up, (1500, 1, 1))])
    index = index_of(at_once)
    found = index.candidates(at_once[:81], lenses(81), reach=reach, limit=400)
    assert len(found) == 400
    assert (found < 1500).all()


@pytest.mark.filterwarnings("error")
def test_absurd_numbers_break_nothing() -> None:
    random = np.random.default_rng(0)
    poses = wandering(2500, 1)
    poses[::7, :3, 3] = random.choice([1e-300, 1e12, -1e300, 1e308], (len(poses[::7]), 3))
    strange = lenses(2500)
    strange[::5] = random.choice([1e-300, 1e-3, 1.0, 1e6, 1e300], (len(strange[::5]), 4))
    index = index_of(poses, strange)
    for reach in (1e-300, 1.0, 1e300):
        found = index.candidates(poses[:81], strange[:81], reach=reach, limit=100)
        assert len(found) <= 100
        assert ((found >= 0) & (found < 2500)).all()


def test_far_off_cameras_do_not_blur_those_close_by() -> None:
    """A cut to a place ten thousand times farther off than the reach leaves the cells of each place small."""
    near, far = wandering(3000, 1), wandering(3000, 2)
    far[:, :3, 3] += 50_000.0
    coming = wandering(81, 3)
    both = index_of(np.concatenate([near, far]))
    found = both.candidates(coming, lenses(81), reach=3.0, limit=ALL)
    assert_is_exactly_what_is_relevant(found, relevance(near, lenses(3000), coming, lenses(81), 3.0), 3.0)


def test_an_empty_index_has_no_candidates() -> None:
    index = CameraIndex.empty()
    assert index.frames == 0
    assert len(index.candidates(wandering(5, 1), lenses(5), reach=1.0, limit=10)) == 0


def test_what_does_not_fit_is_refused_in_words() -> None:
    index, coming = index_of(wandering(10, 1)), wandering(3, 2)
    with pytest.raises(ValueError, match="do not follow the 10 frames.*Continue with frame 10"):
        index.extended(coming, lenses(3), 9)
    with pytest.raises(ValueError, match="do not fit together"):
        index.extended(coming, lenses(2), 10)
    with pytest.raises(ValueError, match="no coming cameras"):
        index.candidates(coming[:0], lenses(0), reach=1.0, limit=10)
    for reach in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="reach is .* above 0"):
            index.candidates(coming, lenses(3), reach=reach, limit=10)
    with pytest.raises(ValueError, match="limit is 0"):
        index.candidates(coming, lenses(3), reach=1.0, limit=0)
    coming[1, 0, 3] = np.nan
    with pytest.raises(ValueError, match="not a finite number"):
        index.extended(coming, lenses(3), 10)


def test_every_direction_has_its_bin_and_neighbours_share_it() -> None:
    random = np.random.default_rng(0)
    axis = random.normal(size=(20_000, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    place = directions(axis.astype(np.float32))
    assert set(place) == set(range(54))
    for here in range(54):
        inside = axis[place == here]
        assert (inside @ inside.T).min() > np.cos(np.radians(43.0))


def test_takes_at_most_fifty_bytes_a_frame() -> None:
    poses = wandering(40_000, 1, room=200.0, turns=0.1)
    poses[:, :3, 3] += np.random.default_rng(0).normal(size=(40_000, 3))
    assert index_of(poses).nbytes <= 50 * 40_000
