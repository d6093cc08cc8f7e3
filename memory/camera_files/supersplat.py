"""SuperSplat's viewer settings: the animation of the camera that its page plays."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from ..cameras.camera import FloatArray
from .intrinsics import DEFAULT_ASPECT
from .layout import ReadOptions, Recorded
from .numbers import json_array
from .poses import refuse_numbers
from .source import MAX_POSES, Source
from .viewer import looking, upright_lenses

_RATE = 30.0
"""Keyframes a second of early settings, which have times in seconds."""
_FOV = 60.0
_Track = dict[str, object]


def recognises(source: Source) -> bool:
    document = source.document if source.is_json else None
    return isinstance(document, dict) and ("animTracks" in document or "startAnim" in _inside(document, "camera"))


def read(source: Source, options: ReadOptions) -> Recorded:
    document = source.document if isinstance(source.document, dict) else {}
    track = _track(source, document, options.camera)
    rate = _number(source, track, "frameRate", 0.0)
    times = _numbers(source, _inside(track, "keyframes"), "times", 1)[:, 0]
    if not rate:
        rate, times = _RATE, times * _RATE
    if (np.diff(times) <= 0.0).any():
        source.refuse("the times of its keyframes do not rise", "Export the settings again")
    values = _inside(_inside(track, "keyframes"), "values")
    count = len(times)
    columns = [_numbers(source, values, name, 3) for name in ("position", "target")]
    usual = _number(source, _inside(document, "camera"), "fov", _FOV)
    columns.append(_numbers(source, values, "fov", 1) if "fov" in values else np.full((count, 1), usual))
    if any(len(column) != count for column in columns):
        source.refuse(f"{count} times for {[len(column) for column in columns]} values of position, target and fov",
                      "Export the settings again")  # fmt: skip
    loops = track.get("loopMode") == "repeat"
    duration = _number(source, track, "duration", 0.0) * rate
    frames = max(round(duration), 1 if loops and duration else round(float(times[-1])) + 1)
    if frames > MAX_POSES:
        source.refuse(f"it lasts {frames} frames, at most {MAX_POSES} are read", "Shorten it")
    smooth = _number(source, track, "smoothness", 0.0)
    at = np.arange(frames, dtype=np.float64)
    made = _played(times, np.concatenate(columns, axis=1), at, smooth, duration if loops else 0.0)
    poses = looking(source, made[:, :3], made[:, 3:6], lambda index: f"frame {index}")
    return Recorded(poses, _intrinsics(source, made[:, 6], options), fps=rate, name=str(track.get("name") or ""))


def _track(source: Source, document: _Track, name: str) -> _Track:
    """The track that was asked for, that the settings begin with, or the first."""
    tracks = document.get("animTracks")
    known = [track for track in tracks if isinstance(track, dict)] if isinstance(tracks, list) else []
    if not known:
        source.refuse("it has no animation of the camera", "Add one in SuperSplat's timeline, or move the camera here")
    wanted = name or _inside(document, "camera").get("animTrack")
    for track in known:
        if track.get("name") == wanted:
            return track
    if name:
        source.refuse(f"it has no track {name!r}", f"Use one of: {', '.join(str(one.get('name')) for one in known)}")
    if len(known) > 1:
        source.note(f"It has {len(known)} animations, of which the first is taken. Name another in camera.")
    return known[0]


def _played(times: FloatArray, values: FloatArray, at: FloatArray, smooth: float, loop: float) -> FloatArray:
    """Values (F, n) at frames ``at`` (F,) as the viewer plays them: a cubic whose slopes are ``smooth`` times those of
    the neighbours, which are across the end where it goes round after ``loop`` frames."""
    if len(times) == 1:
        return np.repeat(values, len(at), axis=0)
    if loop:
        times = np.concatenate([times[-2:] - loop, times, times[:2] + loop])
        values = np.concatenate([values[-2:], values, values[:2]])
    slopes = np.empty_like(values)
    slopes[1:-1] = (values[2:] - values[:-2]) / (times[2:] - times[:-2])[:, None]
    slopes[0] = (values[1] - values[0]) / (times[1] - times[0])
    slopes[-1] = (values[-1] - values[-2]) / (times[-1] - times[-2])
    curve = CubicHermiteSpline(times, values, smooth * slopes)
    return np.asarray(curve(np.clip(at, times[0], times[-1])), dtype=np.float64)


def _intrinsics(source: Source, fov: FloatArray, options: ReadOptions) -> FloatArray:
    """Normalised intrinsics (F, 4): the viewer's field of view is that of the picture's longer side."""
    shape = options.aspect or DEFAULT_ASPECT
    if shape > 1.0:
        fov = np.degrees(2.0 * np.arctan(np.tan(np.radians(fov) / 2.0) / shape))
    ones = np.ones_like(fov)
    return upright_lenses(source, fov, ones, ones * shape, lambda index: f"frame {index}")


def _inside(value: _Track, name: str) -> _Track:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _number(source: Source, value: _Track, name: str, usual: float) -> float:
    found = value.get(name)
    if found is None:
        return usual
    if not isinstance(found, (int, float)) or isinstance(found, bool) or not 0.0 <= found < 1e6:
        source.refuse(f"{name} is {str(found)[:40]}, expected a number from 0", "Export the settings again")
    return float(found)


def _numbers(source: Source, value: _Track, name: str, each: int) -> FloatArray:
    """The numbers of a list in rows of ``each``."""
    found = json_array(source, value.get(name), (), f"keyframes' {name}", lambda index: f"number {index}")
    if len(found) % each:
        source.refuse(f"{len(found)} numbers of {name} are no rows of {each}", "Export the settings again")
    refuse_numbers(source, found[:, None], lambda index: f"number {index} of {name}")
    return found.reshape(-1, each)
