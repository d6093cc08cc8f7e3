"""Style and types, with the settings in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint
ROOT = Path(__file__).resolve().parent.parent


def run(*command: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_ruff_has_no_complaint() -> None:
    code, said = run("ruff", "check", ".")
    assert code == 0, said


def test_mypy_has_no_complaint() -> None:
    code, said = run("mypy")
    assert code == 0, said
