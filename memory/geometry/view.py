"""Remembered frames moved to where other cameras see them: known pixels of views that were never filmed.

All points of the frames are dropped into the target view, the nearest win, and that gives the view's own depth; then
every target pixel looks up its colour in the frames that see that very point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..cameras.projection import project, split
from ..cameras.trajectory import Trajectory
from .splat import closed, pixel_rays, points, splat

GREY = 128
TOLERANCE = 0.03


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
    device: torch.device | str = "cpu",
    tile: int = 4,
) -> View:
    """Remembered frames as the target cameras see them.

    Args:
        frames: (F, H, W, 3) uint8. None at all (F = 0) is no error: nothing is known then.
        depth: (F, h, w) z-depth in scene units at any size, NaN or not above 0 where unknown, inf for the sky; or None.
            Without depth frames are only turned (infinite homography).
        cameras, targets: of the frames, F long (looked at only if there are frames), and of the views wanted, T long.
        size: (height, width) of the views; that of the frames where not given.
        scene_distance: without depth, about how far things are, in scene units. A frame is used only for targets so
            near that things so far away move by at most ``allowed_shift`` pixels. Where it is not given, only frames
            from the very place of the target are.
        device: where the work is done.
        tile: target frames made at once; what is in memory at a time grows with it.

    Raises:
        ValueError: arrays of another shape or type, or another number of cameras than of frames.
    """
    parts = list(views(frames, depth, cameras, targets, size, scene_distance=scene_distance,
                       allowed_shift=allowed_shift, device=device, tile=tile))  # fmt: skip
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
    device: torch.device | str = "cpu",
    tile: int = 4,
) -> Iterator[View]:
    """As ``view``, a view (t, H, W) of ``tile`` target frames at a time. Raises ``ValueError`` as ``view`` does."""
    given = np.asarray(frames)
    if given.ndim != 4 or given.shape[-1] != 3 or given.dtype != np.uint8 or 0 in given.shape[1:]:
        raise ValueError(f"The frames are {given.dtype} of the shape {given.shape}, expected uint8 (frames, height, "
                         "width, 3).")
    if len(given) and len(cameras) != len(given):
        raise ValueError(f"There are {len(given)} frames and {len(cameras)} cameras: give one camera for each frame.")
    if tile < 1:
        raise ValueError(f"The tile is {tile} target frames: it must be 1 or more. Use 4.")
    height, width = size or given.shape[1:3]
    if depth is not None:
        known = np.asarray(depth, dtype=np.float32)
        if known.ndim != 3 or len(known) != len(given) or 0 in known.shape[1:]:
            raise ValueError(f"The depth has the shape {known.shape}, expected ({len(given)}, height, width): one "
                             "map for each frame.")
    else:
        known = np.full((len(given), 1, 1), np.inf, dtype=np.float32)
    return _views(given, known, depth is not None, cameras, targets, (height, width), scene_distance, allowed_shift,
                  torch.device(device), tile)  # fmt: skip


def _views(
    frames: NDArray[np.uint8], depth: NDArray[np.float32], moving: bool, cameras: Trajectory, targets: Trajectory,
    size: tuple[int, int], scene_distance: float | None, allowed_shift: float, device: torch.device, tile: int,
) -> Iterator[View]:
    pictures = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float()
    with np.errstate(divide="ignore", invalid="ignore"):
        near = torch.from_numpy(np.where(depth > 0, np.maximum(1 / depth, 1e-3), -1).astype(np.float32)).to(device)
    if len(frames):
        near = F.interpolate(near[:, None], frames.shape[1:3])[:, 0]
    source = Frames(pictures, near, *_cameras(cameras, device))
    for start in range(0, len(targets), tile):
        made = [
            _one(
                source if moving else _turned(source, pose, lens, size[1], scene_distance, allowed_shift),
                pose, lens, size,
            )
            for pose, lens in zip(*_cameras(targets[start : start + tile], device), strict=True)
        ]
        pictures_, confidence, found, index = (torch.stack(part).cpu().numpy() for part in zip(*made, strict=True))
        yield View(pictures_, confidence, found if moving else np.full_like(found, np.inf), index)


def _cameras(path: Trajectory, device: torch.device) -> tuple[Tensor, Tensor]:
    poses, lenses = (torch.from_numpy(part.copy()).float().to(device) for part in (path.poses, path.intrinsics))
    return poses, lenses


@dataclass(frozen=True, eq=False)
class Frames:
    """Remembered frames: ``pictures`` (F, 3, H, W), ``near`` (F, H, W) one over z-depth and -1 where unknown, ``poses``
    (F, 4, 4), ``lenses`` (F, 4), and which of them may be ``used`` (F,)."""

    pictures: Tensor
    near: Tensor
    poses: Tensor
    lenses: Tensor
    used: Tensor | None = None


def _turned(source: Frames, pose: Tensor, lens: Tensor, width: int, distance: float | None, most: float) -> Frames:
    """The frames as if taken from the very place of the target, all things one unit away: turning moves these as it
    moves everything."""
    away = (source.poses[: len(source.pictures), :3, 3] - pose[:3, 3]).norm(dim=1)
    shift = away * lens[0] * width / distance if distance else torch.where(away > 1e-6, torch.inf, 0.0)
    poses = source.poses.clone()
    poses[:, :3, 3] = pose[:3, 3]
    return replace(source, near=torch.ones_like(source.near), poses=poses, used=shift <= most)


def _one(source: Frames, pose: Tensor, lens: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Picture (H, W, 3), confidence, depth and source (H, W) of one view."""
    height, width = size
    count = len(source.pictures)
    if not count:
        return (
            torch.full((*size, 3), GREY, dtype=torch.uint8, device=pose.device),
            torch.zeros(size, device=pose.device), torch.full(size, torch.inf, device=pose.device),
            torch.full(size, -1, dtype=torch.int32, device=pose.device),
        )  # fmt: skip
    given = (source.near >= 0).flatten(1)
    if source.used is not None:
        given &= source.used[:, None]
    places = points(source.near.clamp_min(0), source.poses, source.lenses)
    places = torch.where(given.flatten(), places, pose[:3, 3:])
    seen = splat(places, pose[None], lens[None], torch.Size((count, height, width)), 1e4)[0]
    found = closed(seen.amax(0)[None])[0]
    depth = 1 / found.flatten().clamp_min(1e-4)
    place = pose[:3, :3] @ (pixel_rays(lens, height, width) * depth) + pose[:3, 3:]
    local = source.poses[:, :3, :3].transpose(1, 2) @ (place - source.poses[:, :3, 3:])
    ahead = local[:, 2].clamp_min(1e-4)
    u, v = project(local[:, 0] / ahead, local[:, 1] / ahead, 1.0, split(source.lenses, 1))
    grid = torch.stack([2 * u - 1, 2 * v - 1], dim=-1).view(count, *size, 2)
    there = F.grid_sample(source.near[:, None], grid, "bilinear", "border", align_corners=False)[:, 0].flatten(1)
    misfit = (there - 1 / ahead) * ahead / TOLERANCE
    inside = (local[:, 2] > 1e-4) & (u > 0) & (u < 1) & (v > 0) & (v < 1) & (found.flatten() > 0)
    if source.used is not None:
        inside &= source.used[:, None]
    sure = torch.exp(-misfit.square()) * inside * (there >= 0)
    away = (source.poses[:, :3, 3] - pose[:3, 3]).norm(dim=1)
    worth = sure / (1 + away / away.mean().clamp_min(1e-6))[:, None]
    best = worth.argmax(0)
    confidence = sure.gather(0, best[None])[0].view(size)
    known = confidence > 0.3
    colours = F.grid_sample(source.pictures, grid, "bicubic", "border", align_corners=False).flatten(2)
    picture = colours.gather(0, best[None, None].expand(1, 3, -1))[0].view(3, *size)
    picture = torch.where(known, picture.round().clamp(0, 255), GREY).to(torch.uint8).permute(1, 2, 0)
    return (
        picture, confidence * known, torch.where(known, depth.view(size), torch.inf),
        torch.where(known, best.view(size), -1).to(torch.int32),
    )  # fmt: skip
