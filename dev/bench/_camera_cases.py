"""Small camera files of strangers' kinds, and what each must become: a path known by hand, or a refusal in words.

For the tests and `bench trust`. Nothing here is read by the pack's own readers: poses are written down, or worked out
with numpy from the convention that the writing program publishes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ...memory.camera_files import CameraFileError, read_trajectory

Array = np.ndarray[Any, Any]

ANYTHING = "*"
"""For `Case.told`: it does not matter what is told."""


@dataclass(frozen=True)
class Case:
    """Files, of which the first is read, and what must come of them.

    ``poses`` (F, 4, 4), to within ``near``, and ``fps`` of the path where it is read, and ``lens`` (4,) or (F, 4); or
    ``refused``, words of the refusal. ``told`` are words that the artist must be told, "" where nothing may be.
    """

    files: dict[str, bytes]
    poses: Array | None = None
    lens: Array | None = None
    fps: float = 0.0
    refused: str = ""
    told: str = ""
    near: float = 1e-6
    settings: dict[str, Any] = field(default_factory=dict)


def faults(case: Case, folder: Path) -> list[str]:
    """What is wrong with how ``case`` is read, its files written to ``folder``; empty if nothing is."""
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    told: list[str] = []
    try:
        path = read_trajectory(folder / next(iter(case.files)), on_note=told.append, **case.settings)
    except CameraFileError as refusal:
        right = bool(case.refused) and case.refused in str(refusal)
        return [] if right else [f"it is refused: {refusal}"]
    if case.poses is None:
        return [f"it is read, as {len(path)} frames"]
    found = []
    if len(path) != len(case.poses):
        found.append(f"{len(path)} frames instead of {len(case.poses)}")
    elif np.abs(path.poses - case.poses).max() > case.near:
        frame = int(np.argmax(np.abs(path.poses - case.poses).max(axis=(1, 2))))
        found.append(f"frame {frame} is {path.poses[frame, :3].tolist()}, not {case.poses[frame, :3].tolist()}")
    if case.fps and abs(path.fps - case.fps) > 1e-6 * case.fps:
        found.append(f"{path.fps:g} frames a second instead of {case.fps:g}")
    if case.lens is not None and np.abs(path.intrinsics - case.lens).max() > 1e-6:
        found.append(f"the lens is {path.intrinsics[0].tolist()}, not {case.lens.tolist()}")
    if case.told != ANYTHING and (case.told not in " ".join(told) or bool(told) != bool(case.told)):
        found.append(f"told was {told}, not {case.told!r}")
    return found


def poses_at(places: Sequence[Sequence[float]], turns: Rotation | None = None) -> Array:
    """Poses (F, 4, 4) at places (F, 3) of our axes (x right, y down, z forward), level and looking ahead."""
    result = np.tile(np.eye(4), (len(places), 1, 1))
    result[:, :3, 3] = places
    if turns is not None:
        result[:, :3, :3] = turns.as_matrix()
    return result


def text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def tum(times: Sequence[object], x: Sequence[float]) -> dict[str, bytes]:
    return {"walk.txt": text([f"{time} {place} 0 0 0 0 0 1" for time, place in zip(times, x, strict=True)])}


def realestate(stamps: Sequence[object], z: Sequence[float]) -> dict[str, bytes]:
    """World-to-camera, so a camera at z has -z in its matrix."""
    rows = [f"{stamp} .6 1.06 .5 .5 0 0 1 0 0 0 0 1 0 0 0 0 1 {-place}" for stamp, place in zip(stamps, z, strict=True)]
    return {"clip.txt": text(["https://x", *rows])}


def along_x(x: Sequence[float]) -> Array:
    return poses_at([[place, 0, 0] for place in x])


def along_z(z: Sequence[float]) -> Array:
    return poses_at([[0, 0, place] for place in z])


STEPS = [0.0, 0.5, 1.0, 1.5, 2.0]
NINE = [0.1 * i for i in range(9)]
LENS_OF_NINE = np.array([0.6, 1.06, 0.5, 0.5])


def timed_cases() -> Iterator[tuple[str, Case]]:
    yield "frame numbers for microseconds", Case(
        realestate(range(9), NINE), along_z(NINE), LENS_OF_NINE, 24.0, told="counts frames"
    )
    yield "frame numbers at the film's rate", Case(
        realestate(range(9), NINE), along_z(NINE), LENS_OF_NINE, 16.0, told="16 a second", settings={"fps": 16.0}
    )
    yield "every fourth frame", Case(realestate(range(3, 39, 4), NINE), along_z(NINE), fps=24.0, told="counts frames")
    yield "frame numbers with a gap", Case(
        realestate([0, 1, 2, 3, 6, 7, 8, 9], [0, 1, 2, 3, 6, 7, 8, 9]),
        along_z(range(10)), fps=24.0, told="counts frames",
    )  # fmt: skip
    yield "milliseconds for microseconds", Case(
        realestate(range(0, 360, 40), NINE), along_z(NINE), fps=25.0, told="taken as milliseconds"
    )
    yield "microseconds", Case(realestate(range(0, 360000, 40000), NINE), along_z(NINE), LENS_OF_NINE, 25.0)
    yield "nanoseconds for seconds", Case(
        tum([f"{1656423513513347328 + 40000000 * i}.000000" for i in range(5)], STEPS),
        along_x(STEPS), fps=25.0, told="taken as nanoseconds",
    )  # fmt: skip
    yield "microseconds for seconds", Case(
        tum([1656423513513347 + 40000 * i for i in range(5)], STEPS),
        along_x(STEPS), fps=25.0, told="taken as microseconds",
    )  # fmt: skip
    yield "milliseconds for seconds", Case(
        tum([1656423513513 + 40 * i for i in range(5)], STEPS), along_x(STEPS), fps=25.0, told="taken as milliseconds"
    )
    yield "seconds", Case(tum(STEPS, STEPS), along_x(STEPS), fps=2.0)
    yield "times that are none", Case(tum([i * 1e-7 for i in range(5)], STEPS), refused="no step of a camera")
    yield "one time twice", Case(
        tum([0, 0.5, 1.0, 1.0, 1.5, 2.0], [0, 0.5, 9, 1.0, 1.5, 2.0]), along_x(STEPS), fps=2.0,
        told="1 camera had the time of another",
    )  # fmt: skip
    yield "times turned round", Case(
        tum(STEPS[::-1], STEPS[::-1]), along_x(STEPS), fps=2.0, told="not in the order of their times"
    )
    yield "a time twice, in a clip", Case(
        realestate([0, 40000, 80000, 80000, 120000], [0, 1, 7, 2, 3]), along_z(range(4)), fps=25.0, told="1 camera had"
    )
    lost = tum([0, 0.5, 1.0, 1.5, 2.0], STEPS)["walk.txt"].replace(
        b"1.0 1.0 0 0 0 0 0 1", b"1.0 nan nan nan nan nan nan nan")  # fmt: skip
    yield "a lost frame", Case({"walk.txt": lost}, along_x(STEPS), fps=0.0, told="1 camera of 5 were lost",
                               settings={"fps": 2.0})  # fmt: skip
    yield "only lost frames", Case(
        {"walk.txt": b"0 nan nan nan nan nan nan nan\n"}, refused="all its cameras are lost"
    )
    yield "whole seconds, or frames", Case(
        tum(range(5), STEPS), along_x(STEPS), fps=1.0, told="one camera a second"
    )
    yield "a first quaternion of 1 0 0 0", Case(
        {"walk.txt": text([f"{i / 10} 0 0 0 1 0 0 0" for i in range(3)])},
        poses_at([[0, 0, 0]] * 3, Rotation.from_rotvec([[np.pi, 0, 0]] * 3)), fps=10.0, told="w is first",
    )  # fmt: skip
    times = np.arange(0.0, 6.0 + 1e-9, 1 / 24)
    yield "a rest of four seconds", Case(
        tum([0, 0.5, 1, 5, 5.5, 6], [0, 0.5, 1, 1, 1.5, 2]),
        along_x(np.where(times < 1.0, times, np.where(times < 5.0, 1.0, times - 4.0)).tolist()),
        told="made even", near=0.12, settings={"fps": 24.0},
    )  # fmt: skip
    turn = "0.5 0.5 0.5 0.5"  # x y z w
    swapped = Rotation.from_quat([0.5, 0.5, 0.5, 0.5])
    for name, head, row in (
        ("w first", "#timestamp [ns],p_x,p_y,p_z,q_w,q_x,q_y,q_z", "1.0,0.0,0.0,0.0"),
        ("w first between spaces", "# timestamp tx ty tz qw qx qy qz", "1.0 0.0 0.0 0.0"),
        ("w last", "# timestamp tx ty tz qx qy qz qw", "0.0 0.0 0.0 1.0"),
    ):
        comma = "," in row
        rows = [f"{1403636579763555584 + 50000000 * i} {0.5 * i} 0 0 " for i in range(5)]
        rows = [one.replace(" ", ",") + row if comma else one + row for one in rows]
        yield f"named columns, {name}", Case({"data.csv": text([head, *rows])}, along_x(STEPS), fps=20.0, told=ANYTHING)
    yield "a turn, w last", Case(
        {"walk.txt": text([f"{i / 10} 0 0 0 {turn}" for i in range(3)])},
        poses_at([[0, 0, 0]] * 3, Rotation.concatenate([swapped] * 3)), fps=10.0,
    )  # fmt: skip


def viewed(places: Sequence[Sequence[float]], targets: Sequence[Sequence[float]], roll: Sequence[float] = ()) -> Array:
    """Our poses of cameras in a world with y up at ``places`` (F, 3) that look at ``targets`` (F, 3).

    As three.js does it: z away from the target, x across it and the world's up, y above both, then turned about z by
    ``roll`` (F,) degrees. Ours has y down and z forward, of the world and of the camera.
    """
    result = np.tile(np.eye(4), (len(places), 1, 1))
    for frame, (place, target) in enumerate(zip(np.array(places, float), np.array(targets, float), strict=True)):
        z = (place - target) / np.linalg.norm(place - target)
        x = np.cross([0.0, 1.0, 0.0], z)
        x /= np.linalg.norm(x)
        y = np.cross(z, x)
        angle = np.radians(roll[frame] if len(roll) else 0.0)
        x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        result[frame, :3] = np.diag([1.0, -1.0, -1.0]) @ np.stack([x, -y, -z, place], axis=1)
    return result


def upright_lens(fov: Array | float, aspect: float) -> Array:
    focal = 0.5 / np.tan(np.radians(np.atleast_1d(fov)) / 2.0)
    return np.stack([focal / aspect, focal, 0.5 + 0 * focal, 0.5 + 0 * focal], axis=1)


def between(first: Sequence[float], last: Sequence[float], share: Array) -> Array:
    return np.outer(1.0 - share, first) + np.outer(share, last)


def track(way: str | None, **changed: object) -> dict[str, Any]:
    """Two keyframes, 80 frames apart, as OmniCam writes them."""
    common = {"zoom": 1.0, "near": 0.01, "far": 10000.0, "camera_type": "perspective"}
    keyframes: list[dict[str, Any]] = [
        {"frame": 0, "camera": {"position": [0, 1.5, 6], "target": [0, 1, 0], "fov": 45, "roll": 0, **common}},
        {"frame": 80, "camera": {"position": [3, 2, 5], "target": [0, 1, -1], "fov": 35, "roll": 20, **common}},
    ]
    for keyframe in keyframes:
        keyframe["interpolation"] = way
        keyframe["camera"].update(changed)
    if way is None:
        keyframes = [{key: value for key, value in one.items() if value is not None} for one in keyframes]
    return {"schema_version": 1, "fps": 24, "duration_frames": 81, "width": 1280, "height": 720, "keyframes": keyframes}


def tracked(share: Array) -> tuple[Array, Array]:
    """Poses and lenses of `track` at shares (F,) of its way."""
    places, targets = between([0, 1.5, 6], [3, 2, 5], share), between([0, 1, 0], [0, 1, -1], share)
    return viewed(places.tolist(), targets.tolist(), (20 * share).tolist()), upright_lens(45 - 10 * share, 16 / 9)


def as_json(value: object) -> dict[str, bytes]:
    return {"cameras.json": json.dumps(value).encode()}


def moved(x: float, y: float, z: float) -> list[float]:
    """A matrix of three.js, column by column."""
    return [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1]


def viewer_cases() -> Iterator[tuple[str, Case]]:
    lens = {"fx": 428, "fy": 426, "cx": 352, "cy": 240}
    ahead = [{"position": [0, 0, 0.1 * i], "quaternion": [1, 0, 0, 0], **lens} for i in range(3)]
    of_lens = np.array([428 / 704, 426 / 480, 0.5, 0.5])
    flash = {"resolution": [3, 480, 704], "cameras": ahead}
    yield "FlashWorld", Case(as_json(flash), along_z([0, -0.1, -0.2]), of_lens, 24.0)
    half = np.sqrt(0.5)
    turned = [{"position": [1, 2, 3], "quaternion": [half, 0, half, 0], **lens}]
    yield "FlashWorld, a quarter turn to the left", Case(
        as_json({"resolution": [1, 480, 704], "cameras": turned}), viewed([[1, 2, 3]], [[0, 2, 3]]), of_lens
    )
    yield "a list quaternion beside a lens in pixels", Case(as_json({"cameras": ahead}), refused="first or its last")
    yield "a quaternion of a viewer", Case(
        as_json([{"position": [1, 2, 3], "quaternion": [0, half, 0, half]}]), viewed([[1, 2, 3]], [[0, 2, 3]])
    )

    share = np.arange(81) / 80
    eased = {"linear": share, "ease": share**2 * (3 - 2 * share), "ease_in": share**2,
             "ease_out": 1 - (1 - share) ** 2, "hold": np.floor(share), None: share}  # fmt: skip
    for way, gone in eased.items():
        poses, lenses = tracked(gone)
        yield f"keyframes, {way or 'nothing said'}", Case(as_json(track(way)), poses, lenses, 24.0)
    poses, lenses = tracked(np.minimum(np.arange(100) / 80, 1.0))
    yield "keyframes that end before the film", Case(
        as_json({**track("linear"), "duration_frames": 100}), poses, lenses, 24.0
    )
    poses, lenses = tracked(share[:41])
    yield "keyframes behind the end of the film", Case(
        as_json({**track("linear"), "duration_frames": 41}), poses, lenses, 24.0, told="left out"
    )
    poses, lenses = tracked(share)
    listed = [{"frame": one["frame"], "interpolation": "linear", "aspect": 16 / 9, **one["camera"]}
              for one in track("linear")["keyframes"]]  # fmt: skip
    yield "keyframes without a head", Case(as_json(listed), poses, lenses, 16.0, settings={"fps": 16.0})
    timed = [{**one, "time": one["frame"] / 20} for one in listed]
    timed = [{key: value for key, value in one.items() if key != "frame"} for one in timed]
    yield "keyframes with times", Case(as_json({"fps": 20, "keyframes": timed[::-1]}), poses, lenses, 20.0,
                                       told="sorted")  # fmt: skip
    yield "keyframes with times in milliseconds", Case(
        as_json({"fps": 20, "keyframes": [{**one, "time": round(1000 * one["time"])} for one in timed]}),
        poses, lenses, 20.0, told="milliseconds",
    )  # fmt: skip
    sparse = [{**one, "time": 2 * index} for index, one in enumerate(timed)]
    walked = np.arange(49) / 48
    sparse = [{key: value for key, value in one.items() if key != "interpolation"} for one in sparse]
    poses, lenses = tracked(walked)
    yield "cameras two seconds apart", Case(as_json({"cameras": sparse}), poses, lenses, 24.0)
    dense = [{"time": 0.05 * i, "position": [0.1 * i, 0, 0], "target": [0.1 * i, 0, -1]} for i in range(5)]
    yield "cameras with the times of frames", Case(
        as_json(dense), along_x([0.1 * i for i in range(5)]), fps=20.0
    )
    dense = [{**one, "time": 1000 * one["time"]} for one in dense]
    yield "cameras with times in milliseconds", Case(
        as_json(dense), along_x([0.1 * i for i in range(5)]), fps=20.0, told="taken as milliseconds"
    )
    three = [{"frame": frame, "interpolation": way, "camera": {"position": [x, y, 6], "target": [x, y, 0], "fov": 40}}
             for frame, way, x, y in ((0, "linear", 0, 0), (40, "bezier", 2, 4), (80, "ease", 6, 4))]  # fmt: skip
    # x goes 0, 2, 6: slopes 0.05 and 0.1, so 0.05, 0.075 and 0.1 at the keyframes; y goes 0, 4, 4 and turns level.
    u = np.arange(40) / 40
    steps = [u**2 * (3 - 2 * u), u * (1 - u) ** 2 * 40, -(u**2) * (1 - u) * 40]
    x = np.concatenate([2 * steps[0] + 0.05 * steps[1] + 0.075 * steps[2],
                        2 + 4 * steps[0] + 0.075 * steps[1] + 0.1 * steps[2], [6]])  # fmt: skip
    y = np.concatenate([4 * steps[0] + 0.1 * steps[1], 4 + 0 * u, [4]])
    bent = {"schema_version": 1, "fps": 24, "duration_frames": 81, "keyframes": three}
    places = np.stack([x, -y, -6 + 0 * x], axis=1).tolist()
    yield "keyframes of Beziers", Case(as_json(bent), poses_at(places), fps=24.0)
    by_hand = {"channels": {"pos_x": {"mode": "free", "out_x": 0.2, "out_y": 3.0}}}
    yield "keyframes with tangents by hand", Case(
        as_json({**bent, "keyframes": [three[0], {**three[1], "tangents": by_hand}]}), refused="set by hand"
    )
    yield "keyframes of a camera held on an object", Case(
        as_json({**track("linear"), "constraints": {"look_at": {"object_id": "actor", "status": "active"}}}),
        refused="held on an object",
    )  # fmt: skip
    flat_track = track("linear", camera_type="orthographic")
    yield "keyframes of a flat camera", Case(as_json(flat_track), refused="orthographic")
    yield "keyframes with an unknown way", Case(as_json(track("boing")), refused="interpolation is 'boing'")
    rest = [0, 1, 1, 2]
    still = [{"frame": 24 * i, "position": [x, 0, 0], "target": [x, 0, -1]} for i, x in enumerate(rest)]
    made = np.interp(np.arange(73) / 24, range(4), rest)
    yield "keyframes with a rest", Case(as_json({"fps": 24, "keyframes": still}), along_x(made.tolist()), fps=24.0,
                                        near=0.3)  # fmt: skip

    camera = {"type": "PerspectiveCamera", "name": "shot", "fov": 50, "aspect": 2, "matrix": moved(0, 1, 2)}
    mesh = {"type": "Mesh", "matrix": moved(7, 7, 7)}
    turn = [0, 0, -2, 0, 0, 2, 0, 0, 2, 0, 0, 0, 5, 0, 0, 1]  # a quarter turn to the left, twice as large
    group = {"type": "Group", "matrix": turn, "children": [mesh, camera]}
    scene = {"metadata": {"type": "Object"}, "object": {"type": "Scene", "matrix": moved(0, 0, 0), "children": [group]}}
    # The camera stands at (0, 1, 2) of the group: turned to (2, 1, 0), doubled, and 5 to the right; it looks along -x.
    yield "a scene", Case(as_json(scene), viewed([[9, 2, 0]], [[8, 2, 0]]), upright_lens(50.0, 2.0))
    two = {**scene["object"], "children": [{**camera, "name": "first", "matrix": moved(1, 0, 0)}, group]}
    both = np.concatenate([viewed([[1, 0, 0]], [[1, 0, -1]]), viewed([[9, 2, 0]], [[8, 2, 0]])])
    yield "a scene with two cameras", Case(as_json({"object": two}), both, told="each is a frame")
    yield "one of two cameras", Case(
        as_json({"object": two}), both[1:], told=ANYTHING, settings={"camera": "shot"}
    )
    yield "a scene without a camera", Case(as_json({"object": {**two, "children": [mesh]}}), refused="has no camera")
    flat = {"type": "OrthographicCamera", "matrix": moved(0, 0, 0)}
    yield "a scene with a flat camera", Case(
        as_json({"object": {**two, "children": [flat]}}), refused="only orthographic cameras"
    )
    yield "a scene that is animated", Case(
        as_json({**scene, "animations": [{"name": "clip", "tracks": []}]}), refused="moved by animations"
    )
    yield "meshes", Case(as_json([mesh, mesh]), refused="it is a Mesh, no camera")

    keys = {"times": [0, 60], "values": {"position": [0, 0, 4, 4, 0, 0], "target": [0, 0, 0, 0, 1, 0]}}
    settings = {
        "camera": {"fov": 60, "position": [0, 0, 4], "target": [0, 0, 0], "startAnim": "animTrack", "animTrack": "cam"},
        "background": {"color": [0, 0, 0]},
        "animTracks": [{"name": "cam", "duration": 3, "frameRate": 30, "target": "camera", "loopMode": "none",
                        "interpolation": "spline", "smoothness": 0, "keyframes": keys}],
    }  # fmt: skip
    share = np.minimum(np.arange(90) / 60, 1.0)
    share = share**2 * (3 - 2 * share)
    played = viewed(between([0, 0, 4], [4, 0, 0], share).tolist(), between([0, 0, 0], [0, 1, 0], share).tolist())
    wide = 0.5 / np.tan(np.radians(30))
    yield "SuperSplat", Case(as_json(settings), played, np.array([wide, wide * 16 / 9, 0.5, 0.5]), 30.0)
    yield "SuperSplat on a portrait", Case(
        as_json(settings), played, np.array([wide * 2, wide, 0.5, 0.5]), 30.0, settings={"aspect": 0.5}
    )
    yield "SuperSplat without an animation", Case(as_json({**settings, "animTracks": []}), refused="no animation")
    orbit = {"camera": {**settings["camera"], "startAnim": "orbit"}, "background": {}}
    yield "SuperSplat that goes round", Case(as_json(orbit), refused="no animation")
    second = {**settings, "version": 2, "cameras": [{"initial": settings["camera"]}], "startMode": "animTrack"}
    del second["camera"]
    keys = {**keys, "values": {**keys["values"], "fov": [60, 60]}}
    second["animTracks"] = [{**settings["animTracks"][0], "keyframes": keys}]
    yield "SuperSplat, second version", Case(as_json(second), played, np.array([wide, wide * 16 / 9, 0.5, 0.5]), 30.0)


def lens_cases() -> Iterator[tuple[str, Case]]:
    """nerfstudio's transforms.json: OpenGL axes in a world with z up, so the identity looks straight down."""
    down = poses_at([[0, 0, 0], [1, 0, 0]])
    down[:, :3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    matrices = [np.eye(4), np.eye(4)]
    matrices[1][0, 3] = 1.0
    frames = [{"file_path": f"{i}.png", "transform_matrix": one.tolist()} for i, one in enumerate(matrices)]

    def case(lens: Sequence[float] | None, told: str = "", refused: str = "", **head: object) -> Case:
        document = {"frames": frames, **head}
        return Case({"transforms.json": json.dumps(document).encode()}, None if refused else down,
                    None if lens is None else np.array(lens), told=told, refused=refused)  # fmt: skip

    hd = {"w": 1920, "h": 1080}
    yield "fl_y alone", case([1000 / 1920, 1000 / 1080, 0.5, 0.5], fl_y=1000, **hd)
    half = 0.5 / np.tan(0.4)
    yield "camera_angle_x", case([half, half * 16 / 9, 0.5, 0.5], camera_angle_x=0.8, **hd)
    yield "camera_angle_y", case([half * 9 / 16, half, 0.5, 0.5], camera_angle_y=0.8, **hd)
    wide, high = 0.5 / np.tan(np.radians(30)), 0.5 / np.tan(np.radians(20))
    yield "x_fov", case([wide, wide * 16 / 9, 0.5, 0.5], x_fov=60, **hd)
    yield "x_fov and y_fov", case([wide, high, 0.5, 0.5], x_fov=60, y_fov=40)
    yield "an angle with its axis", case(
        [half, half * 16 / 9, 0.25, 0.75], camera_angle_x=0.8, cx=480, cy=810, **hd
    )
    square = 0.5 / np.tan(np.radians(35))
    yield "only a size", case([square, square, 0.5, 0.5], told="nothing of the lens", w=800, h=800)
    yield "a focal length against its angle", case(
        [1000 / 1920, 1000 / 1080, 0.5, 0.5], told="fov 45.8", fl_x=1000, camera_angle_x=0.8, **hd
    )
    agreed = 2 * np.arctan(1920 / 2000)
    yield "a focal length with its angle", case(
        [1000 / 1920, 1000 / 1080, 0.5, 0.5], fl_x=1000, camera_angle_x=agreed, **hd
    )
    yield "a focal length of another picture", case(
        None, refused="sees 175 degrees across", fl_x=35.7, camera_angle_x=0.86, w=1500, h=1000
    )
    yield "a lens like a needle's eye", case(None, refused="sees 0.458 degrees", camera_angle_x=0.008, **hd)
    yield "an angle in degrees for radians", case(None, refused="expected radians between 0 and pi", camera_angle_x=50)
    yield "a rate that no film has", case(None, refused="it says 100000 frames a second", camera_angle_x=0.8, fps=1e5)
    lost = [{"file_path": "0.png", "transform_matrix": None}, *frames]
    yield "a picture that was not registered", case(
        [half, half * 16 / 9, 0.5, 0.5], told="1 of 3 pictures", camera_angle_x=0.8, **{**hd, "frames": lost}
    )
    yield "no picture that was registered", case(
        None, refused="none of its pictures has a camera", camera_angle_x=0.8, **{**hd, "frames": [lost[0]]}
    )
    views: dict[str, Any] = {str(i): {"extrinsic": one.tolist(), "K": [[500, 0, 400], [0, 500, 300], [0, 0, 1]]}
                             for i, one in enumerate(matrices)}  # fmt: skip
    views = {"0": None, "1": views["0"], "2": views["1"]}
    yield "a latent without a camera", Case(
        {"pose.json": json.dumps(views).encode()}, along_x([0, 1]), np.array([0.625, 500 / 600, 0.5, 0.5]), 6.0,
        told="1 of 3 pictures",
    )  # fmt: skip
    far = [[0.1 * i, 0, 0] if i < 12 else [90 + 0.1 * i, 0, 0] for i in range(24)]
    rows = [f"1 0 0 {x} 0 1 0 0 0 0 1 0" for x, _, _ in far]
    yield "a jump", Case({"00.txt": text(rows)}, poses_at(far), told="the camera jumps 90.1 units")


CASES: dict[str, Case] = dict([*timed_cases(), *viewer_cases(), *lens_cases()])


def wrong(folder: Path, cases: Mapping[str, Case] = CASES) -> dict[str, list[str]]:
    """The cases that are not read as they must be, and what is wrong with each."""
    found = {name: faults(case, folder / str(number)) for number, (name, case) in enumerate(cases.items())}
    return {name: problems for name, problems in found.items() if problems}
