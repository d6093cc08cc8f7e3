"""Geometry from the memory, measured: known pixels, depth that joins up, cameras as they were, known pixels as the only
memory, and how long Memory View takes. Scenes of the renderer, seeds that were never tuned on.

Each part stands in a module of `_geometry` with a function `figures`; they can be run one by one.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from ._geometry import animatic, camera, depth, memory_only, view

PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "view": view.figures,
    "depth": depth.figures,
    "camera": camera.figures,
    "memory_only": memory_only.figures,
    "animatic": animatic.figures,
}

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench geometry", description="Geometry from the memory, against the truth.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--scenes", type=int, default=8, help="scenes of the part `view`, at each size")
    arguments = parser.parse_args(argv)
    figures: dict[str, float] = {}
    for part in arguments.parts:
        figures |= view.figures(arguments.scenes) if part == "view" else PARTS[part]()
        for name, value in figures.items():
            log.info(f"{name:32}{value:12.4f}")
        if arguments.json:
            # After each part: a part takes minutes, and what is measured is kept.
            arguments.json.write_text(json.dumps({"figures": figures}, indent=2) + "\n", encoding="utf-8")
    return 0
