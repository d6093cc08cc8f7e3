"""Identities of MODELs that change, measured in a process of its own: `bench models` sets the host up for a card first,
and what attention the host computes with is a part of an identity."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .keys import on_the_host, unstable

ROOT = Path(__file__).resolve().parents[3]


def unstable_elsewhere() -> list[str]:
    """Names of the ways to load and patch a MODEL that do not keep their identity."""
    command = [sys.executable, "-m", "dev.run", "dev.bench._trust.identities"]
    found: list[str] = json.loads(subprocess.check_output(command, cwd=ROOT, text=True).strip().splitlines()[-1])
    return found


def main(argv: Sequence[str]) -> int:
    """Prints these names as JSON."""
    with on_the_host() as comfyui, tempfile.TemporaryDirectory() as folder:
        names = unstable(comfyui, Path(folder))
    print(json.dumps(names))
    return 0
