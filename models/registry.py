"""Model adapters: each serves one family of MODELs, found by looking at the object."""

from __future__ import annotations

from typing import Any

from ..film.model import Adapter
from .host import call_table
from .ltx import LtxAdapter
from .minimax.adapter import MinimaxH3Adapter
from .story.memento import MementoAdapter
from .story.storymem import StoryMemAdapter
from .wan.adapter import WanAdapter, WanCameraAdapter
from .wan.vace import WanVaceAdapter
from .world.adapter import WorldAdapter

ADAPTERS: tuple[type[Adapter], ...] = (
    WorldAdapter,
    StoryMemAdapter,
    MementoAdapter,
    WanAdapter,
    WanCameraAdapter,
    WanVaceAdapter,
    MinimaxH3Adapter,
    LtxAdapter,
)

FAMILIES = frozenset(adapter.__module__ for adapter in ADAPTERS)
"""Modules whose calls of the host count for the models of one adapter only."""


def adapter_for(model: Any) -> Adapter:
    """The adapter that serves a MODEL.

    Raises:
        ValueError: none does, or a function of the host that it calls is another; says what to do.
    """
    for adapter in ADAPTERS:
        if adapter.serves(model):
            if words := misfit(adapter):
                raise ValueError(words)
            return adapter.for_model(model)
    raise ValueError(
        f"Shot Generator cannot give memory to this model ({model_kind(model)}) yet. "
        "Load one that it serves: Wan 2.1 or 2.2 text to video or image to video, TI2V-5B, Fun Camera, VACE, MiniMax "
        "H3, LTX video, or the model of Load World Model."
    )


def misfit(adapter: type[Adapter]) -> str:
    """What this ComfyUI has otherwise than an adapter calls it, in words; "" where all fits."""
    return next(filter(None, (called.misfit for called in adapter.host_nodes)), "") or call_table.misfit(
        adapter.__module__
    )


def can_be_routed(model: Any) -> bool:
    """Whether attention of a MODEL can be routed: an adapter serves it that publishes what its tokens are."""
    return next((adapter.describes_tokens for adapter in ADAPTERS if adapter.serves(model)), False)


def model_kind(model: Any) -> str:
    """The host's name for a MODEL's family; of a Wan also what tells its kinds apart."""
    kind = type(model.model).__name__
    channels = getattr(getattr(model.model, "diffusion_model", None), "in_dim", None)
    return f"{kind} with {channels} channels" if channels and kind.startswith("WAN") else kind
