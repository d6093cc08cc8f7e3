"""Adapter of Wan Fun Camera 2.1 and 2.2: the camera path of the segment drives the model, with or without memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ...film.segment import Segment
from ...memory.cameras.trajectory import Trajectory
from .adapter import STRIDE, WanAdapter
from .family import family_of
from .options import options_of
from .plucker import wan_camera_embedding


class WanCameraAdapter(WanAdapter):
    """Cameras are rays from the segment's first camera; context frames bring their own, seen from the same."""

    @staticmethod
    def serves(model: Any) -> bool:
        family = family_of(model)
        return family is not None and family.camera

    def _more_values(self, model: Any, segment: Segment) -> dict[str, Any]:
        path = segment.trajectory.scaled(options_of(model).camera_scale)
        return {"camera_conditions": wan_camera_embedding(path, segment.width, segment.height)}

    def _context_cameras(self, model: Any, segment: Segment) -> Tensor | None:
        """Rays (1, 24, K, H, W): each context frame stands for all the frames of its latent frame."""
        context, path = segment.context, segment.trajectory
        assert context is not None
        seen = Trajectory(
            np.concatenate([path.poses[:1], np.repeat(context.poses, STRIDE, axis=0)]),
            np.concatenate([path.intrinsics[:1], np.repeat(context.intrinsics, STRIDE, axis=0)]),
            path.fps,
        )
        seen = seen.scaled(options_of(model).camera_scale)
        return wan_camera_embedding(seen, segment.width, segment.height)[:, :, 1:]
