"""Files of every layout, made from known cameras after each layout's published convention.

For the tests and the benchmark. Nothing here is shared with the readers: matrices are inverted by numpy and axes are
changed column by column, so that a mistake in a reader is not made a second time.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterable

import numpy as np
from scipy.spatial.transform import Rotation

Files = dict[str, bytes]

WIDTH, HEIGHT = 832, 480


def known_cameras(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Poses (F, 4, 4), camera-to-world, OpenCV axes, along a winding walk, and one lens (4,) for 832 x 480."""
    random = np.random.default_rng(seed)
    time = np.linspace(0.0, 1.0, frames)[:, None]
    waves = random.uniform(1.0, 4.0, (4, 6))
    angles = (np.sin(time * waves[0] * 5 + waves[1]) * (80, 30, 15, 0, 0, 0))[:, :3]
    places = (np.sin(time * waves[2] * 5 + waves[3]) * (9, 2, 9, 0, 0, 0))[:, :3]
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
    poses[:, :3, 3] = places
    return poses, np.array([0.625, 0.625 * WIDTH / HEIGHT, 0.5, 0.5])


def realestate10k(poses: np.ndarray, lens: np.ndarray, fps: float = 25.0) -> Files:
    views = np.linalg.inv(poses)[:, :3].reshape(-1, 12).tolist()
    stamps = (np.arange(len(poses)) * round(1e6 / fps)).tolist()
    inner = " ".join(map(repr, [*lens.tolist(), 0.0, 0.0]))
    lines = [f"{1000 + stamp} {inner} {_words(view)}" for stamp, view in zip(stamps, views, strict=True)]
    return {"walk.txt": _text(["https://www.youtube.com/watch?v=none", *lines])}


def colmap_rows(poses: np.ndarray) -> list[list[float]]:
    """QW QX QY QZ TX TY TZ of each camera: world-to-camera, every other quaternion with the other sign."""
    views = np.linalg.inv(poses)
    turns = Rotation.from_matrix(views[:, :3, :3]).as_quat()
    turns[1::2] *= -1.0
    return np.concatenate([turns[:, 3:], turns[:, :3], views[:, :3, 3]], axis=1).tolist()


def colmap(poses: np.ndarray, lens: np.ndarray) -> Files:
    rows = colmap_rows(poses)
    lines = [
        "# Image list with two lines of data per image:",
        "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
    ]
    count = len(rows)
    for number in sorted(range(count), key=lambda i: (i * 7919) % 10007):
        lines.append(f"{number + 5} {_words(rows[number])} 3 shot/img {number}.jpg")
        lines.append("1.5 2.5 -1 4.0 5.0 17" if number % 2 else "")
    fx, fy, cx, cy = (lens * (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist()
    camera = f"3 OPENCV {WIDTH} {HEIGHT} {fx!r} {fy!r} {cx!r} {cy!r} 0.01 -0.002 0 0"
    return {"images.txt": _text(lines), "cameras.txt": _text(["# Camera list", camera])}


def colmap_binary(poses: np.ndarray, lens: np.ndarray) -> Files:
    """images.bin and cameras.bin: a 64-bit number of records, then these without gaps; names end in a zero byte."""
    images = struct.pack("<Q", len(poses))
    for number, row in enumerate(colmap_rows(poses), 1):
        images += struct.pack("<I7dI", number, *row, 3) + f"shot/img {number}.jpg\0".encode()
        images += struct.pack("<Q2dq", 1, 1.5, 2.5, -1) if number % 2 else struct.pack("<Q", 0)
    parameters = (lens * (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist()
    return {"images.bin": images, "cameras.bin": struct.pack("<QiiQQ4d", 1, 3, 1, WIDTH, HEIGHT, *parameters)}


def z_up(poses: np.ndarray) -> np.ndarray:
    """The cameras (F, 4, 4) in a world with z up, (x, z, -y), their own axes x right, y up, z back."""
    turned = np.stack([poses[:, 0], poses[:, 2], -poses[:, 1], poses[:, 3]], axis=1)
    turned[:, :, 1:3] *= -1.0
    return turned


def nerfstudio(poses: np.ndarray, lens: np.ndarray) -> Files:
    turned = z_up(poses)
    fx, fy, cx, cy = (lens * (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist()
    frames = [
        {"file_path": f"./images/{4 * i + 1}.png", "sharpness": 30.5, "transform_matrix": matrix}
        for i, matrix in enumerate(turned.tolist())
    ]
    head = {"camera_angle_x": 0.1, "k1": 0.05, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": WIDTH, "h": HEIGHT}
    return {"transforms.json": _json({**head, "aabb_scale": 4, "frames": frames[::-1]})}


def tum(poses: np.ndarray, lens: np.ndarray, fps: float = 30.0) -> Files:
    turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    turns[len(turns) // 2 :] *= -1.0
    times = 1305031098.0 + np.arange(len(poses)) / fps
    rows = np.concatenate([poses[:, :3, 3], turns], axis=1).tolist()
    lines = [f"{time:.4f} {_words(row)}" for time, row in zip(times.tolist(), rows, strict=True)]
    return {"walk.tum": _text(["# ground truth", *lines])}


def tum_uneven(poses: np.ndarray, lens: np.ndarray) -> Files:
    """The same, its cameras at times that are not even."""
    lines = tum(poses, lens)["walk.tum"].decode().splitlines()[1:]
    random = np.random.default_rng(1)
    times = np.cumsum(random.uniform(0.01, 0.06, len(lines))).tolist()
    return {"walk.tum": _text(f"{time!r} {line.partition(' ')[2]}" for time, line in zip(times, lines, strict=True))}


def kitti(poses: np.ndarray, lens: np.ndarray) -> Files:
    return {"00.txt": _text(map(_words, poses[:, :3].reshape(-1, 12).tolist()))}


def motionctrl(poses: np.ndarray, lens: np.ndarray) -> Files:
    return {"walk.json": _json(np.linalg.inv(poses)[:, :3].reshape(-1, 12).tolist())}


def unreal(poses: np.ndarray) -> np.ndarray:
    """The cameras (F, 4, 4) in Unreal: columns forward, right, up, place; rows x, y, z; centimetres."""
    world = np.stack([poses[:, 2], poses[:, 0], -poses[:, 1], poses[:, 3]], axis=1)
    world[:, :3, 3] *= 100.0
    return np.stack([world[:, :, 2], world[:, :, 0], -world[:, :, 1], world[:, :, 3]], axis=2)


def recammaster(poses: np.ndarray, lens: np.ndarray) -> Files:
    """Two cameras, of which cam02 is the known one and cam01 stands still."""
    rows = unreal(poses).transpose(0, 2, 1).tolist()
    still = "[1 0 0 0] [-0 1 0 0] [0 -0 1 0] [3390 1380 240 1] "
    frames = {
        f"frame{i}": {"cam01": still, "cam02": " ".join(f"[{_words(row)}]" for row in matrix) + " "}
        for i, matrix in enumerate(rows)
    }
    return {"camera_extrinsics.json": _json(frames)}


def context_as_memory(poses: np.ndarray, lens: np.ndarray) -> Files:
    """Unreal's rotator from its axes: yaw and pitch of forward, roll from how far the right one dips."""
    matrices = unreal(poses)
    forward, right, up = (matrices[:, :3, i] for i in range(3))
    yaw = np.arctan2(forward[:, 1], forward[:, 0])
    pitch = np.arctan2(forward[:, 2], np.hypot(forward[:, 0], forward[:, 1]))
    roll = np.arctan2(-right[:, 2], up[:, 2])
    angles = np.degrees(np.stack([roll, pitch, yaw], axis=1)).tolist()
    places = matrices[:, :3, 3].tolist()
    frames = {
        str(i): {"position": place, "rotation": angle}
        for i, (place, angle) in enumerate(zip(places, angles, strict=True))
    }
    return {"scene.json": _json({"CineCameraActor": frames})}


def lingbot(poses: np.ndarray, lens: np.ndarray) -> Files:
    lenses = np.tile(lens * (WIDTH, HEIGHT, WIDTH, HEIGHT), (len(poses), 1))
    return {"poses.npy": _npy(poses), "intrinsics.npy": _npy(lenses)}


def hy_worldplay(poses: np.ndarray, lens: np.ndarray) -> Files:
    fx, fy, cx, cy = (lens * (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist()
    matrix = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
    return {"pose.json": _json({str(i): {"extrinsic": pose, "K": matrix} for i, pose in enumerate(poses.tolist())})}


def spatia(poses: np.ndarray, lens: np.ndarray) -> Files:
    views = np.linalg.inv(poses)
    views[:, 3] = (0.0, 0.0, 0.0, 1.0)
    return {"w2c.txt": _text(map(json.dumps, views.tolist())), "intrinsics.txt": f"[{_words(lens.tolist())}]".encode()}


def viewed(poses: np.ndarray, lens: np.ndarray) -> tuple[list[list[float]], list[list[float]], float]:
    """Places, quaternions with w last and vertical fov in a viewer's world with y up, whose cameras look along -z.

    (x, -y, -z) of our world, and the camera turned half a circle about its own x.
    """
    half_turn = Rotation.from_euler("x", 180, degrees=True)
    turns = (half_turn * Rotation.from_matrix(poses[:, :3, :3]) * half_turn).as_quat().tolist()
    return (poses[:, :3, 3] * (1, -1, -1)).tolist(), turns, float(np.degrees(2 * np.arctan(0.5 / lens[1])))


def threejs(poses: np.ndarray, lens: np.ndarray) -> Files:
    """LOAD3D_CAMERA."""
    places, turns, fov = viewed(poses, lens)
    cameras = [
        {
            "position": dict(zip("xyz", place, strict=True)),
            "target": {"x": 0.0, "y": 0.0, "z": 0.0},
            "quaternion": dict(zip("xyzw", turn, strict=True)),
            "fov": fov,
            "aspect": float(lens[1] / lens[0]),
            "zoom": 1,
            "cameraType": "perspective",
        }
        for place, turn in zip(places, turns, strict=True)
    ]
    return {"cameras.json": _json(cameras)}


def flashworld(poses: np.ndarray, lens: np.ndarray) -> Files:
    places, turns, _ = viewed(poses, lens)
    pixels = dict(zip(("fx", "fy", "cx", "cy"), (lens * (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist(), strict=True))
    cameras = [
        {"position": place, "quaternion": [turn[3], *turn[:3]], **pixels}
        for place, turn in zip(places, turns, strict=True)
    ]
    return {"world.json": _json({"resolution": [len(poses), HEIGHT, WIDTH], "cameras": cameras, "text_prompt": ""})}


def keyframe_track(poses: np.ndarray, lens: np.ndarray) -> Files:
    """A keyframe for each frame."""
    places, turns, fov = viewed(poses, lens)
    keyframes = [
        {"frame": frame, "interpolation": "linear", "camera": {"position": place, "quaternion": turn, "fov": fov}}
        for frame, (place, turn) in enumerate(zip(places, turns, strict=True))
    ]
    head = {"schema_version": 1, "fps": 24, "duration_frames": len(poses), "width": WIDTH, "height": HEIGHT}
    return {"track.json": _json({**head, "keyframes": keyframes})}


def own(poses: np.ndarray, lens: np.ndarray) -> Files:
    rows = poses[:, :3].reshape(-1, 12).tolist()
    head = {"format": "scene-memory trajectory", "version": 1, "name": "walk", "fps": 25.0}
    return {"walk.json": _json({**head, "intrinsics": [lens.tolist()], "poses": rows})}


def nerfstudio_camera_path(poses: np.ndarray, lens: np.ndarray) -> Files:
    """What the viewer's "Generate Command" saves; the keyframes stand in three.js' order of columns, as text."""
    fov = float(np.degrees(2 * np.arctan(0.5 / lens[1])))
    matrices = z_up(poses)
    cameras = [
        {"camera_to_world": row, "fov": fov, "aspect": WIDTH / HEIGHT} for row in matrices.reshape(-1, 16).tolist()
    ]
    key = {"matrix": json.dumps(matrices[0].T.reshape(-1).tolist()), "fov": fov, "aspect": WIDTH / HEIGHT}
    head = {"default_fov": fov, "keyframes": [{**key, "override_transition_enabled": False}], "crop": None}
    size = {"camera_type": "perspective", "render_height": HEIGHT, "render_width": WIDTH}
    pace = {"fps": 30, "seconds": len(poses) / 30, "is_cycle": False, "smoothness_value": 0.5}
    return {"camera_path.json": _json({**head, **size, **pace, "camera_path": cameras})}


def gaussian_splatting(poses: np.ndarray, lens: np.ndarray) -> Files:
    """Every eighth picture, kept for testing, comes first."""
    fx, fy, *_ = (lens * (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist()
    order = sorted(range(len(poses)), key=lambda i: (i % 8 != 0, i))
    cameras = [
        {"id": number, "img_name": f"frame_{index + 1}", "width": WIDTH, "height": HEIGHT,
         "position": poses[index, :3, 3].tolist(), "rotation": poses[index, :3, :3].tolist(), "fy": fy, "fx": fx}
        for number, index in enumerate(order)
    ]  # fmt: skip
    return {"cameras.json": _json(cameras)}


def vipe(poses: np.ndarray, lens: np.ndarray) -> Files:
    frames = np.arange(len(poses))
    lenses = np.tile(lens * (WIDTH, HEIGHT, WIDTH, HEIGHT), (len(poses), 1))
    return {"walk_pose.npz": npz(data=poses, inds=frames), "walk_intrinsics.npz": npz(data=lenses, inds=frames)}


def replica(poses: np.ndarray, lens: np.ndarray) -> Files:
    return {"traj.txt": _text(" ".join(f"{value:.18e}" for value in row) for row in poses.reshape(-1, 16).tolist())}


def euroc(poses: np.ndarray, lens: np.ndarray, fps: float = 20.0) -> Files:
    """state_groundtruth_estimate0/data.csv: nanoseconds, w first, and what else it knows of the body."""
    turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    turns[::3] *= -1.0
    stamps = (1403636579763555584 + np.arange(len(poses)) * round(1e9 / fps)).tolist()
    rows = np.concatenate(
        [poses[:, :3, 3], turns[:, 3:], turns[:, :3], np.full((len(poses), 9), 0.25)], axis=1
    ).tolist()
    names = ["p_RS_R_x [m]", "p_RS_R_y [m]", "p_RS_R_z [m]", "q_RS_w []", "q_RS_x []", "q_RS_y []", "q_RS_z []"]
    names += [f"{what}_{axis} [{unit}]" for what, unit in (("v_RS_R", "m s^-1"), ("b_w_RS_S", "rad s^-1"),
              ("b_a_RS_S", "m s^-2")) for axis in "xyz"]  # fmt: skip
    lines = [", ".join(["#timestamp", *names])]
    return {"data.csv": _text([*lines, *(",".join([str(stamp), *map(repr, row)])
                                         for stamp, row in zip(stamps, rows, strict=True))])}  # fmt: skip


SAMPLES: dict[str, Callable[[np.ndarray, np.ndarray], Files]] = {
    "SceneMemory JSON": own,
    "RealEstate10K": realestate10k,
    "COLMAP": colmap,
    "nerfstudio": nerfstudio,
    "TUM": tum,
    "KITTI": kitti,
    "MotionCtrl": motionctrl,
    "ReCamMaster": recammaster,
    "Context-as-Memory": context_as_memory,
    "LingBot": lingbot,
    "HY-WorldPlay": hy_worldplay,
    "Spatia": spatia,
    "three.js": threejs,
    "FlashWorld": flashworld,
    "Keyframe track": keyframe_track,
    "nerfstudio camera path": nerfstudio_camera_path,
    "3DGS": gaussian_splatting,
    "ViPE": vipe,
    "Replica": replica,
    "CSV": euroc,
}
"""By the layout's name. The first file is the one to read; the others lie beside it."""

WITHOUT_LENS = {
    "TUM",
    "KITTI",
    "MotionCtrl",
    "ReCamMaster",
    "Context-as-Memory",
    "Replica",
    "CSV",
}
"""Layouts that say nothing of the lens."""


def _words(row: list[float]) -> str:
    return " ".join(map(repr, row))


def _text(lines: Iterable[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    """The bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
