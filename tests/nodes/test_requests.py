"""Of one client's questions only the newest is worked out, also when the others still wait for a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, on a thread of its own: the browser's tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def open_request() -> Any:
    """All that the work looks at of a request: that its page is still there."""
    return SimpleNamespace(transport=SimpleNamespace(is_closing=lambda: False))


@pytest.mark.parametrize("clients", [1, 3])
def test_of_a_hundred_questions_at_once_few_are_worked_out(comfy: Path, clients: int) -> None:
    from scene_memory.memory.cameras.keyframe_fit import Stopped
    from scene_memory.nodes.requests import Newest

    work, gate, done = Newest("test", threads=1), threading.Event(), list[int]()

    def job(number: int) -> Any:
        def run(stopped: Any) -> int:
            gate.wait(30)
            done.append(number)
            return number

        return run

    async def ask() -> list[Any]:
        asked = [
            asyncio.create_task(work.run(open_request(), str(number % clients), job(number))) for number in range(100)
        ]
        await asyncio.sleep(0)  # All are asked before the first can end.
        gate.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = run_apart(ask())
    newest = set(range(100 - clients, 100))
    assert newest <= set(done) and len(done) <= clients + 1, "the one that had begun, and the newest of each client"
    assert all(answers[number] == number for number in newest)
    assert all(isinstance(answers[number], Stopped) for number in range(100) if number not in done)


def test_a_page_that_has_gone_away_stops_its_work(comfy: Path) -> None:
    from scene_memory.nodes.requests import Newest

    work, gone = Newest("test"), threading.Event()
    request = SimpleNamespace(transport=SimpleNamespace(is_closing=gone.is_set))

    def run(stopped: Any) -> str:
        gone.set()
        for _ in range(3000):
            if stopped():
                return "stopped"
            threading.Event().wait(0.01)
        return "never"

    assert run_apart(work.run(request, "page", run)) == "stopped"
