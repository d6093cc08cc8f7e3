"""Saved files with numbers: nothing is replaced, whoever else writes there, and what a kill left is cleared."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scene_memory.memory import files, part_files
from scene_memory.memory.errors import BankError
from scene_memory.memory.files import publish, unfinished

ROOT = Path(__file__).resolve().parents[2]

SAVER = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from dev.support.pack import load_pack
load_pack()
from scene_memory.memory.files import publish, unfinished
folder = Path({folder!r})
print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    with unfinished(folder) as part:
        part.write_text("{name} " + str(turn))
        print(publish(part, folder, "film", 1, ".mp4").name, flush=True)
"""

UNFINISHED = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from dev.support.pack import load_pack
load_pack()
from scene_memory.memory.files import unfinished
with unfinished(Path({folder!r})) as part:
    part.write_text("half a film")
    print(part.name, flush=True)
    time.sleep(60)
"""


def save(folder: Path, text: str, number: int = 1, stem: str = "film") -> Path:
    with unfinished(folder) as part:
        part.write_text(text)
        return publish(part, folder, stem, number, ".mp4")


def started(script: str, **names: str) -> subprocess.Popen[str]:
    code = script.format(root=str(ROOT), **names)
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def no_links(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "link", refuse)


def test_two_processes_that_save_at_the_same_time_never_take_the_same_name(tmp_path: Path):
    savers = [started(SAVER, folder=str(tmp_path), name=name) for name in ("one", "two")]
    for saver in savers:
        assert saver.stdout is not None and saver.stdout.readline() == "ready\n"
    for saver in savers:
        assert saver.stdin is not None
        saver.stdin.write("go\n")
        saver.stdin.flush()
    names = [saver.communicate()[0].split() for saver in savers]
    assert [saver.returncode for saver in savers] == [0, 0]
    assert len(set(names[0] + names[1])) == 80
    for name, made in zip(("one", "two"), names, strict=True):
        assert [(tmp_path / file).read_text() for file in made] == [f"{name} {turn}" for turn in range(40)]
    assert len(list(tmp_path.iterdir())) == 80, "something unfinished was left"


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_name_that_was_taken_meanwhile_is_left_alone(tmp_path: Path, monkeypatch, code: int | None):
    if code is not None:
        no_links(monkeypatch, code)
    (tmp_path / "film_00003_.mp4").write_text("somebody else's")
    assert save(tmp_path, "a", 3).name == "film_00004_.mp4"
    assert save(tmp_path, "b", 3).name == "film_00005_.mp4"
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"film_00003_.mp4": "somebody else's", "film_00004_.mp4": "a", "film_00005_.mp4": "b"}


def test_a_folder_takes_a_free_name_as_well(tmp_path: Path):
    (tmp_path / "path_00001_").mkdir()
    (tmp_path / "path_00001_" / "images.txt").write_text("somebody else's")
    with unfinished(tmp_path) as part:
        part.mkdir()
        (part / "images.txt").write_text("mine")
        made = publish(part, tmp_path, "path", 1, "")
    assert made.name == "path_00002_" and (made / "images.txt").read_text() == "mine"
    assert (tmp_path / "path_00001_" / "images.txt").read_text() == "somebody else's"


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch):
    no_links(monkeypatch, errno.ENOSPC)
    with pytest.raises(BankError, match="film_00001_.mp4 could not be written.*No space left.*Free some space"):
        save(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_cleared_by_the_next_of_its_kind(tmp_path: Path):
    killed = started(UNFINISHED, folder=str(tmp_path))
    assert killed.stdout is not None
    left = tmp_path / killed.stdout.readline().strip()
    assert left.name.startswith(".") and not left.name.endswith(".mp4")
    save(tmp_path, "while it lives")
    assert left.read_text() == "half a film", "a living server's part was removed"
    killed.kill()
    killed.wait()
    save(tmp_path, "after it")
    assert not left.exists() and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "days", "stays"),
    [
        (".{other}-{mine}-0123abcd-0.part", 0, True),
        (".{other}-{mine}-0123abcd-0.part", 2, False),
        (".{machine}-{mine}-0123abcd-0.part", 0, False),
        (".{machine}-{mine}-{run}-0.part", 0, True),
        (".{machine}-1-0123abcd-0.part", 0, True),
        (".0123456789abcdef.part", 0, True),
        (".0123456789abcdef.part", 2, False),
        ("film_00002_.part.mp4", 0, True),
        ("film_00002_.part.mp4", 2, False),
        ("film.part.mp4", 900, True),
        (".notes", 900, True),
    ],
)
def test_whose_unfinished_file_it_is_decides(tmp_path: Path, name: str, days: float, stays: bool):
    """Another machine's, an earlier run's with our number, ours, another process's, and those of older versions."""
    names = {"machine": part_files._machine(), "other": "00000000", "mine": os.getpid(), "run": part_files._this_run()}
    path = tmp_path / name.format(**names)
    path.write_text("half")
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))
    save(tmp_path, "new")
    assert path.exists() == stays


def test_a_forked_process_has_names_of_its_own(tmp_path: Path):
    mine = part_files.part_in(tmp_path).name.split("-")
    reader, writer = os.pipe()
    child = os.fork() if hasattr(os, "fork") else 0
    if hasattr(os, "fork") and child == 0:
        os.write(writer, part_files.part_in(tmp_path).name.encode())
        os._exit(0)
    if child:
        os.waitpid(child, 0)
        other = os.read(reader, 100).decode().split("-")
        assert other[0] == mine[0] and other[1] != mine[1] and other[2] != mine[2]
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("make", [Path.mkdir, getattr(os, "mkfifo", Path.mkdir)])
def test_what_is_no_file_is_cleared_too(tmp_path: Path, make: Callable[[Path], object]):
    path = tmp_path / f".{part_files._machine()}-{os.getpid()}-0123abcd-0.part"
    make(path)
    save(tmp_path, "new")
    assert not path.exists()
