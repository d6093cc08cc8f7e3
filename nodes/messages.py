"""A line of text on a node while it works and after."""

from __future__ import annotations

from comfy_api.latest import io
from server import PromptServer


def say(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs; it must ask for its hidden unique_id."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and cls.hidden is not None and cls.hidden.unique_id:
        server.send_progress_text(text, cls.hidden.unique_id)
