"""Scripts of stories: those that come with the pack, and those in ComfyUI's input folder."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ...memory.story.script import MAX_BYTES
from ..folders import MOST_FILES

NO_FILE = "none"
ENDING = ".json"
BUNDLED = " [bundled]"
STORIES = Path(__file__).resolve().parents[2] / "workflows" / "stories"


def bundled_stories() -> list[str]:
    """Stories that come with the pack, as "NAME [bundled]"."""
    return sorted(f"{path.stem}{BUNDLED}" for path in STORIES.glob(f"*{ENDING}"))


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
    """The file of a name from `story_files` or `bundled_stories`.

    Raises:
        ValueError: there is no such file, with some of those that there are.
    """
    bundled, there = bundled_stories(), story_files()
    if name in bundled:
        return STORIES / f"{name.removesuffix(BUNDLED)}{ENDING}"
    if name not in there:
        known = "; ".join([*bundled, *there][:10])
        raise ValueError(
            f"file is {name!r}: choose a story ({ENDING}, at most {MAX_BYTES // 2**20} MB). There are: {known}. Put "
            "yours into ComfyUI's input folder and press R to see it."
        )
    return Path(folder_paths.get_input_directory()) / name
