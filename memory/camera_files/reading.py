"""Reads a camera path from a file of any layout."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..cameras.trajectory import Trajectory
from . import own
from .colmap import model_in
from .intrinsics import chosen, refuse_implausible
from .layout import Layout, ReadOptions, Recorded
from .layouts import layout_named, recognised
from .source import MAX_POSES, Source, second_files
from .times import DEFAULT_FPS, even_rate, evenly, usual_rate

AUTO = "auto"
RATES = (0.05, 1000.0)
"""Frames a second that a film can have."""
_JUMP, _FEWEST = 50.0, 10
"""How many usual steps make a jump, and how many there must be to know what is usual."""

_log = logging.getLogger(__name__)


def read_trajectory(
    path: Path,
    *,
    layout: str = AUTO,
    fps: float = 0.0,
    fov: float = 0.0,
    aspect: float = 0.0,
    camera: str = "",
    intrinsics: Path | None = None,
    on_note: Callable[[str], None] = _log.info,
) -> Trajectory:
    """The camera path in a file, in our convention: camera-to-world, OpenCV axes, normalised intrinsics.

    ``layout`` is one of `READABLE`, or "auto" to recognise it by the content. 0 or "" means what the file says, or
    where it says nothing: 24 frames a second, a horizontal field of view of 70 degrees, 16:9. ``fps`` above 0 resamples
    a path whose file has times and is the rate of one whose file has none. ``fov`` (degrees) replaces the file's lens,
    ``aspect`` (width / height) its shape. ``camera`` picks one of several in a file: a name such as "cam03", or
    COLMAP's CAMERA_ID. ``intrinsics`` is the second file of layouts that have two; by default the one beside the first
    with the usual name, if there is one.

    ``path`` may be the folder of a COLMAP model, or of a project with one in sparse/0.

    Positions stay where the file has them, however far from the origin: use ``Trajectory.after`` to move the path.
    Uneven times are made even along splines that do not swing out; if ``fps`` is 0, with as many frames as before, and
    those that were lost.

    ``on_note`` gets a sentence for each thing that was put right, left out or assumed: sorted or lost cameras, times in
    another unit, a lens that contradicts itself.

    Raises ``CameraFileError``, a ``ValueError``, that names the line or frame, the value and the cure.
    """
    for what, value in (("fps", fps), ("fov", fov), ("aspect", aspect)):
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"{what} is {value}: it must be above 0, or 0 for what the file says. Use 0.")
    if fov >= 180.0:
        raise ValueError(f"fov is {fov}: it must be below 180 degrees, or 0 for what the file says. Use 70.")
    if path.is_dir():
        path = model_in(path) or path
    source = Source(path)
    found = recognised(source) if layout == AUTO else layout_named(layout)
    options = ReadOptions(camera.strip(), _second(source, found, intrinsics), fov, aspect, fps)
    if options.camera and not found.cameras:
        source.refuse(
            f"a file of {found.name} has one camera, and {options.camera!r} was asked for", "Leave camera empty"
        )
    recorded = found.read(source, options)
    if recorded.intrinsics is not None and not fov and found is not own.LAYOUT:
        refuse_implausible(source, np.atleast_2d(recorded.intrinsics), recorded.where)
    if recorded.fps and found is not own.LAYOUT and not RATES[0] <= recorded.fps <= RATES[1]:
        source.refuse(f"it says {recorded.fps:g} frames a second, expected {RATES[0]:g} to {RATES[1]:g}",
                      "Repair its fps")  # fmt: skip
    _note_jump(source, recorded)
    normalised = chosen(recorded.intrinsics, len(recorded.poses), fov, aspect)
    result = _paced(source, recorded, normalised, fps)
    for one in (source, options.intrinsics):
        for sentence in one.notes if one is not None else ():
            on_note(sentence)
    return result


def _note_jump(source: Source, recorded: Recorded) -> None:
    """Notes the longest step of the camera where it is many times the usual one: tracking may have been lost there."""
    steps = np.linalg.norm(np.diff(recorded.poses[:, :3, 3], axis=0), axis=1)
    moving = steps[steps > 0.0]
    if len(moving) < _FEWEST:
        return
    longest, usual = int(np.argmax(steps)), float(np.median(moving))
    if steps[longest] > _JUMP * usual:
        source.note(f"After {recorded.where(longest)} the camera jumps {steps[longest]:.3g} units, "
                    f"{steps[longest] / usual:.0f} times its usual step.")  # fmt: skip


def _paced(source: Source, recorded: Recorded, intrinsics: np.ndarray, fps: float) -> Trajectory:
    poses, times, own = recorded.poses, recorded.times, recorded.fps
    name = recorded.name or source.path.stem
    if times is not None and len(times) > 1:
        even = even_rate(times, recorded.tick, own)
        if not even:
            rate = fps or own or usual_rate(times)
            source.note(f"Its times are uneven: the path is made even, at {rate:.4g} frames a second.")
            return Trajectory(*evenly(source, times, poses, intrinsics, rate), rate, name)
        own = even
    path = Trajectory(poses, intrinsics, own or fps or DEFAULT_FPS, name)
    if not fps or fps == path.fps:
        return path
    if (len(path) - 1) * fps / path.fps >= MAX_POSES:
        source.refuse(f"at {fps:g} frames a second it would have more than {MAX_POSES} frames", "Choose a lower fps")
    return path.resampled(fps)


def _second(source: Source, layout: Layout, intrinsics: Path | None) -> Source | None:
    if layout.intrinsics is None:
        if intrinsics is not None:
            source.refuse(
                f"{layout.name} has no second file, and {intrinsics.name} was given for intrinsics",
                "Leave intrinsics empty",
            )
        return None
    if intrinsics is not None:
        return Source(intrinsics)
    usual = next((path for path in second_files(source.path, *layout.intrinsics) if path.is_file()), None)
    return None if usual is None else Source(usual)
