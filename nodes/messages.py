"""What a node shows while it works and after: a line of text, and how far it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io
from comfy_execution.progress import get_progress_state
from server import PromptServer

log = logging.getLogger(__name__)

LONGEST = 1000
_BRACKETS = re.compile(r"(\[(?=\[)|\](?=\]))")
_ADDRESS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*:|www\.)(?=//|[a-z0-9])")


def say(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs; it must ask for its hidden unique_id.

    A node that another one made while the graph ran is nowhere to be seen: its text stands on the one that made it,
    with its name in front (Story Film: "Shot 2: ...").
    """
    server = getattr(PromptServer, "instance", None)
    if server is None or cls.hidden is None or not cls.hidden.unique_id:
        return
    node = cls.hidden.unique_id
    seen = get_progress_state().dynprompt.get_display_node_id(node_id=node)
    if seen != node:
        text = f"{node.rpartition('.')[2].capitalize()}: {text}"
    server.send_progress_text(text=shown(text), node_id=seen)


def tell(cls: type[io.ComfyNode], event: str, data: dict[str, Any]) -> None:
    """Sends data to the page that queued the graph, with the id of the node that runs as ``node``: of one that another
    node made while the graph ran, of that one. The node must ask for its hidden unique_id."""
    server = getattr(PromptServer, "instance", None)
    if server is None or cls.hidden is None or not cls.hidden.unique_id:
        return
    seen = get_progress_state().dynprompt.get_display_node_id(node_id=cls.hidden.unique_id)
    server.send_sync(event=event, data={**data, "node": seen}, sid=server.client_id)


def warn(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs, as `say` does, and writes it to the log: it must not be missed."""
    log.warning(text)
    say(cls, text)


def byte_progress() -> Callable[[int, int], None]:
    """A progress bar on the node that runs, for work that is counted in bytes: call it with (done, total).

    It raises ComfyUI's own exception where the artist cancelled.
    """
    steps = 1000
    bar = comfy.utils.ProgressBar(total=steps)

    def on_bytes(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(value=round(steps * done / max(1, total)), total=steps)

    return on_bytes


def shown(text: str) -> str:
    """A text as it may stand on a node. Names in it come from files that others wrote: the page would make links of
    [[words|address]], of addresses and of tags, and a long one would cover the graph."""
    plain = "".join(letter for letter in text if letter == "\n" or letter.isprintable())
    plain = _ADDRESS.sub(r"\1 ", _BRACKETS.sub(r"\1 ", plain).replace("<", "\u2039").replace(">", "\u203a"))
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 4]} ..."
