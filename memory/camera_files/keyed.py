"""JSON objects whose keys are frames: {"0": ..., "1": ...} or {"frame0": ..., "frame1": ...}, in any order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .poses import Where
from .source import MAX_POSES, Source

_KEY = re.compile(r"(?:frame)?[ _]?(\d{1,9})")


def looks_keyed(value: object) -> bool:
    """Whether ``value`` is an object with frames for keys, judged by the first few."""
    if not isinstance(value, dict) or not value:
        return False
    return all(_KEY.fullmatch(key) for _, key in zip(range(3), value, strict=False))


def first_frame(value: object) -> object:
    """The first frame that is not null of an object with frames for keys; None if it is no such object."""
    return first_found(value.values()) if isinstance(value, dict) and looks_keyed(value) else None


def first_found(values: Iterable[object]) -> object:
    """The first value that is not null, or None."""
    return next((value for value in values if value is not None), None)


def frames_in_order(source: Source, value: object) -> tuple[list[object], Where]:
    """The values in the order of their frames, and the name of each."""
    if not isinstance(value, dict) or not value:
        source.refuse("it is no object with an entry for each frame", 'Write {"0": ..., "1": ...}')
    if len(value) > MAX_POSES:
        source.refuse(f"it has {len(value)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    numbered = []
    for key in value:
        match = _KEY.fullmatch(key)
        if match is None:
            source.refuse(f"{key[:40]!r} is no frame number", 'Name the frames "0", "1", "2", and so on')
        numbered.append((int(match[1]), key))
    numbered.sort()
    return [value[key] for _, key in numbered], lambda index: f"frame {numbered[index][0]}"


def found_frames(
    source: Source, frames: list[object], where: Where, names: tuple[str, ...]
) -> tuple[list[object], Where]:
    """The frames whose camera was found; those that are null, or null in one of ``names``, are left out and told."""
    there = [
        index
        for index, value in enumerate(frames)
        if value is not None
        and not (isinstance(value, dict) and any(name in value and value[name] is None for name in names))
    ]
    if len(there) == len(frames):
        return frames, where
    if not there:
        source.refuse("none of its pictures has a camera: each is null", "Register the pictures again")
    source.note(f"{len(frames) - len(there)} of {len(frames)} pictures have no camera (null) and are left out.")
    return [frames[index] for index in there], lambda index: where(there[index])


def field_of_frames(source: Source, frames: list[object], name: str, where: Where) -> list[object]:
    """The entry ``name`` of every frame; refuses the first frame that lacks it."""
    result = []
    for index, value in enumerate(frames):
        if not isinstance(value, dict) or name not in value:
            source.refuse(f"it has no {name!r}", "Complete that frame or leave it out", where(index))
        result.append(value[name])
    return result
