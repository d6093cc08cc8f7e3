"""A full disk and folders that refuse writing, at every write: a named error, and nothing that was finished is lost."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory import files as storage
from scene_memory.memory.bank import archive, packs
from scene_memory.memory.bank.archive import export_bank, import_bank
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.limit import SizeLimit, keep_within
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

Ask = Callable[..., dict[str, Any]]
Use = Callable[[Bank, MemoryState], object]


def more(seed: int, frames: int = 3) -> dict[str, Any]:
    pictures = np.random.default_rng(seed).integers(0, 256, (frames, 40, 60, 3), dtype=np.uint8)
    path = make_preset("pan", frames=frames, fps=8.0, amount=9.0, fov=60.0, aspect=1.6)
    return {"frames": pictures, "trajectory": path, "shot": 0, "key": hashlib.sha256(bytes([seed])).hexdigest()}


class Failing:
    """Makes the ``number``-th call that touches the disk fail, and counts them: open, write, flush to disk, rename,
    make a folder, remove."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
        self.number, self.code, self.calls = number, code, 0
        for module in (storage, archive):
            monkeypatch.setattr(module, "open", self._open, raising=False)
        for name in ("fsync", "replace", "rename", "mkdir"):
            monkeypatch.setattr(os, name, self._failing(getattr(os, name)))

    def step(self) -> None:
        self.calls += 1
        if self.calls == self.number:
            raise OSError(self.code, os.strerror(self.code))

    def _failing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.step()
            return real(*arguments, **named)
        return call

    def _open(self, path: Path, mode: str = "r", *rest: Any) -> Any:
        file = open(path, mode, *rest)
        if "r" in mode and "+" not in mode:
            return file
        try:
            self.step()
        except OSError:
            file.close()
            raise
        return HalfWriting(file, self)


class HalfWriting:
    """A file of which a write that fails has written half, as a full disk does."""

    def __init__(self, file: Any, failing: Failing) -> None:
        self.file, self.failing = file, failing

    def write(self, data: bytes) -> int:
        try:
            self.failing.step()
        except OSError:
            self.file.write(bytes(data)[: len(data) // 2])
            raise
        return int(self.file.write(data))

    def writelines(self, parts: Iterator[bytes]) -> None:
        for part in parts:
            self.write(part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> HalfWriting:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


USES: dict[str, Use] = {
    "append": lambda bank, state: bank.append(state, **more(9)),
    "append another take": lambda bank, state: bank.append(bank.empty(), **more(8)),
    "edit": lambda bank, state: bank.edit(state, Edit("pin", ((0, 1),))),
    "recall": lambda bank, state: bank.recall(bank.empty(), more(0)["key"]),
    "drop pictures": lambda bank, state: keep_within(bank.path, state, SizeLimit(bank.size_bytes() * 3 // 4)),
    "export": lambda bank, state: export_bank(state, bank.root / "film"),
    "import": lambda bank, state: import_bank(bank.root, "copy", bank.root / "whole.scenememory.zip"),
}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
@pytest.mark.parametrize("use", USES)
def test_every_write_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str, code: int):
    """Fails the first write, then the second, and so on, until the work is done without one failing."""
    monkeypatch.setattr(packs, "SMALL", 4)
    made = tmp_path / "made"
    bank = Bank.create(made, "film")
    state = bank.load()
    for i in range(6):
        state = bank.append(state, **more(i, frames=1))
    state = bank.append(state, **more(70))
    export_bank(state, made / "whole")
    failures = 0
    for number in range(1, 200):
        root = tmp_path / str(number)
        shutil.copytree(made, root)
        mine = Bank.open(root, "film")
        before = mine.load()
        assert before == state
        with pytest.MonkeyPatch.context() as patch:
            failing, raised = Failing(patch, number, code), False
            try:
                USES[use](mine, before)
            except BankError as problem:
                assert os.strerror(code) in str(problem) and "llow writing there" in str(problem)
                raised = True
        failures += failing.calls >= number
        # What was made is safe when pictures are dropped: that it could not be done is said in the log.
        assert not raised or use != "drop pictures"
        found = Bank.open(root, "film").load()
        assert found.id == state.id or state.id in found.entry_ids() or state.id in mine.history(), "a memory was lost"
        kept = mine.kept(found, range(found.frames))
        found.read_frames(np.flatnonzero(kept))
        assert not list(root.rglob("*.part")), "something unfinished was left"
        USES[use](mine, mine.load(state.id) if state.id in mine.history() else found)
        done = failing.calls < number
        shutil.rmtree(root)
        if done:
            break
    assert done and failures >= 3, f"only {failures} writes failed"


@pytest.mark.parametrize("limit", [0, 60, 300, 700, 1500, 2500, 3200])
def test_files_that_may_not_grow_stop_a_film_with_a_name_and_it_goes_on_with_room(
    ask: Ask, film: dict[str, Any], tmp_path: Path, limit: int
):
    """The system itself refuses to let any file of the process grow past a limit."""
    result = ask("cramped", root=str(tmp_path), ids=film["ids"], limit=limit)
    assert result["named"] and "could not be written" in result["error"] and "Free some space" in result["error"]
    assert result["finished"] and result["tree"] == film["tree"] and not result["parts"]


def test_a_really_full_disk(tmp_path: Path):
    """A disk of 256 kB where the system lets us mount one, else a bound on the size of a file, which is tried above."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        assert os.getuid() != 0 or b"permi" in mounted.stderr.lower() or b"denied" in mounted.stderr.lower()
        return
    try:
        bank = Bank.create(place, "film")
        state, filler = bank.load(), place / "filler"
        with pytest.raises(BankError, match="No space left on device. Free some space"):
            for i in range(100):
                state = bank.append(state, **more(i))
        assert state.frames and bank.load() == state and not list(place.rglob("*.part"))
        state.read_frames(range(state.frames))
        free = os.statvfs(place)
        filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 4096)))
        with pytest.raises(BankError, match="could not be written"):
            export_bank(state, place / "film")
        assert not list(place.glob("*.zip")) and not list(place.rglob("*.part"))
        filler.unlink()
        shutil.rmtree(bank.segments_path.parent / "keys")
        assert bank.load() == state
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter: the one of pytest is closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for place in folder.rglob("*"):
        if place.is_dir():
            place.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.parametrize("closed", [["."], ["film"], ["film/segments"], ["film/edits"], ["film/packs"], ["film/keys"],
                                    ["film/history"], ["film", "film/segments", "film/edits", "film/packs"]])
def test_a_folder_that_refuses_writing_is_named_and_what_was_finished_is_kept(
    ask: Ask, film: dict[str, Any], open_folder: Path, closed: list[str]
):
    """Some steps of the film once more, by a user who may not write there; not every step needs every folder."""
    root = open_folder / "banks"
    root.mkdir()
    ask("whole", root=str(root))
    for place in (root, *root.rglob("*")):
        place.chmod(0o777 if place.is_dir() else 0o666)
    refused = 0
    for step in (6, 5, 7, 9, 4, 10, 11):
        before = Bank.open(root, "film").load()
        for place in (root, *root.rglob("*")):
            place.chmod(0o777 if place.is_dir() else 0o666)
        result = ask("as_nobody", root=str(root), closed=closed, step=step)
        assert result["named"], f"step {step}: {result['answer']}"
        if result["answer"].startswith("done"):
            assert result["id"] == result["answer"][5:]
        else:
            refused += 1
            assert "llow writing there" in result["answer"] or "llow reading" in result["answer"], result["answer"]
            assert result["id"] == before.id
    assert refused or closed == ["."], "no write was refused"
