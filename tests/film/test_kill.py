"""A film whose process is killed at any instant: the bank opens, and the film ends with the bytes it would have had."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene_memory.memory.bank.bank import Bank

ROOT = Path(__file__).resolve().parents[2]
SEGMENTS = 10
KILLS = int(os.environ.get("SCENE_MEMORY_KILLS", "200"))


class Films:
    """Runs films in processes of their own and may kill them."""

    def __init__(self, comfyui: Path) -> None:
        script = Path(__file__).with_name("film_process.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(ROOT), str(comfyui)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._log: list[str] = []
        threading.Thread(target=lambda: self._log.extend(self._process.stderr or []), daemon=True).start()
        self._read("ready")

    def run(self, folder: Path, kill_after: float | None = None) -> bool:
        """Films, and whether the film came to its end: it is killed ``kill_after`` seconds after it began."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\t{SEGMENTS}\n")
        self._process.stdin.flush()
        pid = int(self._read())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was quicker this time
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        ended = self._read() == "1"
        assert ended or kill_after is not None, "".join(self._log)[-3000:]
        return ended

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _read(self, expected: str = "") -> str:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline().strip():
            if line.isdigit() or line == expected:
                return line
        raise AssertionError("".join(self._log)[-3000:])


@pytest.fixture(scope="module")
def films(comfyui: Path) -> Iterator[Films]:
    made = Films(comfyui)
    yield made
    made.close()


@pytest.fixture(scope="module")
def unharmed(films: Films, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The files of a film that was never killed, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("unharmed")
    begun = time.monotonic()
    assert films.run(folder)
    return files(folder), time.monotonic() - begun


def files(folder: Path) -> dict[str, bytes]:
    """What a bank keeps, once it has been opened."""
    bank = Bank.open(folder, "film")
    assert bank.load().frames == 4 * SEGMENTS
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".json", ".safetensors")
    }


def killed_and_finished(films: Films, folder: Path, after: float, unharmed: dict[str, bytes]) -> int:
    """Kills a film, looks at what is left, lets it finish and compares; returns the segments that were left."""
    ended = films.run(folder, kill_after=after)
    left = 0
    if Bank.exists(folder, "film"):
        state = Bank.open(folder, "film").load()
        left = len(state.segments)
        assert state.frames == 4 * left and (left == SEGMENTS or not ended)
        state.read_frames(range(state.frames))
    assert films.run(folder)
    found = files(folder)
    assert sorted(found) == sorted(unharmed)
    assert [path for path in found if found[path] != unharmed[path]] == []
    return left


def test_killed_at_some_instants(films: Films, unharmed: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    expected, seconds = unharmed
    left = {
        killed_and_finished(films, tmp_path / str(place), seconds * share, expected)
        for place, share in enumerate((0.0, 0.3, 0.6, 0.9))
    }
    assert len(left) >= 2, "every kill fell on the same segment"


@pytest.mark.slow
def test_killed_at_many_random_instants(films: Films, unharmed: tuple[dict[str, bytes], float], tmp_path: Path) -> None:
    expected, seconds = unharmed
    instants = random.Random(1)
    left = [
        killed_and_finished(films, tmp_path / str(place), instants.uniform(0, seconds), expected)
        for place in range(KILLS)
    ]
    assert len(set(left)) >= SEGMENTS // 2


def test_a_film_that_was_there_is_not_made_again(films: Films, tmp_path: Path) -> None:
    assert films.run(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert films.run(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == written
