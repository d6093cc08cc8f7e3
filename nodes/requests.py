"""Requests of this pack's own pages: bodies that are bounded and looked at before they are used, refusals in words, and
work of which only the newest is done."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from aiohttp import web

from ..memory.cameras.keyframe_fit import Stopped

MOST_BODY = 65536
"""Bytes of a body, as it is after unpacking."""

T = TypeVar("T")
_LOOK_S = 0.2


def refused(status: int, why: str) -> web.Response:
    """An answer that says why there is none."""
    return web.json_response({"error": why}, status=status)


class Refused(Exception):
    """A request that is not served: ``answer`` says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.answer = web.json_response({"error": why}, status=status)


async def json_body(request: web.Request, what: str) -> Any:
    """The JSON of a request, read off the server's loop.

    Args:
        what: what it holds, with its verb, such as "The views take".

    Raises ``Refused`` if it is larger than ``MOST_BODY`` when unpacked (never more than that is), or no JSON.
    """
    parts, length = [], 0
    async for part in request.content.iter_chunked(MOST_BODY):
        length += len(part)
        if length > MOST_BODY:
            raise Refused(413, f"{what} more than {MOST_BODY} bytes.")
        parts.append(part)
    try:
        data, charset = b"".join(parts), request.charset
        return await asyncio.to_thread(lambda: json.loads(data.decode(charset) if charset else data))
    except RecursionError:
        raise Refused(400, "The request is nested too deep.") from None
    except (ValueError, LookupError) as problem:
        raise Refused(400, f"The request is no JSON in UTF-8: {str(problem)[:200]}") from None


class Newest:
    """Work of one kind on a few threads of its own. Of one client only the newest is done: a newer one stops it, and so
    does the client by going away."""

    def __init__(self, name: str, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._running: dict[str, threading.Event] = {}

    async def run(self, request: web.Request, client: str, job: Callable[[Callable[[], bool]], T]) -> T:
        """What a job gives. It is called with a function that says whether to stop, and then raises ``Stopped``."""
        stop = threading.Event()
        if (older := self._running.get(client)) is not None:
            older.set()
        self._running[client] = stop

        def work() -> T:
            if stop.is_set():  # A newer one came while this one waited for a thread.
                raise Stopped
            return job(stop.is_set)

        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            while not (await asyncio.wait([future], timeout=_LOOK_S))[0]:
                if request.transport is None or request.transport.is_closing():
                    stop.set()
            return future.result()
        finally:
            stop.set()
            if self._running.get(client) is stop:
                del self._running[client]
