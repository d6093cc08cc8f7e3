"""All layouts by name, and which one a file has."""

from __future__ import annotations

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
from .layout import Given, Layout
from .nearest import kind, nearest
from .source import CameraFileError, Source

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


def describe(layout: str) -> str:
    """Who writes a layout and what its numbers mean, in words for the artist."""
    return layout_named(layout).about


def layout_named(name: str) -> Layout:
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
        layout.read(source, Given())
    except CameraFileError as refusal:
        return f"It is most like {layout.name}, but {str(refusal).removeprefix(source.name).lstrip(',: ')}"
    return f"It is most like {layout.name}, though not in all: choose that layout by name to have it read so."
