"""A drawn camera path as the workflow carries it: keyframes in one JSON text.

    {"version": 1, "keyframes": [{"frame": 0}, {"frame": 24, "forward": 2, "yaw": 90, "kind": "stop"}]}

``frame`` (from 0, rising, not always whole) is when the camera is there. ``right``, ``up`` and ``forward`` are scene
units and ``yaw``, ``pitch`` and ``roll`` degrees, as `angles.rotation` takes them, all seen from the camera at which
the path begins; what is left out is 0. ``fov`` is the horizontal field of view in degrees; without it, the node's.
``kind`` says how the camera passes: ``through`` (the path is smooth there), ``stop`` (it comes to rest) or ``corner``
(it turns at once). ``web/editor/keyframes.js`` reads and writes the same text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

DRAWN = "drawn"
"""The move whose path is drawn."""

VERSION = 1
MAX_TEXT, MAX_KEYFRAMES, MAX_FRAME = 400_000, 1000, 100_000
KINDS = ("through", "stop", "corner")
LIMITS: dict[str, tuple[float, float]] = {
    "frame": (0.0, MAX_FRAME),
    "right": (-1e6, 1e6),
    "up": (-1e6, 1e6),
    "forward": (-1e6, 1e6),
    "yaw": (-36000.0, 36000.0),
    "pitch": (-36000.0, 36000.0),
    "roll": (-36000.0, 36000.0),
    "fov": (1.0, 170.0),
}
"""Least and most of each number of a keyframe."""


@dataclass(frozen=True)
class Keyframe:
    """Where the camera is at one moment, seen from the camera at which the path begins: see the module."""

    frame: float
    right: float = 0.0
    up: float = 0.0
    forward: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    fov: float | None = None
    kind: str = "through"


def parse_keyframes(text: str) -> tuple[Keyframe, ...]:
    """The keyframes of a text, checked.

    Raises ``ValueError`` that names the keyframe, the field, its value and the cure.
    """
    if not text.strip():
        raise ValueError(
            f"keyframes is empty, but move is {DRAWN!r}. Draw a path on the node, press 'Edit this move' "
            "there, or choose another move."
        )
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"keyframes has {len(text)} characters: at most {MAX_TEXT} fit. Draw the path with fewer "
            "keyframes, or split it over two nodes joined by 'before'."
        )
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("keyframes is no drawn path: it is nested too deeply. Draw the path anew.") from None
    except ValueError as problem:
        raise ValueError(
            f"keyframes is no drawn path: {problem}. Draw the path anew, or paste the text of a Camera Trajectory node."
        ) from None
    if not isinstance(found, Mapping) or not isinstance(found.get("keyframes"), list):
        raise ValueError(
            'keyframes is no drawn path: expected {"version": 1, "keyframes": [...]}. Draw the path '
            "anew, or paste the text of a Camera Trajectory node."
        )
    if found.get("version") != VERSION:
        raise ValueError(
            f"keyframes has the version {found.get('version')!r}: this SceneMemory reads {VERSION}. "
            "Update SceneMemory, or draw the path anew."
        )
    given = found["keyframes"]
    if not 1 <= len(given) <= MAX_KEYFRAMES:
        raise ValueError(
            f"keyframes holds {len(given)} keyframes: a path has 1 to {MAX_KEYFRAMES}. Draw the path "
            "anew, or split it over two nodes joined by 'before'."
        )
    result = tuple(_keyframe(number, one) for number, one in enumerate(given, 1))
    if result[0].frame != 0.0:
        raise ValueError(
            f"keyframe 1: frame is {result[0].frame:g}, expected 0: a path begins at frame 0. Set it to 0."
        )
    for number, (before, after) in enumerate(zip(result[:-1], result[1:], strict=True), 2):
        if not after.frame > before.frame:
            raise ValueError(
                f"keyframe {number}: frame is {after.frame:g}, not after {before.frame:g} of the keyframe "
                "before it. Give keyframes rising frames."
            )
    return result


def keyframes_text(keyframes: Sequence[Keyframe]) -> str:
    """The text of keyframes; ``parse_keyframes`` gives them back, equal to the last bit."""
    return json.dumps({"version": VERSION, "keyframes": [_plain(one) for one in keyframes]}, separators=(",", ":"))


def _plain(keyframe: Keyframe) -> dict[str, float | str]:
    result: dict[str, float | str] = {"frame": _short(keyframe.frame)}
    for name in ("right", "up", "forward", "yaw", "pitch", "roll"):
        if value := getattr(keyframe, name):
            result[name] = _short(value)
    if keyframe.fov is not None:
        result["fov"] = _short(keyframe.fov)
    if keyframe.kind != KINDS[0]:
        result["kind"] = keyframe.kind
    return result


def _short(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)


def _keyframe(number: int, given: Any) -> Keyframe:
    if not isinstance(given, Mapping):
        raise ValueError(
            f'keyframe {number} is {_shown(given)}, expected fields such as {{"frame": 24}}. Draw the path anew.'
        )
    unknown = [name for name in given if name not in LIMITS and name != "kind"]
    if unknown:
        raise ValueError(f"keyframe {number}: there is no field {_shown(unknown[0])}. Use {', '.join(LIMITS)}, kind.")
    if "frame" not in given:
        raise ValueError(f'keyframe {number} has no frame: say when the camera is there, such as "frame": 24.')
    kind = given.get("kind", KINDS[0])
    if kind not in KINDS:
        raise ValueError(f"keyframe {number}: kind is {_shown(kind)}. Use one of: {', '.join(KINDS)}.")
    return Keyframe(
        kind=kind, **{name: _number(number, name, value) for name, value in given.items() if name in LIMITS}
    )


def _number(number: int, name: str, value: Any) -> float:
    least, most = LIMITS[name]
    fine = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Compared before it is turned into a float, which a whole number of JSON may be too long for.
    if not fine or not least <= value <= most or not math.isfinite(value):
        raise ValueError(
            f"keyframe {number}: {name} is {_shown(value)}, expected a number from {least:g} to {most:g}. "
            f"Use {70 if name == 'fov' else 0}."
        )
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")
