"""Tables whose first line names their columns, in whatever order, units and separators they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scene_memory.dev.bench._camera_samples import SAMPLES, Files, known_cameras
from scene_memory.memory.camera_files import CameraFileError, read_trajectory
from scene_memory.memory.camera_files.layouts import recognised
from scene_memory.memory.camera_files.source import Source
from scene_memory.memory.cameras.camera import intrinsics_from_fov

POSES, LENS = known_cameras(6)
Put = Callable[[Files], Path]
X, Y, Z, QX, QY, QZ, QW = np.concatenate(
    [POSES[:, :3, 3], Rotation.from_matrix(POSES[:, :3, :3]).as_quat()], axis=1
).T.tolist()
VALUES = {"x": X, "y": Y, "z": Z, "qx": QX, "qy": QY, "qz": QZ, "qw": QW, "t": [10.0 + i / 25 for i in range(6)]}
PLAIN = dict(zip("x y z qx qy qz qw".split(), "x y z qx qy qz qw".split(), strict=True))


def table(header: str, kinds: str, separator: str = ",", **more: list[float]) -> Files:
    """A table whose columns have the values of ``kinds``, words of VALUES or of ``more``."""
    known = {**VALUES, **more}
    rows = zip(*(map(repr, known[kind]) for kind in kinds.split()), strict=True)
    return {"cameras.csv": "\n".join([header, *(separator.join(row) for row in rows), ""]).encode()}


def check(path_file: Path, **given: float) -> np.ndarray:
    assert recognised(Source(path_file)).name == "CSV"
    path = read_trajectory(path_file, **given)
    assert np.abs(path.poses - POSES).max() < 1e-9
    return path.intrinsics


HEADERS = {
    "plain": ("x,y,z,qx,qy,qz,qw", "x y z qx qy qz qw"),
    "w first": ("timestamp,tx,ty,tz,qw,qx,qy,qz", "t x y z qw qx qy qz"),
    "EuRoC's vicon": ("#timestamp [s],p_x,p_y,p_z,q_w,q_x,q_y,q_z", "t x y z qw qx qy qz"),
    "turn before place": ("Quat_X,Quat_Y,Quat_Z,Quat_W,Pos_X,Pos_Y,Pos_Z", "qx qy qz qw x y z"),
    "a robot's topic": (
        "%time,field.pose.position.x,field.pose.position.y,field.pose.position.z,field.pose.orientation.x,"
        "field.pose.orientation.y,field.pose.orientation.z,field.pose.orientation.w,field.twist.linear.x",
        "t x y z qx qy qz qw x",
    ),
    "quoted, with units": ('"Time (s)","X (m)","Y (m)","Z (m)","qX","qY","qZ","qW"', "t x y z qx qy qz qw"),
    "words": (
        "seconds,position_x,position_y,position_z,rotation_w,rotation_x,rotation_y,rotation_z,velocity_x,velocity_y,"
        "velocity_z",
        "t x y z qw qx qy qz z y x",
    ),
    "8 columns, two that are no camera's": ("t,e,x,y,z,qx,qy,qz,qw", "t z x y z qx qy qz qw"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_columns_are_found_by_their_names(put: Put, case: str):
    header, kinds = HEADERS[case]
    assert np.allclose(check(put(table(header, kinds))), intrinsics_from_fov(70.0, 16 / 9))
    if kinds.startswith("t"):
        assert read_trajectory(put(table(header, kinds))).fps == pytest.approx(25.0)


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
def test_columns_may_be_parted_by_any_usual_separator(put: Put, separator: str):
    header = separator.join("time qw qx qy qz x y z".split())
    check(put(table(header, "t qw qx qy qz x y z", separator)))


def test_a_spreadsheet_with_decimal_commas_is_read(put: Put):
    files = table("time;x;y;z;qw;qx;qy;qz", "t x y z qw qx qy qz", ";")
    check(put({"a.csv": files["cameras.csv"].replace(b".", b",")}))


@pytest.mark.parametrize(
    ("name", "unit"),
    [("timestamp [ns]", 1e-9), ("time_ms", 1e-3), ("timestamp_us", 1e-6), ("nanoseconds", 1e-9), ("t (ms)", 1e-3)],
)
def test_the_unit_of_the_time_is_the_one_that_is_named(put: Put, name: str, unit: float):
    stamps = [float(round((1000 + i / 25) / unit)) for i in range(6)]
    files = table(f"{name},x,y,z,qw,qx,qy,qz", "stamp x y z qw qx qy qz", stamp=stamps)
    assert read_trajectory(put(files)).fps == pytest.approx(25.0, rel=1e-5)


def test_euroc_is_w_first_in_nanoseconds_and_of_the_body(put: Put):
    """Large nanoseconds: the steps of 50 ms are kept although the stamps have 19 digits."""
    file = put(SAMPLES["CSV"](POSES, LENS))
    path = read_trajectory(file)
    assert np.abs(path.poses - POSES).max() < 1e-9 and path.fps == pytest.approx(20.0, rel=1e-6)
    identity = "#timestamp [ns],p_x,p_y,p_z,q_w,q_x,q_y,q_z\n" + "".join(
        f"{i}000000000,0,0,0,1,0,0,0\n" for i in (1, 2)
    )
    assert np.allclose(read_trajectory(put({"data.csv": identity.encode()})).poses, np.eye(4)), "not half a turn"


@pytest.mark.parametrize(
    ("header", "values", "lens"),
    [
        ("fx,fy,cx,cy,width,height", (520, 510, 400, 250, 832, 480), (520 / 832, 510 / 480, 400 / 832, 250 / 480)),
        ("fx,fy,width,height", (520, 510, 832, 480), (520 / 832, 510 / 480, 0.5, 0.5)),
        ("fx,fy,cx,cy", (520, 520, 416, 240), (520 / 832, 520 / 480, 0.5, 0.5)),
        ("fx,fy,cx,cy", (0.6, 1.0, 0.5, 0.5), (0.6, 1.0, 0.5, 0.5)),
        ("hfov", (90,), (0.5, 0.5 * 16 / 9, 0.5, 0.5)),
        ("fov_y", (90,), (0.5 * 9 / 16, 0.5, 0.5, 0.5)),
        ("vfov,width,height", (90, 800, 400), (0.25, 0.5, 0.5, 0.5)),
    ],
)
def test_a_lens_in_columns_is_taken(put: Put, header: str, values: tuple[float, ...], lens: tuple[float, ...]):
    more = {f"v{i}": [float(value)] * 6 for i, value in enumerate(values)}
    files = table(f"x,y,z,qx,qy,qz,qw,{header}", f"x y z qx qy qz qw {' '.join(more)}", **more)
    assert np.allclose(check(put(files)), lens)


@pytest.mark.parametrize(
    ("header", "kinds", "words"),
    [
        ("x,y,z,qx,qy,qz,qw,fov", "x y z qx qy qz qw t", "fov does not say whether it is horizontal or vertical"),
        ("x,y,z,qx,qy,qz,qw,vfov", "x y z qx qy qz qw one", "the field of view is 1, expected degrees below 180"),
        ("x,y,z,qx,qy,qz,qw,fx", "x y z qx qy qz qw t", "it has fx, but neither cx cy nor width height"),
        ("x,y,z,qx,qy,qz,qw", "x y z x y z x", "line 2: the quaternion"),
    ],
)
def test_a_table_that_leaves_a_doubt_is_refused(put: Put, header: str, kinds: str, words: str):
    with pytest.raises(CameraFileError, match=words):
        read_trajectory(put(table(header, kinds, one=[1.0] * 6)))


def test_a_short_or_broken_row_is_refused_with_its_line(put: Put):
    lines = table("t,x,y,z,qx,qy,qz,qw", "t x y z qx qy qz qw")["cameras.csv"].decode().splitlines()
    with pytest.raises(CameraFileError, match="line 4: 7 values, expected 8 as the columns are named"):
        read_trajectory(put({"a.csv": "\n".join([*lines[:3], lines[3].rpartition(",")[0], *lines[4:]]).encode()}))
    with pytest.raises(CameraFileError, match="line 3: 'lost' is no number"):
        read_trajectory(put({"a.csv": "\n".join([*lines[:2], lines[2].replace("-", "lost,-", 1)]).encode()}))


@pytest.mark.parametrize(
    "header",
    [
        "t,x,y,z,roll,pitch,yaw,e",
        "t,x,y,z,rotation_x,rotation_y,rotation_z,e",
        "t,x,y,e,qx,qy,qz,qw",
        "x,y,z,pos_x,pos_y,pos_z,qx,qy,qz,qw",
    ],
)
def test_a_table_without_one_place_and_one_quaternion_is_no_csv_of_cameras(put: Put, header: str):
    rows = "\n".join(",".join(["0.5"] * len(header.split(","))) for _ in range(3))
    file = put({"a.csv": f"{header}\n{rows}\n".encode()})
    with pytest.raises(CameraFileError, match="not recognised"):
        read_trajectory(file)
    with pytest.raises(CameraFileError, match="no line before its numbers names the columns of one place"):
        read_trajectory(file, layout="CSV")


def test_tums_own_comment_stays_tums(put: Put):
    rows = "".join(f"{i} 0 0 0 0 0 0 1\n" for i in range(3))
    source = Source(put({"a.txt": f"# timestamp tx ty tz qx qy qz qw\n{rows}".encode()}))
    assert recognised(source).name == "TUM"


def test_comments_before_the_names_are_passed_over(put: Put):
    files = table("t,x,y,z,qx,qy,qz,qw", "t x y z qx qy qz qw")
    check(
        put(
            {
                "a.csv": b"# made by hand, on a walk, with a phone, in June, by me, for you, and all\n\n"
                + files["cameras.csv"]
            }
        )
    )
