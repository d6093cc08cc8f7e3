"""Known pixels of coming views against the truth, beside two simple ways: scenes of the renderer, eight frames each.

A walk of some minutes through a scene is the memory; `coverage` chooses eight of its frames for the next 81, and they
are moved to where these cameras are. The renderer knows what these show, and by its depth what the eight saw of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ....memory.cameras.camera import intrinsics_from_fov
from ....memory.cameras.projection import pixel_middles, project, split, to_camera, to_world, unproject
from ....memory.cameras.trajectory import Trajectory
from ....memory.geometry.depth_fit import DepthMisfit, fit_depth
from ....memory.geometry.view import View, view
from ....memory.retrieval.retrieve import retrieve
from ....memory.retrieval.settings import RetrievalSettings
from ....world.render import render_with_depth
from ....world.scenes import make_scene
from ....world.walks import tour
from ..retrieval_truth.memories import memory

PLACES = ("room", "rooms", "courtyard", "landscape")
FIRST = 47_000
"""Seed of the first scene; those that were looked at while the view was made begin at 700,000."""

SIZES = ((832, 480), (320, 192))
PAST, SEGMENT, K, FPS = 519, 81, 8, 8.0
TRUE_VIEWS = 6
"""Frames of the 81, evenly spread, that are compared with the truth."""

LEVELS = 24
"""A pixel that is off by more, as the mean of its channels, is wrong."""

FAR = 1e4
TOLERANCE = 0.02
SKY = 3e-4
"""One over a distance at which everything is sky."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Case:
    """``frames`` (F, H, W, 3) and true ``depth`` (F, H, W) from ``cameras``; the true views ``pictures`` (T, H, W, 3)
    from ``targets``, which of their pixels the frames saw (T, H, W), and all coming cameras."""

    frames: NDArray[np.uint8]
    depth: NDArray[np.float32]
    cameras: Trajectory
    pictures: NDArray[np.uint8]
    seen: NDArray[np.bool_]
    targets: Trajectory
    coming: Trajectory


def figures(scenes: int = 8, first: int = FIRST, sizes: Sequence[tuple[int, int]] = SIZES) -> dict[str, float]:
    """Means over so many scenes at each size: PSNR in dB of the pixels that are known, with true depth and with depth
    that was off by a smooth 10 % and by its scale; the share of what could be known that is; the share of the known
    that was hidden or is wrong; the PSNR of two rivals; and the seconds for 81 views of 832 x 480."""
    rows: list[dict[str, float]] = []
    seconds = float("nan")
    for width, height in sizes:
        for number in range(scenes):
            place = PLACES[number % len(PLACES)]
            case = made(first + number, place, width, height)
            rows.append(measured(case, first + number))
            log.info(f"  {width} x {height} {place} {first + number}: " + ", ".join(
                f"{name} {value:.4f}" if value < 2 else f"{name} {value:.1f}" for name, value in rows[-1].items()))
            if number == 1 and (width, height) == SIZES[0]:
                seconds = min(timed(case) for _ in range(2))
    result = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    result["known_psnr_worst"] = min(row["known_psnr_true_depth"] for row in rows)
    return result | {"view_81_s": seconds}


def made(seed: int, place: str, width: int, height: int) -> Case:
    """A scene, its memory, the eight frames of it, and the truth."""
    scene = make_scene(seed, place)
    poses, _ = tour(scene, PAST + SEGMENT, np.random.default_rng(seed))
    lens = intrinsics_from_fov(70.0, width / height)
    past, coming = (Trajectory(part, lens, FPS) for part in (poses[:PAST], poses[PAST:]))
    chosen = retrieve(memory(past.poses, lens), coming, RetrievalSettings(k=K)).indices
    cameras = Trajectory(past.poses[chosen], lens, FPS)
    rows = np.linspace(0, SEGMENT - 1, TRUE_VIEWS).round().astype(int)
    targets = Trajectory(coming.poses[rows], lens, FPS)
    (frames, depth), (pictures, far) = (
        [part.numpy() for part in render_with_depth(scene, path.poses, path.intrinsics, width, height)]
        for path in (cameras, targets)
    )
    return Case(frames, depth, cameras, pictures, seen_by(depth, cameras, far, targets), targets, coming)


def seen_by(
    depth: NDArray[np.float32], cameras: Trajectory, far: NDArray[np.float32], targets: Trajectory
) -> NDArray[np.bool_]:
    """(T, H, W) which pixels of views with true depth ``far`` (T, H, W) any of the frames with depth (F, H, W) saw."""
    height, width = depth.shape[1:]
    u, v = np.meshgrid(pixel_middles(np.arange(width, dtype=float)), pixel_middles(np.arange(height, dtype=float)))
    found = np.zeros(far.shape, dtype=np.bool_)
    for row, pose in enumerate(targets.poses):
        points = np.stack(unproject(u, v, np.minimum(far[row], FAR), split(targets.intrinsics[row])), axis=-1)
        places = to_world(points.reshape(1, -1, 3), pose[None])
        for own, camera, lens in zip(depth, cameras.poses, cameras.intrinsics, strict=True):
            local = to_camera(places, camera[None])[0]
            z = np.maximum(local[:, 2], 1e-3)
            x, y = (part * side - 0.5 for part, side in
                    zip(project(local[:, 0], local[:, 1], z, split(lens)), (width, height), strict=True))
            inside = (local[:, 2] > 1e-3) & (x > -0.01) & (x < width - 0.99) & (y > -0.01) & (y < height - 0.99)
            left, top = (np.clip(part, 0, side - 2).astype(int) for part, side in ((x, width), (y, height)))
            around = 1 / np.stack([own[top + down, left + right] for down in (0, 1) for right in (0, 1)])
            nearest, farthest = around.max(0) * (1 + TOLERANCE) + SKY, around.min(0) * (1 - TOLERANCE) - SKY
            found[row] |= (inside & (1 / z <= nearest) & (1 / z >= farthest)).reshape(height, width)
    return found


def measured(case: Case, seed: int) -> dict[str, float]:
    """The figures of one case but the time."""
    shown = view(case.frames, case.depth, case.cameras, case.targets)
    off = np.abs(shown.pictures.astype(np.int16) - case.pictures)
    known = shown.known
    false = known & ((off.mean(axis=-1) > LEVELS) | ~case.seen)
    rough = view(case.frames, wrong_depth(case.depth, seed), case.cameras, case.targets)
    turned, splatted = (
        [rival(case, pose, lens) for pose, lens in zip(case.targets.poses, case.targets.intrinsics, strict=True)]
        for rival in (by_homography, by_points)
    )
    return {
        "known_psnr_true_depth": _psnr(shown, case),
        "known_psnr_depth10": _psnr(rough, case),
        "known_share": float((known & case.seen).sum() / case.seen.sum()),
        "known_share_depth10": float((rough.known & case.seen).sum() / case.seen.sum()),
        "false_known_share": float(false.sum() / known.sum()),
        "hidden_known_share": float((known & ~case.seen).sum() / known.sum()),
        "rival_homography_psnr": _psnr_of(turned, case),
        "rival_splat_psnr": _psnr_of(splatted, case),
    }


def timed(case: Case) -> float:
    """Seconds for all 81 coming views."""
    begun = time.perf_counter()
    view(case.frames, case.depth, case.cameras, case.coming)
    return time.perf_counter() - begun


def wrong_depth(depth: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """True depth (F, h, w) off by a smooth 10 % and by a scale of its own each, brought to the true scale by the fit:
    it finds the scale, and what is off smoothly stays. What cannot be fitted is unknown."""
    rng = np.random.default_rng([seed, 10])
    found = np.empty_like(depth)
    for row, true in enumerate(depth):
        guess = (true * _smooth(rng, true.shape) * rng.uniform(0.85, 1.15)).astype(np.float32)
        try:
            found[row] = fit_depth(guess, true).depth
        except DepthMisfit:
            found[row] = np.nan
    return found


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    few = np.exp(0.1 * rng.standard_normal((3, 4))).astype(np.float32)
    return np.asarray(cv2.resize(few, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


Drawn = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def _nearest(case: Case, pose: NDArray[np.float64]) -> NDArray[np.intp]:
    """The frames, the one that stood and looked most alike first: a radian counts as a few steps."""
    away = np.linalg.norm(case.cameras.poses[:, :3, 3] - pose[:3, 3], axis=1)
    turn = np.arccos(np.clip(case.cameras.poses[:, :3, 2] @ pose[:3, 2], -1, 1))
    return np.argsort(away + 2 * turn)


def by_homography(case: Case, pose: NDArray[np.float64], lens: NDArray[np.float64]) -> Drawn:
    """The nearest frame, turned as if everything were far away: a picture (H, W, 3) and what of it is drawn."""
    frame = _nearest(case, pose)[0]
    height, width = case.frames.shape[1:3]
    u, v = np.meshgrid(pixel_middles(np.arange(width, dtype=float)), pixel_middles(np.arange(height, dtype=float)))
    rays = np.stack(unproject(u, v, np.ones_like(u), split(lens)), axis=-1).reshape(-1, 3)
    rays = rays @ pose[:3, :3].T @ case.cameras.poses[frame, :3, :3]
    ahead = rays[:, 2] > 1e-3
    z = np.where(ahead, rays[:, 2], 1.0)
    x, y = project(rays[:, 0], rays[:, 1], z, split(case.cameras.intrinsics[frame]))
    known = (ahead & (x > 0) & (x < 1) & (y > 0) & (y < 1)).reshape(height, width)
    places = [(part * side - 0.5).astype(np.float32).reshape(height, width) for part, side in ((x, width), (y, height))]
    return cv2.remap(case.frames[frame], *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), known


def by_points(case: Case, pose: NDArray[np.float64], lens: NDArray[np.float64]) -> Drawn:
    """Every pixel of the two nearest frames put where it lands, the nearest on top: a picture (H, W, 3) and where."""
    height, width = case.frames.shape[1:3]
    u, v = np.meshgrid(pixel_middles(np.arange(width, dtype=float)), pixel_middles(np.arange(height, dtype=float)))
    picture, known = np.zeros((height * width, 3), np.uint8), np.zeros(height * width, np.bool_)
    cells, depths, colours = [], [], []
    for frame in _nearest(case, pose)[:2]:
        own = np.minimum(case.depth[frame], FAR).astype(np.float64)
        points = np.stack(unproject(u, v, own, split(case.cameras.intrinsics[frame])), axis=-1).reshape(1, -1, 3)
        local = to_camera(to_world(points, case.cameras.poses[frame][None]), pose[None])[0]
        ahead = local[:, 2] > 1e-3
        x, y = project(local[:, 0], local[:, 1], np.where(ahead, local[:, 2], 1.0), split(lens))
        inside = ahead & (x >= 0) & (x < 1) & (y >= 0) & (y < 1)
        cells.append((y[inside] * height).astype(int) * width + (x[inside] * width).astype(int))
        depths.append(local[inside, 2])
        colours.append(case.frames[frame].reshape(-1, 3)[inside])
    order = np.argsort(-np.concatenate(depths), kind="stable")
    cell = np.concatenate(cells)[order]
    picture[cell], known[cell] = np.concatenate(colours)[order], True
    return picture.reshape(height, width, 3), known.reshape(height, width)


def _psnr(shown: View, case: Case) -> float:
    return _psnr_of(list(zip(shown.pictures, shown.known, strict=True)), case)


def _psnr_of(drawn: Sequence[Drawn], case: Case) -> float:
    """In dB, over all pixels that are drawn."""
    error = np.concatenate([
        (picture[known].astype(np.float64) - truth[known]).reshape(-1)
        for (picture, known), truth in zip(drawn, case.pictures, strict=True)
    ])  # fmt: skip
    return float(-10 * np.log10(np.mean(np.square(error / 255)) + 1e-10))
