"""Depth off pictures by the models that ComfyUI itself has: Depth Anything 3 and MoGe, through its own nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...film.depth import Pixels
from ...memory.cameras.trajectory import Trajectory
from .calls import HostNode
from .identity import network_identity

DA3 = HostNode(
    "comfy_extras.nodes_depth_anything_3", "DA3Inference",
    ("da3_model", "image", "resolution", "resize_method", "mode"),
)  # fmt: skip
MOGE = HostNode(
    "comfy_extras.nodes_moge", "MoGeInference",
    ("moge_model", "image", "resolution_level", "fov_x_degrees", "batch_size", "force_projection", "apply_mask"),
)  # fmt: skip
RESOLUTION = 504
"""Pixels along the longer side: what Depth Anything 3 learned with, and its node's default."""
MOST_DETAIL = 9
AT_ONCE = 4
SKY = 0.5


@dataclass(frozen=True)
class DepthAnything3:
    """The DA3_MODEL of Load Depth Anything 3, one picture at a time. Its maps are off by a scale of each."""

    model: Any
    name: str = "Depth Anything 3"
    metric: bool = False
    frames: int = 0

    @cached_property
    def identity(self) -> str:
        """What the network is, 64 hex digits."""
        return network_identity(self.model)

    def check(self) -> None:
        """Raises ValueError if this ComfyUI's node is another."""
        DA3.check()

    def maps(self, pictures: Pixels, cameras: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """Z-depth (K, H, W) of ``pictures`` (K, H, W, 3), inf for the sky where the model knows what is sky."""
        (made,) = DA3(
            da3_model=self.model, image=_image(pictures), resolution=RESOLUTION, resize_method="upper_bound_resize",
            mode={"mode": "mono"},
        )  # fmt: skip
        depth = _numbers(made["depth"])
        return np.where(_numbers(made["sky"]) >= SKY, np.inf, depth) if "sky" in made else depth


@dataclass(frozen=True)
class MoGe:
    """The MOGE_MODEL of Load MoGe Model, given the intrinsics of each picture. Those of version 2 are in metres."""

    model: Any
    name: str = "MoGe"
    frames: int = 0

    @property
    def metric(self) -> bool:
        """Whether its maps are in metres."""
        return getattr(self.model, "version", "") == "v2"

    @cached_property
    def identity(self) -> str:
        """What the network is, 64 hex digits."""
        return network_identity(self.model.patcher)

    def check(self) -> None:
        """Raises ValueError if this ComfyUI's node is another."""
        MOGE.check()

    def maps(self, pictures: Pixels, cameras: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """Z-depth (K, H, W) of ``pictures`` (K, H, W, 3), inf where the model sees sky or nothing."""
        result = np.empty(pictures.shape[:3], dtype=np.float32)
        lenses = cameras.intrinsics[:, 0]
        for lens in np.unique(lenses):
            mine = np.flatnonzero(lenses == lens)
            (made,) = MOGE(
                moge_model=self.model, image=_image(pictures[mine]), resolution_level=MOST_DETAIL,
                fov_x_degrees=math.degrees(2 * math.atan(0.5 / lens)), batch_size=AT_ONCE, force_projection=True,
                apply_mask=True,
            )  # fmt: skip
            result[mine] = _numbers(made["depth"])
        return result


def _image(pictures: Pixels) -> Tensor:
    """Pixels (K, H, W, 3) as the host's IMAGE."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255


def _numbers(depth: Tensor) -> NDArray[np.float32]:
    return np.asarray(depth.detach().float().cpu().numpy(), dtype=np.float32)
