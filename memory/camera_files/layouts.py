"""All layouts by name, which one a file has or comes nearest to, and writing a file of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ..cameras.trajectory import Trajectory
from ..errors import BankError
from ..files import write_whole
from . import (
    colmap,
    context_as_memory,
    csv_table,
    flashworld,
    gaussian_splatting,
    hy_worldplay,
    keyframe_track,
    kitti,
    lingbot,
    motionctrl,
    nerfstudio,
    nerfstudio_path,
    own,
    realestate10k,
    recammaster,
    replica,
    spatia,
    threejs,
    tum,
    vipe,
)
from .csv_table import headers
from .layout import Layout, ReadOptions
from .npy import is_npy, is_npz
from .numbers import first_rows, is_numeric
from .source import CameraFileError, Source

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
COLUMNS = {
    "RealEstate10K": 19,
    "Replica": 16,
    "KITTI": 12,
    "TUM": 8,
}
"""How many numbers a line has, in layouts that are tables of numbers."""
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


_MODULES = (
    own,
    realestate10k,
    colmap,
    nerfstudio,
    tum,
    kitti,
    motionctrl,
    recammaster,
    context_as_memory,
    lingbot,
    hy_worldplay,
    spatia,
    threejs,
    flashworld,
    keyframe_track,
    nerfstudio_path,
    gaussian_splatting,
    vipe,
    replica,
    csv_table,
)

LAYOUTS: dict[str, Layout] = {module.LAYOUT.name: module.LAYOUT for module in _MODULES}
"""Layouts by the name the artist sees. The names are kept in saved workflows: never change one,
and add new ones at the end."""

READABLE: tuple[str, ...] = tuple(LAYOUTS)
WRITABLE: tuple[str, ...] = tuple(name for name, layout in LAYOUTS.items() if layout.write)


def layout_named(name: str) -> Layout:
    """The layout of a name. Raises ``ValueError`` if there is none."""
    if name not in LAYOUTS:
        raise ValueError(f"There is no layout {name!r}. Use one of: {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]


def recognised(source: Source) -> Layout:
    """The layout that the content has; the name of the file does not count. Refuses one that none or two claim.

    Where none does, the reason is that of the layout that comes nearest.
    """
    found = [layout for layout in LAYOUTS.values() if layout.recognises(source)]
    if len(found) == 1:
        return found[0]
    if found:
        source.refuse(f"it could be {' or '.join(layout.name for layout in found)}", "Choose the layout by name")
    for layout in LAYOUTS.values():
        if layout.is_second is not None and layout.is_second(source):
            source.refuse(
                f"it holds the lens of {layout.name}, not the path of the camera",
                "Choose the file with the cameras; this one is found beside it by its name",
            )
    if source.starts_as_json and source.json_problem:
        source.refuse(source.json_problem, "Repair the JSON, or export the file again")
    if name := nearest(source):
        raise CameraFileError(f"{source.name}: its layout is not recognised. {_reason(source, LAYOUTS[name])}")
    source.refuse(
        f"its layout is not recognised: it is {kind(source)}",
        f"It can be one of: {', '.join(LAYOUTS)}. If it is one of these, choose it by name to be told what is wrong",
    )


def _reason(source: Source, layout: Layout) -> str:
    """Why ``layout``, which the file comes nearest to, does not read it."""
    try:
        layout.read(source, ReadOptions())
    except CameraFileError as refusal:
        return f"It is most like {layout.name}, but {str(refusal).removeprefix(source.name).lstrip(',: ')}"
    return f"It is most like {layout.name}, though not in all: choose that layout by name to have it read so."


def write_trajectory(
    trajectory: Trajectory, path: Path, layout: str, *, size: tuple[int, int] = (832, 480)
) -> list[Path]:
    """Writes ``trajectory`` to ``path`` in one of the `WRITABLE` layouts; gives all files written, ``path`` first.

    ``size`` is the width and height in pixels of the pictures, for layouts that count in pixels. COLMAP has two more
    files beside ``path``: ``images`` in its name becomes ``cameras`` and ``points3D``. Each file is replaced whole or
    not at all, ``path`` last.

    Raises ``ValueError`` for a layout that is not written and a size below 1, ``CameraFileError`` for a full disk.
    """
    write = layout_named(layout).write
    if write is None:
        raise ValueError(f"{layout} is read but not written. Use one of: {', '.join(WRITABLE)}.")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"The size of the pictures is {size}: width and height must be at least 1. Use (832, 480).")
    texts = write(trajectory, path, size)
    for file, text in sorted(texts.items(), key=lambda item: item[0] == path):
        try:
            write_whole(file, text.encode("utf-8"))
        except BankError as problem:
            raise CameraFileError(str(problem)) from problem.__cause__
    return [path, *(file for file in texts if file != path)]
