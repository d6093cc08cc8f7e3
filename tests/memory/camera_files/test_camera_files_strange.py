"""Files of strangers' kinds: each becomes the path that is known, or is refused and told in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from scene_memory.dev.bench._camera_cases import CASES, faults


@pytest.mark.parametrize("name", CASES)
def test_a_strange_file_is_read_as_it_is_meant_or_refused_in_words(tmp_path: Path, name: str):
    assert faults(CASES[name], tmp_path) == []
