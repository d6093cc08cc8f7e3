"""Camera files that are not read as they are meant."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

from dev.support.pack import load_pack

load_pack()

from scene_memory.dev.bench import _camera_cases, _camera_layouts, _camera_published  # noqa: E402

log = logging.getLogger(__name__)


def figures() -> dict[str, float]:
    """``camera_files_wrong``: of the small files of `_camera_cases` and `_camera_layouts`, and the published ones of
    `_camera_published`.

    A file is wrong where its path or lens is not the one worked out beside it, where it is refused though it can be
    read, or read though it cannot, and where the artist is not told what was assumed. The published files count where
    their folder is there.
    """
    with tempfile.TemporaryDirectory() as folder:
        cases = {**_camera_cases.CASES, **_camera_layouts.layout_cases()}
        found: dict[str, object] = {**_camera_cases.wrong(Path(folder), cases), **_camera_published.wrong()}
    for name, problem in found.items():
        log.warning("%s: %s", name, problem)
    return {"camera_files_wrong": float(len(found))}


if __name__ == "__main__":
    print(json.dumps(figures(), indent=1))
