"""The procedural worlds: the same seed, the same world; captions that the model can read; pictures that are right."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.world.render import render, render_with_depth
from scene_memory.world.scenes import (
    EYE_HEIGHT,
    FIRST_TRAINING_SEED,
    HELD_OUT_SEEDS,
    PLACES,
    VALIDATION_SEEDS,
    doorway_place,
    make_scene,
    set_moving,
)
from scene_memory.world.vocabulary import MAX_TOKENS, PAD, tokenize, unknown_words
from scene_memory.world.walks import free, random_walk, tour

LENS = intrinsics_from_fov(70, 1.6)


@pytest.mark.parametrize("seed", range(24))
def test_a_seed_gives_the_same_scene_and_a_caption_of_known_words(seed: int) -> None:
    scene = make_scene(seed)
    assert scene == make_scene(seed)
    assert scene != make_scene(seed + 1)
    assert unknown_words(scene.caption) == []
    assert scene.place in scene.caption


@pytest.mark.parametrize("place", PLACES)
def test_the_place_can_be_chosen(place: str) -> None:
    assert make_scene(3, place).place == place


def test_a_place_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'cave'.*room"):
        make_scene(1, "cave")


def test_seeds_for_training_validation_and_holding_out_do_not_meet() -> None:
    assert HELD_OUT_SEEDS.stop <= VALIDATION_SEEDS.start < VALIDATION_SEEDS.stop <= FIRST_TRAINING_SEED


def test_captions_become_tokens_of_one_length_and_unknown_words_are_left_out() -> None:
    tokens = tokenize("A red box, and a dragon")
    assert len(tokens) == MAX_TOKENS
    assert PAD not in tokens[:6] and tokens[6:] == [PAD] * (MAX_TOKENS - 6), "a start token and five known words"
    assert tokenize("a red box and a") == tokens
    assert unknown_words("A red dragon and a dragon") == ["dragon"]
    assert len(tokenize("red " * 100)) == MAX_TOKENS


@pytest.mark.parametrize("place", PLACES)
def test_a_picture_has_something_in_it_and_is_the_same_every_time(place: str) -> None:
    scene = make_scene(5, place)
    pictures = render(scene, np.eye(4)[None], LENS[None], 48, 30)
    assert pictures.shape == (1, 30, 48, 3)
    assert pictures.float().std() > 5
    assert (pictures == render(scene, np.eye(4)[None], LENS[None], 48, 30)).all()


def test_turning_all_the_way_round_shows_the_same_picture() -> None:
    poses = np.stack([pose((0.3, 0, 0.2), rotation(yaw=angle)) for angle in (0.0, 90.0, 360.0)])
    pictures = render(make_scene(8), poses, np.tile(LENS, (3, 1)), 48, 30).float()
    assert (pictures[0] - pictures[2]).abs().max() <= 1
    assert (pictures[0] - pictures[1]).abs().mean() > 5


def test_turning_right_moves_the_picture_left_as_far_as_the_lens_says() -> None:
    """By a yaw that is a whole number of pixels at the centre, the middle of one picture appears beside the other's."""
    width = 96
    focal = LENS[0] * width
    shift = 12
    poses = np.stack([np.eye(4), pose((0, 0, 0), rotation(yaw=float(np.degrees(np.arctan(shift / focal)))))])
    first, second = render(make_scene(8), poses, np.tile(LENS, (2, 1)), width, 60, supersample=3).float()
    middle = slice(44, 52)
    moved = slice(44 - shift, 52 - shift)
    right = (first[20:40, middle] - second[20:40, moved]).abs().mean()
    wrong = (first[20:40, middle] - second[20:40, middle]).abs().mean()
    assert right < 0.5 * wrong


@pytest.mark.parametrize("seed", range(6))
def test_walks_stay_inside_clear_of_props_and_upright(seed: int) -> None:
    scene = make_scene(seed)
    poses, intrinsics = random_walk(scene, 32, np.random.default_rng(seed))
    assert poses.shape == (32, 4, 4) and intrinsics.shape == (32, 4)
    assert np.allclose(np.linalg.det(poses[:, :3, :3]), 1)
    x, z = poses[:, 0, 3], poses[:, 2, 3]
    assert all(scene.rooms[scene.room_at(*place)].holds(*place, margin=0.0) for place in zip(x, z, strict=True))
    for prop in scene.props:
        assert (np.hypot(x - prop.x, z - prop.z) > prop.radius).all()


@pytest.mark.parametrize("seed", range(6))
def test_joined_rooms_do_not_overlap_and_every_doorway_has_another_side(seed: int) -> None:
    scene = make_scene(seed, "rooms")
    assert len(scene.rooms) >= 2
    for number, room in enumerate(scene.rooms):
        x0, x1, z0, z1 = room.bounds
        for other in scene.rooms[number + 1 :]:
            a0, a1, b0, b1 = other.bounds
            assert min(x1, a1) - max(x0, a0) <= 1e-6 or min(z1, b1) - max(z0, b0) <= 1e-6
        for doorway in room.doorways:
            back = [way for way in scene.rooms[doorway.leads_to].doorways if way.leads_to == number]
            places = [doorway_place(scene.rooms[doorway.leads_to], way) for way in back]
            assert any(np.allclose(place, doorway_place(room, doorway)) for place in places)


def test_a_doorway_shows_the_next_room_and_its_wall_hides_it() -> None:
    scene = make_scene(1, "rooms")
    room, doorway = scene.rooms[0], scene.rooms[0].doorways[0]
    (x, z), (inner_x, inner_z) = doorway_place(room, doorway), doorway_place(room, doorway, 2.0)
    yaw = float(np.degrees(np.arctan2(x - inner_x, z - inner_z)))
    view = pose((inner_x, 0, inner_z), rotation(yaw=yaw))[None]
    _, depth = render_with_depth(scene, view, LENS[None], 96, 60)
    middle = depth[0, 28:32, 46:50]
    assert (middle > 2.3).all(), "through the doorway"
    beside = depth[0, 28:32, 8:12]
    assert ((beside < 2.1) | (beside > 2.3)).all()
    assert (depth[0, 0:3, 40:56] < 2.2).all(), "the wall above it"


@pytest.mark.parametrize("place", PLACES)
def test_depth_of_the_floor_follows_from_eye_height(place: str) -> None:
    scene = make_scene(9, place)
    _, depth = render_with_depth(scene, pose((0, 0, 0), rotation(pitch=-80))[None], LENS[None], 96, 60)
    below = depth[0, 30, 48] * np.cos(np.radians(10))
    assert abs(float(below) - EYE_HEIGHT) < 0.15


def test_things_that_move_are_elsewhere_later_and_all_else_stays() -> None:
    still = make_scene(6, "room")
    scene = set_moving(still, np.random.default_rng(0))
    poses = np.stack([pose((0, 0, 0), rotation(yaw=yaw)) for yaw in range(0, 360, 60)])
    lenses = np.tile(LENS, (len(poses), 1))
    now, later = (render(scene, poses, lenses, 48, 30, times=np.full(len(poses), second)) for second in (0.0, 2.0))
    changed = (now != later).any(-1).float().mean()
    assert 0 < changed < 0.2
    moving = next(prop for prop in scene.props if prop.speed)
    assert moving.at(0.0) != moving.at(2.0) and still.props[0].at(5.0) == still.props[0]


def test_tours_go_through_doorways_and_keep_clear() -> None:
    scene = make_scene(4, "rooms")
    poses, intrinsics = tour(scene, 600, np.random.default_rng(1))
    assert poses.shape == (600, 4, 4) and intrinsics.shape == (600, 4)
    places = poses[:, [0, 2], 3]
    assert len({scene.room_at(*place) for place in places}) >= 2
    assert np.mean([free(scene, *place) for place in places]) > 0.97
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.12
    yaw = np.unwrap(np.arctan2(poses[:, 0, 2], poses[:, 2, 2]))
    assert np.degrees(np.abs(np.diff(yaw)).max()) < 20
