"""ComfyUI in the benchmark's own process: the one that COMFYUI_PATH names."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path


def load_host(cpu: bool) -> None:
    """Makes ``import comfy...`` work.

    Raises:
        SystemExit: COMFYUI_PATH names no ComfyUI.
    """
    folder = Path(os.environ.get("COMFYUI_PATH", ""))
    if not (folder / "main.py").is_file():
        raise SystemExit("COMFYUI_PATH names no ComfyUI. Run this as: python dev.py bench NAME")
    here = Path(__file__).resolve().parents[2]
    # Last on the path: ComfyUI has modules called `nodes` and `server` of its own, and they shall win.
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry and Path(entry).resolve() != here), str(here)]
    from comfy.cli_args import args

    args.cpu = cpu
    logging.getLogger("alembic").setLevel(logging.WARNING)
