"""Walks of an artist round the camera path editor, in both canvases of the pinned and the newest frontend."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Error

from dev.console import say
from dev.paths import COMFYUI
from dev.support.chromium import ensure_browser
from dev.support.editor_walk import Walk
from dev.support.frontend import MODES, Frontend, launch
from dev.support.newest_frontend import newest_frontend
from dev.support.server import HostServer

WALKS, STEPS = 12, 40
PYTHON = Path(sys.executable)


def figures() -> dict[str, float]:
    """How many of 48 walks of 40 steps came to a screen that shows what ComfyUI would not run: none may."""
    failed = 0
    comfyui = Path(os.environ.get("COMFYUI_PATH") or COMFYUI)
    for frontend in (None, newest_frontend(PYTHON)):
        with (
            tempfile.TemporaryDirectory() as base,
            HostServer(PYTHON, comfyui, base=Path(base), frontend=frontend) as server,
            launch(ensure_browser(PYTHON)) as browser,
        ):
            for mode in MODES:
                for seed in range(WALKS):
                    page = Frontend(browser, server, mode)
                    walk = Walk(page, seed)
                    try:
                        wrong = walk.go(STEPS)
                    except (AssertionError, Error) as stopped:  # a walk that cannot go on has failed, the others go on
                        wrong = [f"after {', '.join(walk.taken)}: {stopped}"]
                    page.close()
                    failed += bool(wrong)
                    said = "; ".join(wrong) or "nothing wrong"
                    say(f"{frontend.parent.name if frontend else 'pinned'} {mode}, walk {seed}: {said}")
    return {"editor_walks_failed": failed}


if __name__ == "__main__":
    print(figures())
