"""filename_prefix: dates as the page fills them in, and what no file can be called is refused before anything runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

NOW = time.struct_time((2026, 3, 7, 9, 4, 5, 5, 66, 0))


@pytest.fixture
def output(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("%date:yyyy-MM-dd%/film", "2026-03-07/film"),
        ("%date:yy.M.d% %date:hh-mm-ss%", "26.3.7 09-04-05"),
        ("%date:h_m_s%", "9_4_5"),
        ("%date:yyy%", "yyy"),
        ("%date:%x", "x"),
        ("100 %", "100 %"),
        ("%year%/%Sampler.seed%", "%year%/%Sampler.seed%"),
    ],
)
def test_dates_are_filled_in_as_the_page_does(comfy: Path, written: str, filled: str) -> None:
    from scene_memory.nodes.folders import with_dates

    assert with_dates(written, NOW) == filled


def test_the_hosts_own_tokens_and_numbers_follow(output: Path) -> None:
    from scene_memory.nodes.folders import save_place

    year = time.strftime("%Y")
    folder, name, counter, inside = save_place("%date:yyyy%/%year% %width%x%height%", 96, 60)
    assert (folder, name, counter, inside) == (str(output / year), f"{year} 96x60", 1, year)
    (output / year / f"{year} 96x60_00004_.mp4").touch()
    assert save_place("%date:yyyy%/%year% %width%x%height%", 96, 60)[2] == 5


@pytest.mark.parametrize(
    ("prefix", "why"),
    [
        ("", "the file would have no name"),
        ("   ", "the file would have no name"),
        (".", "the file would have no name"),
        ("video/..", "the file would have no name"),
        ("%date:%", "the file would have no name"),
        ("x" * 300, "a name of 300 bytes"),
        ("x" * 300 + "/film", "a name of 300 bytes"),
        ("房" * 70, "a name of 210 bytes"),
        ("../film", "leads out of the output folder"),
        ("a/../../film", "leads out of the output folder"),
        (os.path.abspath("/film"), "leads out of the output folder"),
        ("film\n2", "cannot be seen"),
        ("film\0", "cannot be seen"),
    ],
)
def test_what_no_file_can_be_called_is_refused_before_anything_runs(output: Path, prefix: str, why: str) -> None:
    from scene_memory.nodes.camera.save_trajectory import SaveTrajectory
    from scene_memory.nodes.folders import save_place
    from scene_memory.nodes.remember.memory_to_video import MemoryToVideo
    from scene_memory.nodes.remember.save_memory import SaveMemory

    with pytest.raises(ValueError, match=f"filename_prefix .*{why}"):
        save_place(prefix)
    assert list(output.iterdir()) == []
    said = (SaveMemory.validate_inputs(prefix), SaveTrajectory.validate_inputs(prefix))
    for words in (*said, MemoryToVideo.validate_inputs(prefix, 0.0)):
        assert isinstance(words, str) and why in words


@pytest.mark.parametrize("prefix", ["film", "a/b/c/film", "房间/café", "film ", None, "video/", "x" * 180])
def test_other_names_are_taken(output: Path, prefix: str | None) -> None:
    from scene_memory.nodes.folders import check_prefix

    assert check_prefix(prefix) is True


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), -1.0, 121.0])
def test_a_rate_that_is_no_number_is_refused_in_words(output: Path, fps: float) -> None:
    from scene_memory.nodes.remember.memory_to_video import MemoryToVideo

    assert "fps is" in str(MemoryToVideo.validate_inputs("film", fps))
    assert MemoryToVideo.validate_inputs("film", None) is True
