"""The checkout as the Python package `scene_memory`, whatever its folder is called."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

NAME = "scene_memory"
ROOT = Path(__file__).resolve().parents[2]


def load_pack() -> ModuleType:
    """Makes `import scene_memory` work in this process, and returns the package."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    return package


def import_from_pack(module: str) -> ModuleType:
    """A module of the pack by its path inside the pack, such as `dev.bench.moc`."""
    load_pack()
    return importlib.import_module(f"{NAME}.{module}")
