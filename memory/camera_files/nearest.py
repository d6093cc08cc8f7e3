"""Which layout a file comes nearest to that is of none, so that the reason can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from .columns import headers
from .npy import is_npy
from .npz import is_npz
from .numbers import first_rows, is_numeric
from .source import Source

NAMES: dict[str, frozenset[str]] = {
    "SceneMemory JSON": frozenset({"poses", "intrinsics"}),
    "nerfstudio": frozenset({"frames", "transform_matrix", "file_path", "camera_angle_x", "fl_x", "fl_y"}),
    "ReCamMaster": frozenset({f"cam{number:02}" for number in range(1, 11)}),
    "Context-as-Memory": frozenset({"position", "rotation"}),
    "HY-WorldPlay": frozenset({"extrinsic", "K"}),
    "three.js": frozenset({"position", "target", "quaternion", "matrix", "fov", "aspect", "zoom", "cameraType"}),
    "FlashWorld": frozenset({"cameras", "resolution", "position", "quaternion", "fx", "fy", "cx", "cy"}),
    "Keyframe track": frozenset({"keyframes", "animTracks", "interpolation", "duration_frames"}),
    "nerfstudio camera path": frozenset({"camera_path", "camera_to_world", "render_width", "keyframes"}),
    "3DGS": frozenset({"img_name", "position", "rotation", "fx", "fy"}),
}  # fmt: skip
"""The names in the JSON of each layout. One that few layouts have says more than one that many have."""
COLUMNS = {"RealEstate10K": 19, "Replica": 16, "KITTI": 12, "TUM": 8}
_ENOUGH = 0.5
"""A name that two layouts have, or more of those that others have, too."""
_DEPTH, _LOOKED_AT = 4, 3
_SHARED = Counter(name for names in NAMES.values() for name in names)


def nearest(source: Source) -> str:
    """The name of the layout, empty where the file is like none of them."""
    if is_npy(source):
        return "LingBot"
    if is_npz(source):
        return "ViPE"
    if source.is_json:
        return _of_json(source.document)
    return _of_table(source) if source.is_table else ""


def kind(source: Source) -> str:
    """What a file is that is like no layout, to be read after "it is"."""
    if not source.is_text:
        return "binary, and neither .npy, .npz nor a model of COLMAP"
    if source.is_json:
        names = [repr(name[:30]) for name in islice(_names(source.document, 1), 6)]
        return f"JSON with {', '.join(names)}" if names else "JSON without names"
    return f"text like {source.first_rows[0].strip()[:40]!r}" if source.first_rows else "text with comments only"


def _of_json(document: object) -> str:
    if isinstance(document, list) and document and isinstance(document[0], list):
        return "MotionCtrl"
    there = set(_names(document, _DEPTH))
    likeness = {layout: sum(1.0 / _SHARED[name] for name in names & there) for layout, names in NAMES.items()}
    best = max(likeness, key=likeness.__getitem__)
    return best if likeness[best] >= _ENOUGH else ""


def _names(value: object, depth: int) -> Iterator[str]:
    """The names in a JSON value, to a depth, of the first few entries of each list and object of objects."""
    if isinstance(value, dict):
        yield from value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if depth > 1:
        for some in islice((one for one in inside if isinstance(one, (dict, list))), _LOOKED_AT):
            yield from _names(some, depth - 1)


def _of_table(source: Source) -> str:
    """By how many numbers a line has; one too many or too few is a mistake in a file of that layout."""
    rows = first_rows(source)
    if not rows:
        return ""
    if any(_is_named(row) for line, row in zip(source.first_rows, rows, strict=True) if "," not in line):
        return "COLMAP"
    if next(headers(source), None) is not None:
        return "CSV"
    row = rows[-1]
    away = {layout: abs(len(row) - columns) for layout, columns in COLUMNS.items()}
    best = min(away, key=away.__getitem__)
    return best if away[best] <= 1 and is_numeric(row, len(row)) else ""


def _is_named(row: list[str]) -> bool:
    """Whether nine numbers and a name are a line, as those of COLMAP's images."""
    return len(row) >= 10 and is_numeric(row[:9], 9) and not is_numeric(row[9:], len(row) - 9)
