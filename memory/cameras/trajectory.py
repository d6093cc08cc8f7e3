"""A camera path as a value that checks itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from .camera import FloatArray, clean_intrinsics, clean_poses, rigid_inverse
from .interpolate import interpolate_intrinsics, interpolate_poses
from .pacing import progress


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where the camera is in each frame.

    ``poses`` (F, 4, 4) float64 camera-to-world, OpenCV axes, scene units. ``intrinsics`` (F, 4) float64, ``fx fy cx
    cy`` divided by width and height; one row (4,) serves all frames. ``fps`` frames a second. ``name`` for the artist.

    Both arrays are copied and read-only; every operation gives a new value. Raises ``ValueError`` for an empty path,
    numbers that are not finite and matrices that are no proper rotation.
    """

    poses: FloatArray
    intrinsics: FloatArray
    fps: float
    name: str = ""

    def __post_init__(self) -> None:
        what = f"The camera path {self.name!r}" if self.name else "The camera path"
        if not (math.isfinite(self.fps) and self.fps > 0.0):
            raise ValueError(f"{what} has {self.fps} frames a second: it must be above 0. Use the model's, 16 or 24.")
        poses = clean_poses(self.poses, what)
        intrinsics = clean_intrinsics(self.intrinsics, len(poses), what)
        poses.flags.writeable = False
        intrinsics.flags.writeable = False
        object.__setattr__(self, "poses", poses)
        object.__setattr__(self, "intrinsics", intrinsics)
        object.__setattr__(self, "fps", float(self.fps))

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, part: slice) -> Trajectory:
        """Frames ``a:b`` as a path of their own."""
        if not isinstance(part, slice):
            raise TypeError(f"A camera path is cut with a slice, got {part!r}. Use path[a:b], or path.poses.")
        return replace(self, poses=self.poses[part], intrinsics=self.intrinsics[part])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trajectory):
            return NotImplemented
        return (
            self.fps == other.fps
            and self.name == other.name
            and np.array_equal(self.poses, other.poses)
            and np.array_equal(self.intrinsics, other.intrinsics)
        )

    def __hash__(self) -> int:
        return hash((len(self), self.fps, self.name, float(self.poses.sum()), float(self.intrinsics.sum())))

    @property
    def duration(self) -> float:
        """Seconds the path lasts: frames / fps."""
        return len(self) / self.fps

    @property
    def last_pose(self) -> FloatArray:
        """Pose (4, 4) of the last frame, read-only."""
        last: FloatArray = self.poses[-1]
        return last

    def concatenate(self, other: Trajectory) -> Trajectory:
        """This path, then ``other`` where it lies; use ``other.after(path.last_pose)`` first to join them."""
        if other.fps != self.fps:
            raise ValueError(
                f"The paths run at {self.fps:g} and {other.fps:g} frames a second and cannot be joined. "
                "Resample one of them to the other's rate."
            )
        return replace(
            self,
            poses=np.concatenate([self.poses, other.poses]),
            intrinsics=np.concatenate([self.intrinsics, other.intrinsics]),
        )

    def scaled(self, factor: float) -> Trajectory:
        """The same path in a scene ``factor`` times as large; 0 keeps only the turning."""
        if not (math.isfinite(factor) and factor >= 0.0):
            raise ValueError(f"The scale is {factor}: it must be 0 or above. Use 1 to leave the path as it is.")
        poses = self.poses.copy()
        poses[:, :3, 3] *= factor
        return replace(self, poses=poses)

    def reversed(self) -> Trajectory:
        """The same poses from last to first."""
        return replace(self, poses=self.poses[::-1], intrinsics=self.intrinsics[::-1])

    def relative(self) -> Trajectory:
        """The path seen from its own first camera: the first pose is exactly the identity."""
        return self.after(np.eye(4))

    def after(self, pose: ArrayLike) -> Trajectory:
        """The path moved as a whole so that frame 0 is exactly ``pose`` (4, 4).

        Frames that had equal poses have equal poses after it, bit for bit.
        """
        start = clean_poses(np.asarray(pose, dtype=np.float64)[None], "The pose to continue from")[0]
        moved = start @ rigid_inverse(self.poses[0]) @ self.poses
        moved[(self.poses == self.poses[0]).all(axis=(1, 2))] = start
        moved[:, 3] = (0.0, 0.0, 0.0, 1.0)
        return replace(self, poses=moved)

    def retimed(self, frames: int, *, easing: str = "even", speed: Sequence[float] = ()) -> Trajectory:
        """The whole path in ``frames`` frames at the same rate: slower with more, faster with fewer.

        ``speed`` holds how many times as fast as usual the camera goes, relative to each other, at evenly spaced
        moments, and ``easing`` how it starts and stops: see ``pacing.progress``. The ends are kept exactly. Rotations
        are slerped the short way, positions and intrinsics follow C2 splines that rest where the camera rests.
        """
        if frames < 1:
            raise ValueError(
                f"The path cannot be re-timed to {frames} frames: it needs at least 1. Use {len(self)} to "
                "leave it as it is."
            )
        last = len(self) - 1.0
        if easing == "even" and len(set(speed)) <= 1:
            if frames == len(self):
                return self
            return self._at(np.linspace(0.0, last, frames, dtype=np.float64), self.fps)
        return self._at(last * progress(frames, easing, speed), self.fps)

    def resampled(self, fps: float) -> Trajectory:
        """The same movement at another frame rate; it lasts as long, to the nearest frame."""
        if not (math.isfinite(fps) and fps > 0.0):
            raise ValueError(f"The frame rate is {fps}: it must be above 0. Use the model's own, 16 or 24.")
        if fps == self.fps:
            return self
        steps = max(0, round((len(self) - 1) * fps / self.fps))
        return self._at(np.arange(steps + 1, dtype=np.float64) * (self.fps / fps), fps)

    def _at(self, positions: FloatArray, fps: float) -> Trajectory:
        frames = np.arange(len(self), dtype=np.float64)
        return Trajectory(
            interpolate_poses(frames, self.poses, positions),
            interpolate_intrinsics(frames, self.intrinsics, positions),
            fps,
            self.name,
        )
