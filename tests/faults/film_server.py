"""A process that films on request: it imports the pack once, then forks a child for each run, so that runs are quick.

Run as a script; it reads one JSON request a line and answers with one JSON line. The film has everything a bank can
hold: segments with latents, depth and keys, edits, a second take that replaces the first, the first one brought back.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from dev.support.pack import load_pack  # noqa: E402

load_pack()

from scene_memory.memory.bank import codec, packs  # noqa: E402
from scene_memory.memory.bank.bank import Bank  # noqa: E402
from scene_memory.memory.cameras.presets import make_preset  # noqa: E402
from scene_memory.memory.state.edits import Edit  # noqa: E402
from scene_memory.memory.state.state import MemoryState  # noqa: E402

packs.SMALL, packs.LARGE = 4, 16
"""Small packs, so that a short film has some and merges them."""
codec.SMALL_PIXELS = 0
"""Small frames in the coding of large ones, which the tests are about; banks of the first format have the other."""

Step = Callable[[Bank, MemoryState], MemoryState]


def append(number: int, seed: int = 0) -> Step:
    """Appends segment ``number`` of the film ``seed``: three frames of 20 x 12, some with latents, depth and a key."""
    def step(bank: Bank, state: MemoryState) -> MemoryState:
        random_numbers = np.random.default_rng([seed, number])
        path = make_preset("pan", frames=3, fps=8.0, amount=20.0 + number, fov=60.0, aspect=1.6)
        return bank.append(
            state,
            frames=random_numbers.integers(0, 256, (3, 12, 20, 3), dtype=np.uint8),
            trajectory=path,
            shot=number // 3,
            prompt=f"segment {number}",
            info={"seed": seed},
            latents=random_numbers.normal(size=(4, 3, 2, 3)).astype(np.float16) if number % 2 else None,
            latent_space="test" if number % 2 else "",
            depth=random_numbers.uniform(1.0, 5.0, (3, 4, 5)),
            key=hashlib.sha256(f"{seed} {number}".encode()).hexdigest() if number % 3 else None,
        )
    return step


def edit(change: Edit) -> Step:
    return lambda bank, state: bank.edit(state, change)


def other_take(bank: Bank, state: MemoryState) -> MemoryState:
    return append(20)(bank, bank.empty())


def first_take_again(bank: Bank, state: MemoryState) -> MemoryState:
    (earlier,) = (one for one in bank.history() if one != state.id)
    return append(8)(bank, bank.load(earlier))


FILM: list[Step] = [
    *(append(i) for i in range(6)),
    edit(Edit("pin", ((2, 4),))),
    append(6),
    edit(Edit("supersede", ((3, 5), (7, 9)), by=12)),
    append(7),
    other_take,
    append(21),
    first_take_again,
    append(9),
]


def run_film(root: Path, known: list[str], done: Callable[[str], object]) -> None:
    """Films from where the bank stands to the end; ``known`` are the ids after each step, as far as they are known."""
    bank = Bank.open(root, "film") if Bank.exists(root, "film") else Bank.create(root, "film")
    state = bank.load()
    for step in FILM[known.index(state.id) + 1 if state.frames else 0 :]:
        state = step(bank, state)
        done(state.id)


def forked(work: Callable[[], object], limit: int | None = None) -> int:
    """Starts ``work`` in a child process and gives its number; an exception there ends it with status 1."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        work()
        status = 0
    except BaseException as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def ended(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def tree(folder: Path) -> dict[str, str]:
    """sha256 of every finished file of a bank; locks, who writes there and unfinished files are no part of it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".part" and path.name != "head.lock" and path.parent.name != "writers"
    }


def whole(root: str) -> dict[str, Any]:
    """The film without a break: ids after each step, the files, and how long it took."""
    ids: list[str] = []
    begin = time.perf_counter()
    run_film(Path(root), [], ids.append)
    return {"ids": ids, "tree": tree(Path(root) / "film"), "seconds": time.perf_counter() - begin}


def killed(root: str, ids: list[str], after: float) -> dict[str, Any]:
    """Kills a run ``after`` seconds, opens the bank, then films to the end.

    ``reported`` steps were done before the kill, ``found`` is the step at which the bank opened (-1: empty or none).
    """
    reader, writer = os.pipe()
    child = forked(lambda: run_film(Path(root), ids, lambda one: os.write(writer, one.encode())))
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    survived = ended(child)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        reported = len(pipe.read()) // 64
    found = -1
    if Bank.exists(Path(root), "film"):
        state = Bank.open(Path(root), "film").load()
        found = ids.index(state.id) if state.frames else -1
        state.read_frames(range(state.frames))
    finished = ended(forked(lambda: run_film(Path(root), ids, lambda one: None)))
    return {"reported": reported, "found": found, "finished": finished, "was_over": survived,
            "tree": tree(Path(root) / "film") if finished else {}}


def cramped(root: str, ids: list[str], limit: int) -> dict[str, Any]:
    """Films where no file may grow past ``limit`` bytes, which the system answers like a full disk; then with room."""
    reader, writer = os.pipe()

    def film() -> None:
        try:
            run_film(Path(root), ids, lambda one: None)
        except ValueError as problem:
            os.write(writer, f"{type(problem).__name__}: {problem}".encode())

    child = forked(film, limit)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        error = pipe.read().decode()
    named = ended(child)
    found = -1
    if Bank.exists(Path(root), "film"):
        state = Bank.open(Path(root), "film").load()
        found = ids.index(state.id) if state.frames else -1
        state.read_frames(range(state.frames))
    finished = ended(forked(lambda: run_film(Path(root), ids, lambda one: None)))
    return {"named": named, "error": error, "found": found, "finished": finished,
            "parts": sum(1 for _ in Path(root).rglob("*.part")), "tree": tree(Path(root) / "film")}


def as_nobody(root: str, closed: list[str], step: int) -> dict[str, Any]:
    """As a user without rights, does step ``step`` of the film while the folders ``closed`` refuse writing."""
    reader, writer = os.pipe()

    def work() -> None:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            bank = Bank.open(Path(root), "film")
            state = bank.load()
            state = FILM[step](bank, state)
            os.write(writer, f"done {state.id}".encode())
        except ValueError as problem:
            os.write(writer, f"{type(problem).__name__}: {problem}".encode())

    for folder in closed:
        (Path(root) / folder).chmod(0o555)
    child = forked(work)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    fine = ended(child)
    for folder in closed:
        (Path(root) / folder).chmod(0o777)
    state = Bank.open(Path(root), "film").load()
    state.read_frames(range(state.frames))
    return {"named": fine, "answer": answer, "id": state.id}


def two_writers(root: str, segments: int, most: int | None = None, whole_bank: bool = False) -> dict[str, Any]:
    """Two processes append to one bank at the same time, each to the end of its own film, under a limit of ``most``."""
    bank = Bank.create(Path(root), "film")
    append(0)(bank, bank.load())
    pipes = [os.pipe(), os.pipe()]
    gate_reader, gate_writer = os.pipe()

    def work(seed: int) -> None:
        mine = Bank.open(Path(root), "film", most, whole_bank)
        state = mine.load()
        os.close(gate_writer)
        os.read(gate_reader, 1)  # ends when nobody holds the other end any more: both have loaded the same memory
        for number in range(1, segments + 1):
            state = append(number, seed)(mine, state)
            time.sleep(random.Random(number * seed).random() * 0.004)
            os.write(pipes[seed - 1][1], state.id.encode())

    children = [forked(lambda seed=seed: work(seed)) for seed in (1, 2)]
    os.close(gate_writer)
    good = [ended(child) for child in children]
    ids = []
    for reader, writer in pipes:
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read().decode()
        ids.append([text[i : i + 64] for i in range(0, len(text), 64)])
    bank = Bank.open(Path(root), "film")
    head = bank.load()
    lengths = {}
    for one in bank.history():
        state = bank.load(one)
        state.read_frames(range(state.frames), nearest=most is not None)
        lengths[one] = state.frames
    head.read_frames(range(head.frames), nearest=most is not None)
    return {"good": good, "ids": ids, "head": head.id, "frames": head.frames, "history": lengths}


COMMANDS = {command.__name__: command for command in (whole, killed, cramped, as_nobody, two_writers)}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(COMMANDS[request.pop("do")](**request)), flush=True)


if __name__ == "__main__":
    main()
