"""Files of camera paths in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def put(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Writes files, and gives the path of the first."""

    def write(files: dict[str, bytes]) -> Path:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        return tmp_path / next(iter(files))

    return write
