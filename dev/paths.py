"""Where things are in a checkout that dev.py has prepared. All of it is ignored by git."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
HOST = ROOT / ".host"
COMFYUI = HOST / "ComfyUI"
DEMO = ROOT / ".demo"
SERVE = ROOT / ".serve"
PACK_FOLDER = "ComfyUI-SceneMemory"


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment, whether or not it is there."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"
