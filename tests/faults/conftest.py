"""What may go wrong with a memory on disk, done to real processes and real files.

- test_killed.py: `kill -9` at random instants of a film; the bank opens at its last good head, and filming on gives the
  same bytes as a film that was never killed.
- test_mutations.py: damaged and lying files by number; a named error or the good part, never anything else.
- test_disk.py: a full disk and folders that refuse writing, at every write.
- test_two_writers.py: two processes append to one bank.
- test_links.py: links that lead out of the bank, in the place of every file and folder.

The usual test run has a part of each. The whole campaigns, 200 kills and 10,000 mutations, take some minutes each:

    python dev.py test -m slow tests/faults

A mutation is the same on every machine. Number 1234 alone, with what was done and the traceback:

    python tests/faults/mutation_worker.py EMPTY_FOLDER 1234

These tests need Linux (fork, limits, /proc); the pack itself does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ask() -> Iterator[Ask]:
    """`ask("killed", root=..., ids=..., after=0.1)`: a request to film_server.py, which runs once for all tests."""
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("film_server.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdin is not None and server.stdout is not None

    def request(command: str, **arguments: object) -> dict[str, Any]:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "film_server.py ended; its last words are above"
        return dict(json.loads(answer))

    yield request
    server.stdin.close()
    server.wait(timeout=30)


@pytest.fixture(scope="session")
def film(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The film without a break: `ids` after each step, the `tree` of its files, and the `seconds` it took."""
    return ask("whole", root=str(tmp_path_factory.mktemp("whole")))
