"""A line of text on a node while it works and after."""

from __future__ import annotations

import logging

from comfy_api.latest import io
from server import PromptServer

log = logging.getLogger(__name__)


def say(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs; it must ask for its hidden unique_id."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and cls.hidden is not None and cls.hidden.unique_id:
        server.send_progress_text(text, cls.hidden.unique_id)


def warn(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs, as `say` does, and writes it to the log: it must not be missed."""
    log.warning(text)
    say(cls, text)
