"""What every test may use: the pack as the package `scene_memory`, a real ComfyUI server, a real browser."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Last on the path: ComfyUI has modules called `nodes` and `server` of its own, and they shall win.
sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != ROOT] + [str(ROOT)]

from dev_tools.pack import load_pack  # noqa: E402

load_pack()


class _RootIsNoTestPackage:
    """The pack's root has an `__init__.py` for ComfyUI; pytest shall walk through the folder, not import it."""

    @staticmethod
    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_RootIsNoTestPackage(), "root is no test package")
