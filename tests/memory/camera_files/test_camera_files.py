"""Files of camera paths: each layout's convention, what a silent file becomes, and what is written comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from scene_memory.dev.bench._camera_samples import (
    HEIGHT,
    SAMPLES,
    WIDTH,
    WITHOUT_LENS,
    Files,
    known_cameras,
    tum_uneven,
)
from scene_memory.memory.camera_files import LAYOUTS, READABLE, WRITABLE, read_trajectory, write_trajectory
from scene_memory.memory.camera_files.layouts import layout_named
from scene_memory.memory.camera_files.source import Source
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import horizontal_fov, intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory

POSES, LENS = known_cameras(40)
Put = Callable[[Files], Path]


def camera_of(name: str) -> str:
    return "cam02" if name == "ReCamMaster" else ""


def proper(path: Trajectory) -> bool:
    return np.allclose(np.linalg.det(path.poses[:, :3, :3]), 1.0)


def test_the_table_holds_every_layout_that_was_promised():
    assert set(READABLE) == set(SAMPLES)
    assert WRITABLE == ("SceneMemory JSON", "RealEstate10K", "COLMAP", "nerfstudio", "TUM")
    assert all(len(LAYOUTS[name].about) > 60 for name in READABLE)
    with pytest.raises(ValueError, match="no layout 'VHS'. Use one of: SceneMemory JSON"):
        layout_named("VHS")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", READABLE)
def test_every_layout_gives_the_cameras_it_was_made_from(put: Put, name: str, named: bool):
    file = put(SAMPLES[name](POSES, LENS))
    path = read_trajectory(file, layout=name if named else "auto", camera=camera_of(name))
    assert np.abs(path.poses - POSES).max() < 1e-9 and proper(path)
    expected = intrinsics_from_fov(70.0, 16 / 9) if name in WITHOUT_LENS else LENS
    assert np.abs(path.intrinsics - expected).max() < 1e-12


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("name", READABLE)
def test_no_two_layouts_claim_one_file(put: Put, name: str, frames: int):
    source = Source(put(SAMPLES[name](*known_cameras(frames))))
    assert [layout.name for layout in LAYOUTS.values() if layout.recognises(source)] == [name]
    assert len(read_trajectory(source.path, camera=camera_of(name))) == frames


@pytest.mark.parametrize("name", WRITABLE)
def test_what_is_written_is_recognised_as_that_and_nothing_else(tmp_path: Path, name: str):
    for frames in (1, 3):
        path = Trajectory(POSES[:frames], LENS, 24.0)
        source = Source(write_trajectory(path, tmp_path / "path", name)[0])
        assert [layout.name for layout in LAYOUTS.values() if layout.recognises(source)] == [name]


@st.composite
def paths(draw: st.DrawFn) -> Trajectory:
    frames = draw(st.integers(1, 8))
    far = draw(st.sampled_from([1.0, 100.0, 1e5]))
    number, angle = st.floats(-far, far), st.floats(-180, 180)
    cameras = [pose([draw(number) for _ in range(3)], rotation(draw(angle), draw(angle), draw(angle)))
               for _ in range(frames)]  # fmt: skip
    lenses = np.stack([intrinsics_from_fov(draw(st.floats(5, 150)), draw(st.floats(0.3, 3))) for _ in range(frames)])
    lenses[:, 2:] += draw(st.floats(-0.2, 0.2))
    if draw(st.booleans()):
        lenses[:] = lenses[0]
    return Trajectory(np.stack(cameras), lenses, draw(st.floats(0.5, 240.0)), draw(st.sampled_from(["", 'a "walk" é'])))


@pytest.mark.parametrize("name", WRITABLE)
@given(path=paths(), size=st.tuples(st.integers(1, 8000), st.integers(1, 8000)))
@settings(max_examples=30, deadline=None)
def test_every_written_layout_gives_the_path_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, path: Trajectory, size: tuple[int, int]
):
    file = tmp_path_factory.getbasetemp() / "round_images.txt"
    written = write_trajectory(path, file, name, size=size)
    assert written[0] == file and all(part.is_file() for part in written)
    back = read_trajectory(file)
    assert len(back) == len(path) and np.abs(back.poses - path.poses).max() < 1e-6 and proper(back)
    assert back.fps == pytest.approx(path.fps, rel=1e-9)
    if name not in WITHOUT_LENS:
        assert np.abs(back.intrinsics - path.intrinsics).max() < 1e-6
    if name == "SceneMemory JSON":
        assert back == (path if path.name else Trajectory(path.poses, path.intrinsics, path.fps, file.stem))


def test_a_written_path_appears_whole_and_leaves_nothing_else(tmp_path: Path):
    path = Trajectory(POSES, LENS, 24.0)
    names = [file.name for file in write_trajectory(path, tmp_path / "my_images_2.txt", "COLMAP")]
    assert names == ["my_images_2.txt", "my_cameras_2.txt", "my_points3D_2.txt"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    assert [file.name for file in write_trajectory(path, tmp_path / "walk", "COLMAP")][1] == "walk_cameras"
    assert np.allclose(read_trajectory(tmp_path / "walk").intrinsics, LENS)


def test_a_layout_that_is_only_read_is_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="KITTI is read but not written. Use one of: SceneMemory JSON"):
        write_trajectory(Trajectory(POSES, LENS, 24.0), tmp_path / "x", "KITTI")
    with pytest.raises(ValueError, match=r"size of the pictures is \(0, 480\)"):
        write_trajectory(Trajectory(POSES, LENS, 24.0), tmp_path / "x", "COLMAP", size=(0, 480))
    assert list(tmp_path.iterdir()) == []


def test_what_colmap_writes_is_its_own_form(tmp_path: Path):
    """World-to-camera, quaternion with w first, two lines an image, a camera for each lens in pixels."""
    lenses = np.stack([LENS, LENS, LENS * (2, 2, 1, 1)])
    images, cameras, _ = write_trajectory(Trajectory(POSES[:3], lenses, 24.0), tmp_path / "images.txt", "COLMAP")
    lines = [line for line in images.read_text().split("\n") if not line.startswith("#")]
    assert lines[1] == lines[3] == lines[5] == ""
    words = lines[4].split()
    view = np.eye(4)
    view[:3, :3] = Rotation.from_quat([float(words[i]) for i in (2, 3, 4, 1)]).as_matrix()
    view[:3, 3] = [float(word) for word in words[5:8]]
    assert np.allclose(view @ POSES[2], np.eye(4)) and [line.split()[8] for line in lines[0:6:2]] == ["1", "1", "2"]
    first = cameras.read_text().splitlines()[2].split()
    assert first[:4] == ["1", "PINHOLE", "832", "480"]
    assert np.allclose([float(word) for word in first[4:]], LENS * (WIDTH, HEIGHT, WIDTH, HEIGHT))


def test_unreal_files_keep_what_the_camera_does(put: Put):
    """Unreal: yaw turns right, pitch looks up, roll turns clockwise, x goes forward, y right, z up, in centimetres."""
    moves = {"position": [[100, 0, 0], [0, 100, 0], [0, 0, 100]], "rotation": [[30, 0, 0], [0, 30, 0], [0, 0, 30]]}
    frames = {str(i): {key: rows[i] for key, rows in moves.items()} for i in range(3)}
    path = read_trajectory(put({"a.json": json.dumps(frames).encode()}))
    assert np.allclose(path.poses[:, :3, 3], [[0, 0, 1], [1, 0, 0], [0, -1, 0]])
    turns = [rotation(roll=30), rotation(pitch=30), rotation(yaw=30)]
    assert np.allclose(path.poses[:, :3, :3], turns)


def test_three_js_looks_along_minus_z_with_y_up(put: Put):
    cameras = [
        {"position": {"x": 1, "y": 2, "z": 3}, "target": {"x": 1, "y": 2, "z": -5}, "fov": 90, "zoom": 2, "aspect": 2},
        {"position": [0, 0, 0], "target": [4, 0, 0], "fov": 60, "aspect": 1.5},
        {"position": [0, 0, 0], "target": [0, 3, -3], "fov": 60, "aspect": 1.5},
        {"position": [0, 5, 0], "target": [0, 0, 0], "quaternion": [0, 0, 0, 1], "fov": 60, "aspect": 1.5},
    ]
    path = read_trajectory(put({"c.json": json.dumps({"keyframes": cameras}).encode()}))
    expected = [pose([1, -2, -3], np.eye(3)), pose([0, 0, 0], rotation(yaw=90)), pose([0, 0, 0], rotation(pitch=45)),
                pose([0, -5, 0], np.eye(3))]  # fmt: skip
    assert np.allclose(path.poses, expected, atol=1e-12)
    assert np.allclose(path.intrinsics[0], [0.5, 1.0, 0.5, 0.5]) and np.isclose(path.intrinsics[1, 1], 0.5 * 3**0.5)


def test_one_camera_of_a_3d_node_and_three_js_own_json_are_read(put: Put):
    one = {"position": {"x": 0, "y": 1, "z": 0}, "target": {"x": 0, "y": 1, "z": -1}, "cameraType": "perspective"}
    path = read_trajectory(put({"one.json": json.dumps(one).encode()}))
    assert np.allclose(path.poses, [pose([0, -1, 0], np.eye(3))])
    matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 7, 8, 9, 1]
    own = {"metadata": {"type": "Object"}, "object": {"type": "PerspectiveCamera", "fov": 50, "matrix": matrix}}
    assert np.allclose(read_trajectory(put({"own.json": json.dumps(own).encode()})).poses[0, :3, 3], [7, -8, -9])


def test_nerfstudio_looks_back_along_z_with_z_up(put: Put):
    """A camera with OpenGL axes that stands at the identity looks straight down in a world with z up."""
    frames = [{"file_path": f"{i}.png", "transform_matrix": np.eye(4).tolist()} for i in (10, 9)]
    frames[0]["transform_matrix"][2][3] = 4.0
    path = read_trajectory(put({"t.json": json.dumps({"camera_angle_x": np.pi / 2, "frames": frames}).encode()}))
    assert np.allclose(path.poses[0], pose([0, 0, 0], rotation(pitch=-90)))
    assert np.allclose(path.poses[1, :3, 3], [0, -4, 0])
    assert np.allclose(path.intrinsics[0], [0.5, 0.5 * 16 / 9, 0.5, 0.5])


def test_a_lens_for_each_frame_of_nerfstudio_is_kept(put: Put):
    frames = [{"file_path": f"{i}.png", "fl_x": 400 + i, "transform_matrix": np.eye(4).tolist()} for i in range(3)]
    path = read_trajectory(put({"t.json": json.dumps({"w": 800, "h": 400, "frames": frames}).encode()}))
    assert np.allclose(path.intrinsics, [[(400 + i) / 800, (400 + i) / 400, 0.5, 0.5] for i in range(3)])


@pytest.mark.parametrize("gap", ["", "2.5 3.5 -1 4 5 6 7.5 8 9 1 2 3\n", None])
def test_the_second_line_of_a_colmap_image_may_be_empty_full_or_missing(put: Put, gap: str | None):
    second = "" if gap is None else gap or "\n"
    lines = [f"{99 - i} 1 0 0 0 {-i} 0 0 1 a{i}.png\n{second}" for i in (10, 9, 2)]
    path = read_trajectory(put({"images.txt": "".join(lines).encode()}))
    assert path.poses[:, 0, 3].tolist() == [2, 9, 10]


def test_one_of_several_colmap_cameras_is_picked_by_its_id(put: Put):
    lines = "".join(f"{i} 1 0 0 0 {-i} 0 0 {1 + i % 2} a{i}.png\n\n" for i in range(1, 6))
    cameras = "1 SIMPLE_RADIAL 200 100 150 100 50 0.1\n2 PINHOLE 100 100 50 60 40 50\n"
    file = put({"images.txt": lines.encode(), "cameras.txt": cameras.encode()})
    both, one = read_trajectory(file), read_trajectory(file, camera="2")
    assert len(both) == 5 and one.poses[:, 0, 3].tolist() == [1, 3, 5]
    assert np.allclose(one.intrinsics, [0.5, 0.6, 0.4, 0.5]) and np.allclose(both.intrinsics[1], [0.75, 1.5, 0.5, 0.5])


def test_the_cameras_of_recammaster_are_picked_by_name(put: Put):
    file = put(SAMPLES["ReCamMaster"](POSES, LENS))
    first = read_trajectory(file)
    assert first.name == "camera_extrinsics cam01" and np.allclose(first.poses[:, :3, 3], [13.8, -2.4, 33.9])
    assert np.allclose(read_trajectory(file, camera=" cam02 ").poses, POSES)


def test_the_second_file_is_found_by_name_or_given(put: Put, tmp_path: Path):
    files = SAMPLES["LingBot"](POSES, LENS)
    renamed = put({"shot3_poses.npy": files["poses.npy"], "shot3_intrinsics.npy": files["intrinsics.npy"]})
    assert np.allclose(read_trajectory(renamed).intrinsics, LENS)
    (tmp_path / "shot3_intrinsics.npy").rename(tmp_path / "other.npy")
    assert np.allclose(read_trajectory(renamed).intrinsics, intrinsics_from_fov(70, 16 / 9))
    assert np.allclose(read_trajectory(renamed, intrinsics=tmp_path / "other.npy").intrinsics, LENS)


def test_a_silent_file_runs_at_24_and_looks_70_degrees_wide(put: Put):
    path = read_trajectory(put(SAMPLES["KITTI"](POSES, LENS)))
    assert path.fps == 24.0 and path.name == "00" and horizontal_fov(path.intrinsics[0]) == pytest.approx(70.0)
    path = read_trajectory(path_file := put(SAMPLES["KITTI"](POSES, LENS)), fps=16.0, fov=50.0, aspect=1.5)
    assert (path.fps, len(path)) == (16.0, 40) and np.allclose(path.intrinsics, intrinsics_from_fov(50, 1.5))
    assert path == read_trajectory(path_file, layout="KITTI", fps=16.0, fov=50.0, aspect=1.5)


def test_fov_and_aspect_replace_the_lens_of_the_file(put: Put):
    file = put(SAMPLES["Spatia"](POSES, LENS * (1, 1, 0.9, 1.1)))
    wide = read_trajectory(file, fov=100.0).intrinsics[0]
    assert np.allclose(wide, intrinsics_from_fov(100.0, WIDTH / HEIGHT))
    square = read_trajectory(file, aspect=1.0).intrinsics[0]
    assert np.allclose(square, [0.625, 0.625, 0.45, 0.55])


def test_a_file_with_times_is_resampled_to_the_rate_asked_for(put: Put):
    file = put(SAMPLES["TUM"](POSES, LENS))
    own, double = read_trajectory(file), read_trajectory(file, fps=60.0)
    assert own.fps == 30.0 and len(own) == 40 and len(double) == 79 and double.fps == 60.0
    assert np.allclose(double.poses[::2], own.poses, atol=1e-9)
    latents = put(SAMPLES["HY-WorldPlay"](POSES[:32], LENS))
    assert read_trajectory(latents).fps == 6.0 and len(read_trajectory(latents, fps=24.0)) == 125


@pytest.mark.parametrize("rate", [24.0, 30.0, 24000 / 1001, 30000 / 1001, 12.5])
def test_rounded_times_give_the_rate_they_were_rounded_from(put: Put, rate: float):
    stamps = [round(1e6 * i / rate) + 86319567 for i in range(50)]
    rows = "".join(f"{stamp} 0.6 1.1 0.5 0.5 0 0 1 0 0 {-i} 0 1 0 0 0 0 1 0\n" for i, stamp in enumerate(stamps))
    path = read_trajectory(put({"a.txt": f"\n{rows}".encode()}))
    assert path.fps == pytest.approx(rate, rel=1e-9 if rate != 12.5 else 1e-6)
    assert path.poses[:, 0, 3].tolist() == list(range(50))


def jerk(turns: Rotation) -> float:
    """The greatest change of the angular speed from one step to the next."""
    speeds = (turns[:-1].inv() * turns[1:]).as_rotvec()
    return float(np.linalg.norm(np.diff(speeds, axis=0), axis=1).max())


def test_uneven_times_become_even_along_the_same_way(put: Put):
    """A place that moves as time does, and turns near scipy's slerp, of a steadier speed."""
    random = np.random.default_rng(3)
    times = np.cumsum(random.uniform(0.01, 0.09, 200))
    poses, lens = known_cameras(200)
    poses[:, 0, 3] = 2.0 * times
    rows = tum_uneven(poses, lens)["walk.tum"].decode().splitlines()
    text = "\n".join(f"{t!r} {row.partition(' ')[2]}" for t, row in zip(times.tolist(), rows, strict=True))
    file = put({"walk.txt": text.encode()})
    even = read_trajectory(file)
    assert len(even) == 200 and even.fps == pytest.approx(199 / (times[-1] - times[0]))
    at = times[0] + np.arange(200) / even.fps
    assert np.allclose(even.poses[:, 0, 3], 2.0 * at, atol=1e-9)
    assert np.array_equal(even.poses[0], read_trajectory(file, fps=50.0).poses[0])
    slerp = Slerp(times, Rotation.from_matrix(poses[:, :3, :3]))
    turns = Rotation.from_matrix(even.poses[:, :3, :3])
    assert (slerp(np.minimum(at, times[-1])).inv() * turns).magnitude().max() < np.radians(2)
    fine = Rotation.from_matrix(read_trajectory(file, fps=1000.0).poses[:-1, :3, :3])
    sharp = slerp(np.minimum(times[0] + np.arange(len(fine)) / 1000.0, times[-1]))
    assert jerk(fine) < 0.5 * jerk(sharp)
    assert np.abs(np.diff(read_trajectory(file, fps=50.0).poses[:-1, 0, 3]) - 0.04).max() < 1e-9


def test_a_sign_flip_of_the_quaternions_is_no_turn(put: Put):
    files = SAMPLES["TUM"](POSES, LENS)
    between = read_trajectory(put(files), fps=120.0).poses[:, :3, :3]
    steps = Rotation.from_matrix(between[:-1].transpose(0, 2, 1) @ between[1:]).magnitude()
    assert steps.max() < np.radians(8)


@pytest.mark.parametrize("decimals", [3, 4, 6])
def test_rounded_rotations_become_exact(put: Put, decimals: int):
    rows = [[round(value, decimals) for value in row] for row in POSES[:, :3].reshape(-1, 12).tolist()]
    path = read_trajectory(put({"k.txt": "\n".join(" ".join(map(str, row)) for row in rows).encode()}))
    turns = path.poses[:, :3, :3]
    assert np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() < 1e-14 and proper(path)
    assert np.abs(turns - POSES[:, :3, :3]).max() < 10.0**-decimals
    u, _, vt = np.linalg.svd(np.array(rows).reshape(-1, 3, 4)[:, :, :3])
    assert np.abs(turns - u @ vt).max() < 1e-13


def test_a_path_very_far_from_the_origin_stays_exact_there(put: Put):
    far = POSES.copy()
    far[:, :3, 3] += (-5679.0, 3e6, 12.0)
    for name in ("RealEstate10K", "COLMAP", "Spatia"):
        path = read_trajectory(put(SAMPLES[name](far, LENS)))
        assert np.abs(path.poses - far).max() < 1e-6


def test_windows_lines_byte_order_marks_and_commas_do_not_matter(put: Put):
    text = SAMPLES["KITTI"](POSES, LENS)["00.txt"].decode()
    marked = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").replace(" ", ", ").encode()
    assert np.array_equal(read_trajectory(put({"k.txt": marked})).poses, POSES)


def test_frames_are_taken_in_the_order_of_their_numbers(put: Put):
    frames = {str(i): {"position": [100.0 * i, 0, 0], "rotation": [0, 0, 0]} for i in (10, 9, 2)}
    path = read_trajectory(put({"s.json": json.dumps({"Hero": frames}).encode()}), camera="Hero")
    assert path.poses[:, 2, 3].tolist() == [2.0, 9.0, 10.0]
