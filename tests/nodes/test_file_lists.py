"""Lists of files: capped, kept while folders do not change, made beside the server's loop; a name needs no list."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def homes(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """ComfyUI's input and output folders, empty, and lists that know nothing yet."""
    import folder_paths

    from scene_memory.nodes import folders

    made = SimpleNamespace(input=tmp_path / "input", output=tmp_path / "output")
    for folder in (made.input, made.output):
        folder.mkdir()
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(made.input))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(made.output))
    fresh = folders.FileLists(folders.LISTS._roots, folders.LISTS._endings, folders.LISTS._closed)
    monkeypatch.setattr(folders, "LISTS", fresh)
    return made


def file(path: Path, age: float = 0.0, text: str = "x") -> Path:
    """A file that is so many seconds old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def settled(folder: Path) -> None:
    """All folders below were last changed long ago."""
    for place, _, _ in os.walk(folder):
        os.utime(place, (time.time() - 100, time.time() - 100))


def anew(names: Callable[[], list[str]]) -> list[str]:
    """The list, when the last look is no longer fresh."""
    from scene_memory.nodes.file_lists import FRESH_S

    time.sleep(2 * FRESH_S)
    return names()


def test_masses_of_newer_files_hide_neither_the_name_nor_the_file(homes: Any) -> None:
    from scene_memory.nodes.folders import CAMERAS, camera_file

    old = [file(homes.input / "KITTI_00_gt.txt", 900), file(homes.input / "way" / "poses.json", 800)]
    for number in range(1100):
        file(homes.input / "dataset" / f"img_{number:04}.txt")
    names = CAMERAS.names()
    assert len(names) == 1000 and "KITTI_00_gt.txt" in names and "way/poses.json" in names
    captions = {f"dataset/img_{number:04}.txt" for number in range(1100)}
    hidden = min(captions - set(names))
    assert camera_file(hidden) == homes.input / hidden
    assert [camera_file("KITTI_00_gt.txt"), camera_file("way/poses.json")] == old


def test_lists_hold_the_newest_first_and_banks_and_deep_folders_are_left_out(homes: Any) -> None:
    from scene_memory.nodes.folders import CAMERAS, MEMORIES, stories

    for name, age in (("b.json", 30), ("a/c.txt", 10), ("a/b/d.npy", 20), ("a/b/c/d/deep.txt", 0), ("e.png", 0)):
        file(homes.input / name, age)
    file(homes.input / "a" / ".hidden.txt")
    file(homes.output / "scene_memory" / "film" / "head.json")
    file(homes.output / "cameras" / "f.json")
    file(homes.output / "memory" / "g.scenememory.zip")
    file(homes.input / "large.json", text=" " * (4 * 2**20 + 1))
    assert CAMERAS.names() == ["large.json", "a/c.txt", "a/b/d.npy", "b.json", "cameras/f.json [output]"]
    assert MEMORIES.names() == ["memory/g.scenememory.zip [output]"]
    assert [name for name in stories() if not name.endswith(" [bundled]")] == ["b.json"]


def test_a_folder_is_read_again_only_when_it_has_changed(homes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.nodes import file_lists
    from scene_memory.nodes.folders import CAMERAS

    for folder in ("one", "two"):
        file(homes.input / folder / "a.txt")
    settled(homes.input)
    read, plain = [], os.scandir

    def counting(path: Any) -> Any:
        read.append(Path(path).name)
        return plain(path)

    monkeypatch.setattr(file_lists.os, "scandir", counting)
    assert len(CAMERAS.names()) == 2 and sorted(read) == ["input", "one", "output", "two"]
    settled(homes.input)
    os.utime(homes.output, (time.time() - 100, time.time() - 100))
    anew(CAMERAS.names)
    read.clear()
    anew(CAMERAS.names)
    assert read == []
    file(homes.input / "two" / "b.txt")
    assert len(anew(CAMERAS.names)) == 3 and read == ["two"]


def test_nothing_is_read_while_a_prompt_comes_in_and_a_name_is_checked_without_a_scan(
    homes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scene_memory.nodes import file_lists, folders
    from scene_memory.nodes.folders import CAMERAS, MEMORIES, camera_file, story_file

    CAMERAS.names()
    for name in ("a.txt", "b.json", "c.scenememory.zip"):
        file(homes.input / name)
    monkeypatch.setattr(file_lists.os, "scandir", lambda path: pytest.fail("a folder was read"))
    folders.LISTS.prompt_came()
    time.sleep(2 * file_lists.FRESH_S)
    assert CAMERAS.names() == [] and camera_file("a.txt")
    assert story_file("b.json") and MEMORIES.file("c.scenememory.zip")


def test_a_slow_drive_holds_a_request_up_for_a_moment_only(homes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.nodes import file_lists
    from scene_memory.nodes.folders import CAMERAS

    file(homes.input / "a.txt")
    gate, plain = threading.Event(), os.scandir

    def slow(path: Any) -> Any:
        gate.wait(20)
        return plain(path)

    monkeypatch.setattr(file_lists.os, "scandir", slow)
    begun = time.monotonic()
    assert CAMERAS.names() == [] and CAMERAS.names() == []
    assert time.monotonic() - begun < 3 * file_lists.WAIT_S
    gate.set()
    for _ in range(100):
        if CAMERAS.names():
            break
        time.sleep(0.05)
    assert CAMERAS.names() == ["a.txt"]


def test_a_look_ends_at_its_bound(
    homes: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from scene_memory.nodes import file_lists
    from scene_memory.nodes.folders import CAMERAS, camera_file

    for number in range(50):
        file(homes.input / f"{number}.txt")
    monkeypatch.setattr(file_lists._Walk, "__init__", lambda self, tops: vars(self).update(tops=tops, left=10, kept={}))
    assert len(CAMERAS.names()) == 10 and "Lists of files are cut" in caplog.text
    assert all(camera_file(f"{number}.txt") for number in range(50))


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_lead_out_are_told_by_name_and_in_the_log(
    homes: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from scene_memory.nodes.folders import CAMERAS, camera_file

    file(tmp_path / "secret" / "passwd.txt")
    (homes.input / "linked").symlink_to(tmp_path / "secret")
    (homes.input / "one.txt").symlink_to(tmp_path / "secret" / "passwd.txt")
    file(homes.output / "mine.txt")
    (homes.input / "to output").symlink_to(homes.output)
    assert CAMERAS.names() == ["to output/mine.txt", "mine.txt [output]"]
    assert "linked is a link that leads out" in caplog.text
    assert camera_file("to output/mine.txt").is_file()
    for name in ("linked/passwd.txt", "one.txt"):
        with pytest.raises(ValueError, match="a link that leads out of ComfyUI's folders.*put the file itself there"):
            camera_file(name)
    file(homes.input / "colmap" / "images.txt")
    (homes.input / "colmap" / "cameras.txt").symlink_to(tmp_path / "secret" / "passwd.txt")
    with pytest.raises(ValueError, match="cameras.txt beside it.*is a link that leads out of ComfyUI's folders"):
        camera_file("colmap/images.txt")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", r"'none': choose"),
        ("", r"'': choose"),
        ("gone.txt", "which is not there: choose"),
        ("folder.txt", "which is a folder"),
        ("pipe.txt", "no ordinary file"),
        ("../outside.txt", "choose a file with a camera path"),
        ("a/../../outside.txt", "choose a file with a camera path"),
        ("/etc/hosts.txt", "choose a file with a camera path"),
        ("nul\0.txt", "choose a file with a camera path"),
        ("picture.png", "choose a file with a camera path"),
        ("x" * 5000 + ".txt", "x': choose|which is not there"),
    ],
)
def test_other_names_are_refused_with_some_that_there_are(homes: Any, tmp_path: Path, name: str, why: str) -> None:
    from scene_memory.nodes.folders import camera_file

    file(tmp_path / "outside.txt")
    file(homes.input / "picture.png")
    file(homes.input / "there.txt")
    (homes.input / "folder.txt").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(homes.input / "pipe.txt")
    elif name == "pipe.txt":
        why = "which is not there"
    with pytest.raises(ValueError, match=why) as refused:
        camera_file(name)
    assert "There are: there.txt." in str(refused.value) and len(str(refused.value)) < 700
