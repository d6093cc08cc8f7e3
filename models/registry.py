"""The families of models that a film can be made with: each ``Adapter`` that is imported here.

To add one, write it and import it, in one line; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..film.plan import CONTEXT_FRAMES
from .host import call_table
from .host.identity import model_kind
from .ltx import LtxAdapter
from .minimax.adapter import MinimaxH3Adapter
from .story.memento import MementoAdapter
from .story.storymem import StoryMemAdapter
from .wan.adapter import WanAdapter, WanCameraAdapter
from .wan.fun_inpaint import WanInpaintAdapter
from .wan.vace import WanVaceAdapter
from .world.adapter import WorldAdapter

if TYPE_CHECKING:
    # Not at run time: what all adapters call of the host would count for every node that asks for one.
    from .host.adapter import Adapter


def _by_turn(imported: Mapping[str, Any]) -> tuple[type[Adapter], ...]:
    """The adapters among what a module has imported, in the order in which they are asked (``Adapter.turn``)."""
    found = [one for name, one in imported.items() if name.endswith("Adapter") and isinstance(one, type)]
    return tuple(sorted(found, key=lambda adapter: (adapter.turn, adapter.__name__)))


ADAPTERS: tuple[type[Adapter], ...] = _by_turn(globals())
"""Each is the one record of a family: what it serves and its files, its lengths and sizes, how it is given a memory.
The first that serves a MODEL is taken."""

FAMILIES = frozenset(adapter.__module__ for adapter in ADAPTERS)
"""Modules whose calls of the host count for the models of one adapter only."""

_SHARED = tuple(f"{call_table.PACK}.models.host.{name}" for name in ("adapter", "sampling"))
"""Modules whose calls count for all."""


def adapter_for(model: Any, memory_enters_as: str = CONTEXT_FRAMES) -> Adapter:
    """The adapter that serves a MODEL, and gives it memory in this way, of ``film.plan.MEMORY_WAYS``.

    Raises:
        ValueError: none does, or a function of the host that it calls is another; says what to do.
    """
    for first in ADAPTERS:
        if first.serves(model):
            # Of weights that can be taken in more than one way the other one is a kind of the first adapter.
            others = [one for one in ADAPTERS if one is not first and issubclass(one, first) and one.serves(model)]
            found = [(one, one.for_model(model)) for one in (first, *others)]
            for adapter, made in found:
                if memory_enters_as in made.memory_ways:
                    if words := call_table.misfit(_SHARED[0]) or misfit(adapter):
                        raise ValueError(words)
                    return made
            raise ValueError(
                f"memory_enters_as is {memory_enters_as}, but {found[0][1].name} takes "
                f"{' or '.join(found[0][1].memory_ways)} only. Use {found[0][1].memory_ways[0]}, or load a model that "
                "takes known pixels: Wan VACE, Wan Fun Inpaint, the model of Load World Model, or a Wan text to video "
                "or image to video with Uni3C in Wan Memory Options."
            )
    served = [name for adapter in ADAPTERS for name in adapter.listed]
    raise ValueError(
        f"Shot Generator cannot give memory to this model ({model_kind(model)}) yet. "
        f"Load one that it serves: {', '.join(served[1:])}, or {served[0]}."
    )


def misfit(adapter: type[Adapter]) -> str:
    """What this ComfyUI has otherwise than an adapter by itself calls it, in words; "" where all fits."""
    own = next(filter(None, (called.misfit for called in adapter.host_nodes)), "")
    return own or call_table.misfit(adapter.__module__, besides=_SHARED)


def can_be_routed(model: Any) -> bool:
    """Whether attention of a MODEL can be routed: an adapter serves it that publishes what its tokens are."""
    return next((adapter.describes_tokens for adapter in ADAPTERS if adapter.serves(model)), False)
