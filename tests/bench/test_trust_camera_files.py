"""The figure camera_files_wrong: none is wrong, and one that is would be found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scene_memory.dev.bench import _camera_published
from scene_memory.dev.bench._camera_cases import CASES, faults
from scene_memory.dev.bench._trust.camera_files import figures


def test_no_camera_file_is_wrong() -> None:
    assert figures() == {"camera_files_wrong": 0.0}


@pytest.mark.parametrize(
    "changed",
    [
        {"poses": np.tile(np.eye(4), (9, 1, 1))},
        {"poses": np.tile(np.eye(4), (8, 1, 1))},
        {"lens": np.array([0.6, 1.05, 0.5, 0.5])},
        {"fps": 25.0},
        {"told": ""},
        {"told": "a lens"},
        {"poses": None, "refused": "counts frames"},
    ],
)
def test_a_file_that_is_read_as_something_else_is_found(tmp_path: Path, changed: dict) -> None:
    case = CASES["frame numbers for microseconds"]
    assert faults(case, tmp_path) == []
    assert faults(replace(case, **changed), tmp_path) != []


def test_a_refusal_in_other_words_is_found(tmp_path: Path) -> None:
    assert faults(replace(CASES["meshes"], refused="no such words"), tmp_path) != []


def test_a_published_file_that_is_read_as_something_else_is_found(tmp_path: Path) -> None:
    name = "motionctrl_spin_cw_60.json"
    (tmp_path / name).write_text(str([[1.0, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, 0], [1.0, 0, 0, 6, 0, 1, 0, 0, 0, 0, 1, 0]]))
    assert _camera_published.wrong(tmp_path) == {}
    (tmp_path / name).write_text("[[1, 2]]")
    assert set(_camera_published.wrong(tmp_path)) == {name}
