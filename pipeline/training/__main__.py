"""``python -m ComfyUI-SceneMemory.pipeline.training`` in the folder above the pack's."""

from __future__ import annotations

import logging
import sys

from .train import main

logging.basicConfig(level=logging.INFO, format="%(message)s")
sys.exit(main(sys.argv[1:]))
