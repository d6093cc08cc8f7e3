"""A line of text on a node while it works and after."""

from __future__ import annotations

import logging
import re

from comfy_api.latest import io
from server import PromptServer

log = logging.getLogger(__name__)

LONGEST = 1000
_BRACKETS = re.compile(r"(\[(?=\[)|\](?=\]))")
_ADDRESS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*:|www\.)(?=//|[a-z0-9])")


def say(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs; it must ask for its hidden unique_id."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and cls.hidden is not None and cls.hidden.unique_id:
        server.send_progress_text(shown(text), cls.hidden.unique_id)


def warn(cls: type[io.ComfyNode], text: str) -> None:
    """Shows a text on the node that runs, as `say` does, and writes it to the log: it must not be missed."""
    log.warning(text)
    say(cls, text)


def shown(text: str) -> str:
    """A text as it may stand on a node. Names in it come from files that others wrote: the page would make links of
    [[words|address]], of addresses and of tags, and a long one would cover the graph."""
    plain = "".join(letter for letter in text if letter == "\n" or letter.isprintable())
    plain = _ADDRESS.sub(r"\1 ", _BRACKETS.sub(r"\1 ", plain).replace("<", "\u2039").replace(">", "\u203a"))
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 4]} ..."
