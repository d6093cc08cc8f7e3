"""A ComfyUI that is another than the pack knows: nodes that would fail in it are refused when a prompt is queued."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from comfy_api.latest import io

from ..models.host import call_table
from ..models.registry import ADAPTERS, FAMILIES, misfit

log = logging.getLogger(__name__)


def refuse_unfit(nodes: list[type[io.ComfyNode]]) -> None:
    """Looks at all calls of this ComfyUI. What does not fit is one line of the log, and a node that makes such a call
    is refused when it is queued, before anything runs; families of models are, when Shot Generator begins."""
    misfits: dict[str, set[str]] = {}
    for node in nodes:
        both = (node, *getattr(node, "makes", ()))
        words = next(filter(None, (call_table.misfit(one.__module__, besides=FAMILIES) for one in both)), "")
        if words:
            _refuse(node, words)
            misfits.setdefault(words, set()).add(node.__name__)
    for adapter in ADAPTERS:
        if words := misfit(adapter):
            misfits.setdefault(words, set()).add(adapter.name)
    if misfits:
        parts = (f"{words} It stops: {', '.join(sorted(stopped))}." for words, stopped in misfits.items())
        log.warning("SceneMemory: %s", " ".join(parts))


def _refuse(node: type[io.ComfyNode], words: str) -> None:
    def validate_inputs(cls: type[io.ComfyNode], **given: Any) -> str:
        return words

    # ComfyUI asks it before it runs any node of a prompt, and tells the answer once for each input that it names.
    names = ("cls", next(one.id for one in node.define_schema().inputs if not getattr(one, "optional", False)))
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    validate_inputs.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    node.validate_inputs = classmethod(validate_inputs)  # type: ignore[assignment]
