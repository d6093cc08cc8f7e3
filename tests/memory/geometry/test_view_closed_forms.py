"""Views against closed forms: a plane, a room (a cube from inside) and a ball before a wall, painted by formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.geometry.view import view, views

WIDTH, HEIGHT = 96, 64


def cameras(*stands: tuple[float, ...], degrees: float = 70.0, aspect: float = WIDTH / HEIGHT) -> Trajectory:
    """Cameras at (x, y, z, yaw, pitch)."""
    poses = np.stack([pose(stand[:3], rotation(yaw=stand[3], pitch=stand[4])) for stand in stands])
    return Trajectory(poses, intrinsics_from_fov(degrees, aspect), 16)


def rays(path: Trajectory, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (F, 1, 1, 3) and directions (F, H, W, 3) with z = 1 in camera axes, so that a distance is z-depth."""
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    fx, fy, cx, cy = (part[:, None, None] for part in path.intrinsics.T)
    local = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones((len(path), height, width))], axis=-1)
    return path.poses[:, None, None, :3, 3], np.einsum("fij,fhwj->fhwi", path.poses[:, :3, :3], local)


def painted(places: np.ndarray) -> np.ndarray:
    """(..., 3) uint8: a smooth pattern over places (..., 3) of the world."""
    x, y, z = np.moveaxis(np.where(np.isfinite(places), places, 0.0), -1, 0)
    waves = [np.sin(2.1 * x + y + 0.7 * z), np.sin(1.3 * y - x + 2 * z), np.cos(1.7 * (x - z) + 0.4 * y)]
    return np.round(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def plane(path: Trajectory, height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and depth of the wall z = 4, without end."""
    origin, way = rays(path, height, width)
    with np.errstate(divide="ignore"):
        depth = (4.0 - origin[..., 2]) / way[..., 2]
    depth = np.where(depth > 0, depth, np.inf)
    return painted(origin + way * np.minimum(depth, 1e3)[..., None]), depth


def room(path: Trajectory, height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and depth of a room from -3 to 3 along each axis, seen from inside."""
    origin, way = rays(path, height, width)
    with np.errstate(divide="ignore"):
        depth = ((np.sign(way) * 3.0 - origin) / way).min(axis=-1)
    return painted(origin + way * depth[..., None]), depth


def ball(path: Trajectory) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures, depth and where the ball is: at (0, 0, 2) with radius 0.6, before the wall z = 4."""
    _, depth = plane(path)
    origin, way = rays(path, HEIGHT, WIDTH)
    to = origin - np.array([0.0, 0.0, 2.0])
    a, b, c = (way**2).sum(-1), (way * to).sum(-1), (to**2).sum(-1) - 0.36
    root = b * b - a * c
    near = (-b - np.sqrt(np.maximum(root, 0))) / a
    hit = (root > 0) & (near > 0) & (near < depth)
    depth = np.where(hit, near, depth)
    places = origin + way * np.minimum(depth, 1e3)[..., None]
    return np.where(hit[..., None], painted(places * 2.3), painted(places)), depth, hit


def off(shown: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(..., ) levels by which pixels differ at most."""
    return np.abs(shown.astype(int) - truth).max(axis=-1)


@settings(max_examples=25)
@given(
    st.tuples(*[st.floats(-0.8, 0.8)] * 3), st.floats(-25, 25), st.floats(-15, 15), st.floats(45, 100),
    st.integers(0, 9),
)
def test_a_wall_is_where_the_formula_has_it(
    place: tuple[float, float, float], yaw: float, pitch: float, degrees: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stands = [(*rng.uniform(-0.6, 0.6, 3), *rng.uniform(-12, 12, 2)) for _ in range(3)]
    past, target = cameras(*stands), cameras((*place, yaw, pitch), degrees=degrees)
    pictures, depth = plane(past)
    truth, far = plane(target)
    made = view(pictures, depth, past, target)
    known = made.known
    assert np.allclose(made.depth[known], far[known], rtol=0.01)
    assert not known.any() or np.percentile(off(made.pictures, truth)[known], 99) <= 12
    origin, way = rays(target, HEIGHT, WIDTH)
    local = np.einsum("fji,fhwj->fhwi", past.poses[:1, :3, :3], origin + way * far[..., None] - past.poses[:1, :3, 3])
    fx, fy, _, _ = past.intrinsics[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = local[..., 0] / local[..., 2] * fx, local[..., 1] / local[..., 2] * fy
    middle = (np.abs(u) < 0.4) & (np.abs(v) < 0.4)
    asked = middle & (local[..., 2] > 0) & np.isfinite(far)
    assert not asked.any() or known[asked].mean() > 0.9


@pytest.mark.parametrize("degrees", [120.0, 150.0])
def test_wide_angles_inside_a_room(degrees: float) -> None:
    past = cameras((0, 0, 0, 0, 0), (0.3, 0, 0, 90, 0), (0, 0, -0.3, 180, 0), (0, 0.2, 0, 270, 0), degrees=110)
    target = cameras((0.4, 0.1, 0.3, 40, 5), degrees=degrees)
    pictures, depth = room(past)
    truth, far = room(target)
    made = view(pictures, depth, past, target)
    assert made.known.mean() > 0.5
    assert np.percentile(off(made.pictures, truth)[made.known], 98) <= 24
    assert np.allclose(made.depth[made.known], far[made.known], rtol=0.03)


def test_one_frame_turned_right_round_shows_nothing_and_wraps_nowhere() -> None:
    past = cameras((0, 0, 0, 0, 0), degrees=100)
    pictures, depth = room(past)
    turns = cameras(*((0, 0, 0, yaw, 0) for yaw in (90, 120, 150, 180, 210, 240, 270)), degrees=60)
    made = view(pictures, depth, past, turns)
    seen = (rays(turns, HEIGHT, WIDTH)[1][..., 2] > 0).any(axis=(1, 2))
    assert not made.known[~seen].any()
    truth, _ = room(turns)
    assert (off(made.pictures, truth)[made.known] <= 24).all()


def test_what_a_ball_hid_stays_hidden_and_the_ball_hides() -> None:
    past = cameras((-0.5, 0, 0, 0, 0))
    target = cameras((0.5, 0, 0, 0, 0))
    pictures, depth, _ = ball(past)
    truth, far, hit = ball(target)
    made = view(pictures, depth, past, target)
    assert made.known.mean() > 0.4
    right = np.abs(made.depth / far - 1) < 0.02
    assert (made.known & ~right).mean() < 0.01, "no wall over the ball, no ball over the wall, no sheet between"
    # The rim of the ball in a picture this small is all that is off.
    assert (off(made.pictures, truth)[made.known] > 24).mean() < 0.02
    origin, way = rays(target, HEIGHT, WIDTH)
    places = origin + way * far[..., None]
    apart, middle = places - past.poses[0, :3, 3], np.array([0.0, 0.0, 2.0]) - past.poses[0, :3, 3]
    along = apart / np.linalg.norm(apart, axis=-1, keepdims=True)
    shadow = np.linalg.norm(middle - (along @ middle)[..., None] * along, axis=-1) < 0.55
    assert (shadow & ~hit).sum() > 50 and not made.known[shadow & ~hit].any()


def test_holes_and_unknown_depth_stay_unknown() -> None:
    past = cameras((0, 0, 0, 0, 0))
    pictures, depth = plane(past)
    depth[0, 20:40, 30:60] = np.nan
    depth[0, :10] = -1.0
    made = view(pictures, depth, past, past)
    assert not made.known[0, 22:38, 32:58].any() and not made.known[0, :9].any()
    assert made.known[0, 44:60].all()
    assert not view(pictures, np.full_like(depth, np.nan), past, past).known.any()


def test_pictures_of_other_lenses_and_shapes_and_depth_of_another_size() -> None:
    past = cameras((0.2, 0, 0, 5, 0), (-0.2, 0, 0.1, -5, 3), degrees=85, aspect=0.8)
    target = cameras((0, 0, 0.3, 0, 0), degrees=40, aspect=2.0)
    pictures, _ = plane(past, 120, 96)
    _, small = plane(past, 40, 32)
    truth, far = plane(target, 50, 100)
    made = view(pictures, small, past, target, size=(50, 100))
    assert made.pictures.shape == (1, 50, 100, 3) and made.known.mean() > 0.9
    assert np.allclose(made.depth[made.known], far[made.known], rtol=0.02)
    assert np.percentile(off(made.pictures, truth)[made.known], 95) <= 12


def test_a_view_comes_in_parts_that_are_the_same_as_the_whole() -> None:
    past = cameras((0, 0, 0, 0, 0), (0.4, 0, 0, -8, 0))
    targets = cameras(*((0.1 * k, 0, 0.05 * k, 3 * k, 0) for k in range(5)))
    pictures, depth = room(past)
    whole, parts = view(pictures, depth, past, targets), list(views(pictures, depth, past, targets, tile=2))
    assert [len(part.pictures) for part in parts] == [2, 2, 1]
    for name in ("pictures", "confidence", "depth", "source"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    assert ((whole.source >= 0) == whole.known).all() and (whole.confidence[~whole.known] == 0).all()
    assert whole.confidence.max() <= 1 and np.isinf(whole.depth[~whole.known]).all()


def test_arrays_of_another_shape_are_refused_in_words() -> None:
    past = cameras((0, 0, 0, 0, 0))
    pictures, depth = plane(past)
    with pytest.raises(ValueError, match="float"):
        view(pictures.astype(np.float32), depth, past, past)
    with pytest.raises(ValueError, match="one camera for each frame"):
        view(pictures, depth, cameras((0, 0, 0, 0, 0), (0, 0, 0, 5, 0)), past)
    with pytest.raises(ValueError, match="depth"):
        view(pictures, depth[0], past, past)
    with pytest.raises(ValueError, match="tile"):
        view(pictures, depth, past, past, tile=0)
