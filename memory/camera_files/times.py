"""Time stamps: the even frame rate they keep, or an even path along a spline where they keep none."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.interpolate import interpolate_intrinsics, interpolate_poses
from .poses import Where
from .source import MAX_POSES, Source

EVEN = 1e-3
"""Stamps that stray from an even rate by less than this share of a step count as even."""


def rising(source: Source, times: FloatArray, where: Where) -> FloatArray:
    """Times (F,) that begin at 0; refuses those that are not finite or do not rise."""
    if not np.isfinite(times).all():
        index = int(np.argmin(np.isfinite(times)))
        source.refuse(
            f"the time {times[index]} is not a finite number", "Repair or leave out that camera", where(index)
        )
    steps = np.diff(times)
    if (steps <= 0.0).any():
        index = int(np.argmax(steps <= 0.0)) + 1
        source.refuse(
            f"the time {times[index]:.14g} is not after the one before, {times[index - 1]:.14g}",
            "Sort the cameras by time and leave out doubles",
            where(index),
        )
    return np.asarray(times - times[0], dtype=np.float64)


def even_rate(times: FloatArray, tick: float, hint: float = 0.0) -> float:
    """The frames a second that ``times`` (F >= 2, from 0) keep, or 0 if they are uneven.

    A whole number, one of television's (n * 1000 / 1001) or ``hint`` is taken where it explains all stamps to within
    their rounding ``tick``.
    """
    count = len(times) - 1
    measured = count / float(times[-1])
    frames = np.arange(count + 1)
    known = [hint] if hint else []
    for rate in (*known, float(round(measured)), round(measured * 1.001) * 1000 / 1001):
        if rate > 0.0 and float(np.abs(times - frames / rate).max()) <= 1.5 * tick:
            return rate
    return measured if float(np.abs(times - frames / measured).max()) <= max(tick, EVEN / measured) else 0.0


def evenly(
    source: Source, times: FloatArray, poses: FloatArray, intrinsics: FloatArray, fps: float
) -> tuple[FloatArray, FloatArray]:
    """Poses and intrinsics (n, ...) at ``fps`` along splines through those at uneven ``times`` (F,), from 0."""
    frames = round(float(times[-1]) * fps) + 1
    if frames > MAX_POSES:
        source.refuse(
            f"its {times[-1]:g} seconds at {fps:g} frames a second are {frames} frames, at most {MAX_POSES} are read",
            "Choose a lower fps, or cut the file",
        )
    at = np.arange(frames) / fps
    return interpolate_poses(times, poses, at), interpolate_intrinsics(times, intrinsics, at)


def mean_rate(times: FloatArray) -> float:
    """The frame rate at which uneven ``times`` become as many frames as there are."""
    return (len(times) - 1) / float(times[-1])
