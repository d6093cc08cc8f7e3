"""Cameras that a model estimates, brought into the scene: fits against closed forms, and a stand-in that tells the
truth in axes of its own."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scene_memory.dev.bench._geometry.films import KnownFilm, known_film, scenes
from scene_memory.memory.geometry.camera_fit import between, misfit_of, similarity_of
from scene_memory.memory.geometry.camera_report import apart, report, went
from scene_memory.memory.geometry.measure_camera import FROM_CAMERAS, FROM_PLAN
from scene_memory.memory.geometry.multi_view import MOST_VIEWS, measure_by_views
from scene_memory.memory.geometry.recognition import Similarity


def poses(random: np.random.Generator, count: int, spread: float = 1.0) -> NDArray[np.float64]:
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, :3, :3] = Rotation.random(count, random_state=int(random.integers(1 << 30))).as_matrix()
    result[:, :3, 3] = spread * random.normal(size=(count, 3))
    return result


@given(seed=st.integers(0, 10_000), count=st.integers(1, 9), scale=st.floats(0.05, 20.0))
def test_a_similarity_is_found_again(seed: int, count: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    true = Similarity(scale, Rotation.random(random_state=seed).as_matrix(), random.normal(size=3))
    estimated = poses(random, count)
    known = true.poses(estimated[:, :3, :3], estimated[:, :3, 3])
    found = similarity_of(estimated, known, scale)
    degrees, way = misfit_of(found, estimated, known)
    assert degrees.max() < 1e-4 and way.max() < 1e-6 * scale + 1e-9
    assert found.scale == pytest.approx(scale)


def test_cameras_that_do_not_agree_with_most_are_left_out_of_account() -> None:
    random = np.random.default_rng(5)
    true = Similarity(3.0, Rotation.random(random_state=1).as_matrix(), np.array([1.0, 2.0, 3.0]))
    estimated = poses(random, 9)
    known = true.poses(estimated[:, :3, :3], estimated[:, :3, 3])
    known[[2, 6]] = poses(random, 2, spread=20.0)
    found = similarity_of(estimated, known)
    assert found.scale == pytest.approx(3.0, rel=0.01)
    assert np.degrees(Rotation.from_matrix(found.turn.T @ true.turn).magnitude()) < 0.5


def test_cameras_in_a_row_and_in_one_place_fix_the_turn() -> None:
    row = np.tile(np.eye(4), (4, 1, 1))
    row[:, 2, 3] = np.arange(4.0)
    true = Similarity(2.0, Rotation.from_euler("xyz", [0.3, 1.2, -0.4]).as_matrix(), np.ones(3))
    known = true.poses(row[:, :3, :3], row[:, :3, 3])
    assert np.allclose(similarity_of(row, known).turn, true.turn)
    here = similarity_of(row[:1].repeat(3, axis=0), known[:1].repeat(3, axis=0), 5.0)
    assert np.allclose(here.turn, true.turn) and here.scale == 5.0


def test_no_cameras_fix_nothing() -> None:
    with pytest.raises(ValueError, match="0 cameras are to be fitted to 0"):
        similarity_of(np.empty((0, 4, 4)), np.empty((0, 4, 4)))


def test_frames_between_stand_between() -> None:
    path = np.tile(np.eye(4), (2, 1, 1))
    path[1, 0, 3] = 4.0
    assert np.allclose(between([0, 4], path, 5)[:, 0, 3], np.arange(5.0), atol=1.0)


@cache
def film() -> KnownFilm:
    return known_film("textured", next(scenes(221_000, True)), 30, 320, 192)


class TrueCameras:
    """Stands in for a model: the true cameras, of frames it knows by their pixels, moved, shrunk and shaken."""

    def __init__(self, one: KnownFilm, shaken: float = 0.002) -> None:
        pictures = np.concatenate([one.pictures, one.remembered.pictures])
        self.known = {picture.tobytes(): pose for picture, pose in
                      zip(pictures, np.concatenate([one.truth.poses, one.remembered.poses]), strict=True)}
        self.shaken, self.given = shaken, 0

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        self.given = len(pictures)
        true = np.stack([self.known[picture.tobytes()] for picture in pictures])
        moved = Similarity(0.2, Rotation.from_euler("y", 1.0).as_matrix(), np.array([3.0, 1.0, 2.0]))
        result = moved.poses(true[:, :3, :3], true[:, :3, 3])
        shake = Rotation.from_rotvec(np.random.default_rng(1).normal(0, self.shaken, (len(true), 3))).as_matrix()
        result[:, :3, :3] = result[:, :3, :3] @ shake
        return result


def test_a_model_s_cameras_are_laid_into_the_memory() -> None:
    one, model = film(), TrueCameras(film())
    found = measure_by_views(one.pictures, model, one.truth.intrinsics, one.planned, one.remembered)
    degrees, way = apart(one.truth, found.trajectory)
    assert model.given == MOST_VIEWS + len(one.remembered.poses) and found.scale_from == FROM_CAMERAS
    assert degrees.max() < 1.0 and way.max() < 0.05 * went(one.truth) and found.sure.mean() > 0.9
    assert "cameras of 4 remembered frames" in report(found, one.planned)


def test_without_a_memory_the_plan_says_where_it_begins_and_how_long_it_is() -> None:
    one = film()
    found = measure_by_views(one.pictures, TrueCameras(one), one.truth.intrinsics, one.truth)
    degrees, way = apart(one.truth, found.trajectory)
    assert found.scale_from == FROM_PLAN and degrees.max() < 1.0 and way.max() < 0.1 * went(one.truth)


def test_cameras_that_the_pictures_contradict_are_not_sure() -> None:
    one = film()
    found = measure_by_views(one.pictures, TrueCameras(one, shaken=0.3), one.truth.intrinsics, one.planned)
    assert found.sure.mean() < 0.1 and "do not agree" in found.reasons[5]


def test_a_model_that_gives_no_cameras_is_refused() -> None:
    one = film()
    with pytest.raises(ValueError, match="gave no cameras"):
        measure_by_views(one.pictures, lambda seen: np.full((len(seen), 4, 4), np.nan), one.truth.intrinsics)
