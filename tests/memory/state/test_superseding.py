"""Which earlier frames saw the place that newer frames show."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.state.state import MemoryState, SegmentRecord
from scene_memory.memory.state.superseding import outdated_frames

LENS = intrinsics_from_fov(70.0, 1.6)


def film(*cameras: tuple[tuple[float, float, float], float], depth: np.ndarray | None = None) -> MemoryState:
    """A memory with one frame for each (place, yaw), without pixels."""
    record = SegmentRecord("1" * 64, "0" * 64, 0, len(cameras), 0, "", (60, 96), 8.0)
    poses = np.stack([pose(place, rotation(yaw=yaw)) for place, yaw in cameras])
    return MemoryState().with_segment(record, poses, np.tile(LENS, (len(cameras), 1)), depth=depth)


def test_frames_that_looked_there_are_outdated_and_frames_that_looked_away_are_not() -> None:
    origin = (0.0, 0.0, 0.0)
    state = film((origin, 0), (origin, 30), (origin, 90), (origin, 180), (origin, 350), (origin, 0))
    assert outdated_frames(state, ((5, 6),), scale=3.0).tolist() == [0, 1, 4]


def test_frames_after_the_first_newer_one_are_never_outdated() -> None:
    origin = (0.0, 0.0, 0.0)
    state = film(*[(origin, 0.0)] * 6)
    assert outdated_frames(state, ((2, 3), (5, 6)), scale=3.0).tolist() == [0, 1]
    assert outdated_frames(state, ((0, 6),), scale=3.0).tolist() == []


def test_a_close_look_at_the_place_and_a_look_from_the_other_side_are_outdated() -> None:
    close = ((0.0, 0.0, 1.6), 0.0)
    across = ((0.0, 0.0, 6.0), 180.0)
    behind = ((0.0, 0.0, 12.0), 0.0)
    state = film(close, across, behind, ((0.0, 0.0, 0.0), 0.0))
    assert outdated_frames(state, ((3, 4),), scale=3.0).tolist() == [0, 1]


def test_a_higher_share_outdates_fewer_frames() -> None:
    origin = (0.0, 0.0, 0.0)
    state = film(*[(origin, float(yaw)) for yaw in range(-90, 91, 10)], (origin, 0.0))
    found = [set(outdated_frames(state, ((19, 20),), 3.0, share).tolist()) for share in (0.1, 0.4, 0.8)]
    assert found[2] < found[1] < found[0]


def test_a_wall_between_hides_the_place_where_depth_is_known() -> None:
    """Two rooms, one behind the other: the camera in the first faces the second, with a wall 2 units ahead."""
    cameras = [((0.0, 0.0, 0.0), 0.0), ((0.0, 0.0, 2.5), 0.0), ((0.0, 0.0, 2.5), 0.0)]
    assert outdated_frames(film(*cameras), ((2, 3),), scale=3.0).tolist() == [0, 1]
    depth = np.full((3, 30, 48), 3.0)
    depth[0] = 2.0
    assert outdated_frames(film(*cameras, depth=depth), ((2, 3),), scale=3.0).tolist() == [1]


@pytest.mark.parametrize("frames", [600, 1300])
def test_long_films_are_looked_through_whole(frames: int) -> None:
    state = film(*[((0.0, 0.0, 0.0), 0.0 if index % 2 else 180.0) for index in range(frames)], ((0.0, 0.0, 0.0), 0.0))
    assert outdated_frames(state, ((frames, frames + 1),), 3.0).tolist() == list(range(1, frames, 2))
