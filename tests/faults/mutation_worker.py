"""Uses mutated banks and archives in a process of its own, with bounded memory, and says what went wrong.

`python tests/faults/mutation_worker.py FOLDER 0 600` tries mutations 0 to 599 in an empty folder, one JSON line each;
with one number only, that mutation is shown with its traceback.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent))

import film_server  # noqa: E402
import mutations  # noqa: E402
from mutations import FOLDER, LINK, Files, Mutated  # noqa: E402

from scene_memory.memory.bank import bank as bank_module  # noqa: E402
from scene_memory.memory.bank import segment_file  # noqa: E402
from scene_memory.memory.bank.archive import export_bank, import_bank  # noqa: E402
from scene_memory.memory.bank.bank import Bank  # noqa: E402
from scene_memory.memory.bank.pixels import drop_pixels  # noqa: E402
from scene_memory.memory.errors import BankError  # noqa: E402
from scene_memory.memory.state.edits import Edit  # noqa: E402
from scene_memory.memory.state.state import EMPTY_ID, MemoryState, SegmentRecord  # noqa: E402

SECONDS, BYTES = 2.0, 1 << 30
OLD = Path(__file__).resolve().parents[1] / "memory" / "fixtures" / "bank_v1" / "film"


class Trial:
    """A folder with a bank that is mutated, used and mended, again and again."""

    def __init__(self, folder: Path) -> None:
        self.root, self.outside = folder / "banks", folder / "outside"
        made = folder / "made"
        film_server.run_film(made, [], lambda one: None)
        bank = Bank.open(made, "film")
        state = bank.edit(bank.load(), Edit("drop", ((1, 3),)))
        drop_pixels(bank.path, state, [1, 2])
        self.archive = export_bank(state, folder / "whole").read_bytes()
        self.new, self.old = _read(bank.path), _read(OLD)
        shutil.copytree(OLD, made / "old")
        self.pixels: dict[str, np.ndarray] = {}
        self.content: dict[str, str] = {}
        self.known = {EMPTY_ID}
        for one in (bank, Bank.open(made, "old")):
            for head in (None, *one.history()):
                self._learn(one, one.load(head))
        self.outside.mkdir()
        (self.outside / "secret").write_bytes(b"secret")

    def _learn(self, bank: Bank, state: MemoryState) -> None:
        self.known |= set(state.entry_ids())
        for record in state.segments:
            frames = np.arange(record.start, record.start + record.frames)
            kept = bank.kept(state, frames)
            pixels = np.zeros((record.frames, *record.size, 3), dtype=np.uint8)
            pixels[kept] = bank.read_frames(state, frames[kept])
            self.pixels[record.id] = pixels
            self.content[_content(record)] = record.id

    def run(self, number: int, seed: int = 0) -> tuple[Mutated, str]:
        """Does mutation ``number``; gives it and what came of it."""
        mutation = mutations.mutated(number, self.new, self.old, self.archive, seed)
        for cache in (bank_module._depth, segment_file._check_pictures):
            cache.cache_clear()
        self._clear(mutation.archive is None)
        if mutation.archive is not None:
            path = self.root / "given.scenememory.zip"
            path.write_bytes(mutation.archive)
            result = self._use(lambda: import_bank(self.root, "film", path), mutation, number)
            if result.startswith("refused"):
                assert [one.name for one in self.root.iterdir()] == [path.name], "an import that failed left something"
        else:
            self._write(mutation.files)
            result = self._use(lambda: Bank.open(self.root, "film"), mutation, number)
        assert [one.name for one in self.outside.iterdir()] == ["secret"], "something was written outside"
        assert (self.outside / "secret").read_bytes() == b"secret", "something outside was changed"
        return mutation, result

    def _clear(self, keep_folders: bool) -> None:
        """Removes all files of the last mutation; folders are kept where they are needed again, which is quicker."""
        if not keep_folders:
            shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(exist_ok=True)
        for place, folders, files in os.walk(self.root, topdown=False):
            for name in (*files, *folders):
                path = Path(place, name)
                if path.is_symlink() or not path.is_dir():
                    path.unlink()
                elif path.suffix:
                    path.rmdir()

    def _write(self, files: Files) -> None:
        for name, data in files.items():
            path = self.root / "film" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if data == LINK:
                path.symlink_to(self.outside / "secret")
            elif data == FOLDER:
                path.mkdir()
            else:
                path.write_bytes(data)

    def _use(self, get: Any, mutation: Mutated, number: int) -> str:
        try:
            bank = get()
            state = bank.load()
        except BankError as problem:
            assert len(str(problem)) > 20, "the error says nothing"
            return f"refused: {problem}"
        refused = self._look(bank, state, mutation.honest)
        for head in bank.history():
            try:
                refused += self._look(bank, bank.load(head), mutation.honest)
            except BankError:
                refused += 1
        if number % 4 == 0:
            refused += self._go_on(bank, state, mutation)
        return f"used {state.frames} frames, {refused} refusals"

    def _look(self, bank: Bank, state: MemoryState, honest: bool) -> int:
        """Reads all there is; counts refusals. What is read must be what was stored.

        A memory that was never stored may only be what is sound of one: the same segments, perhaps as a film of their
        own, with edits that say what is lost.
        """
        if not honest and state.id not in self.known:
            assert all(_content(record) in self.content for record in state.segments), f"{state.id} was never stored"
            own = all(record.id in self.known for record in state.segments)
            added = [entry.edit.kind for entry in state.edit_entries if own and entry.id not in self.known]
            assert set(added) <= {"drop"}, f"the memory {state.id} has edits that were never made"
        refused = 0
        assert np.isfinite(state.poses).all() and np.isfinite(state.times).all()
        state.flags(np.arange(state.frames)), state.pinned_frames()
        for position, record in enumerate(state.segments):
            frames = np.arange(record.start, record.start + record.frames)
            try:
                kept = bank.kept(state, frames)
                pixels = bank.read_frames(state, frames[kept])
                if (stored := self.content.get(_content(record))) is not None:
                    assert np.array_equal(pixels, self.pixels[stored][kept]), "wrong pixels were read"
            except BankError:
                refused += 1
            for read, what in ((bank.segment_latents, (state, position)), (state.depth, (frames,))):
                try:
                    read(*what)
                except BankError:
                    refused += 1
        return refused

    def _go_on(self, bank: Bank, state: MemoryState, mutation: Mutated) -> int:
        """Appends to what was found, and asks for segments by their keys; afterwards the bank must hold just that."""
        refused = 0
        try:
            for name in (20, 1):
                found = bank.recall(bank.empty(), hashlib.sha256(f"0 {name}".encode()).hexdigest())
                assert found is None or mutation.honest or found.id in self.known, "a key gave a memory never stored"
            if state.size in (None, (12, 20)) and state.fps in (None, 8.0):
                longer = film_server.append(30)(bank, state)
                again = Bank.open(bank.root, bank.name).load()
                assert again.id == longer.id or mutation.touched, "what was appended is not there"
        except BankError:
            refused += 1
        return refused


def _content(record: SegmentRecord) -> str:
    """What a segment holds, whatever it continues."""
    document = json.loads(record.text)
    return json.dumps([document["tensors"], document["prompt"], document["info"]], sort_keys=True)


def _read(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "head.lock"}


def _data_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmData:")[1].split()[0])


def main() -> None:
    folder, numbers = Path(sys.argv[1]), [int(one) for one in sys.argv[2:]]
    logging.disable(logging.CRITICAL)
    os.fsync = lambda handle: None  # what is tried here is reading; a power cut is not among the faults
    trial = Trial(folder)
    limit = _data_bytes() + BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if len(numbers) == 1:
        print(mutations.mutated(numbers[0], trial.new, trial.old, trial.archive).what)
        print(trial.run(numbers[0])[1])
        return
    print(json.dumps({"ready": True}), flush=True)
    for number in range(*numbers):
        print(json.dumps({"at": number}), flush=True)
        answer: dict[str, Any] = {"done": number}
        try:
            # Time of this process: other work on the machine does not count. What waits is found by who reads this.
            begin = time.process_time()
            mutation, result = trial.run(number)
            seconds = time.process_time() - begin
            answer.update(what=mutation.what, result=result[:200], seconds=seconds)
            if seconds > SECONDS:
                answer["bad"] = f"took {seconds:.1f} s"
        except BaseException as problem:
            answer["bad"] = f"{type(problem).__name__}: {str(problem)[:200]} " + "".join(traceback.format_tb(
                problem.__traceback__)[-2:])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
