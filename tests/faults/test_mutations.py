"""Damaged and lying files: a named error or the good part; never another error, a crash, a hang, or much memory."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE = 30.0
"""Seconds without a word after which a worker hangs. The worker itself allows 2 s of its own time a mutation."""


def campaign(folder: Path, first: int, stop: int) -> tuple[int, list[str]]:
    """Tries the mutations ``first`` to ``stop``; gives how many were survived and what went wrong with the others."""
    good, wrong = 0, []
    while first < stop:
        place = folder / str(first)
        place.mkdir()
        worker = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mutation_worker.py")), str(place), str(first), str(stop)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        with worker:
            at, problem = first, ""
            for line in _lines(worker):
                if line is None:
                    problem = f"hangs for {PATIENCE:g} s"
                    worker.kill()
                    break
                at = int(line.get("at", at))
                if "bad" in line:
                    wrong.append(f"mutation {at} ({line.get('what')}): {line['bad']}")
                elif "done" in line:
                    good += 1
            assert worker.stderr is not None
            last_words = worker.stderr.read().decode(errors="replace")
        if worker.returncode and not problem:
            problem = f"ended the process with {worker.returncode}: {last_words[-500:]}"
        if problem:
            wrong.append(f"mutation {at}: {problem}")
        first = at + 1 if problem else stop
        shutil.rmtree(place)
    return good, wrong


def _lines(worker: subprocess.Popen[bytes]):
    """The worker's lines as they come; None if it says nothing for too long."""
    assert worker.stdout is not None
    rest = b""
    while True:
        if not select.select([worker.stdout], [], [], PATIENCE)[0]:
            yield None
            return
        piece = os.read(worker.stdout.fileno(), 65536)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from (json.loads(line) for line in lines)


@pytest.mark.parametrize("mutations", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_give_a_named_error_or_the_good_part(tmp_path: Path, mutations: int):
    good, wrong = campaign(tmp_path, 0, mutations)
    assert not wrong and good == mutations, "\n".join(wrong)
