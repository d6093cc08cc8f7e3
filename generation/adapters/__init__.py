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
    raise ValueError(
        f"Shot Generator cannot give memory to this model ({model_kind(model)}) yet. "
        "Connect the MODEL of Load World Model; it is the one that this version serves."
    )


def is_served(model: Any) -> bool:
    """Whether an adapter serves a MODEL."""
    return any(adapter.serves(model) for adapter in ADAPTERS)


def model_kind(model: Any) -> str:
    """The host's name for a MODEL's family."""
    return type(model.model).__name__
