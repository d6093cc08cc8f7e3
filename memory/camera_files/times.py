"""Time stamps: the even frame rate they keep, or an even path along a spline where they keep none."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.interpolate import interpolate_intrinsics, interpolate_poses
from .poses import Where
from .source import MAX_POSES, Source

UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
SHORTEST, LONGEST = 1e-3, 5.0
"""Seconds from one camera to the next, usually: a thousand a second, or one in five seconds, which keyframes have."""
DEFAULT_FPS = 24.0
_USUAL = 1 / 30
_JITTER = 0.2
"""How far a step may be from whole frames."""
_FILLED = 20
"""Frames for each camera that gaps may be filled with; a file with longer ones gets as many frames as cameras."""
EVEN = 1e-3
"""Stamps that stray from an even rate by less than this share of a step count as even."""


def in_order(source: Source, stamps: FloatArray, values: FloatArray, where: Where) -> NDArray[np.int64]:
    """Which cameras to take, as their ``stamps`` (F,) rise: lost ones left out, of equal times the last kept.

    A camera is lost where one of its ``values`` (F, n) is NaN, as trackers write it. What was put right is told.
    """
    if np.isinf(stamps).any():
        index = int(np.argmax(np.isinf(stamps)))
        source.refuse(
            f"the time {stamps[index]} is not a finite number", "Repair or leave out that camera", where(index)
        )
    kept = found(source, np.column_stack([stamps, values]))
    order = kept[np.argsort(stamps[kept], kind="stable")]
    if not np.array_equal(order, kept):
        source.note("Its cameras were not in the order of their times: they are sorted.")
    last = np.append(np.diff(stamps[order]) > 0.0, True)
    double = len(order) - int(last.sum())
    if double:
        source.note(f"{_cameras(double)} had the time of another: of equal times the last is kept.")
    return np.asarray(order[last], dtype=np.int64)


def found(source: Source, values: FloatArray) -> NDArray[np.int64]:
    """The rows of ``values`` (F, n) without NaN; tells how many are left out, and refuses a file that has no other."""
    whole = np.flatnonzero(~np.isnan(values).any(axis=1))
    lost = len(values) - len(whole)
    if not len(whole):
        source.refuse("all its cameras are lost (nan)", "Track the film again")
    if lost:
        source.note(f"{_cameras(lost)} of {len(values)} were lost (nan) and are left out.")
    return whole


def among(where: Where, chosen: NDArray[np.int64]) -> Where:
    """Where the cameras stand of which only the ``chosen`` (n,) were taken."""
    return lambda index: where(int(chosen[index]))


def seconds(source: Source, stamps: FloatArray, unit: str) -> tuple[FloatArray, float]:
    """Rising ``stamps`` (F,) as seconds from 0, and the seconds that one counts.

    They count the layout's ``unit``, a name of `UNITS`, unless its usual step is then shorter than a thousandth of a
    second or longer than five: then another one for which it is not, and that is told. Refuses where there is none.
    """
    if len(stamps) < 2:
        return np.zeros(len(stamps)), UNITS[unit]
    step = float(np.quantile(np.diff(stamps), 0.5, method="lower"))
    likely = [name for name, size in UNITS.items() if SHORTEST <= step * size * (1 + 1e-6) and step * size <= LONGEST]
    if not likely:
        source.refuse(
            f"its times are {step:g} apart, which is no step of a camera in {', '.join(UNITS)}",
            f"Write times in {unit}",
        )
    chosen = unit if unit in likely else min(likely, key=lambda name: abs(math.log(step * UNITS[name] / _USUAL)))
    if chosen != unit:
        source.note(
            f"Its times are {step:g} apart: they are taken as {chosen}, not {unit}, which makes "
            f"{1.0 / (step * UNITS[chosen]):.4g} cameras a second."
        )
    return np.asarray((stamps - stamps[0]) * UNITS[chosen], dtype=np.float64), UNITS[chosen]


def timed(
    source: Source, stamps: FloatArray, values: FloatArray, unit: str, where: Where
) -> tuple[NDArray[np.int64], FloatArray, float]:
    """Which cameras to take (n,), their seconds from 0 (n,), and the seconds that one of their stamps counts."""
    chosen = in_order(source, stamps, values, where)
    return (chosen, *seconds(source, stamps[chosen], unit))


def _cameras(count: int) -> str:
    return "1 camera" if count == 1 else f"{count} cameras"


def even_rate(times: FloatArray, tick: float, hint: float = 0.0) -> float:
    """The frames a second that ``times`` (F >= 2, from 0) keep, or 0 if they are uneven.

    A whole number, one of television's (n * 1000 / 1001) or ``hint`` is taken where it explains all stamps to within
    their rounding ``tick``.

    The result is one number.
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


def usual_rate(times: FloatArray) -> float:
    """The frame rate for uneven ``times``: as many frames as there are, and those that a recording has lost.

    Frames are lost where four of five steps are alike and the others are multiples of them.

    From times (F,) in seconds; the result is one number.
    """
    steps = np.diff(times)
    exact = steps / np.median(steps)
    frames = np.round(exact)
    whole = bool((np.abs(exact - frames) <= _JITTER).all())
    alike = whole and (frames == 1.0).mean() >= 0.8 and frames.sum() <= _FILLED * len(times)
    return float(frames.sum() if alike else len(steps)) / float(times[-1])
