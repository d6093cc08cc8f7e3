"""What the pages say of the code is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = {folder.name for folder in ROOT.iterdir() if folder.is_dir() and folder.name[0] != "."}
NOT_OURS = {"models/loras"}
"""Folders of ComfyUI's."""


def named(page: str) -> set[str]:
    """Files and folders of the pack that a page names in code, but those that it says how to write."""
    found = re.findall(r"`([a-z_]+)(/[\w./-]*)`", page)
    written = set(re.findall(r"Write `([^`]+)`", page))
    return {room + rest for room, rest in found if room in ROOMS} - NOT_OURS - written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    missing = [name for name in named(page.read_text(encoding="utf-8")) if not (ROOT / name).exists()]
    assert missing == []


def test_a_file_that_has_moved_would_be_seen() -> None:
    assert named("see `film/gone.py`, `docs/`, `cfg/x` and `models/loras`") == {"film/gone.py", "docs/"}


def test_the_page_on_the_house_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shipped = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {"film", "memory", "models"} < shipped - {"tests"} <= {name.split("/")[0] for name in named(page)}
