"""Cameras of the stock 3D nodes: taken over as the stock renderer sees through them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.cameras.angles import rotation
from scene_memory.models.host.camera_3d import camera_from_3d

Info = dict[str, Any]

LOAD3D: Info = {
    "position": {"x": 10, "y": 10, "z": 10},
    "target": {"x": 0, "y": 0, "z": 0},
    "zoom": 1,
    "cameraType": "perspective",
    "quaternion": {
        "x": -0.27984814233312133,
        "y": 0.3647051996310008,
        "z": 0.1159168962910937,
        "w": 0.8804762392171493,
    },
    "fov": 35,
    "aspect": 1.5,
    "near": 0.1,
    "far": 1000,
    "frustum": {"left": -5, "right": 5, "top": 5, "bottom": -5},
}
"""What the viewer of Load 3D puts into the workflow in its first view."""


def modes() -> list[Info]:
    return [
        {"mode": "orbit", "yaw": 35.0, "pitch": 30.0, "distance": 4.0},
        {"mode": "orbit", "yaw": -140.0, "pitch": -60.0, "distance": 0.5},
        {"mode": "look_at", "position_x": 3.0, "position_y": -2.0, "position_z": 1.0},
        {"mode": "quaternion", "position_x": 1.0, "position_y": 2.0, "position_z": 3.0,
         "quat_x": 0.1, "quat_y": -0.7, "quat_z": 0.2, "quat_w": -0.5},
    ]  # fmt: skip


@pytest.mark.parametrize("mode", modes(), ids=lambda mode: f"{mode['mode']} {mode.get('yaw', '')}")
@pytest.mark.parametrize("roll", [0.0, 25.0])
def test_a_camera_stands_and_looks_as_the_stock_renderer_has_it(comfy: Path, mode: Info, roll: float) -> None:
    from comfy_extras.nodes_gaussian_splat import CreateCameraInfo, _camera_basis

    info = CreateCameraInfo.execute(mode, 0.5, -0.25, 1.0, roll, 40.0, zoom=1.0).result[0]
    eye, target, right, down, forward = (part.numpy() for part in _camera_basis(info, torch.device("cpu")))
    camera = camera_from_3d(info, "camera 1")
    np.testing.assert_allclose(camera.pose[:3, 3], eye, atol=1e-6)
    np.testing.assert_allclose(camera.pose[:3, :3], np.stack([right, down, forward], axis=1), atol=1e-6)
    np.testing.assert_allclose(eye + camera.distance * forward, target, atol=1e-5)
    assert camera.fov == pytest.approx(40.0)


def test_the_first_view_of_load_3d_looks_down_at_the_origin() -> None:
    camera = camera_from_3d(LOAD3D, "camera 1")
    np.testing.assert_allclose(camera.pose[:3, 3], [10, -10, -10])
    np.testing.assert_allclose(camera.pose[:3, 2], [-1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)], atol=1e-9)
    np.testing.assert_allclose(camera.pose[1, 0], 0.0, atol=1e-9)
    assert camera.distance == pytest.approx(math.sqrt(300))
    without = camera_from_3d({key: value for key, value in LOAD3D.items() if key != "quaternion"}, "camera 1")
    np.testing.assert_allclose(without.pose, camera.pose, atol=1e-9)


def test_the_same_turn_of_either_sign_is_the_same_camera() -> None:
    other = {**LOAD3D, "quaternion": {axis: -value for axis, value in LOAD3D["quaternion"].items()}}
    assert np.array_equal(camera_from_3d(other, "a").pose, camera_from_3d(LOAD3D, "a").pose)


def test_the_lens_has_the_vertical_field_of_view_and_the_zoom() -> None:
    lens = camera_from_3d({**LOAD3D, "fov": 60, "zoom": 2.0}, "camera 1").intrinsics(1.5)
    assert 0.5 / lens[1] == pytest.approx(math.tan(math.radians(30.0)) / 2.0)
    assert lens[1] / lens[0] == pytest.approx(1.5)
    assert camera_from_3d({key: LOAD3D[key] for key in ("position", "target")}, "a").fov == pytest.approx(35.0)


def test_a_camera_at_the_origin_that_looks_along_minus_z_is_ours_at_rest() -> None:
    zero = {"x": 0, "y": 0, "z": 0}
    info = {"position": zero, "target": {"x": 0, "y": 0, "z": -2}, "quaternion": {**zero, "w": 1}, "fov": 50}
    np.testing.assert_allclose(camera_from_3d(info, "a").pose, np.eye(4), atol=1e-12)
    turned = {**info, "quaternion": {**zero, "y": math.sin(-math.pi / 8), "w": math.cos(math.pi / 8)}}
    np.testing.assert_allclose(camera_from_3d(turned, "a").pose[:3, :3], rotation(yaw=45.0), atol=1e-12)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (None, r"camera 2 holds no camera \(it is NoneType\). Open the 3D node"),
        ({**LOAD3D, "cameraType": "orthographic"}, "of the type 'orthographic': a video model needs a perspective one"),
        ({**LOAD3D, "position": None}, "camera 2: position is NoneType: expected x, y, z"),
        ({**LOAD3D, "position": {"x": 1, "y": 2}}, "camera 2: position: z is None: expected a number"),
        ({**LOAD3D, "target": {"x": 1, "y": "2", "z": 0}}, "camera 2: target: y is '2'"),
        ({**LOAD3D, "position": {"x": float("nan"), "y": 2, "z": 3}}, "position: x is nan"),
        ({**LOAD3D, "position": {"x": 1e9, "y": 2, "z": 3}}, "position: x is 1000000000.0"),
        ({**LOAD3D, "quaternion": dict.fromkeys("xyzw", 0)}, "the quaternion is 0 and names no rotation"),
        ({**LOAD3D, "fov": 200}, "field of view is 200 degrees and the zoom 1: expected 0.1 to 179"),
        ({**LOAD3D, "zoom": 0}, "a zoom above 0. Use 35 and 1"),
        ({"position": LOAD3D["target"], "target": LOAD3D["target"], "fov": 35}, "no direction to look in"),
    ],
)
def test_what_is_no_camera_is_refused_with_its_name(info: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        camera_from_3d(info, "camera 2")
