"""Cameras measured in rendered films, against the cameras that they were rendered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pytest

from scene_memory.dev.bench._geometry.films import KnownFilm, known_film, scenes
from scene_memory.memory.cameras.camera import intrinsics_from_fov
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.geometry.camera_report import apart, report, went
from scene_memory.memory.geometry.measure_camera import (
    ALONE,
    CUT,
    FROM_DEPTH,
    FROM_NOTHING,
    FROM_PLAN,
    MeasuredCamera,
    measure_camera,
)

FRAMES, WIDTH, HEIGHT = 14, 320, 192


@cache
def film(kind: str, number: int = 0) -> KnownFilm:
    scene = next(islice(scenes(220_000, kind != "blank"), number, None))
    return known_film(kind, scene, FRAMES, WIDTH, HEIGHT)


@cache
def measured(kind: str, plan: bool = True, memory: bool = True) -> MeasuredCamera:
    one = film(kind)
    planned, remembered = one.planned if plan else None, one.remembered if memory else None
    return measure_camera(one.pictures, one.truth.intrinsics, planned, remembered)


def test_a_film_in_a_room_is_measured_and_laid_into_the_memory() -> None:
    found, truth = measured("textured"), film("textured").truth
    degrees, way = apart(truth, found.trajectory)
    assert found.sure.all() and found.scale_from == FROM_DEPTH
    assert np.median(degrees) < 0.5 and degrees.max() < 1.5
    assert np.median(way) < 0.04 * went(truth)


def test_without_a_memory_the_way_is_as_long_as_planned() -> None:
    one = film("textured")
    found = measure_camera(one.pictures, one.truth.intrinsics, one.truth)
    degrees, way = apart(one.truth, found.trajectory)
    assert found.scale_from == FROM_PLAN and np.median(degrees) < 0.5 and np.median(way) < 0.04 * went(one.truth)
    assert went(found.trajectory) == pytest.approx(went(one.truth), rel=1e-6)


def test_without_anything_the_path_has_the_right_shape_from_the_origin() -> None:
    found, truth = measured("textured", plan=False, memory=False), film("textured").truth.relative()
    assert found.scale_from == FROM_NOTHING and np.array_equal(found.trajectory.poses[0], np.eye(4))
    mine = found.trajectory.scaled(went(truth) / went(found.trajectory))
    degrees, way = apart(truth, mine)
    assert np.median(degrees) < 0.5 and np.median(way) < 0.06 * went(truth)


def test_a_camera_that_only_turns_gets_no_way() -> None:
    one = film("turn")
    found = measured("turn", memory=False)
    degrees, _ = apart(one.truth, found.trajectory)
    assert found.turns_only and went(found.trajectory) < 1e-9 and degrees.max() < 0.5 and found.sure.all()
    assert "only turns" in report(found, one.planned)


def test_frames_of_a_blank_wall_and_what_lies_behind_them_are_not_sure() -> None:
    one = film("grey")
    found = measured("grey", memory=False)
    blank = slice(FRAMES // 3, 2 * FRAMES // 3)
    assert not found.sure[blank].any() and not found.sure[2 * FRAMES // 3 :].any()
    assert found.sure[: FRAMES // 3].all() and found.reasons[-1] == CUT
    assert "not sure" in report(found, one.planned)


def test_what_moves_by_itself_is_no_camera() -> None:
    degrees, _ = apart(film("moving").truth, measured("moving").trajectory)
    sure = measured("moving").sure
    assert (degrees[sure] < 5.0).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_pictures_without_anything_are_not_sure_and_stay_on_the_plan(value: int) -> None:
    one = film("textured")
    empty = np.full((5, 64, 96, 3), value, np.uint8)
    found = measure_camera(empty, one.truth.intrinsics[:5], one.planned[:5])
    assert not found.sure.any() and np.allclose(found.trajectory.poses, one.planned.poses[:5])


def test_pictures_of_noise_are_not_sure() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (6, 96, 128, 3), dtype=np.uint8)
    assert not measure_camera(noise, intrinsics_from_fov(70.0, 4 / 3)).sure.any()


def test_a_cut_is_no_camera_move() -> None:
    one, other = film("textured"), film("textured", 1)
    cut = np.concatenate([one.pictures[:7], other.pictures[7:]])
    found = measure_camera(cut, one.truth.intrinsics, one.planned)
    assert found.sure[:7].all() and not found.sure[7:].any()


def test_frames_that_stand_still_stand_still() -> None:
    one = film("textured")
    still = np.repeat(one.pictures[:1], 5, axis=0)
    found = measure_camera(still, one.truth.intrinsics[:5], replace(one.truth[:5], name=""))
    degrees, way = apart(Trajectory(one.truth.poses[:1].repeat(5, axis=0), one.truth.intrinsics[:5], 16),
                         found.trajectory)
    assert found.sure.all() and degrees.max() < 1e-3 and way.max() < 1e-6 and found.turns_only


def test_one_frame_is_where_it_was_planned() -> None:
    one = film("textured")
    found = measure_camera(one.pictures[:1], one.truth.intrinsics[:1], one.planned[:1])
    assert np.allclose(found.trajectory.poses, one.planned.poses[:1]) and found.reasons == (ALONE,)


def test_one_frame_is_found_in_the_memory() -> None:
    one = film("textured")
    found = measure_camera(one.pictures[:1], one.truth.intrinsics[:1], None, one.remembered)
    degrees, way = apart(one.truth[:1], found.trajectory)
    assert found.scale_from == FROM_DEPTH and degrees[0] < 1.0 and way[0] < 0.1


def test_the_same_clip_is_measured_the_same() -> None:
    one, found = film("textured"), measured("textured")
    again = measure_camera(one.pictures, one.truth.intrinsics, one.planned, one.remembered)
    assert np.array_equal(found.trajectory.poses, again.trajectory.poses) and found.reasons == again.reasons


def test_it_tells_how_far_it_is_and_can_be_stopped() -> None:
    one, told = film("textured"), []
    measure_camera(one.pictures[:6], one.truth.intrinsics[:6], each=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 6

    def stop(done: float) -> None:
        if done > 0.3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        measure_camera(one.pictures, one.truth.intrinsics, each=stop)


def test_a_plan_that_was_followed_and_one_that_was_not_read_so() -> None:
    one, found = film("textured"), measured("textured")
    assert "As planned" in report(found, one.truth)
    assert "Parts from the plan at frame" in report(found, one.planned)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: (one.pictures.astype(float), one.truth), "expected uint8"),
        (lambda one: (one.pictures[0], one.truth), "expected uint8"),
        (lambda one: (one.pictures, one.truth[:3]), "14 frames and the planned path 3"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    change: Callable[[KnownFilm], tuple[object, Trajectory]], words: str
) -> None:
    pictures, planned = change(film("textured"))
    with pytest.raises(ValueError, match=words):
        measure_camera(pictures, intrinsics_from_fov(70.0, 5 / 3), planned)  # type: ignore[arg-type]
