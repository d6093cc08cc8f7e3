"""The share of a view that past cameras saw between them, as the camera path editor shows it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.camera import FloatArray, intrinsics_from_fov, pose, rotation
from scene_memory.memory.retrieval.overlap import SAMPLES, fans, overlap, remembered

SIZE = {"depth": 3.0, "near": 0.1, "far": 20.0}
CAMERA = st.tuples(st.floats(-4, 4), st.floats(-4, 4), st.floats(-180, 180))


def cameras(given: list[tuple[float, float, float]]) -> tuple[FloatArray, FloatArray]:
    poses = [pose((x, 0.0, z), rotation(yaw=yaw)) for x, z, yaw in given]
    return np.array(poses).reshape(-1, 4, 4), np.tile(intrinsics_from_fov(70.0, 1.6), (len(given), 1))


def shares(
    targets: list[tuple[float, float, float]], past: list[tuple[float, float, float]]
) -> tuple[FloatArray, FloatArray]:
    """(T,) what all past cameras saw, and (T, N) what each saw."""
    poses, lenses = cameras(targets)
    seen = fans(*cameras(past))
    ahead = fans(poses, lenses)
    return remembered(ahead, poses, lenses, seen, **SIZE), overlap(ahead, poses, lenses, seen, **SIZE)


@given(st.lists(CAMERA, min_size=1, max_size=4), st.lists(CAMERA, min_size=1, max_size=12))
def test_all_saw_at_least_what_the_best_saw_and_at_most_the_sum(
    targets: list[tuple[float, float, float]], past: list[tuple[float, float, float]]
) -> None:
    together, each = shares(targets, past)
    assert (together >= each.max(axis=1) - 1e-12).all()
    assert (together <= np.minimum(1.0, each.sum(axis=1)) + 1e-12).all()
    assert np.allclose(together * SAMPLES, np.round(together * SAMPLES))


@given(st.lists(CAMERA, min_size=1, max_size=4), CAMERA)
def test_one_camera_saw_its_overlap(
    targets: list[tuple[float, float, float]], past: tuple[float, float, float]
) -> None:
    together, each = shares(targets, [past])
    assert np.array_equal(together, each[:, 0])


def test_two_halves_make_a_whole_and_nobody_saw_nothing() -> None:
    here = (0.0, 0.0, 0.0)
    together, each = shares([here], [(0.0, 0.0, -35.0), (0.0, 0.0, 35.0)])
    assert each.tolist() == [[0.5, 0.5]] and together.tolist() == [1.0]
    assert shares([here], [])[0].tolist() == [0.0]
    assert shares([here], [(0.0, 0.0, 180.0)])[0].tolist() == [0.0], "a camera that looks the other way saw nothing"


def test_more_cameras_than_are_looked_at_together_count_as_well() -> None:
    away = [(0.0, 0.0, 180.0)] * 9000
    assert shares([(0.0, 0.0, 0.0)], [*away, (0.0, 0.0, 0.0)])[0].tolist() == [1.0]
