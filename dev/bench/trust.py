"""Whether an artist can trust the pack: what is made again for nothing, lost, blocked or misread, counted.

Parts, each in a file of _trust/ that says what it counts:

- keys: segments made anew after a refactoring of the pack and of ComfyUI, and after settings that change nothing;
  models whose identity is another before sampling, after it, or in a new process.
- limits: films lost over 200 kills and re-queues under limits of 30 to 120 % of their size.
- many_files: how much longer a prompt takes to be accepted with 120,000 pictures in the output folder.
- editor_walks: walks of an artist round the camera editor that end on a screen which shows what would not run.
- camera_files: camera files that are read wrongly, refused though they are good, or read in silence though doubtful.

Every figure but the ratio is to be 0. The parts can be run one at a time: `--from` adds the figures of earlier runs,
and the file says of each figure on which day it was measured.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

PARTS = ("keys", "camera_files", "many_files", "editor_walks", "limits")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench trust", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help="only these, or none")
    parser.add_argument(
        "--from", nargs="+", type=Path, default=[], dest="earlier", metavar="FILE", help="with the figures of these"
    )
    arguments = parser.parse_args(argv)
    found, measured = joined(arguments.earlier)
    today = datetime.date.today().isoformat()
    for part in arguments.parts:
        begun = time.perf_counter()
        figures = importlib.import_module(f"{__package__}._trust.{part}").figures()
        log.info(f"{part} ({time.perf_counter() - begun:.0f} s): {json.dumps(figures)}")
        found |= figures
        measured |= dict.fromkeys(figures, today)
        write(arguments.json, today, found, measured)
    write(arguments.json, today, found, measured)
    return 0


def joined(paths: Sequence[Path]) -> tuple[dict[str, float], dict[str, str]]:
    """The figures of files that this wrote, the last file's where two have the same, and the day of each."""
    found: dict[str, float] = {}
    measured: dict[str, str] = {}
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        found |= content["figures"]
        measured |= dict.fromkeys(content["figures"], content["date"]) | content.get("measured", {})
    return found, measured


def write(path: Path | None, today: str, figures: dict[str, float], measured: dict[str, str]) -> None:
    if path:
        content = {"date": today, "figures": figures, "measured": measured}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
