"""Keyframes of a camera: a frame number or a time on each, and how the camera goes from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from ..cameras.camera import FloatArray
from ..cameras.interpolate import interpolate_poses, interpolate_values, straight_poses
from . import supersplat
from .intrinsics import DEFAULT_ASPECT
from .keyed import field_of_frames
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import Where
from .source import MAX_POSES, Source
from .threejs import check, is_track, listed, plain, poses_of
from .times import DEFAULT_FPS, LONGEST, among, in_order
from .viewer import looking, numbers, upright_lenses, vectors

CURVE, BEZIER = "curve", "bezier"
_MILLISECONDS = 100.0
"""A step between keyframes from which whole times are milliseconds: nobody waits for so many seconds."""

SHARES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "linear": lambda t: t,
    "hold": lambda t: np.zeros_like(t),
    "ease_in": lambda t: t * t,
    "ease_out": lambda t: 1.0 - (1.0 - t) ** 2,
    "ease": lambda t: t * t * (3.0 - 2.0 * t),
    "smooth": lambda t: t**3 * (t * (6.0 * t - 15.0) + 10.0),
}
"""How much of the way from a keyframe to the next is gone after a share ``t`` of the time."""
SAME = {"step": "hold", "constant": "hold", "discrete": "hold", "none": "hold", "easein": "ease_in",
        "easeout": "ease_out", "easeinout": "ease", "ease_in_out": "ease", "smoothstep": "ease", "lerp": "linear",
        "spline": CURVE, "cubic": CURVE, "catmullrom": CURVE, "catmull_rom": CURVE, "auto": CURVE}  # fmt: skip


@dataclass(frozen=True)
class _Keys:
    """The keyframes in order: their ``moments`` (K,) in frames, and the words for the ways between them."""

    cameras: list[object]
    moments: FloatArray
    ways: list[str]
    where: Where


def recognises(source: Source) -> bool:
    return supersplat.recognises(source) or (source.is_json and is_track(source.document))


def read(source: Source, options: ReadOptions) -> Recorded:
    if supersplat.recognises(source):
        return supersplat.read(source, options)
    if options.camera:
        source.refuse(f"it has one camera, and {options.camera!r} was asked for", "Leave camera empty")
    if not is_track(source.document):
        source.refuse("its cameras have no frame or time", "Choose another layout, or auto")
    document = source.document if isinstance(source.document, dict) else {}
    _refuse_tools(source, document)
    fps = _positive(source, document, "fps") or options.fps or DEFAULT_FPS
    keys = _keys(source, fps)
    at = _frames(source, document, keys, fps)
    step, share = _shares(keys, at)
    fixed = all(isinstance(camera, dict) and not camera.get("quaternion") and "matrix" not in camera
                for camera in keys.cameras)  # fmt: skip
    made = _Between(keys, at, step, share)
    poses = _aimed(source, keys, made) if fixed else made.poses(poses_of(source, keys.cameras, keys.where))
    return Recorded(poses, _intrinsics(source, document, keys, made, options), fps=fps)


@dataclass(frozen=True)
class _Between:
    """Values at frames ``at`` (F,): ``share`` (F,) of the way from keyframe ``step`` (F,) to the next; nan: a curve,
    either ours or, where one of the two keyframes is a Bezier, OmniCam's own."""

    keys: _Keys
    at: FloatArray
    step: NDArray[np.int64]
    share: FloatArray

    def values(self, given: FloatArray) -> FloatArray:
        """Values (F, n) from those (K, n) of the keyframes."""
        if len(given) == 1:
            return np.repeat(given, len(self.at), axis=0)
        share = self.share[:, None]
        straight = given[self.step] * (1.0 - share) + given[self.step + 1] * share
        if not np.isnan(share).any():
            return np.asarray(straight, dtype=np.float64)
        ways = np.array(self.keys.ways)
        bent = ((ways[:-1] == BEZIER) | (ways[1:] == BEZIER))[self.step]
        curve = interpolate_values(self.keys.moments, given, self.at)
        curve[bent] = _bezier(self.keys.moments, given, self.at[bent])
        return np.where(np.isnan(share), curve, straight)

    def poses(self, given: FloatArray) -> FloatArray:
        """Poses (F, 4, 4) from those (K, 4, 4) of the keyframes."""
        curved = np.isnan(self.share)
        result = np.empty((len(self.at), 4, 4))
        if curved.any():
            result[curved] = interpolate_poses(self.keys.moments, given, self.at[curved])
        result[~curved] = straight_poses(given, (self.step + self.share)[~curved])
        return result


def _bezier(times: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    """Values (n, k) at ``at`` (n,) as OmniCam's Bezier keyframes have them: the slope at each is the mean of those
    beside it, and 0 where a value turns back."""
    slopes = np.diff(values, axis=0) / np.diff(times)[:, None]
    before, after = np.concatenate([slopes[:1], slopes]), np.concatenate([slopes, slopes[-1:]])
    mean = np.where(before * after <= 0.0, 0.0, (before + after) / 2.0)
    mean[0], mean[-1] = slopes[0], slopes[-1]
    curve = CubicHermiteSpline(times, values, mean)
    return np.asarray(curve(np.clip(at, times[0], times[-1])), dtype=np.float64)


def _refuse_tools(source: Source, document: dict[str, object]) -> None:
    """Refuses what only the editor can work out: tangents set by hand, and a camera that is held on an object."""
    constraints = document.get("constraints")
    held = constraints.get("look_at") if isinstance(constraints, dict) else None
    if isinstance(held, dict) and held.get("status", "active") == "active":
        source.refuse("its camera is held on an object (look_at)", "Bake the camera to keyframes without it")
    for index, camera in enumerate(listed(source.document)):
        tangents = camera.get("tangents") if isinstance(camera, dict) else None
        if isinstance(tangents, dict) and not _are_automatic(tangents):
            source.refuse("its tangents are set by hand, which are not read", "Set them to auto, or bake the camera to "
                          "keyframes", f"keyframe {index + 1}")  # fmt: skip


def _are_automatic(tangents: dict[str, object]) -> bool:
    channels = tangents.get("channels")
    one_by_one = list(channels.values()) if isinstance(channels, dict) else []
    return all(isinstance(one, dict) and one.get("mode", "auto") == "auto" for one in (tangents, *one_by_one))


def _keys(source: Source, fps: float) -> _Keys:
    cameras = listed(source.document)
    if len(cameras) > MAX_POSES:
        source.refuse(f"it has {len(cameras)} keyframes, at most {MAX_POSES} are read", "Keep only those of the shot")

    def name(index: int) -> str:
        return f"keyframe {index + 1}"

    first = cameras[0]
    moment = "frame" if isinstance(first, dict) and "frame" in first else "time"
    stamps = json_array(source, field_of_frames(source, cameras, moment, name), (), moment, name)
    ways = [_way(source, camera, name(index)) for index, camera in enumerate(cameras)]
    views = [plain(camera) for camera in cameras]
    check(source, views)
    chosen = in_order(source, stamps, stamps[:, None], name)
    stamps = stamps[chosen]
    if moment == "time":
        steps = np.diff(stamps)
        if len(steps) and steps.min() >= _MILLISECONDS and (stamps == np.round(stamps)).all():
            source.note(f"Its keyframes are {steps.min():g} or more apart: their times are taken as milliseconds.")
            stamps = stamps / 1000.0
        elif len(steps) and steps.min() >= LONGEST:
            source.note(f"Its keyframes are taken as {steps.min():g} seconds apart, or more.")
        stamps = stamps * fps
    return _Keys([views[i] for i in chosen], stamps, [ways[i] for i in chosen], among(name, chosen))


def _way(source: Source, camera: object, location: str) -> str:
    word = camera.get("interpolation", camera.get("easing")) if isinstance(camera, dict) else None
    if word is None:
        return CURVE
    plain_word = str(word).strip().lower().replace("-", "_").replace(" ", "_")
    found = SAME.get(plain_word, SAME.get(plain_word.replace("_", ""), plain_word))
    if found not in (*SHARES, CURVE, BEZIER):
        source.refuse(
            f"interpolation is {str(word)[:40]!r}", f"Use one of: {', '.join([*SHARES, BEZIER, CURVE])}", location
        )
    return found


def _frames(source: Source, document: dict[str, object], keys: _Keys, fps: float) -> FloatArray:
    """The moments of the frames (F,), in frames: all that the file says it lasts, or from first keyframe to last."""
    first, last = float(keys.moments[0]), float(keys.moments[-1])
    stated = _positive(source, document, "duration_frames", "durationFrames")
    stated = stated or _positive(source, document, "duration", "duration_seconds") * fps
    count = max(round(stated), 1) if stated else round(last - first) + 1
    if count > MAX_POSES:
        source.refuse(f"it lasts {count} frames, at most {MAX_POSES} are read", "Cut it, or choose a lower fps")
    if stated and last > count - 1 + 1e-6:
        if "duration_frames" in document or "durationFrames" in document:
            source.note(f"It lasts {count} frames: what its keyframes say from frame {count} on is left out.")
        else:
            count = round(last) + 1
    return np.arange(count, dtype=np.float64) + (0.0 if stated else first)


def _shares(keys: _Keys, at: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """For each moment (F,) the keyframe before it, and how much of the way to the next is gone; nan on a curve."""
    moments = keys.moments
    if len(moments) == 1:
        return np.zeros(len(at), dtype=np.int64), np.zeros(len(at))
    inside = np.clip(at, moments[0], moments[-1])
    step = np.clip(np.searchsorted(moments, inside, side="right") - 1, 0, len(moments) - 2)
    time = (inside - moments[step]) / (moments[step + 1] - moments[step])
    share = np.full(len(at), np.nan)
    ways = np.array(keys.ways)
    to_bezier = np.append(ways[1:] == BEZIER, False)
    for word in set(keys.ways) - {CURVE, BEZIER}:
        here = ((ways == word) & ~to_bezier)[step]
        # A camera that holds is at the next keyframe when its moment comes.
        share[here] = np.where(time[here] >= 1.0, 1.0, SHARES[word](time[here]))
    return step, share


def _aimed(source: Source, keys: _Keys, made: _Between) -> FloatArray:
    """Poses (F, 4, 4) of a camera that looks at its target all the way, turned about its line of sight by its roll."""
    positions = vectors(source, keys.cameras, "position", "xyz", keys.where)
    targets = vectors(source, keys.cameras, "target", "xyz", keys.where)
    roll = np.unwrap(numbers(source, keys.cameras, "roll", 0.0, keys.where), period=360.0)
    values = made.values(np.column_stack([positions, targets, roll]))
    return looking(source, values[:, :3], values[:, 3:6], lambda index: f"frame {index}", values[:, 6])


def _intrinsics(
    source: Source, document: dict[str, object], keys: _Keys, made: _Between, options: ReadOptions
) -> FloatArray | None:
    """Normalised intrinsics (F, 4) from vertical fov, zoom and the picture's shape; None if no keyframe has a fov."""
    known = [camera if isinstance(camera, dict) else {} for camera in keys.cameras]
    if not any(camera.get("fov") for camera in known):
        return None
    field_of_frames(source, keys.cameras, "fov", keys.where)
    fov = numbers(source, keys.cameras, "fov", 0.0, keys.where)
    zoom = numbers(source, keys.cameras, "zoom", 1.0, keys.where)
    width, height = (_positive(source, document, name) for name in ("width", "height"))
    shape = options.aspect or (width / height if width and height else DEFAULT_ASPECT)
    aspect = numbers(source, keys.cameras, "aspect", shape, keys.where)
    upright_lenses(source, fov, zoom, aspect, keys.where)
    values = made.values(np.column_stack([fov, zoom, aspect]))
    return upright_lenses(source, values[:, 0], values[:, 1], values[:, 2], lambda index: f"frame {index}")


def _positive(source: Source, document: dict[str, object], *names: str) -> float:
    """The first of these entries that there is, a number above 0; 0 if there is none."""
    for name in names:
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0.0 < value < 1e9:
            source.refuse(f"{name} is {str(value)[:40]}, expected a number above 0", "Repair it")
        return float(value)
    return 0.0


LAYOUT = Layout(
    "Keyframe track",
    "JSON of camera keyframes, as OmniCam and 3D viewers write them: each with a frame number, or a time in seconds, "
    "position, target or quaternion, vertical fov, roll, zoom and interpolation; fps and duration_frames for all. "
    "World with y up, as three.js has it. All frames are made; without an interpolation along a curve that does not "
    "swing out. Also settings.json of SuperSplat's viewer, played as it does; camera picks one of its animations.",
    recognises,
    read,
    cameras=True,
)
