"""Scripts of stories in ComfyUI's input folder."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...memory.story.script import MAX_BYTES
from ..folders import MOST_FILES

NO_FILE = "none"
ENDING = ".json"


def story_files() -> list[str]:
    """JSON files in the input folder and the folders directly in it, the newest first; links that lead out are not."""
    folder = Path(folder_paths.get_input_directory())
    found = []
    for pattern in (f"*{ENDING}", f"*/*{ENDING}"):
        for path in folder.glob(pattern):
            if path.is_file() and folder_paths.is_within_directory(str(folder), str(path)):
                status = path.stat()
                if status.st_size <= MAX_BYTES:
                    found.append((-status.st_mtime, path.relative_to(folder).as_posix()))
    return [name for _, name in sorted(found)[:MOST_FILES]]


def story_file(name: str) -> Path:
    """The file of a name from `story_files`.

    Raises:
        ValueError: there is no such file, with some of those that there are.
    """
    there = story_files()
    if name not in there:
        known = "; ".join(there[:10]) or "none"
        raise ValueError(
            f"file is {name!r}: choose a story ({ENDING}, at most {MAX_BYTES // 2**20} MB). There are: {known}. Put "
            "yours into ComfyUI's input folder and press R to see it."
        )
    return Path(folder_paths.get_input_directory()) / name
