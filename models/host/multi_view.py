"""Cameras of several pictures at once by Depth Anything 3, through ComfyUI's own node."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...memory.cameras.camera import FloatArray, rigid_inverse
from .depth import DA3, RESOLUTION

MODE = {"mode": "multiview", "ref_view_strategy": "saddle_balanced", "pose_method": "cam_dec"}


def cameras_by_da3(model: Any, pictures: NDArray[np.uint8]) -> FloatArray:
    """Poses (n, 4, 4) of ``pictures`` (n, H, W, 3) of one place, in axes and a scale of the model's own.

    Raises ValueError if this ComfyUI's node is another, if the model sees no cameras (only Small and Base do), and if
    what it gives is not finite.
    """
    DA3.check()
    image = torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255
    try:
        (made,) = DA3(
            da3_model=model, image=image, resolution=RESOLUTION, resize_method="upper_bound_resize", mode=dict(MODE)
        )
    except ValueError as fault:
        raise ValueError(
            f"This Depth Anything 3 model sees no cameras ({fault}). Load the Small or the Base one in Load Depth "
            "Anything 3, or leave da3_model open."
        ) from fault
    given = np.asarray(made["extrinsics"][0].double().cpu().numpy())[:, :3]
    if not np.isfinite(given).all():
        raise ValueError(
            "Depth Anything 3 gave cameras that are not finite: it overflowed. Set weight_dtype of Load Depth Anything "
            "3 to fp32."
        )
    u, _, vt = np.linalg.svd(given[:, :, :3])
    to_camera = np.tile(np.eye(4), (len(given), 1, 1))
    to_camera[:, :3, :3] = (u * np.linalg.det(u @ vt)[:, None, None]) @ vt
    to_camera[:, :3, 3] = given[:, :, 3]
    return rigid_inverse(to_camera)
