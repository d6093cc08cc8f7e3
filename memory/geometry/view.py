"""Remembered frames moved to where other cameras see them: known pixels of views that were never filmed.

All points of the frames are dropped into the target view, the nearest win, and that gives the view's own depth; then
every target pixel looks up its colour in the frames that see that very point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray

from ..cameras.trajectory import Trajectory
from .finer import finer_depth
from .fuse import Grid, cameras_of, fused
from .sources import prepared

GREY = 128

SMALL = 40_000
"""Views of fewer pixels than this are cut into smaller cells, whose time does not matter."""


@dataclass(frozen=True, eq=False)
class View:
    """What is known of T target frames.

    ``pictures`` (T, H, W, 3) uint8, unknown pixels filled as asked; ``confidence`` (T, H, W) float32 from 0, unknown,
    to 1, certain; ``depth`` (T, H, W) float32 z-depth in scene units, inf where unknown and where it is infinite;
    ``source`` (T, H, W) int32, which of the given frames each pixel came from most, -1 where unknown.
    """

    pictures: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    depth: NDArray[np.float32]
    source: NDArray[np.int32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(T, H, W), whether each pixel is known."""
        return self.source >= 0


def view(
    frames: NDArray[np.uint8],
    depth: ArrayLike | None,
    cameras: Trajectory,
    targets: Trajectory,
    size: tuple[int, int] | None = None,
    *,
    scene_distance: float | None = None,
    allowed_shift: float = 1.0,
    through_unseen: bool = False,
    device: torch.device | str = "cpu",
    tile: int = 2,
) -> View:
    """Remembered frames as the target cameras see them.

    Args:
        frames: (F, H, W, 3) uint8. None at all (F = 0) is no error: nothing is known then.
        depth: (F, h, w) z-depth in scene units at any size, NaN or not above 0 where unknown, inf for the sky; or None.
            Small maps are brought to the frames' size along the edges that these have (``finer.finer_depth``).
            Without depth frames are only turned (infinite homography).
        cameras, targets: of the frames, F long (looked at only if there are frames), and of the views wanted, T long.
        size: (height, width) of the views; that of the frames where not given.
        scene_distance: without depth, about how far things are, in scene units. A frame is used only for targets so
            near that things so far away move by at most ``allowed_shift`` pixels. Where it is not given, only frames
            from the very place of the target are.
        through_unseen: also show what is seen through space that none of the frames saw, where a wall may stand that
            none of them knows of.
        device: where the work is done.
        tile: target frames made at once; what is in memory at a time grows with it.

    Raises:
        ValueError: arrays of another shape or type, or another number of cameras than of frames.
    """
    parts = list(views(frames, depth, cameras, targets, size, scene_distance=scene_distance,
                       allowed_shift=allowed_shift, through_unseen=through_unseen, device=device,
                       tile=tile))  # fmt: skip
    return View(
        *(np.concatenate([getattr(part, name) for part in parts])
          for name in ("pictures", "confidence", "depth", "source"))
    )


def views(
    frames: NDArray[np.uint8],
    depth: ArrayLike | None,
    cameras: Trajectory,
    targets: Trajectory,
    size: tuple[int, int] | None = None,
    *,
    scene_distance: float | None = None,
    allowed_shift: float = 1.0,
    through_unseen: bool = False,
    device: torch.device | str = "cpu",
    tile: int = 2,
) -> Iterator[View]:
    """As ``view``, a view (t, H, W) of ``tile`` target frames at a time. Raises ``ValueError`` as ``view`` does."""
    given = np.asarray(frames)
    if given.ndim != 4 or given.shape[-1] != 3 or given.dtype != np.uint8 or 0 in given.shape[1:]:
        raise ValueError(f"The frames are {given.dtype} of the shape {given.shape}, expected uint8 (frames, height, "
                         "width, 3).")
    if len(given) and len(cameras) != len(given):
        raise ValueError(f"There are {len(given)} frames and {len(cameras)} cameras: give one camera for each frame.")
    if tile < 1:
        raise ValueError(f"The tile is {tile} target frames: it must be 1 or more. Use 2.")
    height, width = size or given.shape[1:3]
    if depth is not None:
        known = np.asarray(depth, dtype=np.float32)
        if known.ndim != 3 or len(known) != len(given) or 0 in known.shape[1:]:
            raise ValueError(f"The depth has the shape {known.shape}, expected ({len(given)}, height, width): one "
                             "map for each frame.")
    else:
        known = np.full((len(given), 1, 1), np.inf, dtype=np.float32)
    return _views(given, known, depth is not None, cameras, targets, (height, width), scene_distance, allowed_shift,
                  through_unseen, torch.device(device), tile)  # fmt: skip


def _views(
    frames: NDArray[np.uint8], depth: NDArray[np.float32], moving: bool, cameras: Trajectory, targets: Trajectory,
    size: tuple[int, int], scene_distance: float | None, allowed_shift: float, through_unseen: bool,
    device: torch.device, tile: int,
) -> Iterator[View]:
    count = len(frames)
    if count and moving and depth.shape[1] * depth.shape[2] < frames.shape[1] * frames.shape[2]:
        depth = finer_depth(depth, frames, device)
    pictures = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float()
    with np.errstate(divide="ignore", invalid="ignore"):
        near = torch.from_numpy(np.where(depth > 0, 1 / depth, np.nan).astype(np.float32)).to(device)
    if count:
        near = F.interpolate(near[:, None], frames.shape[1:3])[:, 0]
    given = (cameras.poses, cameras.intrinsics)
    poses, intrinsics = (torch.from_numpy(part[:count].copy()).to(device) for part in given)
    small = size[0] * size[1] < SMALL
    sources = prepared(pictures, near, intrinsics.float(), 1 if small else 2) if count else None
    grid = Grid(*size, 2 if small else 4)
    for start in range(0, len(targets), tile):
        part = targets[start : start + tile]
        if sources is None:
            yield _nothing(len(part), size)
            continue
        aims, aim_intrinsics = (torch.from_numpy(array.copy()).to(device) for array in (part.poses, part.intrinsics))
        allowed = torch.ones(len(part), count, dtype=torch.bool, device=device)
        if not moving:
            away = (poses[None, :, :3, 3] - aims[:, None, :3, 3]).norm(dim=-1)
            shift = away * aim_intrinsics[:, :1] * size[1] / (scene_distance or 1)
            allowed = shift <= allowed_shift if scene_distance else away < 1e-6
        both = cameras_of(sources, poses, intrinsics, aims, aim_intrinsics, size, not moving, allowed)
        found = fused(sources, both, grid, through_unseen or not moving)
        known = found.frame >= 0
        colour = torch.where(known[..., None], found.colour, GREY)
        distance = torch.where(known, 1 / found.near.clamp_min(0), torch.inf)
        yield View(
            colour.cpu().numpy(), (found.sure * known).cpu().numpy(), distance.cpu().numpy(), found.frame.cpu().numpy()
        )


def _nothing(count: int, size: tuple[int, int]) -> View:
    return View(
        np.full((count, *size, 3), GREY, np.uint8), np.zeros((count, *size), np.float32),
        np.full((count, *size), np.inf, np.float32), np.full((count, *size), -1, np.int32),
    )  # fmt: skip
