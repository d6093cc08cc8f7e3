"""Scripts of stories: those that come with the pack, and those in ComfyUI's input folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ...memory.story.script import MAX_BYTES
from .. import folders

NO_FILE = "none"
ENDING = folders.STORY_ENDING
BUNDLED = " [bundled]"
STORIES = Path(__file__).resolve().parents[2] / "workflows" / "stories"


@cache
def bundled_stories() -> tuple[str, ...]:
    """Stories that come with the pack, as "NAME [bundled]"."""
    return tuple(f"{path.stem}{BUNDLED}" for path in sorted(STORIES.glob(f"*{ENDING}")))


def story_files() -> list[str]:
    """JSON files in the input folder and the folders directly in it, the newest first."""
    return folders.listed(
        lambda file: file.name.endswith(ENDING) and file.size <= MAX_BYTES and len(file.folders) < 2, output=False
    )


def story_file(name: str) -> Path:
    """The file of a name as `story_files` or `bundled_stories` give it.

    Raises:
        ValueError: there is no such file, with some of those that there are.
    """
    if name.endswith(BUNDLED) and name in bundled_stories():
        return STORIES / f"{name.removesuffix(BUNDLED)}{ENDING}"
    kind = f"a story ({ENDING}, at most {MAX_BYTES // 2**20} MB)"
    path = folders.chosen(name, "file", (ENDING,), kind, lambda: [*bundled_stories(), *story_files()])
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"file is {name!r}, which is larger than {MAX_BYTES // 2**20} MB: choose {kind}.")
    return path
