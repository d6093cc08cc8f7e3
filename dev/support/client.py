"""A client of ComfyUI's own API, for the tests and the demo: queue a prompt, follow its events, read its results."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import struct
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Json = dict[str, Any]
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
GONE = "server gone"
TEXT = 3
"""ComfyUI's kind of a binary message that holds a text."""
ENDS = ("execution_success", "execution_error", "execution_interrupted")


class PromptRejected(Exception):
    """The server refused a prompt. `node_errors` is its own account: {node id: {errors: [...]}}."""

    def __init__(self, reply: Json) -> None:
        self.error: Json = reply.get("error") or {}
        self.node_errors: Json = reply.get("node_errors") or {}
        super().__init__(json.dumps(reply, indent=1))


@dataclass
class Run:
    """One prompt's way through the server. Node ids are strings; times are seconds since it was queued.

    A picture that a node sends while it works is an event "preview" with its bytes, a line on it an event "text".
    """

    prompt_id: str
    events: list[tuple[float, str, Json]] = field(default_factory=list)
    outputs: Json = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    executed: list[str] = field(default_factory=list)
    started_at: dict[str, float] = field(default_factory=dict)
    error: Json | None = None
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.error is None and not self.interrupted

    def texts(self, node: str) -> list[str]:
        """What a node said on itself while it ran."""
        return [str(data["text"]) for _, kind, data in self.events if kind == "text" and data["node"] == node]

    def node_seconds(self, node: str) -> float:
        """How long a node ran: until the next one began, or until the end."""
        later = [at for at in self.started_at.values() if at > self.started_at[node]]
        return min([*later, self.seconds]) - self.started_at[node]


class Client:
    """`with Client(url) as client: run = client.queue(prompt)`. One prompt at a time; safe beside Playwright's loop."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.client_id = uuid.uuid4().hex
        self._messages: queue.Queue[tuple[str, Json]] = queue.Queue()
        self._connected = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        if not self._connected.wait(30):
            raise TimeoutError(f"no WebSocket connection to {self.url} within 30 s")

    def request(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """JSON from a route: GET, or POST where there is a body. None for an empty reply."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Comfy-User": ""}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with LOCAL.open(request, timeout=60) as reply:
            content = reply.read()
        return json.loads(content) if content else None

    def object_info(self, node: str = "") -> Json:
        """The server's node definitions, or one of them as {name: definition}."""
        return dict(self.request(f"/object_info/{node}" if node else "/object_info"))

    def history(self, prompt_id: str) -> Json | None:
        """What the server keeps of a finished prompt: outputs, status, meta."""
        found: Json | None = self.request(f"/history/{prompt_id}").get(prompt_id)
        return found

    def interrupt(self) -> None:
        self.request("/interrupt", {})

    def free(self) -> None:
        """Unloads models and empties the cache: every node runs anew in the next prompt.

        ComfyUI does so when its worker wakes, or behind the next prompt if that comes first: a small one is run here,
        so that it is done when this returns.
        """
        self.request("/free", {"unload_models": True, "free_memory": True})
        self.queue({
            "number": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
            "shown": {"class_type": "PreviewAny", "inputs": {"source": ["number", 0]}},
        })

    def settings(self, values: Mapping[str, Any]) -> None:
        """Sets the frontend's settings, such as `Comfy.VueNodes.Enabled`."""
        self.request("/api/settings", dict(values))

    def submit(self, prompt: Mapping[str, Any]) -> str:
        """Puts a prompt into the queue and returns its id.

        Raises:
            PromptRejected: it does not validate.
        """
        try:
            return str(self.request("/prompt", {"prompt": prompt, "client_id": self.client_id})["prompt_id"])
        except urllib.error.HTTPError as error:
            raise PromptRejected(json.loads(error.read())) from None

    def queue(
        self,
        prompt: Mapping[str, Any],
        *,
        timeout: float = 600,
        on_event: Callable[[str, Json], None] | None = None,
    ) -> Run:
        """Runs a prompt to its end. `on_event(kind, data)` sees each event as it comes, and may call `interrupt`."""
        while not self._messages.empty():
            self._messages.get()
        begun = time.monotonic()
        run = Run(self.submit(prompt))
        while True:
            left = begun + timeout - time.monotonic()
            try:
                kind, data = self._messages.get(timeout=max(left, 0.01))
            except queue.Empty:
                self.interrupt()
                raise TimeoutError(f"the prompt did not end within {timeout:g} s ({len(run.events)} events)") from None
            if kind == GONE:
                raise ConnectionError(f"the server at {self.url} ended while prompt {run.prompt_id} ran")
            if data.get("prompt_id", run.prompt_id) != run.prompt_id:
                continue
            run.seconds = time.monotonic() - begun
            run.events.append((run.seconds, kind, data))
            _record(run, kind, data)
            if on_event is not None:
                on_event(kind, data)
            if kind in ENDS:
                break
        while (kept := self.history(run.prompt_id)) is None:
            time.sleep(0.02)
        run.outputs = kept["outputs"]
        return run

    def close(self) -> None:
        if self._loop is not None and self._reader is not None:
            with contextlib.suppress(RuntimeError):  # the server is gone, and the loop with it
                self._loop.call_soon_threadsafe(self._reader.cancel)
        self._thread.join(5)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _listen(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        self._loop, self._reader = asyncio.get_running_loop(), asyncio.current_task()
        address = f"{self.url}/ws?clientId={self.client_id}"
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                self._connected.set()
                async for message in socket:
                    if message.type == aiohttp.WSMsgType.TEXT:
                        event = json.loads(message.data)
                        self._messages.put((event["type"], event.get("data") or {}))
                    elif message.type == aiohttp.WSMsgType.BINARY:
                        self._messages.put(_binary(bytes(message.data)))
        except asyncio.CancelledError:
            return
        except aiohttp.ClientError:
            pass
        self._messages.put((GONE, {}))


def _binary(message: bytes) -> tuple[str, Json]:
    """A picture, or a text on a node: its kind, the length of the node's id, the id, the text."""
    kind, length = struct.unpack(">II", message[:8])
    if kind != TEXT:
        return "preview", {"bytes": message}
    return "text", {"node": message[8 : 8 + length].decode(), "text": message[8 + length :].decode()}


def _record(run: Run, kind: str, data: Json) -> None:
    if kind == "execution_cached":
        run.cached.update(map(str, data["nodes"]))
    elif kind == "executing" and data.get("node") is not None:
        node = str(data["node"])
        if node not in run.cached and node not in run.started_at:
            run.executed.append(node)
            run.started_at[node] = run.seconds
    elif kind == "execution_error":
        run.error = data
    elif kind == "execution_interrupted":
        run.interrupted = True
