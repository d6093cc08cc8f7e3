"""Model adapters: each serves one family of MODELs, found by looking at the object."""

from __future__ import annotations

from typing import Any

from .base import Adapter
from .world import WorldAdapter

ADAPTERS: tuple[type[Adapter], ...] = (WorldAdapter,)


def adapter_for(model: Any) -> Adapter:
    """The adapter that serves a MODEL.

    Raises:
        ValueError: none does; names the model and what to do.
    """
    for adapter in ADAPTERS:
        if adapter.serves(model):
            return adapter()
    kind = type(model.model).__name__
    raise ValueError(
        f"Shot Generator cannot give memory to this model ({kind}) yet. "
        "Connect the MODEL of Load World Model; it is the one that this version serves."
    )
