"""Figures of a film: PSNR, motion, and PSNR where the camera comes back to a place."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

PSNR_CAP = 100.0
"""Decibels at which one pair counts in a mean, so that equal pictures do not make it infinite."""


def psnr(a: ArrayLike, b: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB of two pictures or films of one shape; infinite if they are equal.

    Both are uint8 (peak 255) or both float (peak 1). Raises ``ValueError`` for two shapes, and for no pictures.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape:
        raise ValueError(f"Pictures of the shapes {first.shape} and {second.shape} cannot be compared. Resize one.")
    if first.size == 0:
        raise ValueError("There are no pictures to compare. Give at least one.")
    error = float(np.mean((_unit(first) - _unit(second)) ** 2))
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def motion(frames: ArrayLike) -> float:
    """Mean absolute difference (0..1) between consecutive frames (F, H, W, 3); 0 for a static film."""
    film = np.asarray(frames)
    if len(film) < 2:
        return 0.0
    return float(np.mean([np.abs(_unit(a) - _unit(b)).mean() for a, b in zip(film[:-1], film[1:], strict=True)]))


def revisit_pairs(
    poses: ArrayLike,
    min_gap_frames: int,
    position_tolerance: float = 1e-6,
    angle_tolerance_degrees: float = 1e-3,
    *,
    excursion_degrees: float = 30.0,
    excursion_distance: float = 1.0,
) -> list[tuple[int, int]]:
    """Pairs (i, j) of frames at one pose, the camera having been elsewhere between them.

    ``poses`` (F, 4, 4) camera-to-world. The frames lie at least ``min_gap_frames`` apart and agree within the
    tolerances, in scene units and degrees. Between them the camera turned at least ``excursion_degrees`` away or went
    ``excursion_distance`` off. Each i appears once, with the j after its excursion that is nearest to its pose (the
    earliest such j).
    """
    path = np.asarray(poses, dtype=np.float64)
    places, turns = path[:, :3, 3], path[:, :3, :3].reshape(-1, 9)
    pairs = []
    for i in range(len(path)):
        distance = np.linalg.norm(places[i:] - places[i], axis=1)
        # From the chord between rotations: arccos of the trace loses all digits near 0.
        chord = np.linalg.norm(turns[i:] - turns[i], axis=1)
        angle = np.degrees(2.0 * np.arcsin(np.clip(chord / math.sqrt(8.0), 0.0, 1.0)))
        away = (angle >= excursion_degrees) | (distance >= excursion_distance)
        if not away.any():
            continue
        same = (distance <= position_tolerance) & (angle <= angle_tolerance_degrees)
        same[: max(min_gap_frames, int(np.argmax(away)) + 1)] = False
        if same.any():
            later = np.flatnonzero(same)
            pairs.append((i, i + int(later[np.argmin(distance[later] + np.radians(angle[later]))])))
    return pairs


def revisit_psnr(frames: ArrayLike, pairs: list[tuple[int, int]]) -> float:
    """Mean PSNR in dB over the pairs of frames (F, H, W, 3), each pair at most 100 dB.

    Raises ``ValueError`` if there are no pairs.
    """
    if not pairs:
        raise ValueError("There are no pairs of frames at one pose. Use a camera path that leaves and comes back.")
    film = np.asarray(frames)
    return float(np.mean([min(PSNR_CAP, psnr(film[i], film[j])) for i, j in pairs]))


def _unit(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Values as float64 with the peak at 1."""
    scale = 255.0 if values.dtype == np.uint8 else 1.0
    return np.asarray(values, dtype=np.float64) / scale
